"""The quantities that a report draws over a search, each read from, or derived from, one epoch's line.

A line of another version may lack an entry, and a damaged one may hold anything in it: whatever is no finite number is
no point of a curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.records.run_folder import Line
from plots.runs.records import Array, Method, Run, as_number


@dataclass(frozen=True)
class Quantity:
    """What a chart shows.

    Attributes:
        name: as the report's data call it; that of the line's entry where there is one.
        label: as on the axis.
        is_error: a fraction that is shown in percent.
        first: the first epoch drawn.
        meaning: in a sentence.
        of: its value, None where a line does not give it.
    """

    name: str
    label: str
    is_error: bool
    first: int
    meaning: str
    of: Callable[[Line], float | None]


def run_curve(run: Run, quantity: Quantity) -> Array:
    """One quantity of one run: [recorded epochs from 0], NaN where there is none or it is not drawn."""
    values = [quantity.of(line) for line in run.lines[quantity.first :]]
    absent = [math.nan] * min(quantity.first, len(run.lines))
    return np.array([*absent, *(math.nan if value is None else value for value in values)], dtype=np.float64)


def method_curves(method: Method, quantity: Quantity) -> Array:
    """The same of every run: [seeds, recorded epochs from 0]."""
    rows = [run_curve(run, quantity) for run in method.runs]
    values = np.full((len(rows), max((len(row) for row in rows), default=0)), np.nan)
    for filled, row in zip(values, rows, strict=True):
        filled[: len(row)] = row
    return values


def _entry(name: str) -> Callable[[Line], float | None]:
    def of(line: Line) -> float | None:
        number = as_number(line.get(name))
        return number if number is not None and math.isfinite(number) else None

    return of


def _derived(compute: Callable[[float, float], float], first: str, second: str) -> Callable[[Line], float | None]:
    """A quantity of two entries, where both are there and the outcome is finite."""
    of_first, of_second = _entry(first), _entry(second)

    def of(line: Line) -> float | None:
        left, right = of_first(line), of_second(line)
        number = None if left is None or right is None else compute(left, right)
        return number if number is not None and math.isfinite(number) else None

    return of


def _supernet_error(line: Line) -> float | None:
    accuracy = _entry("supernet_valid_accuracy")(line)
    return None if accuracy is None else 1 - accuracy


_HESSIAN = "of the Hessian of the validation loss with respect to the alphas"

QUANTITIES = {
    one.name: one
    for one in (
        Quantity(
            "test_error",
            "test error of the derived cell",
            True,
            1,
            "The table's test error of the cell that the search would return if it stopped at this epoch.",
            _entry("test_error"),
        ),
        Quantity(
            "valid_error",
            "validation error of the derived cell",
            True,
            1,
            "The table's validation error of that cell.",
            _entry("valid_error"),
        ),
        Quantity(
            "supernet_valid_error",
            "supernet's validation error",
            True,
            1,
            "What the supernet itself gets wrong on validation images, at the current mixture.",
            _supernet_error,
        ),
        Quantity("spectral_norm", "spectral norm", False, 0, f"Spectral norm {_HESSIAN}.", _entry("spectral_norm")),
        Quantity("lambda_max", "λ max", False, 0, f"Largest eigenvalue {_HESSIAN}.", _entry("lambda_max")),
        Quantity("lambda_min", "λ min", False, 0, f"Smallest eigenvalue {_HESSIAN}.", _entry("lambda_min")),
        Quantity(
            "trace",
            "trace",
            False,
            0,
            f"Trace {_HESSIAN}; random smoothing shrinks it (equation 6).",
            _entry("trace"),
        ),
        Quantity(
            "projection_gap",
            "projection gap",
            False,
            1,
            "Validation loss of the supernet at the derived cell's 0/1 mixture less that at the current mixture, with "
            "the same weights: what discretisation costs.",
            _derived(lambda derived, current: derived - current, "projection_loss", "supernet_valid_loss"),
        ),
        Quantity(
            "bound",
            "bound C",
            False,
            1,
            "Spectral norm of the Hessian with respect to the mixture, times the squared distance between the derived "
            "cell's mixture and the current one: the bound of section 4.",
            _derived(lambda norm, distance: norm * distance, "mixture_spectral_norm", "mixture_distance"),
        ),
        Quantity(
            "entropy",
            "entropy of the mixture",
            False,
            0,
            "Mean over the mixture's rows of entropy over its largest possible value: 1 is undecided, 0 is one-hot.",
            _entry("entropy"),
        ),
    )
}
