"""Statistics for a handful of seeds: intervals, an exact test, an effect size, ranks, and what such numbers can show.

Arrays in, small dataclasses out; any unit. scipy does what it can. Ours is what it lacks: Mann-Whitney's distribution
where values are tied (cells repeat, so errors do), Holm's procedure, Cliff's delta with its interval, and how often a
difference is missed. This module imports nothing else of ours.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

Array = npt.NDArray[np.float64]

LEVEL = 0.95
APPROXIMATE_BELOW = 10
BLOCKS_FOR_CRITICAL_DIFFERENCE = 10
EXACT_UP_TO = 100
EXACT_FLIPS = 14
RESAMPLES = 10_000
SIMULATIONS = 40_000
_MOST_DRAWN = 2**21
"""Values that are drawn at once: 16 MiB."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Attributes:
        value: the number, NaN where there is nothing to compute it from.
        low, high: the interval, NaN where there is too little for one.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MannWhitney:
    """Mann-Whitney's test of two samples.

    Attributes:
        u: pairs in which the first is larger, a tie counting half.
        p: two-sided.
        exact: whether p is the permutation distribution's, ties included, and no approximation.
    """

    u: float
    p: float
    exact: bool


@dataclass(frozen=True)
class Ranks:
    """Average ranks over blocks; 1 is the lowest error.

    Attributes:
        blocks: how many there are.
        means: a method's mean rank, ties sharing theirs.
        friedman_p: of the hypothesis that all methods rank alike; NaN below three methods or two blocks.
        critical_difference: Nemenyi's; mean ranks nearer than that are not told apart. None below 10 blocks.
        groups: methods, by position, that are not told apart: the bars of a critical-difference diagram.
    """

    blocks: int
    means: tuple[float, ...]
    friedman_p: float
    critical_difference: float | None
    groups: tuple[tuple[int, ...], ...]


def t_half_width(variance: Array, n: npt.NDArray[np.int64]) -> Array:
    """Half of Student's 95 % interval of a mean, from the sample variance (of n - 1) and n of at least 2."""
    return np.asarray(special.stdtrit(n - 1, (1 + LEVEL) / 2) * np.sqrt(variance / n))


def mean_interval(values: Array) -> Estimate:
    """The mean with Student's 95 % interval, which needs two values."""
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan)
    half = float(t_half_width(values.var(ddof=1), np.asarray(len(values))))
    return Estimate(mean, mean - half, mean + half)


def interquartile_mean(strata: Sequence[Array]) -> Estimate:
    """The mean of the middle half, with a stratified percentile bootstrap interval (Agarwal et al. 2021, section 4.3).

    A quarter of all values, rounded down, is cut at each end. Values are drawn anew within each stratum; the draws are
    the same every time. Below `APPROXIMATE_BELOW` values in a stratum the interval is too short: at six it covered 91 %
    in a simulation with normal values.

    Args:
        strata: the values of each task; one task is one stratum.
    """
    return interquartile_means([strata])[0]


