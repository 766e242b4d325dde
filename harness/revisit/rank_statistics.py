"""Rank correlation with its interval: does one quantity order cells as another does?

Coefficients are scipy's: Spearman's rho, and Kendall's tau-b, which allows for ties (accuracies on a few hundred images
have many). Intervals are percentile bootstraps over cells, drawn the same every time.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.records.statistics import LEVEL, Estimate

Array = npt.NDArray[np.float64]

RESAMPLES = 1000
FEWEST = 10
"""Cells below which there is no interval."""


@dataclass(frozen=True)
class RankCorrelation:
    """How alike two orders of the same cells are, 1 for the same and -1 for the reverse.

    Attributes:
        n: cells.
        spearman, kendall: the coefficients; NaN where one of the quantities is the same for all cells.
    """

    n: int
    spearman: Estimate
    kendall: Estimate

    def to_json(self) -> dict[str, Any]:
        """Numbers by name, None for NaN."""
        return {"n": self.n, "spearman": _finite(self.spearman), "kendall": _finite(self.kendall)}


def rank_correlation(first: Array, second: Array) -> RankCorrelation:
    """Spearman's and Kendall's coefficients of two quantities `[n]` of the same cells, with 95 % intervals."""
    n = len(first)
    if n < 2 or not np.ptp(first) or not np.ptp(second):
        nothing = Estimate(math.nan, math.nan, math.nan)
        return RankCorrelation(n, nothing, nothing)
    spearman = float(stats.spearmanr(first, second).statistic)
    kendall = float(stats.kendalltau(first, second).statistic)
    if n < FEWEST:
        return RankCorrelation(n, Estimate(spearman, math.nan, math.nan), Estimate(kendall, math.nan, math.nan))
    drawn = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
    return RankCorrelation(
        n,
        _with_interval(spearman, spearman_of_resamples(first, second, drawn)),
        _with_interval(kendall, kendall_of_resamples(first, second, drawn)),
    )


def spearman_of_resamples(first: Array, second: Array, drawn: npt.NDArray[np.int64]) -> Array:
    """Spearman's rho of each resample, `[resamples]`; NaN where one of the quantities is constant in it.

    Args:
        first, second: `[n]`.
        drawn: indices, `[resamples, size]`.
    """
    x, y = (stats.rankdata(values[drawn], axis=1) for values in (first, second))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    return _ratio((x * y).sum(axis=1), np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def kendall_of_resamples(first: Array, second: Array, drawn: npt.NDArray[np.int64]) -> Array:
    """Kendall's tau-b of each resample, with the arguments of `spearman_of_resamples`.

    A resample is how often each cell is in it, so that its sum over pairs is a quadratic form in these counts; a cell
    and its copy are tied.
    """
    n = len(first)
    counts = np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)
    x, y = (np.sign(values[:, None] - values) for values in (first, second))
    concordance, untied_x, untied_y = (((counts @ pairs) * counts).sum(axis=1) for pairs in (x * y, x**2, y**2))
    return _ratio(concordance, np.sqrt(untied_x * untied_y))


def _ratio(above: Array, below: Array) -> Array:
    ratio: Array = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return ratio


def _with_interval(value: float, resampled: Array) -> Estimate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all resamples constant
        low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _finite(estimate: Estimate) -> dict[str, float | None]:
    named = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {name: number if math.isfinite(number) else None for name, number in named.items()}
