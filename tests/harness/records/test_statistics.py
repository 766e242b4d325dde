"""Intervals, tests, effect sizes and ranks against hand values, against other implementations, and by simulation."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.records import statistics
from harness.records.statistics import (
    LEVEL,
    RESAMPLES,
    Estimate,
    average_ranks,
    cliffs_delta,
    found_difference,
    holm,
    interquartile_mean,
    interquartile_means,
    mann_whitney,
    mean_interval,
    miss_rate,
    sign_flip,
    smallest_p,
)

Array = npt.NDArray[np.float64]

#: few distinct values, so that ties are the rule
TIED = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=6).map(np.array)


def array(*values: float) -> Array:
    return np.array(values, dtype=np.float64)


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def test_mean_interval_is_students() -> None:
    values = array(0.031, 0.045, 0.052, 0.038, 0.061, 0.044)
    low, high = stats.t.interval(0.95, 5, loc=values.mean(), scale=stats.sem(values))
    estimate = mean_interval(values)
    np.testing.assert_allclose([estimate.value, estimate.low, estimate.high], [values.mean(), low, high], rtol=1e-12)


@pytest.mark.parametrize(("values", "mean"), [((), math.nan), ((0.3,), 0.3)])
def test_too_few_values_have_no_interval(values: tuple[float, ...], mean: float) -> None:
    for estimate in (mean_interval(array(*values)), interquartile_mean([array(*values)])):
        np.testing.assert_equal((estimate.value, estimate.low, estimate.high), (mean, math.nan, math.nan))


@pytest.mark.slow
def test_the_95_percent_t_interval_of_six_normal_values_covers_their_mean_in_93_to_97_percent() -> None:
    samples = np.random.default_rng(1).normal(0.05, 0.01, (10_000, 6))
    covered = np.mean([covers(mean_interval(sample), 0.05) for sample in samples])
    assert 0.93 < covered < 0.97


@pytest.mark.slow
def test_cliffs_interval_of_six_against_six_covers_at_least_95_percent_also_with_unequal_spreads() -> None:
    generator = np.random.default_rng(2)
    for shift, spread in ((0.0, 1.0), (1.0, 1.0), (2.0, 0.4), (3.0, 1.0)):
        truth = 2 * stats.norm.cdf(shift / math.sqrt(1 + spread**2)) - 1
        first = generator.normal(shift, 1, (4_000, 6))
        second = generator.normal(0, spread, (4_000, 6))
        covered = np.mean([covers(cliffs_delta(x, y), truth) for x, y in zip(first, second, strict=True)])
        assert covered > 0.945


@pytest.mark.slow
def test_the_bootstrap_of_an_interquartile_mean_covers_about_91_percent_at_six() -> None:
    samples = np.random.default_rng(3).standard_normal((800, 6))
    covered = np.mean([covers(interquartile_mean([sample]), 0) for sample in samples])
    assert 0.88 < covered < 0.94


def test_interquartile_mean_by_hand() -> None:
    assert interquartile_mean([array(1, 2, 3, 4, 5, 6, 7, 8)]).value == pytest.approx(4.5)
    assert interquartile_mean([array(100, 3, 1, 2, 4, 0)]).value == pytest.approx(2.5)
    assert interquartile_mean([array(0, 1), array(2, 9)]).value == pytest.approx(1.5)


def test_interquartile_mean_of_strata_draws_within_each_stratum() -> None:
    """With one value in each stratum many times over, nothing can vary; drawn across strata, it would."""
    estimate = interquartile_mean([array(1, 1, 1), array(2, 2, 2), array(9, 9, 9)])
    assert estimate.low == estimate.value == estimate.high


@pytest.mark.parametrize("sizes", [(6,), (12, 6, 9)])
def test_interquartile_mean_has_the_interval_of_scipys_stratified_bootstrap(sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(4)
    strata = [generator.gamma(2, 1, size) for size in sizes]

    def statistic(*drawn: Array, axis: int = -1) -> Array:
        return np.asarray(stats.trim_mean(np.concatenate(drawn, axis=axis), 0.25, axis=axis))

    other = stats.bootstrap(strata, statistic, n_resamples=20_000, method="percentile", vectorized=True)
    estimate = interquartile_mean(strata)
    low, high = other.confidence_interval
    np.testing.assert_allclose([estimate.low, estimate.high], [low, high], atol=0.03 * (high - low))


def test_interquartile_mean_is_the_same_every_time() -> None:
    values = array(0.1, 0.5, 0.2, 0.9, 0.4, 0.7)
    assert interquartile_mean([values]) == interquartile_mean([values])


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1, 1])
    assert holm([]).shape == (0,)


def test_holm_equals_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    generator = np.random.default_rng(4)
    for size in (1, 2, 6, 21):
        p = np.round(generator.uniform(0, 2 / size, size).clip(0, 1), 2)
        np.testing.assert_allclose(holm(p.tolist()), multitest.multipletests(p, method="holm")[1], atol=1e-15)


@pytest.mark.parametrize("sizes", [(6, 6), (3, 9), (20, 30)])
def test_mann_whitney_without_ties_equals_scipys_exact_test(sizes: tuple[int, int]) -> None:
    generator = np.random.default_rng(5)
    for shift in (0, 0.5, 2):
        first, second = generator.normal(shift, 1, sizes[0]), generator.normal(0, 1, sizes[1])
        expected = stats.mannwhitneyu(first, second, method="exact")
        result = mann_whitney(first, second)
        assert (result.u, result.exact) == (expected.statistic, True)
        assert result.p == pytest.approx(expected.pvalue, rel=1e-9)


@given(TIED, TIED)
def test_mann_whitney_with_ties_counts_all_deals(first: Array, second: Array) -> None:
    n = len(first)
    pooled = np.concatenate([first, second])
    centred = stats.rankdata(pooled)
    sums = [centred[list(chosen)].sum() for chosen in itertools.combinations(range(len(pooled)), n)]
    observed = centred[:n].sum()
    tails = (np.mean(np.array(sums) <= observed + 1e-9), np.mean(np.array(sums) >= observed - 1e-9))
    result = mann_whitney(first, second)
    assert result.p == pytest.approx(min(1, 2 * min(tails)))
    assert result.u == sum((x > y) + (x == y) / 2 for x in first for y in second)
    assert mann_whitney(second, first).p == pytest.approx(result.p)


def test_mann_whitney_with_ties_equals_scipys_permutation_test() -> None:
    first, second = array(4, 4, 5, 5, 6, 7), array(4, 3, 3, 4, 5, 2, 3)

    def rank_sum(x: Array, y: Array, axis: int) -> Array:
        ranks = stats.rankdata(np.concatenate([x, y], axis=axis), axis=axis)
        return np.asarray(ranks[..., : x.shape[axis]].sum(axis=axis))

    expected = stats.permutation_test((first, second), rank_sum, vectorized=True, n_resamples=10_000)
    assert mann_whitney(first, second).p == pytest.approx(expected.pvalue, rel=1e-12)


def test_mann_whitney_of_many_values_is_scipys_approximation() -> None:
    generator = np.random.default_rng(6)
    first, second = generator.normal(0.3, 1, 60), generator.normal(0, 1, 50)
    result = mann_whitney(first, second)
    assert not result.exact
    assert result.p == stats.mannwhitneyu(first, second, method="asymptotic").pvalue


def test_mann_whitney_needs_values() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        mann_whitney(array(), array(1))


def test_the_smallest_p_is_reached_without_overlap_and_named() -> None:
    assert smallest_p(6, 6) == 2 / 924
    assert mann_whitney(array(1, 2, 3, 4, 5, 6), array(7, 8, 9, 10, 11, 12)).p == pytest.approx(2 / 924)
    assert smallest_p(1, 1) == 1


def test_cliffs_delta_by_hand() -> None:
    assert cliffs_delta(array(1, 2, 3), array(2, 3, 4)).value == pytest.approx(-5 / 9)
    same = cliffs_delta(array(1, 2, 3), array(1, 2, 3))
    assert same.value == 0
    assert same.low == pytest.approx(-same.high)


def test_cliffs_delta_has_the_variance_of_a_published_example() -> None:
    """`Cliffd.test` of the R package reproducer 0.5.3: d -0.861 with consistent variance 0.0202 (its manual)."""
    estimate = cliffs_delta(array(1.2, 3, 2.2, 4, 2.5, 3), array(3, 4.2, 4, 6, 7, 5.9))
    delta, t, variance = estimate.value, stats.t.ppf(0.975, 10), 0.0202
    half = t * math.sqrt(variance * ((1 - delta**2) ** 2 + t**2 * variance))
    ends = (delta - delta**3 + np.array([-half, half])) / (1 - delta**2 + t**2 * variance)
    assert delta == pytest.approx(-0.861, abs=5e-4)
    np.testing.assert_allclose([estimate.low, estimate.high], ends, atol=1e-3)


def test_cliffs_interval_of_unequal_samples_weighs_each_by_the_others_size() -> None:
    """By hand: the signs are + - - - and + + - -, so that rows average -.5, 0 and columns 1, 0, -1, -1."""
    delta, rows, columns, pairs = -1 / 4, 0.125, 11 / 12, 15 / 14
    variance = (3 * rows + 1 * columns + pairs) / 8
    t = stats.t.ppf(0.975, 4)
    half = t * math.sqrt(variance * ((1 - delta**2) ** 2 + t**2 * variance))
    high = (delta - delta**3 + half) / (1 - delta**2 + t**2 * variance)
    estimate = cliffs_delta(array(2, 4), array(1, 3, 5, 6))
    assert (estimate.value, estimate.high) == pytest.approx((delta, high))


def test_cliffs_delta_without_overlap_keeps_an_interval_that_shrinks_with_n() -> None:
    six = cliffs_delta(np.arange(6.0) + 10, np.arange(6.0))
    assert (six.value, six.high) == (1, 1)
    t = stats.t.ppf(0.975, 10)
    assert six.low == pytest.approx((6 - t**2) / (6 + t**2))
    assert cliffs_delta(np.arange(20.0) + 50, np.arange(20.0)).low > six.low
    turned = cliffs_delta(np.arange(6.0), np.arange(6.0) + 10)
    assert (turned.value, turned.low, turned.high) == (-1, -1, -six.low)


def test_cliffs_delta_of_one_value_has_no_interval() -> None:
    estimate = cliffs_delta(array(1), array(2, 3))
    np.testing.assert_equal((estimate.value, estimate.low, estimate.high), (-1, math.nan, math.nan))
    assert math.isnan(cliffs_delta(array(), array(2, 3)).value)


@given(TIED, TIED)
def test_cliffs_interval_holds_delta_within_minus_one_and_one_and_turns_with_the_samples(x: Array, y: Array) -> None:
    there, back = cliffs_delta(x, y), cliffs_delta(y, x)
    assert there.value == pytest.approx(-back.value)
    if not math.isnan(there.low):
        assert -1 <= there.low <= there.value + 1e-12
        assert there.value - 1e-12 <= there.high <= 1
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


@pytest.mark.parametrize(("difference", "missed"), [(1, 0.70), (1.5, 0.415), (2, 0.175)])
def test_six_against_six_miss_what_they_are_known_to_miss(difference: float, missed: float) -> None:
    assert miss_rate(6, 6, difference, 0.05) == pytest.approx(missed, abs=0.01)


def test_six_against_six_miss_two_deviations_in_seven_of_ten_cases_among_21_pairs_and_all_among_24() -> None:
    assert miss_rate(6, 6, 2, 0.05 / 21) == pytest.approx(0.715, abs=0.01)
    assert miss_rate(6, 6, 5, 0.05 / 24) == 1


def test_the_miss_rate_is_that_of_the_test_itself() -> None:
    generator = np.random.default_rng(7)
    pairs = zip(generator.normal(1.2, 1, (3_000, 5)), generator.normal(0, 1, (3_000, 7)), strict=True)
    assert miss_rate(5, 7, 1.2, 0.05) == pytest.approx(
        np.mean([mann_whitney(*pair).p > 0.05 for pair in pairs]), abs=0.03
    )


def test_the_miss_rate_of_many_values_goes_on_from_that_of_fewer() -> None:
    assert miss_rate(50, 51, 0.5, 0.05) == pytest.approx(miss_rate(50, 50, 0.5, 0.05), abs=0.01)


def test_the_difference_found_is_the_first_tenth_missed_in_no_more_than_a_fifth() -> None:
    found = found_difference(6, 6, 0.05)
    assert miss_rate(6, 6, found, 0.05) <= 0.2 < miss_rate(6, 6, round(found - 0.1, 1), 0.05)
    assert found_difference(6, 6, 0.002) == math.inf


def test_average_ranks_by_hand() -> None:
    ranks = average_ranks(np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.3], [0.1, 0.1, 0.3]]))
    assert ranks.means == pytest.approx((4.5 / 3, 4.5 / 3, 3))
    assert (ranks.blocks, ranks.critical_difference, ranks.groups) == (3, None, ())
    expected = stats.friedmanchisquare([0.1, 0.2, 0.1], [0.2, 0.1, 0.1], [0.3, 0.3, 0.3]).pvalue
    assert ranks.friedman_p == pytest.approx(expected)


def test_the_critical_difference_is_demsars_and_needs_ten_blocks() -> None:
    """Demsar (2006), section 3.2.2: four methods on 14 data sets, 1.25 at .05."""
    errors = np.random.default_rng(8).normal(size=(14, 4))
    critical = average_ranks(errors).critical_difference
    assert critical == pytest.approx(1.25, abs=0.005)
    assert average_ranks(errors[:10]).critical_difference is not None
    assert average_ranks(errors[:9]).critical_difference is None


def test_groups_are_the_longest_runs_within_the_critical_difference() -> None:
    order = np.array([[1.0, 2, 3, 4]] * 5 + [[2.0, 1, 3, 4]] * 5)
    ranks = average_ranks(order)
    assert ranks.means == (1.5, 1.5, 3, 4)
    assert ranks.critical_difference == pytest.approx(1.483, abs=0.001)
    assert ranks.groups == ((0, 1), (2, 3))


def test_methods_that_never_differ_rank_alike() -> None:
    ranks = average_ranks(np.ones((12, 3)))
    assert (ranks.means, ranks.friedman_p, ranks.groups) == ((2, 2, 2), 1, ((0, 1, 2),))


def test_statistics_load_nothing_else_of_ours() -> None:
    code = (
        "import sys, harness.records.statistics; own = {'torch', 'optimizers', 'spaces', 'plots'}; "
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in own or name.startswith('harness.')))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['harness.records', 'harness.records.statistics']"


@pytest.mark.parametrize(
    "differences", [(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (-1.0, 2.0, 2.0, 0.0), (0.5,), (-3.0, 1.0, 1.0, 1.0, 1.0)]
)
def test_sign_flips_are_counted_over_all_of_them_ties_and_zeros_included(differences: tuple[float, ...]) -> None:
    values = array(*differences)
    sums = [float((values * signs).sum()) for signs in itertools.product((-1, 1), repeat=len(values))]
    upper, lower = (np.mean([sign * one >= sign * values.sum() - 1e-12 for one in sums]) for sign in (1, -1))
    assert sign_flip(values) == pytest.approx(min(1.0, 2 * min(upper, lower)))


def test_six_differences_give_no_smaller_p_than_their_number_allows() -> None:
    assert sign_flip(array(1, 2, 3, 4, 5, 6)) == pytest.approx(2 / 64)
    assert sign_flip(array(0, 0, 0)) == 1
    with pytest.raises(ValueError, match="at least one"):
        sign_flip(array())


def test_many_differences_are_flipped_at_random_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    assert sign_flip(values) == sign_flip(values)
    assert sign_flip(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_interquartile_means_at_once_are_those_of_each_alone_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "_MOST_DRAWN", 2**19)
    generator = np.random.default_rng(7)
    sizes = [(6,), (6,), (1,), (20,), (6, 5), (), (6,), (6, 5), (20,), (2, 1), *[(6,)] * 9]
    samples = [[generator.normal(size=size) for size in its] for its in sizes]
    for strata, estimate in zip(samples, interquartile_means(samples), strict=True):
        assert repr(estimate) == repr(_alone(strata))


def _alone(strata: list[Array]) -> Estimate:
    """One sample by itself, with draws of its own."""
    values = np.concatenate(strata) if strata else np.empty(0)
    value = float(stats.trim_mean(values, 0.25)) if len(values) else math.nan
    if not strata or min(map(len, strata)) < 2:
        return Estimate(value, math.nan, math.nan)
    generator = np.random.default_rng(0)
    drawn = [stratum[generator.integers(0, len(stratum), (RESAMPLES, len(stratum)))] for stratum in strata]
    means = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
