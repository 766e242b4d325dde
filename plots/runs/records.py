"""What a figure is made from: runs as recorded, methods, comparisons, and the numbers that a figure shows.

Everything comes from run folders; `plots.runs.survey` says which of them belong together.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.records.catalogue import Quantity, catalogue
from harness.records.config import NO_JUDGE, results_folder
from harness.records.line import Drawable
from harness.records.run_folder import Line, RunFolder, SpaceLabel, space_folder, space_name
from harness.records.statistics import t_half_width
from plots.runs.columns import Array as Array
from plots.runs.columns import Columns, columns_of
from plots.runs.spreadsheet import Rows

INTERVAL = "95 % t-interval of the mean"
DEVIATION = "± one standard deviation"
RANGE = "range"
NO_BAND = ""
INNER = "a results folder of its own; give it instead"


class NothingToDrawError(Exception):
    """A figure without a single point; the message says what is missing."""


@dataclass(frozen=True)
class Run:
    """One seed.

    Attributes:
        path: its folder.
        seed: its seed.
        epochs: how many epochs were asked for.
        columns: what its recorded lines hold, epoch 0 first.
    """

    path: Path
    seed: int
    epochs: int
    columns: Columns

    @classmethod
    def of_lines(cls, path: Path, seed: int, epochs: int, lines: Sequence[Line]) -> Run:
        """A run from its lines, epoch 0 first."""
        return cls(path, seed, epochs, columns_of(lines))

    @property
    def recorded(self) -> int:
        """How many lines are recorded, that of epoch 0 included."""
        return self.columns.epochs

    @property
    def last_epoch(self) -> int | None:
        """The last recorded epoch; None where there is no line."""
        return self.recorded - 1 if self.recorded else None

    @property
    def is_finished(self) -> bool:
        """Whether the last epoch asked for is there."""
        return self.last_epoch == self.epochs

    def damaged(self, key: str) -> tuple[int, ...]:
        """The epochs that record an entry as a number that is none: NaN or infinite, unlike one that is missing."""
        return self.columns.not_finite.get(key, ())

    def values(self, quantity: Quantity) -> Array:
        """A quantity after every recorded epoch from 0: [epochs], NaN where the line does not give it."""
        return self.columns.values(quantity)

    @property
    def architectures(self) -> list[Drawable | None]:
        """The architecture of each recorded epoch, None where a line holds none that can be drawn."""
        return [self.columns.drawable(place) for place in self.columns.places.tolist()]


@dataclass(frozen=True)
class Method:
    """All seeds of one method in one space of one benchmark.

    Attributes:
        name: the optimizer, with `@NAME` where its settings have a name.
        epochs: how many epochs were asked for, the same for every seed.
        runs: one for each seed, by seed.
    """

    name: str
    epochs: int
    runs: tuple[Run, ...]

    @property
    def has_alphas(self) -> bool:
        """Whether any line holds architecture parameters."""
        return any(run.columns.has_alphas for run in self.runs)

    def values(self, quantity: Quantity) -> Array:
        """A quantity of every run: [seeds, recorded epochs from 0], NaN where the line does not give it."""
        rows = [run.values(quantity) for run in self.runs]
        values = np.full((len(rows), max((len(row) for row in rows), default=0)), np.nan)
        for filled, row in zip(values, rows, strict=True):
            filled[: len(row)] = row
        return values


@dataclass(frozen=True)
class Comparison:
    """What may share a figure: the methods of one space, on one benchmark, with one table and one scale.

    Attributes:
        bench: the benchmark's name.
        space: 1, 2 or 3, or the name of another space.
        table: the label of the table, or another judge, that the errors come from.
        scale: the size of network and data, in words.
        methods: by name.
        optimum: the lowest test error of all cells of the space (means over repeats), where the runs recorded it.
        table_sha256: the table's, empty where the runs did not record it.
        random_search: expected test error of random search after 1, 2, ... draws, where the runs recorded it.
        judge_kind: of what kind the judge is that the errors come from; empty where the runs did not record it.
        further: the quantities that the runs record beyond the built-in ones.
    """

    bench: str
    space: SpaceLabel
    table: str
    scale: str
    methods: tuple[Method, ...]
    optimum: float | None = None
    table_sha256: str = ""
    random_search: tuple[float, ...] = ()
    judge_kind: str = ""
    further: tuple[Quantity, ...] = ()

    @property
    def space_name(self) -> str:
        """The space in a title: `space 1`, or a name."""
        return space_name(self.space)

    @property
    def place(self) -> str:
        """Benchmark and space in a title: `digits, space 1`."""
        return f"{self.bench}, {self.space_name}"

    @property
    def folder(self) -> str:
        """The space in the name of a file: `space1`, or a name."""
        return space_folder(self.space)

    @property
    def is_judged(self) -> bool:
        """Whether anything says how good the architectures are; otherwise all errors are null."""
        return self.judge_kind != NO_JUDGE

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Name -> quantity: what lines of these runs may hold."""
        return catalogue(self.further)

    @property
    def epochs_differ(self) -> bool:
        """Whether the methods were asked for different numbers of epochs."""
        return len({method.epochs for method in self.methods}) > 1

    def conditions(self) -> str:
        """Under what conditions the numbers arose, in one line."""
        epochs = "epochs differ, see below" if self.epochs_differ else counted(self.methods[0].epochs, "epoch")
        return " · ".join(part for part in (self.judge, self.scale, epochs) if part)

    @property
    def judge(self) -> str:
        """Where the errors come from, in a few words."""
        return f"table: {self.table}" if self.is_judged else "no judge, so no errors"


