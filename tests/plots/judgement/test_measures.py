"""Each measure of a search against hand values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from plots.judgement.measures import (
    MEASURES,
    TEST_ERROR,
    Conditions,
    Curve,
    best_so_far,
    curve,
    error_after,
    mean_in_fifth,
)
from plots.runs.records import Run

NAN = math.nan

#: epochs 0 to 4; the supernet prefers epoch 3 (first of two), the table's validation error epoch 2
ERRORS = [0.9, 0.30, 0.10, 0.20, 0.25]
VALID = [0.0, 0.30, 0.05, 0.20, 0.05]
ACCURACY = [1.0, 0.20, 0.50, 0.80, 0.80]


def run_of(
    errors: Sequence[float | None],
    valid: Sequence[float | None] = VALID,
    accuracy: Sequence[float | None] = ACCURACY,
    seconds: Sequence[object] = ({}, {"train": 2}, {"train": 2, "hessian": 9}, {"train": 2}, {"train": 4}),
) -> Run:
    lines = [
        {"epoch": epoch, "test_error": error, "valid_error": its, "supernet_valid_accuracy": sure, "seconds": took}
        for epoch, (error, its, sure, took) in enumerate(zip(errors, valid, accuracy, seconds, strict=False))
    ]
    return Run.of_lines(Path("seed0"), 0, len(lines) - 1, lines)


def measured(name: str, run: Run, epochs: int = 4, optimum: float | None = 0.05, budget: float = 5.0) -> float:
    return MEASURES[name].of(curve(run, epochs), Conditions(optimum, budget))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("final_error", 0.25),
        ("best_by_supernet", 0.20),
        ("best_by_table", 0.10),
        ("anytime_error", 0.85 / 4),
        # .9 for 2 s, .3 for 2 s, .1 for the last 1 of 5 s
        ("anytime_error_in_seconds", (2 * 0.9 + 2 * 0.3 + 0.1) / 5),
        ("error_at_budget", 0.10),
        ("stability", 0.15),
        ("regret", 0.20),
        ("training_seconds", 10),
    ],
)
def test_measures_by_hand(name: str, value: float) -> None:
    assert measured(name, run_of(ERRORS)) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "value"), [("final_error", 0.10), ("anytime_error", 0.20), ("stability", 0), ("training_seconds", 4)]
)
def test_a_curve_is_cut_at_the_epoch_it_is_judged_at(name: str, value: float) -> None:
    assert measured(name, run_of(ERRORS), epochs=2, budget=4) == pytest.approx(value)


def test_the_whole_time_of_the_fastest_run_is_its_own_end() -> None:
    assert measured("error_at_budget", run_of(ERRORS), budget=10) == 0.25
    assert measured("anytime_error_in_seconds", run_of(ERRORS), budget=10) == pytest.approx(
        (2 * 0.9 + 2 * 0.3 + 2 * 0.1 + 4 * 0.2) / 10
    )


def test_a_cell_that_the_table_lacks_leaves_out_what_needs_it() -> None:
    run = run_of([0.9, None, 0.10, 0.20, 0.25], valid=[0.0, None, 0.05, 0.20, 0.05])
    values = {name: measured(name, run) for name in MEASURES}
    missing = {name for name, value in values.items() if math.isnan(value)}
    assert missing == {"anytime_error", "anytime_error_in_seconds", "stability"}
    assert math.isnan(measured("best_by_supernet", run_of([0.9, 0.3, 0.1, None, 0.25])))
    assert math.isnan(measured("final_error", run_of([0.9, 0.3, 0.1, 0.2, None])))


@pytest.mark.parametrize("seconds", [None, 3, {}, {"train": "2"}, {"train": -1}, {"train": NAN}])
def test_without_seconds_only_what_needs_them_is_missing(seconds: object) -> None:
    run = run_of(ERRORS, seconds=[{}, {"train": 2}, seconds, {"train": 2}, {"train": 4}])
    missing = {name for name in MEASURES if math.isnan(measured(name, run))}
    assert missing == {"anytime_error_in_seconds", "error_at_budget", "training_seconds"}


def test_without_an_optimum_or_a_budget_what_needs_them_is_missing() -> None:
    assert math.isnan(measured("regret", run_of(ERRORS), optimum=None))
    for name in ("error_at_budget", "anytime_error_in_seconds"):
        for budget in (NAN, 10.5):
            assert math.isnan(measured(name, run_of(ERRORS), budget=budget))


def test_a_search_of_no_epochs_has_line_0_and_its_seconds_alone() -> None:
    run = run_of(ERRORS[:1])
    values = {name: measured(name, run, epochs=0, budget=0) for name in MEASURES}
    assert {name for name, value in values.items() if not math.isnan(value)} == {"training_seconds", "error_at_budget"}


def test_best_so_far_keeps_the_earlier_of_equals_and_never_chooses_what_has_no_score() -> None:
    scores = np.array([NAN, 0.3, 0.3, 0.1, NAN, 0.2])
    errors = np.array([0.9, 0.5, 0.4, 0.6, 0.1, 0.2])
    np.testing.assert_array_equal(best_so_far(scores, errors), [NAN, 0.5, 0.5, 0.6, 0.6, 0.6])


def test_the_error_after_some_seconds_is_that_of_the_last_epoch_ended() -> None:
    one = Curve(np.array([0.9, 0.5, 0.4]), np.zeros(3), np.zeros(3), np.array([0.0, 2.0, 5.0]))
    assert [error_after(one, seconds) for seconds in (0, 1.9, 2, 4.9, 5)] == [0.9, 0.9, 0.5, 0.5, 0.4]
    assert math.isnan(error_after(one, 5.1))


def test_values_are_shown_in_percent_or_seconds() -> None:
    assert (MEASURES["final_error"].shown(0.04551), MEASURES["final_error"].unit) == ("4.55", "%")
    assert (MEASURES["training_seconds"].shown(30.04), MEASURES["training_seconds"].unit) == ("30.0", "s")
    assert MEASURES["regret"].shown(NAN) == "n/a"


def test_a_fifth_of_the_epochs_leaves_out_the_untrained_state_and_what_is_missing() -> None:
    lines = [
        {"epoch": epoch, "test_error": error} for epoch, error in enumerate([0.9, 1, 2, 3, None, 5, 6, 7, 8, 9, 10])
    ]
    run = Run.of_lines(Path("seed0"), 0, 10, lines)
    assert [mean_in_fifth(run, TEST_ERROR, number) for number in (1, 2, 5)] == [1.5, 3, 9.5]
    assert math.isnan(mean_in_fifth(Run.of_lines(Path("seed0"), 0, 10, lines[:5]), TEST_ERROR, 5))
