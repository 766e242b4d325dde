from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.revisit.rank_statistics import kendall_of_resamples, rank_correlation, spearman_of_resamples


def test_coefficients_of_a_hand_made_case() -> None:
    """Of the ten pairs, one is discordant: tau is (9 - 1) / 10; the squared rank differences add up to 2."""
    found = rank_correlation(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([10.0, 30.0, 20.0, 40.0, 50.0]))
    assert found.n == 5
    assert found.kendall.value == pytest.approx(0.8)
    assert found.spearman.value == pytest.approx(1 - 6 * 2 / (5 * 24))


def test_ties_count_as_in_tau_b() -> None:
    """Five of the six pairs differ in both and agree; the sixth is tied in the first alone: 5 / sqrt(5 * 6)."""
    found = rank_correlation(np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found.kendall.value == pytest.approx(5 / math.sqrt(30))


def test_resamples_have_the_coefficients_that_scipy_gives_them() -> None:
    generator = np.random.default_rng(1)
    first = generator.integers(0, 8, 30).astype(float)
    second = first + generator.normal(0, 3, 30).round()
    drawn = generator.integers(0, 30, (20, 30))
    spearman, kendall = (function(first, second, drawn) for function in (spearman_of_resamples, kendall_of_resamples))
    for row, indices in enumerate(drawn):
        assert spearman[row] == pytest.approx(stats.spearmanr(first[indices], second[indices]).statistic)
        assert kendall[row] == pytest.approx(stats.kendalltau(first[indices], second[indices]).statistic)


def test_the_interval_is_the_bootstraps_middle_95_percent() -> None:
    generator = np.random.default_rng(2)
    first = generator.normal(size=60)
    second = first + generator.normal(size=60)
    found = rank_correlation(first, second)
    assert found.spearman.low < found.spearman.value < found.spearman.high < 1
    drawn = np.random.default_rng(0).integers(0, 60, (1000, 60))
    for function, estimate in ((stats.spearmanr, found.spearman), (stats.kendalltau, found.kendall)):
        resampled = [function(first[indices], second[indices]).statistic for indices in drawn]
        assert (estimate.low, estimate.high) == pytest.approx(np.quantile(resampled, [0.025, 0.975]))


def test_without_order_there_is_no_coefficient_and_with_few_cells_no_interval() -> None:
    constant = rank_correlation(np.ones(20), np.arange(20.0))
    assert math.isnan(constant.spearman.value)
    assert constant.to_json()["kendall"] == {"value": None, "low": None, "high": None}
    few = rank_correlation(np.arange(9.0), np.arange(9.0))
    assert few.to_json()["spearman"] == {"value": pytest.approx(1), "low": None, "high": None}