@dataclass(frozen=True)
class Series:
    """One quantity of one method, over seeds and epochs.

    Attributes:
        method: whose it is.
        quantity: what it is, as the CSV names it.
        first: the first epoch that the figure shows.
        values: [seeds, epochs from 0], NaN where there is none.
        n: [epochs] seeds that have a value.
        mean: [epochs] over those seeds.
        low, high: [epochs] the band, NaN where it has none.
        band: `INTERVAL`, `DEVIATION`, `RANGE` or `NO_BAND`.
        seconds: [points] where the values lie, if at seconds of training instead of epochs.
    """

    method: Method
    quantity: str
    first: int
    values: Array
    n: npt.NDArray[np.int64]
    mean: Array
    low: Array
    high: Array
    band: str
    seconds: Array | None = None

    @property
    def x(self) -> Array:
        """[epochs] or [points] where values lie on the horizontal axis."""
        return np.arange(self.values.shape[1], dtype=np.float64) if self.seconds is None else self.seconds

    @property
    def drawstyle(self) -> str:
        """Over seconds a search has an epoch's cell until the next epoch has ended; over epochs points are joined."""
        return "default" if self.seconds is None else "steps-post"

    @property
    def drawn(self) -> npt.NDArray[np.bool_]:
        """[seeds] whether a seed has a value on the figure."""
        return np.asarray(np.isfinite(self.values[:, self.first :]).any(axis=1))

    @property
    def seeds(self) -> int:
        """How many seeds are on the figure."""
        return int(self.drawn.sum())

    @property
    def unfinished(self) -> int:
        """How many of the seeds on the figure lack their last epochs."""
        return sum(not run.is_finished for run, drawn in zip(self.method.runs, self.drawn, strict=True) if drawn)


def series_of(method: Method, quantity: Quantity, wanted: str = INTERVAL) -> Series:
    """A quantity of the catalogue over the epochs, summarised over seeds; `wanted` is the band, as in `summarise`."""
    return summarise(method, quantity.name, method.values(quantity), quantity.first_epoch, wanted)


