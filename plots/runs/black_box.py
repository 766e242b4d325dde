"""The records of black-box methods at or below a folder: what belongs together, and the curves that figures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.records.repeats import RandomSearchCurve, Repeats, find_repeats, read_repeats
from harness.records.run_folder import RunFolderError, SpaceLabel, space_folder, space_name, space_order
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.records import Array
from plots.runs.survey import LeftOut


@dataclass(frozen=True)
class BlackBoxGroup:
    """Methods whose curves may share a figure: of one table and space, told the same kind of error.

    Attributes:
        methods: by name.
    """

    methods: tuple[Repeats, ...]

    @property
    def first(self) -> Repeats:
        """Any of them, for what they share."""
        return self.methods[0]

    @property
    def bench(self) -> str:
        """The benchmark's name."""
        return self.first.bench

    @property
    def space(self) -> SpaceLabel:
        """The space."""
        return self.first.space

    @property
    def place(self) -> str:
        """Benchmark and space in a title."""
        return f"{self.bench}, {space_name(self.space)}"

    @property
    def stem(self) -> str:
        """Benchmark and space, and how long each architecture was trained where one repeat of it is told."""
        told = "" if self.first.observed == "mean" else "_repeat"
        return f"{self.bench}_{space_folder(self.space)}_{self.first.epochs}epochs{told}"

    @property
    def random_search(self) -> RandomSearchCurve:
        """What random search is expected to reach, as far as any method recorded it."""
        return max((method.random_search for method in self.methods), key=lambda curve: len(curve.mean))

    @property
    def conditions(self) -> str:
        """Under what conditions the numbers arose, in one line."""
        kind = f" ({self.first.judge_kind})" if self.first.judge_kind else ""
        told = "mean over repeats" if self.first.observed == "mean" else "one repeat, drawn"
        return f"table: {self.first.table}{kind} · {self.first.epochs} epochs each · told: validation error, {told}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the table."""
        return [STAND_IN] if self.first.judge_kind == "stand-in" else []


STAND_IN = (
    "The table is a stand-in, not the official one of its benchmark: no error or time here is comparable with a "
    "published one."
)


def survey_black_box(results: Path, picking: Picking = EVERYTHING) -> tuple[list[BlackBoxGroup], list[LeftOut]]:
    """The groups of the methods picked at or below a folder, and what was left out and why."""
    left_out: list[LeftOut] = []
    grouped: dict[tuple[str, SpaceLabel, str, str, int], dict[str, Repeats]] = {}
    for folder in find_repeats(results):
        try:
            method = read_repeats(folder)
        except RunFolderError as error:
            left_out.append(LeftOut(folder.path, str(error).removeprefix(str(folder.path)).lstrip(":/ ")))
            continue
        except OSError as error:
            left_out.append(LeftOut(folder.path, f"{error.strerror}: {error.filename}"))
            continue
        if not picking.picks(method.method):
            continue
        if not method.repeats:
            left_out.append(LeftOut(folder.path, "no repeat has ended yet"))
            continue
        key = method.bench, method.space, method.table_sha256, method.observed, method.epochs
        others = grouped.setdefault(key, {})
        if method.method in others:
            left_out.append(LeftOut(folder.path, f"{method.method} again, as in {others[method.method].path}"))
        else:
            others[method.method] = method
    order = sorted(grouped, key=lambda key: (key[0], space_order(key[1]), *key[2:]))
    return [BlackBoxGroup(tuple(grouped[key][name] for name in sorted(grouped[key]))) for key in order], left_out


def errors_over_evaluations(method: Repeats) -> Array:
    """Test error of what each repeat would return after 1, 2, ... evaluations: `[repeats, evaluations]`.

    The curves go as far as the shortest repeat does.
    """
    points = np.arange(1.0, min(repeat.evaluations for repeat in method.repeats) + 1)
    return _at(points, [repeat.incumbents.evaluation for repeat in method.repeats], method)


def errors_over_seconds(method: Repeats, points: Array) -> Array:
    """Test error of what each repeat would return after so many charged seconds: `[repeats, points]`.

    NaN before a repeat's first evaluation has ended, and after its last.
    """
    errors = _at(points, [repeat.incumbents.seconds for repeat in method.repeats], method)
    ends = np.array([repeat.seconds or 0.0 for repeat in method.repeats])
    errors[points[None, :] > ends[:, None]] = np.nan
    return errors


def _at(points: Array, changes: Sequence[Sequence[float]], method: Repeats) -> Array:
    """The incumbents' test errors at some points, given where each incumbent came; NaN before the first."""
    rows = np.full((len(changes), len(points)), np.nan)
    for row, when, repeat in zip(rows, changes, method.repeats, strict=True):
        place = np.searchsorted(np.asarray(when), points, side="right") - 1
        errors = np.asarray(repeat.incumbents.test_error)
        row[place >= 0] = errors[place[place >= 0]]
    return rows
