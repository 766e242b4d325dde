from __future__ import annotations

import random

import pytest

from harness.ask_tell.evaluating import Evaluator, table_of
from harness.ask_tell.repeat import Limit, run_repeat
from harness.benchmarks.embedded.digits import TABLES
from harness.benchmarks.registry import get_benchmark
from harness.errors import UserError
from harness.judges.none import NoJudge
from harness.tables.nb201.table import Nb201Table
from harness.tables.query import Table
from harness.tables.space_table import SpaceTable
from optimizers.black_box.base import BlackBoxConfig
from optimizers.black_box.random_search import RandomSearch
from spaces.base import Architecture
from spaces.nb101.space import get_space as get_nb101
from spaces.nb201.architecture import Nb201Architecture
from spaces.registry import get_space

SPACE = get_nb101(1)


@pytest.fixture(scope="module")
def digits() -> SpaceTable:
    return SpaceTable(Table.open(TABLES[1]), SPACE)


def test_the_mean_is_what_a_search_is_judged_by(digits: SpaceTable) -> None:
    architecture = SPACE.sample(random.Random(0))
    evaluation = Evaluator(digits).evaluate(architecture, random.Random(0))
    verdict = digits.lookup(architecture)
    assert evaluation.valid_error == pytest.approx(verdict.valid_error, abs=1e-9)
    assert evaluation.test_error == verdict.test_error
    assert evaluation.seconds == digits.table.query(architecture.cell).training_seconds


def test_a_repeat_is_one_of_the_tables_and_each_comes(digits: SpaceTable) -> None:
    architecture = SPACE.sample(random.Random(0))
    evaluator, noise = Evaluator(digits, "repeat"), random.Random(0)
    told = {evaluator.evaluate(architecture, noise).valid_error for _ in range(50)}
    assert told == {round(1 - accuracy, 9) for accuracy in digits.table.query(architecture.cell).valid_accuracies}


def test_nb201_charges_no_seconds_and_tells_of_twelve_epochs_too() -> None:
    table = Nb201Table()
    architecture = Nb201Architecture.from_index(0)
    short = Evaluator(table, epochs=12).evaluate(architecture, random.Random(0))
    full = Evaluator(table).evaluate(architecture, random.Random(0))
    assert (short.seconds, full.seconds) == (None, None)
    assert short.valid_error == pytest.approx(1 - 0.63364)
    assert full.valid_error == pytest.approx(1 - 0.81982667)
    assert short.test_error == full.test_error == pytest.approx(1 - 0.85863333)


def test_a_number_of_epochs_that_the_table_lacks_is_refused(digits: SpaceTable) -> None:
    with pytest.raises(UserError, match="--epochs: expected one of the table's numbers of epochs, 12, got 108"):
        Evaluator(digits, epochs=108)


def test_a_judge_without_a_table_is_refused() -> None:
    with pytest.raises(UserError, match="needs a table of trainings"):
        table_of(NoJudge())


def test_every_benchmark_with_a_table_at_hand_can_be_asked() -> None:
    for bench, space in (("digits", "1"), ("digits", "2"), ("nb201", "nb201"), ("nb201-cifar100", "nb201_no_none")):
        known = get_space(space)
        table = table_of(get_benchmark(bench).judge(known, "table"))
        assert table.outcomes(known, table.budgets[-1]).share == 1


def test_an_architecture_evaluated_again_costs_again(digits: SpaceTable) -> None:
    class Stubborn(RandomSearch):
        def propose(self) -> Architecture:
            return self.space.sample(random.Random(3))

    outcome = run_repeat(Stubborn(SPACE, BlackBoxConfig(), 0), Evaluator(digits), Limit(5))
    assert outcome is not None
    once = digits.table.query(outcome.best.cell).training_seconds  # type: ignore[attr-defined]
    assert outcome.line["seconds"] == pytest.approx(5 * once)
    assert outcome.line["incumbents"]["evaluation"] == [1]


def test_a_repeat_ends_before_the_evaluation_that_would_exceed_its_seconds(digits: SpaceTable) -> None:
    whole = run_repeat(RandomSearch(SPACE, BlackBoxConfig(), 0), Evaluator(digits), Limit(40))
    cut = run_repeat(RandomSearch(SPACE, BlackBoxConfig(), 0), Evaluator(digits), Limit(None, 10.0))
    assert whole is not None
    assert cut is not None
    assert cut.line["seconds"] <= 10.0 < whole.line["seconds"]
    generator = RandomSearch(SPACE, BlackBoxConfig(), 0)
    charged, made = 0.0, 0
    while True:
        cost = digits.table.query(generator.ask().architecture.cell).training_seconds  # type: ignore[attr-defined]
        if charged + cost > 10.0:
            break
        charged, made = charged + cost, made + 1
    assert cut.line["evaluations"] == made
    assert cut.line["seconds"] == pytest.approx(charged)


def test_incumbents_follow_what_is_told_and_are_worth_what_the_table_says(digits: SpaceTable) -> None:
    outcome = run_repeat(RandomSearch(SPACE, BlackBoxConfig(), 1), Evaluator(digits), Limit(60))
    assert outcome is not None
    again = RandomSearch(SPACE, BlackBoxConfig(), 1)
    best, charged, expected = 1.1, 0.0, []
    for number in range(1, 61):
        metrics = digits.table.query(again.ask().architecture.cell)  # type: ignore[attr-defined]
        charged += metrics.training_seconds
        if metrics.valid_error < best - 1e-12:
            best = metrics.valid_error
            expected.append((number, best, metrics.test_error, charged))
    columns = outcome.line["incumbents"]
    recorded = list(zip(*(columns[key] for key in ("evaluation", "valid_error", "test_error", "seconds")), strict=True))
    assert len(recorded) == len(expected)
    for incumbent, other in zip(recorded, expected, strict=True):
        assert incumbent == pytest.approx(other, abs=1e-8)
