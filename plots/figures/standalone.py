"""Does the supernet know what it returns? Its own accuracy, that of its architecture trained alone, and the curvature.

Side by side on the same epochs: the supernet's validation accuracy at the current mixture; the stand-alone accuracy,
which is the table's test accuracy of the architecture that the search would return, with the optimum of the space and
what random search expects; and the spectral norm of the Hessian, where any run has one. A search decays where the
first rises and the second falls; the note below counts the seeds in which they do. Seeds are thin, their mean is thick.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.records.catalogue import get_quantity
from plots.drawing import style
from plots.drawing.anytime import (
    TEST_ERROR,
    absent_seeds,
    at_some_epochs,
    curve_label,
    unjudged,
    why_no_errors,
    without_table_lines,
)
from plots.drawing.few_seeds import few_seeds
from plots.drawing.multiples import MOST_TOGETHER
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import methods_to_draw, missing_methods
from plots.figures.hessian import SPECTRAL_NORM, log_axis
from plots.judgement.measures import mean_in_fifth
from plots.runs.records import Array, Comparison, Method, NothingToDrawError, Series, counted, csv_text, series_of

NAME = "standalone"
SUPERNET = get_quantity("supernet_valid_accuracy")
METHODS = ("darts", "sdarts_rs", "sdarts_adv")
PANEL_HEIGHT = 2.0
ALL = 101.0
"""The axis of stand-alone accuracy is logarithmic in what is missing to this many percent, so that 100 has a place."""
NUMBERS = (90, 50, 0, 95, 80, 98, 70, 97, 60, 85, 100, 94, 93, 92, 96, 20, 99, 75)
"""Of that axis; those first that are written where there is little room."""


def draw(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """A page for each space: of DARTS and its two perturbations, or of the methods asked for.

    Raises:
        NothingToDrawError: no run has a test error after epoch 1 or later, or more methods are asked for than one can
            tell apart.
    """
    wanted = methods_to_draw(sheet, options, METHODS)
    if (most := max(len(methods) for _, methods in wanted)) > MOST_TOGETHER:
        raise NothingToDrawError(f"expected at most {MOST_TOGETHER} methods, got {most}; --methods says which")
    pages = [
        _page(
            f"{NAME}_{name}_{comparison.folder}", comparison, methods, missing_methods([comparison], options, METHODS)
        )
        for comparison, methods in wanted
        if any(series_of(method, TEST_ERROR).seeds for method in methods)
    ]
    if not pages:
        raise NothingToDrawError(why_no_errors([comparison for comparison, _ in wanted]))
    return pages


def _page(name: str, comparison: Comparison, methods: Sequence[Method], missing: Sequence[str]) -> Page:
    errors = [series_of(method, TEST_ERROR) for method in methods]
    supernets = [dataclasses.replace(series_of(method, SUPERNET), first=1) for method in methods]
    norms = [series_of(method, SPECTRAL_NORM) for method in methods]
    curved = [curve for curve in norms if (curve.values > 0).any()]
    shown = [curve for curve in errors if curve.seeds]
    notes = [decay_note(methods), *few_seeds(shown)]
    with style.applied():
        figure = style.new_figure(style.PAGE_WIDTH)
        panels = figure.subplots(1, 3 if curved else 2)
        _draw(panels[0], supernets, "supernet: validation accuracy (%)", 100)
        accuracies = [_accuracy(curve) for curve in shown]
        _draw(panels[1], accuracies, "stand-alone: test accuracy (%)", 100, joined=at_some_epochs(comparison))
        _widen_towards_all(panels[1], accuracies, comparison.optimum)
        lines = _table_lines(panels[1], comparison, max(curve.values.shape[1] for curve in shown) - 1)
        if curved:
            _draw(panels[2], curved, "Hessian: spectral norm", 1, joined=True)
            notes += log_axis(panels[2], curved)
        methods_drawn = [Line2D([], [], **style.look(curve.method.name).line) for curve in errors]
        labels = [curve_label(curve, comparison.epochs_differ) for curve in errors]
        entries: dict[str, Artist] = {"mean over seeds": Line2D([], [], color=style.NEUTRAL)}
        if any(curve.seeds > 1 for curve in errors):
            entries["single seeds"] = Line2D([], [], color=style.NEUTRAL, linewidth=0.5, alpha=0.7)
        entries |= {str(line.get_label()): line for line in lines}
        style.lay_out(
            figure,
            PANEL_HEIGHT,
            f"Supernet against stand-alone accuracy, {comparison.place}",
            comparison.conditions(),
            [
                style.legend_below(figure, methods_drawn, labels, most_columns=4),
                style.legend_below(figure, list(entries.values()), list(entries), most_columns=4),
            ],
            [
                "Stand-alone: the table's test accuracy of the derived cell, on an axis that widens towards 100 %.",
                *notes,
                *missing,
                *absent_seeds(errors),
                *unjudged(comparison, shown),
                *without_table_lines([comparison]),
            ],
        )
    return Page(name, figure, csv_text((comparison, [*supernets, *errors, *norms])))


def decay_note(methods: Sequence[Method]) -> str:
    """In how many finished seeds the supernet's accuracy rose and the stand-alone accuracy fell, late in the search."""
    parts = []
    for method in methods:
        finished = [run for run in method.runs if run.is_finished]
        rises = [mean_in_fifth(run, SUPERNET, 5) - mean_in_fifth(run, SUPERNET, 2) for run in finished]
        losses = [mean_in_fifth(run, TEST_ERROR, 5) - mean_in_fifth(run, TEST_ERROR, 2) for run in finished]
        known = np.isfinite(rises) & np.isfinite(losses)
        decayed = (np.array(rises) > 0) & (np.array(losses) > 0)
        if known.any():
            seeds = counted(int(known.sum()), "seed")
            parts.append(f"{style.look(method.name).label} {int(decayed[known].sum())} of {seeds}")
    if not parts:
        return "No search has ended yet."
    return (
        "From the second fifth of the search to the last, in the mean, the supernet's accuracy rose and the "
        f"stand-alone accuracy fell in: {', '.join(parts)}."
    )