def interquartile_means(samples: Sequence[Sequence[Array]]) -> list[Estimate]:
    """`interquartile_mean` of many samples at once, to the last bit, in a third of the time.

    What is drawn depends on how many values the strata have and on nothing else, so that samples of equal sizes share
    their draws.

    Args:
        samples: the strata of each.
    """
    estimates: list[Estimate] = []
    alike: dict[tuple[int, ...], list[int]] = {}
    for place, strata in enumerate(samples):
        values = np.concatenate(strata) if strata else np.empty(0)
        value = float(stats.trim_mean(values, 0.25)) if len(values) else math.nan
        estimates.append(Estimate(value, math.nan, math.nan))
        if len(values) and min(map(len, strata)) >= 2:
            alike.setdefault(tuple(map(len, strata)), []).append(place)
    for sizes, places in alike.items():
        generator = np.random.default_rng(0)
        draws = [generator.integers(0, size, (RESAMPLES, size)) for size in sizes]
        at_once = max(1, _MOST_DRAWN // (RESAMPLES * sum(sizes)))
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            lows, highs = _bootstrapped([samples[place] for place in some], draws)
            for place, low, high in zip(some, lows.tolist(), highs.tolist(), strict=True):
                estimates[place] = Estimate(estimates[place].value, low, high)
    return estimates


def _bootstrapped(samples: Sequence[Sequence[Array]], draws: Sequence[npt.NDArray[np.int64]]) -> tuple[Array, Array]:
    """[samples] the ends of the intervals of interquartile means.

    Args:
        samples: the strata of each, of equal sizes.
        draws: for each stratum [resamples, values] which of its values are drawn.
    """
    drawn = np.concatenate(
        [np.stack(stratum)[:, drawn] for stratum, drawn in zip(zip(*samples, strict=True), draws, strict=True)], axis=2
    )
    # What scipy's trim_mean does, which looks for NaN first. A row a resample, as for one sample alone: with a further
    # axis numpy would add up in another order.
    rows = drawn.reshape(-1, drawn.shape[2])
    cut = int(0.25 * rows.shape[1])
    rows.partition((cut, rows.shape[1] - cut - 1), axis=1)
    means = rows[:, cut : rows.shape[1] - cut].mean(axis=1).reshape(len(samples), RESAMPLES)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    return low, high


def cliffs_delta(first: Array, second: Array) -> Estimate:
    """How often the first exceeds the second, less how often it is exceeded, over all pairs: -1 to 1.

    The interval is the asymmetric one of Feng and Cliff (2004) with the consistent variance (Cliff 1996, eq. 5.12) and
    Student's t of n + m - 2. Without any overlap that variance is 0. The interval then takes the largest variance that
    a delta can have, (1 - delta^2) / n of the smaller sample (Feng and Cliff, eq. 6); it ends at (n - t^2) / (n + t^2).
    """
    n, m = len(first), len(second)
    if not n or not m:
        return Estimate(math.nan, math.nan, math.nan)
    signs = np.sign(first[:, None] - second)
    delta = float(signs.mean())
    if min(n, m) < 2:
        return Estimate(delta, math.nan, math.nan)
    t = float(special.stdtrit(n + m - 2, (1 + LEVEL) / 2))
    if abs(delta) == 1:
        limit = (min(n, m) - t**2) / (min(n, m) + t**2)
        return Estimate(delta, limit, 1.0) if delta > 0 else Estimate(delta, -1.0, -limit)
    rows, columns = signs.mean(axis=1).var(ddof=1), signs.mean(axis=0).var(ddof=1)
    variance = float(((m - 1) * rows + (n - 1) * columns + signs.var(ddof=1)) / (n * m))
    half = t * math.sqrt(variance * ((1 - delta**2) ** 2 + t**2 * variance))
    bottom = 1 - delta**2 + t**2 * variance
    return Estimate(delta, max(-1.0, (delta - delta**3 - half) / bottom), min(1.0, (delta - delta**3 + half) / bottom))


def mann_whitney(first: Array, second: Array) -> MannWhitney:
    """Two-sided Mann-Whitney test, exact with and without ties up to `EXACT_UP_TO` values in all.

    scipy's exact distribution holds without ties only. The one here is over all ways to deal the values, with their
    ties, into two samples. p is twice the smaller tail.

    Raises:
        ValueError: a sample is empty.
    """
    n, m = len(first), len(second)
    if not n or not m:
        raise ValueError("expected at least one value in each sample")
    ranks = stats.rankdata(np.concatenate([first, second]))
    u = float(ranks[:n].sum() - n * (n + 1) / 2)
    if n + m > EXACT_UP_TO:
        return MannWhitney(u, float(stats.mannwhitneyu(first, second, method="asymptotic").pvalue), exact=False)
    doubled = np.rint(2 * ranks).astype(np.int64)
    return MannWhitney(u, float(_two_sided(doubled, n)[doubled[:n].sum()]), exact=True)


def smallest_p(n: int, m: int) -> float:
    """The smallest two-sided p that Mann-Whitney's test of n against m values can give: all of one below the other."""
    return min(1.0, 2 / math.comb(n + m, n))


def holm(p: Sequence[float]) -> Array:
    """Holm's adjusted p values, in the order given: they bound the chance of any false finding in the family."""
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    adjusted = np.empty_like(values)
    adjusted[order] = steps
    return adjusted


def sign_flip(differences: Array) -> float:
    """Two-sided p of the mean of paired differences, where each could as well have had the other sign.

    Exact, ties and zeros included, up to `EXACT_FLIPS` differences, of which n cannot give less than 2 / 2^n; above,
    from random flips, the same every time.

    Raises:
        ValueError: there is no difference.
    """
    if not len(differences):
        raise ValueError("expected at least one difference")
    if len(differences) == 1 or not differences.any():
        return 1.0
    tested = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_FLIPS,
        random_state=np.random.default_rng(0),
    )
    return float(tested.pvalue)