def summarise(
    method: Method, quantity: str, values: Array, first: int, wanted: str = INTERVAL, seconds: Array | None = None
) -> Series:
    """Mean and band over seeds, at each epoch over the seeds that have it.

    Three seeds or more get the band that is wanted, where at least three have the epoch; two get their range, where
    both have it; one gets no band. Only values from epoch `first` on decide how many seeds there are.

    Args:
        method: whose values they are.
        quantity: what they are, as the CSV names it.
        values: [seeds, epochs from 0], NaN where there is none.
        first: the first epoch that the figure shows.
        wanted: `INTERVAL`, Student's, or `DEVIATION`, with n - 1.
        seconds: where the values lie, if not at epochs.
    """
    there = np.isfinite(values)
    n = there.sum(axis=0)
    mean = np.divide(np.where(there, values, 0.0).sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
    low, high = np.full(n.shape, np.nan), np.full(n.shape, np.nan)
    seeds = int(there[:, first:].any(axis=1).sum())
    band = wanted if seeds >= 3 else RANGE if seeds == 2 else NO_BAND
    if band in (INTERVAL, DEVIATION):
        enough = n >= 3
        squares = (np.where(there, values - mean, 0.0) ** 2).sum(axis=0)[enough]
        variance = squares / (n[enough] - 1)
        half = t_half_width(variance, n[enough]) if band == INTERVAL else np.sqrt(variance)
        low[enough], high[enough] = mean[enough] - half, mean[enough] + half
    elif band == RANGE:
        enough = n >= 2
        low[enough] = np.where(there, values, np.inf).min(axis=0)[enough]
        high[enough] = np.where(there, values, -np.inf).max(axis=0)[enough]
    return Series(method, quantity, first, values, n, mean, low, high, band, seconds)


def csv_text(*figures: tuple[Comparison, Sequence[Series]]) -> str:
    """The numbers behind a figure: a row for each method, quantity and epoch that has a value, errors as fractions.

    The columns after `high` say what the band is and under what conditions the numbers arose; then comes one column
    for each seed. Cells without a number are empty.
    """
    parts = [(comparison, one) for comparison, series in figures for one in series]
    series = [one for _, one in parts]
    seeds = sorted({run.seed for one in series for run in one.method.runs})
    at = "epoch" if all(one.seconds is None for one in series) else "seconds"
    columns = ["bench", "space", "method", "quantity", at, "n", "mean", "low", "high", "band", "table", "scale"]
    text = io.StringIO()
    writer = Rows(text)
    writer.writerow([*columns, *(f"seed{seed}" for seed in seeds)])
    for comparison, one in parts:
        row_of_seed = {run.seed: row for row, run in enumerate(one.method.runs)}
        for point in np.flatnonzero(one.n):
            by_seed = [one.values[row_of_seed[seed], point] if seed in row_of_seed else np.nan for seed in seeds]
            writer.writerow(
                [comparison.bench, comparison.space, one.method.name, one.quantity]
                + [point if one.seconds is None else round(float(one.seconds[point]), 6), one.n[point]]
                + [_number(value) for value in (one.mean[point], one.low[point], one.high[point])]
                + [one.band, comparison.table, comparison.scale]
                + [_number(value) for value in by_seed]
            )
    return text.getvalue()


def counted(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def outermost(results: Path, folders: list[RunFolder]) -> tuple[list[RunFolder], list[Path]]:
    """The runs of the folder itself where it has any, else all; and the collections inside it that are left out.

    Of collections inside one another the outermost is named alone.
    """
    top = results.resolve()
    homes = {folder.path: results_folder(folder.path) for folder in folders}
    own = [folder for folder in folders if top.is_relative_to(homes[folder.path])]
    if not own:
        return folders, []
    inner = sorted({home for home in homes.values() if not top.is_relative_to(home)})
    named = [home for home in inner if not any(outer in home.parents for outer in inner)]
    return own, [results / home.relative_to(top) for home in named]


def _number(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""
