"""What random search reaches, exactly: expectation, deviation and quartiles, from the distribution of one draw.

Of n independent draws the best by what is observed is at rank r with the probability S_r^n - S_(r+1)^n, S_r that of
drawing rank r or worse (`harness.tables.truths.expected_best`). Within a rank each outcome is as probable as it is to
be drawn, which gives the whole distribution of the returned architecture's test error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.ask_tell.evaluating import Observed
from harness.errors import UserError
from harness.judges.table import Outcomes
from harness.records.repeats import DIGITS
from harness.tables.truths import expected_best

Floats = npt.NDArray[np.float64]

QUARTILES = (0.25, 0.75)


@dataclass(frozen=True)
class ExactRandomSearch:
    """Test errors of what random search returns after some numbers of draws, each `[len(draws)]`.

    Attributes:
        mean: expectation.
        deviation: standard deviation.
        low, high: quartiles.
    """

    mean: Floats
    deviation: Floats
    low: Floats
    high: Floats


def exact_random_search(outcomes: Outcomes, observed: Observed, draws: Sequence[int]) -> ExactRandomSearch:
    """What random search reaches that draws as the space's sampler does and keeps the first of the least error.

    Args:
        outcomes: of one draw.
        observed: which validation error it sees.
        draws: numbers of draws, each at least 1.

    Raises:
        UserError: an architecture of the table has no validation error.
    """
    chosen_by, value, probability = drawn_outcomes(outcomes, observed)
    mean, deviation = expected_best(chosen_by, value, probability, draws)
    low, high = _quantiles(chosen_by, value, probability, draws, QUARTILES)
    return ExactRandomSearch(mean, deviation, low, high)


def drawn_outcomes(outcomes: Outcomes, observed: Observed) -> tuple[Floats, Floats, Floats]:
    """Observed validation error, test error and probability of everything that one evaluation may give.

    Validation errors are rounded as `Evaluator` rounds them, so that equal errors tie.

    Raises:
        UserError: an architecture of the table has no validation error.
    """
    there = np.isfinite(outcomes.valid_errors)
    repeats = there.sum(axis=1)
    if not repeats.all():
        raise UserError("an architecture of the table has no validation error; expected a whole table")
    if observed == "mean":
        means = np.where(there, outcomes.valid_errors, 0.0).sum(axis=1) / repeats
        return means.round(DIGITS), outcomes.test_errors, outcomes.probability
    row, _ = np.nonzero(there)
    return outcomes.valid_errors[there].round(DIGITS), outcomes.test_errors[row], (outcomes.probability / repeats)[row]


def _quantiles(
    chosen_by: Floats, value: Floats, probability: Floats, draws: Sequence[int], shares: Sequence[float]
) -> Floats:
    """The least value that these shares of all random searches do not exceed: `[shares, draws]`."""
    _, rank = np.unique(chosen_by, return_inverse=True)
    mass = np.bincount(rank, probability)
    remaining = np.append(np.cumsum(mass[::-1])[::-1], 0.0)
    remaining[0] = 1.0
    within = probability / mass[rank]
    order = np.argsort(value, kind="stable")
    within, rank, value = within[order], rank[order], value[order]
    quantiles = np.empty((len(shares), len(draws)))
    for column, count in enumerate(draws):
        powers = remaining**count
        below = np.cumsum((powers[:-1] - powers[1:])[rank] * within)
        places = np.searchsorted(below, np.asarray(shares) * below[-1])
        quantiles[:, column] = value[np.minimum(places, len(value) - 1)]
    return quantiles
