"""The data card of a measured table: what was trained, how much of it, and how far the numbers can be trusted.

`python -m harness.tabulate` writes it beside the index. Everything in it is read off the measurements.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from harness.tabulation.training import MULTIPLY_ADDS_A_SECOND, Recipe, Splits

if TYPE_CHECKING:
    from harness.tables.index import IndexInfo
    from harness.tabulation.jobs import Job, Scope, WorkFolder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """How cells differ and how far their repeats do, of cells that have all `r` repeats.

    Attributes:
        between_cells: standard deviation of the cells' means.
        between_repeats: standard deviation of a cell's repeats, pooled over cells; nan for one repeat.
        repeat_correlation: Spearman correlation of two repeats, mean over the pairs; nan for one repeat.
    """

    repeats: int
    between_cells: float
    between_repeats: float
    repeat_correlation: float

    @property
    def reliability(self) -> float:
        """Share of the variance of the means that is not noise between repeats; nan for one repeat or equal means."""
        if self.between_cells == 0:
            return math.nan
        return 1 - self.between_repeats**2 / self.repeats / self.between_cells**2

    @property
    def ceiling(self) -> float:
        """The best rank correlation with the means that any predictor could reach; nan for one repeat.

        The mean of r repeats that correlate by c correlates with another such mean by r c / (1 + (r - 1) c)
        (Spearman and Brown, 1910), and with what it is the mean of by the square root of that (Spearman, 1904).
        """
        if self.repeat_correlation <= 0:
            return 0.0
        among_means = self.repeats * self.repeat_correlation / (1 + (self.repeats - 1) * self.repeat_correlation)
        return math.sqrt(among_means)


def spread(accuracies: Floats) -> Spread:
    """Spread of accuracies `[cells, repeats]`, at least two cells."""
    repeats = accuracies.shape[1]
    pairs = [correlation(accuracies[:, i], accuracies[:, j]) for i, j in itertools.combinations(range(repeats), 2)]
    return Spread(
        repeats,
        float(accuracies.mean(axis=1).std(ddof=1)),
        math.sqrt(accuracies.var(axis=1, ddof=1).mean()) if repeats > 1 else math.nan,
        float(np.mean(pairs)) if pairs else math.nan,
    )


def correlation(left: Floats, right: Floats) -> float:
    """Spearman's rank correlation; nan if one of them is constant."""
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return math.nan
    return float(spearmanr(left, right).statistic)


@dataclass(frozen=True)
class Measurements:
    """All that a table's work folder holds.

    Attributes:
        accuracies: per split (`validation`, `test`) and cell, by hash, one number a repeat.
        parameters: trainable parameters, a number a training.
        seconds: by the clock, per device.
    """

    accuracies: dict[str, dict[str, list[float]]]
    parameters: list[int]
    seconds: dict[str, float]

    @classmethod
    def of(cls, folder: WorkFolder, jobs: Sequence[Job]) -> Measurements:
        """Those of a folder.

        Raises:
            UserError: a file is damaged.
        """
        accuracies: dict[str, dict[str, list[float]]] = {"validation": {}, "test": {}}
        parameters = []
        for cell in folder.read(jobs):
            parameters.append(cell["trainable_parameters"])
            for split, by_hash in accuracies.items():
                by_hash.setdefault(cell["hash"], []).append(cell[f"{split}_accuracy"])
        return cls(accuracies, parameters, folder.seconds(jobs))

    def complete(self, split: str) -> Floats:
        """`[cells, repeats]` of the cells that have as many repeats as any has."""
        repeats_of_cells = list(self.accuracies[split].values())
        most = max(map(len, repeats_of_cells))
        return np.array([repeats for repeats in repeats_of_cells if len(repeats) == most])


def data_card(
    info: IndexInfo, measurements: Measurements, recipe: Recipe, splits: Splits, images: str, scope: Scope, command: str
) -> str:
    """The card, in Markdown.

    Args:
        info: of the index.
        measurements: what the table was made of.
        recipe: how cells were trained.
        splits: images.
        images: what the images are.
        scope: what the table would cover if it were complete.
        command: what makes the table again.
    """
    sections = [
        f"# Data card: `{info.source.removesuffix('.tfrecord')}.index`",
        f"Table {info.label!r}: cells of {scope.name}, trained from scratch on real images and measured. It is not "
        "NAS-Bench-101 and no number in it is predicted.",
        _images(splits, images),
        _network(recipe, measurements.parameters),
        _training(recipe, splits),
        f"**Seeds.** {info.repeats} {_plural(info.repeats, 'repeat')}. Weights are drawn by (cell, repeat, layer), the "
        "order of the images by (repeat, epoch).",
        _coverage(info, measurements, scope),
        f"**Times.** `training_time` is computed, not measured: three forward passes of every image seen, at "
        f"{MULTIPLY_ADDS_A_SECOND:.0e} multiply-adds a second. So it depends neither on the machine nor on the cells "
        "trained at the same time. Accuracies at half the budget were not measured and are 0.",
        "**Rounding.** The last bits of a training grow over its steps. Made again on the same kind of processor with "
        "the same version of torch, the table is the same byte for byte; elsewhere its accuracies differ as those of "
        "further repeats would.",
        _statistics(measurements),
        f"**Make it again.** `{command}`",
    ]
    return "\n\n".join(section if section[0] in "#|" else _wrapped(section) for section in sections) + "\n"


