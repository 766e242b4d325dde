from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.ask_tell.evaluating import Evaluator
from harness.ask_tell.exact import drawn_outcomes, exact_random_search
from harness.ask_tell.repeat import Limit, run_repeat
from harness.benchmarks.embedded.digits import TABLES
from harness.judges.table import Outcomes
from harness.tables.nb201.table import Nb201Table
from harness.tables.query import Table
from harness.tables.space_table import SpaceTable
from optimizers.black_box.base import BlackBoxConfig
from optimizers.black_box.random_search import RandomSearch
from spaces.nb101.space import get_space as get_nb101
from spaces.registry import get_space

SMALL = Outcomes(
    probability=np.array([0.5, 0.2, 0.2, 0.1]),
    valid_errors=np.array([[0.4, 0.2], [0.3, 0.3], [0.1, np.nan], [0.3, 0.3]]),
    test_errors=np.array([0.35, 0.5, 0.2, 0.1]),
    share=1.0,
)


@pytest.mark.parametrize("observed", ["mean", "repeat"])
@pytest.mark.parametrize("draws", [1, 2, 4])
def test_it_equals_going_through_every_sequence_of_draws(observed: str, draws: int) -> None:
    chosen_by, value, probability = drawn_outcomes(SMALL, observed)  # type: ignore[arg-type]
    mass: dict[float, float] = {}
    for sequence in itertools.product(range(len(value)), repeat=draws):
        best = min(sequence, key=lambda place: chosen_by[place])
        mass[value[best]] = mass.get(value[best], 0.0) + float(np.prod(probability[list(sequence)]))
    values, weights = np.array(sorted(mass)), np.array([mass[one] for one in sorted(mass)])
    exact = exact_random_search(SMALL, observed, [draws])  # type: ignore[arg-type]
    mean = values @ weights
    assert exact.mean[0] == pytest.approx(mean, abs=1e-12)
    assert exact.deviation[0] == pytest.approx(np.sqrt((values - mean) ** 2 @ weights), abs=1e-12)
    below = np.cumsum(weights)
    assert exact.low[0] == values[np.searchsorted(below, 0.25)]
    assert exact.high[0] == values[np.searchsorted(below, 0.75)]


def monte_carlo(evaluator: Evaluator, space: object, repeats: int, draws: int) -> np.ndarray:
    ends = []
    for seed in range(repeats):
        outcome = run_repeat(RandomSearch(space, BlackBoxConfig(), seed), evaluator, Limit(draws))  # type: ignore[arg-type]
        assert outcome is not None
        ends.append(outcome.line["incumbents"]["test_error"][-1])
    return np.array(ends)


@pytest.mark.parametrize("name", ["nb201", "nb201_no_none"])
def test_runs_of_random_search_agree_with_it_on_nb201(name: str) -> None:
    table, space = Nb201Table(), get_space(name)
    ends = monte_carlo(Evaluator(table), space, 1500, 20)
    exact = exact_random_search(table.outcomes(space, 200), "mean", [20])
    assert abs(ends.mean() - exact.mean[0]) < 4 * exact.deviation[0] / np.sqrt(len(ends))
    assert ends.std() == pytest.approx(exact.deviation[0], rel=0.15)
    assert abs((ends <= exact.low[0]).mean() - 0.25) < 0.06
    assert abs((ends <= exact.high[0]).mean() - 0.75) < 0.06


@pytest.mark.parametrize("observed", ["mean", "repeat"])
def test_runs_of_random_search_agree_with_it_on_digits_where_cells_differ_in_probability(observed: str) -> None:
    table = SpaceTable(Table.open(TABLES[1]), get_nb101(1))
    ends = monte_carlo(Evaluator(table, observed), table.space, 300, 10)  # type: ignore[arg-type]
    exact = exact_random_search(table.outcomes(table.space, 12), observed, [10])  # type: ignore[arg-type]
    assert abs(ends.mean() - exact.mean[0]) < 4 * exact.deviation[0] / np.sqrt(len(ends))


def test_it_equals_the_line_of_random_search_that_runs_record() -> None:
    table = Nb201Table()
    exact = exact_random_search(table.outcomes(get_space("nb201"), 200), "mean", range(1, 31))
    assert exact.mean.tolist() == pytest.approx(table.truths(30)["random_search"]["test_error"], abs=1e-12)


def test_means_of_equal_repeats_tie_whatever_their_order() -> None:
    means = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.3, 0.1]]
    assert len({sum(row) for row in means}) > 1
    outcomes = Outcomes(np.full(3, 1 / 3), np.array(means), np.array([0.1, 0.2, 0.3]), 1.0)
    assert exact_random_search(outcomes, "mean", [50]).mean[0] == pytest.approx(0.2)


def test_the_largest_numbers_of_draws_return_the_best_by_validation() -> None:
    table, space = Nb201Table(), get_space("nb201")
    outcomes = table.outcomes(space, 200)
    exact = exact_random_search(outcomes, "mean", [10**7])
    assert exact.mean[0] == pytest.approx(outcomes.test_errors[outcomes.valid_errors[:, 0].argmin()], abs=1e-6)


def test_a_space_is_the_distribution_of_its_own_architectures() -> None:
    outcomes = Nb201Table().outcomes(get_space("nb201_no_none"), 200)
    assert len(outcomes.test_errors) == 4**6
    assert outcomes.probability.sum() == pytest.approx(1)