def _accuracy(errors: Series) -> Series:
    """Test accuracy instead of test error."""
    return dataclasses.replace(
        errors, values=1 - errors.values, mean=1 - errors.mean, low=1 - errors.high, high=1 - errors.low
    )


def _draw(axes: Axes, series: Sequence[Series], label: str, scale: float, joined: bool = False) -> None:
    """Single seeds as thin lines, and their mean where all of them have a value."""
    faint = 0.45 if sum(curve.seeds for curve in series) <= 20 else 0.25
    for position, curve in enumerate(series):
        look = style.look(curve.method.name)
        for row in curve.values[curve.drawn] if curve.seeds > 1 else ():
            x, values = _points(curve, scale * row, joined)
            axes.plot(x, values, color=look.colour, linewidth=0.45, alpha=faint, zorder=2)
        x, mean = _points(curve, scale * np.where(curve.n == curve.seeds, curve.mean, np.nan), joined)
        every = max(1, len(x) // 6)
        axes.plot(
            x,
            mean,
            **{**look.line, "linewidth": 1.5},
            markevery=(position * every // len(series), every),
            zorder=3,
            label=curve.method.name,
        )
    axes.set_xlabel("epoch")
    axes.set_title(label, size=7.5, pad=4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.02)


def _widen_towards_all(axes: Axes, accuracies: Sequence[Series], optimum: float | None) -> None:
    """Give the vertical axis, of percent, more room near 100 %, where most searches end: logarithmic in the error."""
    axes.set_yscale("function", functions=(lambda y: -np.log10(np.maximum(ALL - y, 1e-9)), lambda z: ALL - 10.0**-z))
    values = 100 * np.concatenate([curve.values[:, 1:].ravel() for curve in accuracies])
    highest = max(float(np.nanmax(values)), 0.0 if optimum is None else 100 * (1 - optimum))
    axes.set_ylim(max(0.0, float(np.nanmin(values)) - 2), min(100.0, highest + 1))
    kept: list[float] = []
    low, high = axes.yaxis.get_transform().transform(list(axes.get_ylim()))
    for number in NUMBERS:
        (place,) = axes.yaxis.get_transform().transform([number])
        places = axes.yaxis.get_transform().transform(kept) if kept else np.empty(0)
        if low <= place <= high and (np.abs(places - place) > 0.09 * (high - low)).all():
            kept.append(number)
    axes.yaxis.set_major_locator(FixedLocator(sorted(kept)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _points(curve: Series, values: Array, joined: bool) -> tuple[Array, Array]:
    x, values = curve.x[curve.first :], values[curve.first :]
    there = np.isfinite(values) | (not joined)
    return x[there], values[there]


def _table_lines(axes: Axes, comparison: Comparison, epochs: int) -> list[Line2D]:
    """The accuracy of the best architecture of the space, and what random search expects."""
    lines = []
    if comparison.random_search:
        expected = 100 * (1 - np.array(comparison.random_search[:epochs]))
        lines += axes.plot(
            np.arange(1, len(expected) + 1), expected, color=style.NEUTRAL, linewidth=0.9, dashes=(2, 1), zorder=4
        )
        lines[-1].set_label("random search, a trained cell an epoch")
    if comparison.optimum is not None:
        lines.append(axes.axhline(100 * (1 - comparison.optimum), color="black", linewidth=0.9, linestyle=":"))
        lines[-1].set_label("optimum of the space")
    return lines
