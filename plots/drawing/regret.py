"""Errors on an axis that shows differences where they are: regret to the optimum of the space, or the error itself.

Both are logarithmic, so that a point counts for more near the optimum than far from it, and linear near zero, so that
zero has a place. The axis ends where the means of the search proper end: the peak of the first tenth of a search, when
nothing has been trained yet, may leave it, which a note says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from plots.drawing.looks import look
from plots.runs.records import Array, Comparison, Series

REGRET, ERROR = "regret", "error"
EARLY = 0.1
"""The share of a search whose means need not be on the axis."""
DECADES = tuple(10.0**power for power in range(-3, 3))
STEPS = tuple(digit * decade for decade in DECADES for digit in (1, 2, 5))
"""Where the axis may turn from linear to logarithmic, in percentage points."""
DIGITS = (1, 2, 5, 3, 7, 4)
"""What its numbers begin with, those first that are written where there is little room."""
NUMBERS_APART = 0.115
"""How near two numbers of the axis may stand, as a share of its length."""


def above_optimum(series: Sequence[Series], optimum: float) -> list[Series]:
    """The same curves as regret: test error less the lowest of the space."""
    return [
        dataclasses.replace(
            curve,
            values=curve.values - optimum,
            mean=curve.mean - optimum,
            low=np.maximum(curve.low - optimum, 0),
            high=curve.high - optimum,
        )
        for curve in series
    ]


def log_error_axis(axes: Axes, series: Sequence[Series], from_zero: bool, place: str = "") -> list[str]:
    """Give the vertical axis, and those that share it, the range of the means after the first tenth of the search.

    Args:
        axes: holds errors or regret in percent.
        series: what is drawn on it, as fractions.
        from_zero: whether zero is on the axis though no mean is near it, as the optimum is where it shows regret.
        place: the space in a note, where there are several; empty for one.

    Returns:
        notes on what lies beyond it.
    """
    means = [100 * curve.mean[curve.first :] for curve in series]
    early = [curve.x[curve.first :] <= EARLY * np.nanmax(curve.x) for curve in series]
    values = np.concatenate(means)
    late = np.concatenate([mean[~first] for mean, first in zip(means, early, strict=True)])
    late = late if np.isfinite(late).any() else values
    values, late = values[np.isfinite(values)], late[np.isfinite(late)]
    linear_below = _linear_below(values)
    lower, upper = _limits(late, linear_below)
    if not from_zero and values.min() > 0:
        lower = linear_below = float(values.min()) / 1.15
    axes.set_yscale("symlog", linthresh=linear_below, linscale=0.25)
    axes.set_ylim(lower, upper)
    axes.yaxis.set_major_locator(FixedLocator(_numbers(axes, lower, upper, linear_below)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    return _beyond(series, means, upper, place)


def regret_note(comparisons: Sequence[Comparison]) -> str:
    """What regret is counted from, by space."""
    optima = [f"{space.space_name} {100 * space.optimum:.2f} %" for space in comparisons if space.optimum is not None]
    return (
        f"Regret: test error less that of the best architecture in the table ({', '.join(optima)}), on a logarithmic "
        "axis that is linear near 0, where the optimum is; bands end at 0."
    )


def _linear_below(values: Array) -> float:
    """Up to where the axis is linear: a round number at or below nearly all positive values."""
    positive = values[values > 0]
    if not len(positive):
        return 1.0
    low = float(np.quantile(positive, 0.02))
    return max([step for step in STEPS if step <= low], default=STEPS[0])


def _limits(late: Array, linear_below: float) -> tuple[float, float]:
    """The ends of the axis: a little below zero, and a little above the highest mean of the search proper."""
    return -0.12 * linear_below, max(float(late.max()) * 1.15, 2 * linear_below)


def _numbers(axes: Axes, lower: float, upper: float, linear_below: float) -> list[float]:
    """Zero and round numbers, none too near to another."""
    transform = axes.yaxis.get_transform()
    low, high = transform.transform([lower, upper])

    def place(value: float) -> float:
        return float((transform.transform([value])[0] - low) / (high - low))

    kept = [0.0] if lower <= 0 else []
    for number in (digit * decade for digit in DIGITS for decade in DECADES):
        there = max(linear_below, lower) <= number <= upper
        if there and all(abs(place(number) - place(other)) >= NUMBERS_APART for other in kept):
            kept.append(number)
    return sorted(kept)


def _beyond(series: Sequence[Series], means: Sequence[Array], upper: float, place: str) -> list[str]:
    """Which methods' means leave the axis at its upper end, and until when."""
    leaving = []
    last = 0.0
    highest = 0.0
    for curve, mean in zip(series, means, strict=True):
        out = np.isfinite(mean) & (mean > upper)
        if out.any():
            leaving.append(look(curve.method.name).label)
            last = max(last, float(curve.x[curve.first :][out][-1]))
            highest = max(highest, float(mean[out].max()))
    if not leaving:
        return []
    unit = "epoch" if series[0].seconds is None else "second"
    where = f"In {place} above" if place else "Above"
    return [
        f"{where} {upper:.3g}, and so beyond the panels, until {unit} {last:.3g} at the latest: "
        f"{', '.join(leaving)} (mean up to {highest:.3g})."
    ]
