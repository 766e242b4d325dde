"""What one search is judged by, from its lines: each measure a number for a seed, errors as fractions.

A curve is the test error of the cell that the search would return after each of its epochs 1 to N. The test error is
the table's, which a search never sees. So only `final_error`, `best_by_supernet` and what is computed from the final
error say what a search returns; `best_by_table` and `stability` look into the table to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.records.catalogue import Quantity, get_quantity
from plots.runs.records import Array, Run

TEST_ERROR, VALID_ERROR = get_quantity("test_error"), get_quantity("valid_error")
SUPERNET_ACCURACY = get_quantity("supernet_valid_accuracy")


@dataclass(frozen=True)
class Curve:
    """One seed, cut at the epoch that it is judged at.

    Attributes:
        test_error: [epochs from 0] the table's, of the derived cell; NaN where the table lacks it.
        valid_error: [epochs from 0] the table's.
        supernet_accuracy: [epochs from 0] the supernet's, on validation images.
        seconds: [epochs from 0] of training until the end of an epoch; measuring (validation, Hessian, table) is not in
            it. NaN from the first epoch that lacks them.
    """

    test_error: Array
    valid_error: Array
    supernet_accuracy: Array
    seconds: Array


@dataclass(frozen=True)
class Conditions:
    """What is the same for all runs compared.

    Attributes:
        optimum: the lowest test error of the space, None where it is not known.
        budget: seconds of training that every run had; NaN where one lacks them.
    """

    optimum: float | None
    budget: float


@dataclass(frozen=True)
class Measure:
    """One measure.

    Attributes:
        name: as in files and on the command line.
        label: as in tables.
        is_error: a fraction that is shown in percent; otherwise seconds.
        meaning: in a line.
        of: the number, NaN where the lines do not give it.
    """

    name: str
    label: str
    is_error: bool
    meaning: str
    of: Callable[[Curve, Conditions], float]

    @property
    def unit(self) -> str:
        """As shown: percent or seconds."""
        return "%" if self.is_error else "s"

    def shown(self, value: float) -> str:
        """A value in that unit, `n/a` for NaN."""
        if not math.isfinite(value):
            return "n/a"
        return f"{100 * value:.2f}" if self.is_error else f"{value:.1f}"


def curve(run: Run, epochs: int) -> Curve:
    """A run's curve up to an epoch, which must be recorded."""
    seconds = run.columns.training_seconds[1 : epochs + 1]
    return Curve(
        test_error=run.values(TEST_ERROR)[: epochs + 1],
        valid_error=run.values(VALID_ERROR)[: epochs + 1],
        supernet_accuracy=run.values(SUPERNET_ACCURACY)[: epochs + 1],
        seconds=np.cumsum([0.0, *seconds]),
    )


def best_so_far(scores: Array, errors: Array) -> Array:
    """The test error that a search would report after each epoch, had it kept the cell with the lowest score so far.

    Args:
        scores: [epochs] what is chosen by, lower is better; a tie keeps the earlier cell, NaN is never chosen.
        errors: [epochs] the test error of each epoch's cell.

    Returns:
        [epochs], NaN before the first score.
    """
    chosen = np.full(len(errors), np.nan)
    lowest, error = math.inf, math.nan
    for epoch, (score, its_error) in enumerate(zip(scores, errors, strict=True)):
        if score < lowest:
            lowest, error = score, its_error
        chosen[epoch] = error
    return chosen


def mean_in_fifth(run: Run, quantity: Quantity, number: int) -> float:
    """A quantity's mean over one fifth of the epochs asked for, numbered from 1; NaN without a value there.

    Epoch 0, before any training, is in none of them.
    """
    epochs = np.arange(1, run.recorded)
    within = (5 * epochs > (number - 1) * run.epochs) & (5 * epochs <= number * run.epochs)
    values = run.values(quantity)[1:][within]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def error_after(one: Curve, seconds: float) -> float:
    """The test error of the cell that a search would return after so many seconds of training."""
    if not one.seconds[-1] >= seconds:
        return math.nan
    return float(one.test_error[np.searchsorted(one.seconds, seconds, side="right") - 1])


def _final(one: Curve, _: Conditions) -> float:
    return float(one.test_error[-1]) if len(one.test_error) > 1 else math.nan


def _best_by_supernet(one: Curve, _: Conditions) -> float:
    return _last(best_so_far(-one.supernet_accuracy[1:], one.test_error[1:]))


def _best_by_table(one: Curve, _: Conditions) -> float:
    return _last(best_so_far(one.valid_error[1:], one.test_error[1:]))


def _anytime(one: Curve, _: Conditions) -> float:
    return float(one.test_error[1:].mean()) if len(one.test_error) > 1 else math.nan


def _stability(one: Curve, conditions: Conditions) -> float:
    return _final(one, conditions) - float(one.test_error[1:].min(initial=math.inf))


def _regret(one: Curve, conditions: Conditions) -> float:
    return math.nan if conditions.optimum is None else _final(one, conditions) - conditions.optimum


def _error_at_budget(one: Curve, conditions: Conditions) -> float:
    return error_after(one, conditions.budget)


def _anytime_in_seconds(one: Curve, conditions: Conditions) -> float:
    """Each line's cell counts from the end of its epoch to the end of the next, line 0's from the start."""
    if not 0 < conditions.budget <= one.seconds[-1]:
        return math.nan
    within = np.minimum(one.seconds, conditions.budget)
    held = np.diff(within)
    return float((one.test_error[:-1][held > 0] * held[held > 0]).sum() / conditions.budget)


def _seconds(one: Curve, _: Conditions) -> float:
    return float(one.seconds[-1])


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("final_error", "final error", True, "test error of the cell after the last epoch", _final),
        Measure(
            "best_by_supernet",
            "best by supernet",
            True,
            "test error of the epoch whose supernet has the highest validation accuracy: a choice that costs nothing",
            _best_by_supernet,
        ),
        Measure(
            "best_by_table",
            "best by table",
            True,
            "test error of the epoch whose cell has the table's lowest validation error: the practice of tabular "
            "benchmarks, for which a search without a table would train every cell",
            _best_by_table,
        ),
        Measure(
            "anytime_error",
            "anytime",
            True,
            "area under the anytime curve: the mean test error over the epochs",
            _anytime,
        ),
        Measure(
            "anytime_error_in_seconds",
            "anytime, seconds",
            True,
            "the same over seconds of training, up to the time that the fastest run took",
            _anytime_in_seconds,
        ),
        Measure(
            "error_at_budget",
            "at equal seconds",
            True,
            "test error at the time that the fastest run took",
            _error_at_budget,
        ),
        Measure(
            "stability",
            "stability",
            True,
            "final error less the lowest of the curve: how far the search fell back",
            _stability,
        ),
        Measure("regret", "regret", True, "final error less the lowest of all cells of the space", _regret),
        Measure(
            "training_seconds", "training seconds", False, "seconds of training alone, without measuring", _seconds
        ),
    )
}


def _last(values: Array) -> float:
    return float(values[-1]) if len(values) else math.nan
