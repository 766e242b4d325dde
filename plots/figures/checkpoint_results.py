"""What was computed from checkpoints, gathered for drawing: which results may share a figure.

A result names its own conditions. Those of one benchmark, space, seed and epoch share a figure, one panel a method, and
must agree on table and scale, which the figure states once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from matplotlib.figure import Figure

from harness.errors import UserError, printable
from harness.records.results import Conditions, Correlation, Landscape
from harness.records.run_folder import (
    RunFolder,
    RunFolderError,
    SpaceLabel,
    find_folders,
    space_folder,
    space_name,
    space_order,
)
from plots.drawing import style
from plots.runs.records import counted, outermost

Result = TypeVar("Result", Landscape, Correlation)


@dataclass(frozen=True)
class Results(Generic[Result]):
    """What may share a figure.

    Attributes:
        conditions_of_all: what all of them share, the method of the first aside.
        of_methods: method -> result, in drawing order.
    """

    conditions_of_all: Conditions
    of_methods: Mapping[str, Result]

    @property
    def place(self) -> str:
        """The part of a file's name that tells these results from others."""
        shared = self.conditions_of_all
        return f"{shared.bench}_{space_folder(shared.space)}_seed{shared.seed}_epoch{shared.epoch}"

    @property
    def title(self) -> str:
        """What they are of."""
        shared = self.conditions_of_all
        return f"{shared.bench}, {space_name(shared.space)}, epoch {shared.epoch}, seed {shared.seed}"

    @property
    def start_of_row(self) -> list[object]:
        """Benchmark and space, as rows of numbers begin; then come the method, the seed and the epoch."""
        return [self.conditions_of_all.bench, self.conditions_of_all.space]

    @property
    def end_of_row(self) -> list[object]:
        """Images, table and scale, as rows of numbers end."""
        shared = self.conditions_of_all
        return [shared.images, shared.table, shared.scale]

    def conditions(self) -> str:
        """Under what conditions the numbers arose, in one line."""
        shared = self.conditions_of_all
        return f"table: {shared.table} · {shared.scale} · on {counted(shared.images, 'validation image')}"


def gather_results(
    folder: Path, kind: str, read: Callable[[RunFolder, int], Result], also: Sequence[str] = ()
) -> list[Results[Result]]:
    """The results of one kind at or below a folder, grouped for figures; none where there are none.

    A results folder inside the one given is passed over where the outer one holds runs itself. A result that cannot be
    read is left out, and said on stderr.

    Args:
        folder: a results folder.
        kind: `LANDSCAPE` or `CORRELATION`.
        read: reads that of an epoch.
        also: further attributes that must agree on a figure.

    Raises:
        RunFolderError: there is no such folder.
        UserError: results that would share a figure disagree.
    """
    runs, _ = outermost(folder, find_folders(folder)[0])
    groups: dict[tuple[str, SpaceLabel, int, int], list[tuple[Path, Result]]] = {}
    for run in runs:
        for epoch in run.computed_epochs(kind):
            try:
                result = read(run, epoch)
            except (RunFolderError, OSError) as reason:
                print(printable(f"left out: {reason}"), file=sys.stderr)
                continue
            its = result.conditions
            key = (its.bench, its.space, its.seed, its.epoch)
            groups.setdefault(key, []).append((run.result(kind, epoch), result))
    return [_group(groups[key], also) for key in sorted(groups, key=_key_order)]


def write_figures(
    groups: Sequence[Results[Result]],
    out: Path,
    name: str,
    draw: Callable[[Results[Result]], Figure],
    numbers: Callable[[Results[Result]], str],
) -> list[Path]:
    """Draw each group of results, and write its picture and numbers; the paths written."""
    paths = []
    for group in groups:
        figure = draw(group)
        out.mkdir(parents=True, exist_ok=True)
        paths += style.save(figure, out / f"{name}_{group.place}", numbers(group))
    return paths


def _key_order(key: tuple[str, SpaceLabel, int, int]) -> tuple[str, tuple[int, int, str], int, int]:
    bench, space, seed, epoch = key
    return bench, space_order(space), seed, epoch


def _group(results: list[tuple[Path, Result]], also: Sequence[str]) -> Results[Result]:
    first, expected = results[0]
    by_method: dict[str, tuple[Path, Result]] = {}
    for path, result in results:
        its = result.conditions
        if its.method in by_method:
            raise UserError(
                f"{by_method[its.method][0]} and {path} are both seed {its.seed} of {its.method}; move one out of the "
                "results folder"
            )
        for key, ours, theirs in _alike(expected, result, also):
            if ours != theirs:
                raise UserError(
                    f"{first} and {path} differ in {key} ({ours!r} and {theirs!r}), so they cannot share a figure; "
                    "draw each from its own folder"
                )
        by_method[its.method] = (path, result)
    methods = sorted(by_method, key=style.drawing_order)
    return Results(expected.conditions, {method: by_method[method][1] for method in methods})


def _alike(first: Result, second: Result, also: Sequence[str]) -> list[tuple[str, object, object]]:
    """What results must agree in to share a figure: its name, and what each of two has."""
    shared: list[tuple[str, object, object]] = [
        (key, getattr(first.conditions, key), getattr(second.conditions, key))
        for key in ("table", "table_sha256", "scale", "images")
    ]
    return [*shared, *((key, getattr(first, key), getattr(second, key)) for key in also)]
