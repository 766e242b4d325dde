"""Curvature of the validation loss over a search (the paper's figure 5).

The spectral norm of the Hessian with respect to the architecture parameters, on a log axis. Epoch 0 is on it: the
curvature before any training is what the search starts from. The Hessian may be taken at some epochs only; the line
joins those. Methods without architecture parameters have none and are named below the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.records.catalogue import get_quantity
from plots.drawing import style
from plots.drawing.anytime import absent_seeds, panels
from plots.drawing.few_seeds import few_seeds
from plots.runs.records import NO_BAND, Comparison, NothingToDrawError, Series, series_of

NAME = "hessian"
SPECTRAL_NORM = get_quantity("spectral_norm")
LABELS = ("spectral norm of the Hessian", "spectral norm")


def draw(comparison: Comparison) -> tuple[Figure, list[Series]]:
    """The figure and the numbers behind it.

    Raises:
        NothingToDrawError: no run has a spectral norm above zero.
    """
    methods = sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    series = [series_of(method, SPECTRAL_NORM) for method in methods]
    shown = [one for one in series if one.seeds]
    if not any((one.values > 0).any() for one in shown):
        raise NothingToDrawError("no run has a Hessian (its spectral norm is missing at every epoch)")
    with style.applied():
        figure, legends, height = panels(comparison, shown, scale=1, join_gaps=True, labels=LABELS)
        cut = log_axis(figure.axes[0], shown)
        style.lay_out(
            figure,
            height,
            f"Hessian of the validation loss, {comparison.place}",
            comparison.conditions(),
            legends,
            [*few_seeds(shown), *left_out(series), *absent_seeds(shown), *cut],
        )
    return figure, shown


def log_axis(axes: Axes, series: Sequence[Series]) -> list[str]:
    """Give the vertical axis, and those that share it, the range of the single seeds.

    Returns:
        a note where a band or a value lies below it.
    """
    values = np.concatenate([one.values[np.isfinite(one.values)] for one in series])
    lowest, highest = values[values > 0].min(), values.max()
    widen = max(1.15, (2.5 * lowest / highest) ** 0.5)
    lower, upper = lowest / widen, highest * widen
    for one in series:
        if one.band != NO_BAND:
            upper = max(upper, np.nanmax(one.high[one.n > 0], initial=upper))
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(lower, upper)
    decades = np.log10(upper / lower)
    steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0) if decades < 0.9 else (1.0, 2.0, 5.0) if decades < 2.2 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    notes = []
    if any((one.low < 0).any() for one in series):
        notes.append("Bands whose lower end is below zero are cut at the axis.")
    if (values <= 0).any():
        notes.append("Values of zero are drawn at the lower end of the axis.")
    return notes


def left_out(series: Sequence[Series]) -> list[str]:
    """Which methods have no curve, and why."""
    absent = [one.method for one in series if not one.seeds]
    without = [style.look(method.name).label for method in absent if not method.has_alphas]
    unmeasured = [style.look(method.name).label for method in absent if method.has_alphas]
    notes = []
    if without:
        notes.append(style.sentence(f"Without architecture parameters, so without a Hessian: {', '.join(without)}"))
    if unmeasured:
        notes.append(style.sentence(f"Hessian not measured: {', '.join(unmeasured)}"))
    return notes