@functools.cache
def miss_rate(n: int, m: int, difference: float, alpha: float) -> float:
    """How often Mann-Whitney's test at `alpha` misses a difference of normal samples, by simulation.

    Args:
        n, m: values in each sample.
        difference: of the means, in standard deviations.
        alpha: what p must not exceed.

    Returns:
        a share, the same every time; its standard error is below .003.
    """
    u = _simulated_u(n, m, difference)
    if n + m > EXACT_UP_TO:
        from_centre = np.abs(u - n * m / 2) - 0.5
        p = 2 * special.ndtr(-from_centre / math.sqrt(n * m * (n + m + 1) / 12))
    else:
        p = _two_sided(2 * np.arange(1, n + m + 1), n)[2 * u + n * (n + 1)]
    return float((p > alpha).mean())


@functools.lru_cache(maxsize=64)
def _simulated_u(n: int, m: int, difference: float) -> npt.NDArray[np.int64]:
    """[simulations] Mann-Whitney's U of normal samples whose means differ, the same every time."""
    draws = np.random.default_rng(0).standard_normal((SIMULATIONS, n + m))
    first, second = draws[:, :n] + difference, draws[:, n:]
    return np.asarray(sum((first > value[:, None]).sum(axis=1) for value in second.T))


@functools.cache
def found_difference(n: int, m: int, alpha: float, power: float = 0.8) -> float:
    """The difference, in standard deviations to a tenth, that is found with a power; infinite where none can be."""
    if smallest_p(n, m) > alpha:
        return math.inf
    tenths = bisect.bisect_left(range(1, 1000), power - 1, key=lambda step: -miss_rate(n, m, step / 10, alpha))
    return (tenths + 1) / 10


def average_ranks(errors: Array) -> Ranks:
    """Mean ranks over blocks, and which of them differ by more than chance (Demsar 2006).

    Args:
        errors: [blocks, methods], lower is better, no NaN.
    """
    blocks, methods = errors.shape
    ranks = stats.rankdata(errors, axis=1)
    means = ranks.mean(axis=0)
    friedman_p = math.nan
    if methods > 2 and blocks > 1:
        differ = (ranks != ranks[:, :1]).any()
        friedman_p = float(stats.friedmanchisquare(*errors.T).pvalue) if differ else 1.0
    if blocks < BLOCKS_FOR_CRITICAL_DIFFERENCE or methods < 2:
        return Ranks(blocks, tuple(means.tolist()), friedman_p, None, ())
    quantile = float(stats.studentized_range.ppf(LEVEL, methods, np.inf)) / math.sqrt(2)
    critical = quantile * math.sqrt(methods * (methods + 1) / (6 * blocks))
    return Ranks(blocks, tuple(means.tolist()), friedman_p, critical, _groups(means, critical))


def _groups(means: Array, critical: float) -> tuple[tuple[int, ...], ...]:
    """Longest runs of neighbours in rank that lie within the critical difference, of two methods or more."""
    order = [int(position) for position in np.argsort(means, kind="stable")]
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start
        while end < len(order) and means[order[end]] - means[order[start]] <= critical:
            end += 1
        if end > reached and end - start > 1:
            groups.append(tuple(order[start:end]))
        reached = max(reached, end)
    return tuple(groups)


def _two_sided(doubled_ranks: npt.NDArray[np.int64], n: int) -> Array:
    """Two-sided p for every sum that n of the ranks can have: twice the smaller tail, counted over all choices of n.

    The choices are counted one rank after another (the shift algorithm of Streitberg and Roehmel 1986).

    Args:
        doubled_ranks: twice the ranks, so that those of ties are whole numbers.
        n: how many are chosen.

    Returns:
        [largest sum + 1], by doubled sum.
    """
    total = int(doubled_ranks.sum())
    ways = np.zeros((n + 1, total + 1))
    ways[0, 0] = 1.0
    for rank in doubled_ranks.tolist():
        ways[1:, rank:] += ways[:-1, : total + 1 - rank]
    share = ways[n] / ways[n].sum()
    p: Array = np.minimum(1.0, 2 * np.minimum(np.cumsum(share), np.cumsum(share[::-1])[::-1]))
    return p
