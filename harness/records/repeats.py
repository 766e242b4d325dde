"""The folder of a black-box method: what all its repeats on one table recorded, and the only place that knows it.

    RESULTS/<bench>/<space>/<optimizer>[@NAME]/repeats/
        config.json     what was asked for, what was charged, which table, and what random search is expected to reach
        env.json        what it ran on, for each start
        repeats.jsonl   one line for each repeat 0..R-1, appended and never rewritten, with checksums as those of epochs

A line of a repeat holds its incumbents: the number of the evaluation that each came with, its observed validation
error, its test error, and where the table has seconds, how many had been charged by then. Between two of them nothing
changes, so that the line holds the whole curve. `architecture` is the last of them, as its space writes it. Errors are
rounded to a billionth. `repeats.jsonl` tells such a folder from a run's; it is there first and may be empty.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from harness.records.config import check_config, method_name, table_label, table_sha256
from harness.records.files import open_own
from harness.records.line import as_number
from harness.records.run_folder import CONFIG, REPEATS, RunFolder, RunFolderError, SpaceLabel, space_folder

FOLDER = "repeats"
DIGITS = 9
"""Decimals of a recorded error."""


@dataclass(frozen=True)
class RepeatsFolder(RunFolder):
    """One black-box method's folder."""

    lines_file: ClassVar[str] = REPEATS
    counted_by: ClassVar[str] = "repeat"
    line_of: ClassVar[str] = "a repeat"

    def create(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Make the folder with an empty file of lines, then write what was asked for and what it runs on."""
        self.path.mkdir(parents=True, exist_ok=True)
        open_own(self.path / REPEATS, "ab").close()
        super().create(config, environment)


@dataclass(frozen=True)
class Incumbents:
    """The curve of one repeat: what it would have returned from each of these evaluations on.

    Attributes:
        evaluation: at which each came, from 1, ascending.
        valid_error: observed, descending.
        test_error: of its architecture, a mean over the table's repeats.
        seconds: charged by the end of that evaluation; empty where the table has none.
    """

    evaluation: tuple[int, ...]
    valid_error: tuple[float, ...]
    test_error: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Repeat:
    """One repeat.

    Attributes:
        number: from 0.
        evaluations: how many it made.
        seconds: charged in all; None where the table has none.
        incumbents: its curve.
    """

    number: int
    evaluations: int
    seconds: float | None
    incumbents: Incumbents


@dataclass(frozen=True)
class RandomSearchCurve:
    """What random search is expected to reach, exactly, after 1, 2, ... draws; test errors, each `[draws]`.

    Attributes:
        mean: expectation.
        deviation: standard deviation.
        low, high: quartiles.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Repeats:
    """A black-box method's record, checked.

    Attributes:
        path: its folder.
        bench, space, method: as a run's.
        table, table_sha256, judge_kind: what the errors are of.
        observed: `mean` or `repeat`: which validation error a method was told.
        epochs: for how many each architecture was trained.
        charged: what an evaluation cost, in words.
        evaluations: the limit asked for; None for none.
        optimum: the least test error of the space.
        random_search: exact.
        asked: how many repeats were asked for.
        repeats: those that are there.
        content: everything in `config.json`.
    """

    path: Path
    bench: str
    space: SpaceLabel
    method: str
    table: str
    table_sha256: str
    judge_kind: str
    observed: str
    epochs: int
    charged: str
    evaluations: int | None
    optimum: float
    random_search: RandomSearchCurve
    asked: int
    repeats: tuple[Repeat, ...]
    content: Mapping[str, Any]

    @property
    def has_seconds(self) -> bool:
        """Whether the table has seconds of training."""
        return bool(self.repeats) and all(repeat.seconds is not None for repeat in self.repeats)


def repeats_path(results: Path, bench: str, space: SpaceLabel, method: str) -> Path:
    """Where a black-box method's folder lies; `method` is the optimizer, with `@NAME` as for runs."""
    return results / bench / space_folder(space) / method / FOLDER


def find_repeats(results: Path) -> list[RepeatsFolder]:
    """All folders of black-box methods at or below a folder, in order of their paths; no file is opened."""
    methods = []
    for name, folders, files in os.walk(results):
        if REPEATS in files:
            methods.append(RepeatsFolder(Path(name)))
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
    return sorted(methods, key=lambda folder: folder.path)


def read_repeats(folder: RepeatsFolder) -> Repeats:
    """A black-box method's record.

    Raises:
        RunFolderError: a file is missing, was changed, or holds what no black-box method records.
    """
    content = folder.config()
    check_config(folder, {"seed": 0, **content})
    table = content.get("table") or {}
    optimum = table.get("optimum")
    try:
        record = Repeats(
            path=folder.path,
            bench=content["bench"],
            space=content["space"],
            method=method_name(content),
            table=table_label(content),
            table_sha256=table_sha256(content),
            judge_kind=str(table.get("kind") or ""),
            observed=_text(content, "observed"),
            epochs=content["epochs"],
            charged=_text(content, "charged"),
            evaluations=None if content.get("evaluations") is None else _count(content, "evaluations"),
            optimum=_error(optimum.get("test_error") if isinstance(optimum, dict) else None, "table.optimum"),
            random_search=_random_search(table.get("random_search")),
            asked=_count(content, "repeats"),
            repeats=(),
            content=content,
        )
    except ValueError as error:
        raise RunFolderError(f"{folder.path / CONFIG}: expected {error}; move the folder away") from None
    repeats = []
    for number, line in enumerate(folder.recorded().lines):
        try:
            repeats.append(_repeat(number, line))
        except ValueError as error:
            raise RunFolderError(
                f"{folder.path / REPEATS}:{number + 1}: expected {error}; move the folder away"
            ) from None
    return Repeats(**{**vars(record), "repeats": tuple(repeats)})


def _repeat(number: int, line: Mapping[str, Any]) -> Repeat:
    recorded = line.get("incumbents")
    columns = recorded if isinstance(recorded, dict) else {}
    evaluations = _count(line, "evaluations")
    seconds = line.get("seconds")
    incumbents = Incumbents(
        evaluation=tuple(int(number) for number in _numbers(columns, "evaluation")),
        valid_error=_errors(columns, "valid_error"),
        test_error=_errors(columns, "test_error"),
        seconds=_numbers(columns, "seconds") if seconds is not None else (),
    )
    lengths = {len(incumbents.evaluation), len(incumbents.valid_error), len(incumbents.test_error)}
    if seconds is not None:
        lengths.add(len(incumbents.seconds))
    rising = all(early < late for early, late in zip(incumbents.evaluation, incumbents.evaluation[1:], strict=False))
    if len(lengths) != 1 or not rising or not incumbents.evaluation or incumbents.evaluation[0] < 1:
        raise ValueError("incumbents as columns of one length, by evaluation from 1")
    if incumbents.evaluation[-1] > evaluations:
        raise ValueError(f"incumbents within {evaluations} evaluations")
    return Repeat(number, evaluations, None if seconds is None else _number(seconds, "seconds"), incumbents)


def _random_search(recorded: object) -> RandomSearchCurve:
    columns = recorded if isinstance(recorded, dict) else {}
    names = ("test_error", "deviation", "low_quartile", "high_quartile")
    curve = RandomSearchCurve(*(_errors(columns, name) for name in names))
    if len({len(curve.mean), len(curve.deviation), len(curve.low), len(curve.high)}) != 1:
        raise ValueError("columns of one length in table.random_search")
    return curve


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} as text, got {value!r}")
    return value


def _count(content: Mapping[str, Any], key: str) -> int:
    value = content.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{key} as a whole number of 1 or more, got {value!r}")
    return value


def _number(value: object, key: str) -> float:
    number = as_number(value)
    if number is None or not 0 <= number < float("inf"):
        raise ValueError(f"{key} as a number of 0 or more, got {value!r}")
    return number


def _error(value: object, key: str) -> float:
    number = _number(value, key)
    if number > 1:
        raise ValueError(f"{key} as a fraction, got {value!r}")
    return number


def _numbers(columns: Mapping[str, Any], key: str) -> tuple[float, ...]:
    values = columns.get(key)
    if not isinstance(values, list):
        raise ValueError(f"{key} as a list, got {values!r}")
    return tuple(_number(value, key) for value in values)


def _errors(columns: Mapping[str, Any], key: str) -> tuple[float, ...]:
    return tuple(_error(value, key) for value in _numbers(columns, key))
