"""Which epochs a page shows: all of them, or every third, fifth, ... where a page of all would be too large to open.

What happens between the epochs shown, such as a single bad one, is not seen; the page says so. Statistics are of all
epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from harness.records.catalogue import Quantity
from plots.runs.records import Comparison

MOST_RUNS = 200
"""Runs whose curves a page shows in full."""

MOST_NUMBERS = 450_000
"""Numbers of curves on a page of more runs, each of some nine bytes."""

FEWEST_STEPS = 10
"""A curve keeps at least so many steps, however many runs there are."""

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class Kept:
    """The epochs that a page shows of one comparison.

    Attributes:
        epochs: in ascending order, the first and the last of every method among them.
        step: how many epochs lie between neighbours; 1 where all are shown.
    """

    epochs: list[int]
    step: int

    @property
    def is_thinned(self) -> bool:
        """Whether some epochs are not shown."""
        return self.step > 1

    def of(self, values: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
        """Of [recorded epochs from 0] the values at the epochs shown, as far as they are recorded."""
        if not self.is_thinned:
            return values
        epochs = np.array(self.epochs, dtype=np.intp)
        return values[epochs[epochs < len(values)]]


def kept_epochs(comparisons: Sequence[Comparison], quantities: Iterable[Quantity]) -> list[Kept]:
    """The epochs to show of each comparison.

    Args:
        comparisons: all that is on the page.
        quantities: those that have a curve where a run has recorded them.
    """
    quantities = list(quantities)
    runs = sum(len(method.runs) for comparison in comparisons for method in comparison.methods)
    numbers = sum(_numbers(comparison, quantities) for comparison in comparisons)
    wanted = max(2, math.ceil(numbers / MOST_NUMBERS)) if runs > MOST_RUNS else 1
    return [_kept(comparison, wanted) for comparison in comparisons]


def _numbers(comparison: Comparison, quantities: Sequence[Quantity]) -> int:
    """How many numbers the curves of a comparison have in full: seeds, their means and bands, seconds and cells."""
    columns = 0
    for method in comparison.methods:
        recorded = [
            sum(bool(np.isfinite(run.values(quantity)).any()) for quantity in quantities) for run in method.runs
        ]
        columns += sum(recorded) + 2 * len(recorded) + 3 * max(recorded, default=0) + 1
    return columns * (_last(comparison) + 1)


def _kept(comparison: Comparison, wanted: int) -> Kept:
    last = _last(comparison)
    step = max(1, min(wanted, last // FEWEST_STEPS))
    ends = {method.epochs for method in comparison.methods if method.epochs <= last}
    # Errors are drawn from epoch 1 on.
    return Kept(sorted({*range(0, last + 1, step), min(1, last), last, *ends}), step)


def _last(comparison: Comparison) -> int:
    """The last epoch that any run has recorded."""
    return max((run.recorded for method in comparison.methods for run in method.runs), default=1) - 1