def _images(splits: Splits, images: str) -> str:
    counts = ", ".join(f"{len(indices)} for {name}" for name, indices in splits.images.items())
    channels, height, width = splits.images["train"].shape[1:]
    return (
        f"**Images.** {images}: {height}x{width} pixels, {channels} {_plural(channels, 'channel')}, {splits.classes} "
        f"classes. {counts}; the training and validation splits are the halves of the data set's training images. "
        "Nothing is augmented."
    )


def _network(recipe: Recipe, parameters: Sequence[int]) -> str:
    return (
        f"**Network.** NAS-Bench-101's (stem, {recipe.stacks} {_plural(recipe.stacks, 'stack')} with 2x2 max-pooling "
        f"between them, projections, channels split over the vertices that feed the output) with {recipe.channels} "
        f"channels and {recipe.modules} {_plural(recipe.modules, 'cell')} a stack: {min(parameters):,} to "
        f"{max(parameters):,} parameters. Where the split leaves a remainder, the order of the vertices in the "
        "recorded matrix decides who gets it."
    )


def _training(recipe: Recipe, splits: Splits) -> str:
    steps = len(splits.images["train"]) // recipe.batch_size
    return (
        f"**Training.** NAS-Bench-101's RMSProp (momentum {recipe.momentum:g}, decay {recipe.decay:g}, epsilon "
        f"{recipe.epsilon:g} inside the root, weight decay {recipe.weight_decay:g}), learning rate "
        f"{recipe.learning_rate:g} falling to 0 along a cosine, {recipe.epochs} {_plural(recipe.epochs, 'epoch')} of "
        f"{steps} {_plural(steps, 'batch', 'es')} of {recipe.batch_size}. A batch's share in batch norm's running "
        f"statistics is {recipe.batchnorm_momentum:g}."
    )


def _coverage(info: IndexInfo, measurements: Measurements, scope: Scope) -> str:
    by_repeats = sorted(Counter(map(len, measurements.accuracies["test"].values())).items(), reverse=True)
    counts = ", ".join(f"{cells:,} with {repeats} {_plural(repeats, 'repeat')}" for repeats, cells in by_repeats)
    hours = " and ".join(
        f"{seconds / 3600:.2g} hours of {'processor time' if device == 'cpu' else 'a GPU'}"
        for device, seconds in sorted(measurements.seconds.items())
    )
    text = (
        f"**Coverage.** {info.cells:,} of {scope.cells:,} cells ({100 * info.cells / scope.cells:.1f} %): {counts}. "
        f"{info.records:,} trainings, {hours}."
    )
    if info.cells == scope.cells:
        return text
    return f"{text} The others are not in the table, and a search that derives one of them is told so."


def _statistics(measurements: Measurements) -> str:
    test, validation = measurements.complete("test"), measurements.complete("validation")
    every = np.concatenate([np.array(repeats) for repeats in measurements.accuracies["test"].values()])
    means = np.array([np.mean(repeats) for repeats in measurements.accuracies["test"].values()])
    rows = [
        (
            "test accuracy, all trainings",
            f"mean {_fraction(every.mean())}, median cell {_fraction(np.median(means))}, worst cell "
            f"{_fraction(means.min())}, best cell {_fraction(means.max())}",
        ),
    ]
    if len(test) >= _FEWEST_CELLS:
        rows += _spread_rows(test, validation)
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


_FEWEST_CELLS = 8
"""With fewer cells their quarter is no more than one."""


def _spread_rows(test: Floats, validation: Floats) -> list[tuple[str, str]]:
    repeats = test.shape[1]
    of_test, of_validation = spread(test), spread(validation)
    best = np.argsort(-test.mean(axis=1), kind="stable")[: len(test) // 4]
    of_best = spread(test[best])
    return [
        (f"standard deviation between cells (means of {repeats})", _fraction(of_test.between_cells)),
        ("standard deviation between repeats of a cell", _fraction(of_test.between_repeats)),
        (f"reliability of the mean of {repeats}", _fraction(of_test.reliability, 3)),
        (
            "rank correlation between two repeats; test, validation",
            _both(of_test, of_validation, "repeat_correlation"),
        ),
        (
            f"noise ceiling: the best rank correlation with the means of {repeats} that any predictor could reach; "
            "test, validation",
            _both(of_test, of_validation, "ceiling"),
        ),
        (
            f"rank correlation between validation and test, means of {repeats}",
            _fraction(correlation(validation.mean(axis=1), test.mean(axis=1)), 3),
        ),
        (
            "best quarter of the cells: deviation between cells, between repeats; rank correlation as above",
            f"{_fraction(of_best.between_cells)}, {_fraction(of_best.between_repeats)}; "
            f"{_fraction(correlation(validation[best].mean(axis=1), test[best].mean(axis=1)), 2)}",
        ),
    ]


def _both(one: Spread, other: Spread, name: str) -> str:
    return f"{_fraction(getattr(one, name), 3)}, {_fraction(getattr(other, name), 3)}"


def _fraction(number: float, digits: int = 4) -> str:
    if math.isnan(number):
        return "n/a"
    sign = "-" if number < 0 else ""
    return sign + f"{abs(number):.{digits}f}".removeprefix("0")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, width=120, break_long_words=False, break_on_hyphens=False)


def _plural(count: int, noun: str, ending: str = "s") -> str:
    return noun if count == 1 else noun + ending
