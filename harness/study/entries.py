"""What a study file declares, as data: its searches, its tables, how they are run and how they are compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import UserError
from harness.study.attempts import Rules

MOST_TASKS = 100_000
"""Tasks that a study may have."""


@dataclass(frozen=True)
class SearchEntry:
    """A `[[search]]`: the product of its methods, spaces, settings and seeds, without what it skips.

    Attributes:
        number: counted from 1.
        line: where it begins in the file.
        optimizers: names of methods.
        spaces: numbers or names of spaces.
        seeds: the seeds.
        epochs: epochs; None for the benchmark's.
        grid: setting -> values, as text.
        skip: each leaves out what has all its entries: `optimizer`, `space`, `seed` or a setting -> value as text.
        settings: setting -> value as text, for all.
        keep: epochs whose checkpoints are kept.
        threads: CPU threads of a seed.
        name: what variants' names begin with; None for nothing.
        priority: those of a higher one start first.
        rungs: epochs at which the variants of a method in a space are compared.
        judge: what says how good an architecture is; None for the benchmark's own.
        judge_every: epochs between judgements, where one takes long.
        imports: modules to import first.
    """

    number: int
    line: int
    optimizers: Sequence[str]
    spaces: Sequence[int | str]
    seeds: Sequence[int]
    epochs: int | None = None
    grid: Mapping[str, Sequence[str]] = field(default_factory=dict)
    skip: Sequence[Mapping[str, str]] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[int] = ()
    threads: int = 1
    name: str | None = None
    priority: int = 0
    rungs: tuple[int, ...] = ()
    judge: str | None = None
    judge_every: int = 10
    imports: Sequence[str] = ()


@dataclass(frozen=True)
class TableEntry:
    """A `[[table]]`: what `harness.tabulate` is told by options of the same names.

    Attributes:
        number: counted from 1.
        line: where it begins in the file.
        images: the benchmark whose images are used; a file is relative to the study's.
        space: number of the search space.
        repeats: trainings of each cell.
        cells: a file that names cells to train, relative to the study's.
        first: train the first so many cells only.
        label: what results call the table.
        recipe: how cells are trained, as far as it is not the default.
        out: the index to write, relative to the study's file.
        priority: those of a higher one start first.
    """

    number: int
    line: int
    images: str = "digits"
    space: int = 1
    repeats: int = 3
    cells: Path | None = None
    first: int | None = None
    label: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    out: Path | None = None
    priority: int = 0


@dataclass(frozen=True)
class Running:
    """`[run]`: how a study is run, which changes no line of its results.

    Attributes:
        device: auto, cpu or cuda.
        cpus: processors of a task.
        gpus: GPUs of a task, or the share of one; None for one where there are any.
        workers: tasks side by side; None for as many as fit.
        rules: when a task is tried again, and when no more.
        mixed_kinds: whether a search may go on on another kind of machine than it began on.
        ship_data: whether images and tables travel to nodes, instead of lying there.
        sync_seconds: seconds between the records that a node sends; 0 to send each at once.
    """

    device: str = "auto"
    cpus: int = 1
    gpus: float | None = None
    workers: int | None = None
    rules: Rules = field(default_factory=Rules)
    mixed_kinds: bool = False
    ship_data: bool = False
    sync_seconds: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """`[compare]`: the question that was asked before the first run.

    Attributes:
        baseline: the method that others are tested against; None for the default.
        measure: what is tested and ranked.
        family: the tests that are adjusted together, as `harness.compare --family` calls them.
    """

    baseline: str | None = None
    measure: str = "final_error"
    family: str = "baseline"


@dataclass(frozen=True)
class StudyFile:
    """A study as it was read.

    Attributes:
        path: of the file.
        content: its bytes.
        name: of the study.
        bench: name of the benchmark, or the path of its file.
        searches: in the order of the file.
        tables: in the order of the file.
        run: how it is run.
        compare: how it is compared; None where it does not say.
    """

    path: Path
    content: bytes = field(repr=False)
    name: str
    bench: str
    searches: Sequence[SearchEntry]
    tables: Sequence[TableEntry]
    run: Running
    compare: Comparison | None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def said_of(self, entry: SearchEntry | TableEntry, message: object) -> str:
        """A message with the entry that it is of."""
        kind = "search" if isinstance(entry, SearchEntry) else "table"
        return f"{self.path}:{entry.line}: [[{kind}]] {entry.number}: {message}"

    def fail(self, entry: SearchEntry | TableEntry, message: object) -> NoReturn:
        """Raise a mistake of an entry that only planning shows.

        Raises:
            UserError: always.
        """
        raise UserError(self.said_of(entry, message)) from None
