"""Why did this search decay? What section 4 connects, one above another on the same epochs, a column for each method.

From the top: the supernet's validation error beside the table's test error of the derived cell; the largest eigenvalue
and the trace of the Hessian, which random smoothing shrinks (equation 6); the projection gap, by how much the
supernet's validation loss rises where the mixture gives way to the derived cell at the same weights; the bound on it,
C = (spectral norm of the Hessian by the mixture) x (squared distance); and the mixture's entropy. Then whatever else
the runs record for this figure, which are the quantities of the catalogue that name its panel. Epoch 0 is drawn: it is
what the search starts from. `harness.probes.projection` says how gap, bound and entropy are measured.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from harness.records.catalogue import THEORY, Quantity
from plots.drawing import style
from plots.drawing.anytime import TEST_ERROR, curve_label
from plots.drawing.few_seeds import few_seeds
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import methods_to_draw
from plots.figures.decay import error_axis, error_pair
from plots.runs.records import Comparison, Method, NothingToDrawError, Series, csv_text, series_of

ROW_HEIGHT = 0.86
LETTERS = 14
MOST_ACROSS = 4
WIDE = 20
"""A range of losses or traces from which on one method would flatten the others on a linear axis."""

NOT_RECORDED = "not recorded"
NO_ALPHAS = "no alphas"


def draw(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """A page for each space, or several where it has more methods than fit side by side.

    Raises:
        NothingToDrawError: no run has a test error after epoch 1 or later, nor any of the quantities below it.
    """
    pages = []
    for comparison, methods in methods_to_draw(sheet, options, ()):
        decisive = [TEST_ERROR, *_quantities(comparison)]
        shown = [method for method in methods if _has_something(method, decisive)]
        for number, start in enumerate(range(0, len(shown), MOST_ACROSS), start=1):
            suffix = f"_{number}" if len(shown) > MOST_ACROSS else ""
            some = shown[start : start + MOST_ACROSS]
            pages.append(_page(f"theory_{name}_{comparison.folder}{suffix}", comparison, some))
    if not pages:
        raise NothingToDrawError("no run has a test error or a Hessian yet")
    return pages


def _quantities(comparison: Comparison) -> list[Quantity]:
    """The rows below the errors."""
    return [quantity for quantity in comparison.quantities.values() if THEORY in quantity.panels]


def _has_something(method: Method, quantities: Sequence[Quantity]) -> bool:
    """Whether any of these was recorded after epoch 1 or later."""
    return any(np.isfinite(method.values(quantity)[:, 1:]).any() for quantity in quantities)


def _page(name: str, comparison: Comparison, methods: Sequence[Method]) -> Page:
    errors = [error_pair(method) for method in methods]
    quantities = _quantities(comparison)
    rows = [[series_of(method, quantity) for method in methods] for quantity in quantities]
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH if len(methods) == 1 else style.PAGE_WIDTH)
        panels = figure.subplots(len(rows) + 1, len(methods), sharex=True, sharey="row", squeeze=False)
        _draw_errors(panels[0], errors, comparison.epochs_differ)
        for row, quantity, series in zip(panels[1:], quantities, rows, strict=True):
            _draw_row(row, quantity, series)
        for column, (_, table) in zip(panels.T, errors, strict=True):
            _mark_lowest(column, table)
        figure.align_ylabels(panels[:, 0])
        legend = _legend(any(one.seeds > 1 for pair in errors for one in pair), comparison.is_judged)
        style.lay_out(
            figure,
            ROW_HEIGHT * len(panels) + 0.35,
            f"Why a search decays, {comparison.place}",
            comparison.conditions(),
            [style.legend_below(figure, list(legend.values()), list(legend))],
            [
                "Projection gap: the supernet's validation loss at the derived cell less that at the mixture, at the "
                "same weights. C: spectral norm of the Hessian by the mixture times the squared distance between both.",
                *few_seeds([table if table.seeds else supernet for supernet, table in errors]),
            ],
        )
    everything = [one for pair in errors for one in pair] + [one for series in rows for one in series]
    return Page(name, figure, csv_text((comparison, everything)))


def _draw_errors(row: Sequence[Axes], errors: Sequence[tuple[Series, Series]], epochs_differ: bool) -> None:
    """The supernet's error and the table's, and above each panel whose they are."""
    for axes, (supernet, table) in zip(row, errors, strict=True):
        _draw_seeds(axes, supernet, 100, style.NEUTRAL, "--")
        _draw_seeds(axes, table, 100, style.look(table.method.name).colour)
        axes.set_title(curve_label(table if table.seeds else supernet, epochs_differ), pad=3)
    finite = [one for pair in errors for one in pair if one.seeds]
    if finite:
        error_axis(row[0], finite)
    row[0].set_ylabel("error (%)")


def _draw_row(row: Sequence[Axes], quantity: Quantity, series: Sequence[Series]) -> None:
    """One quantity of all methods; a panel without a value says so."""
    for axes, one in zip(row, series, strict=True):
        if one.seeds:
            _draw_seeds(axes, one, quantity.factor, style.look(one.method.name).colour)
            continue
        reason = NOT_RECORDED if one.method.has_alphas else NO_ALPHAS
        axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", size=7, color=style.NEUTRAL)
    axes = row[0]
    values = quantity.factor * np.concatenate([one.values[np.isfinite(one.values)] for one in series])
    axes.set_ylabel(quantity.narrow or textwrap.fill(quantity.axis, LETTERS))
    if not len(values):
        axes.set_yticks([])
    elif quantity.range == (0, 1):
        axes.set_ylim(-0.05 * quantity.factor, 1.05 * quantity.factor)
    elif quantity.logarithmic and (values > 0).all():
        axes.set_yscale("log")
        decades = np.ptp(np.log10(values))
        steps = (1.0, 2.0, 5.0) if decades < 1.2 else (1.0, 3.0) if decades < 2.2 else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(numticks=5, subs=steps))
        _plain_numbers(axes)
    elif np.ptp(values) > WIDE:
        axes.set_yscale("symlog", linthresh=1, linscale=0.5)
        axes.yaxis.set_major_locator(FixedLocator([sign * 10**power for sign in (-1, 1) for power in range(6)] + [0]))
        _plain_numbers(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def _plain_numbers(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_seeds(axes: Axes, one: Series, scale: float, colour: str, line: str = "-") -> None:
    """The mean over seeds, and single seeds as thin lines; both join the epochs that have a value."""
    for row in one.values[one.drawn] if one.seeds > 1 else ():
        there = np.isfinite(row) & (one.x >= one.first)
        axes.plot(one.x[there], scale * row[there], color=colour, linewidth=0.4, alpha=0.4, linestyle=line)
    # Only where all have a value: a mean over fewer would jump.
    there = (one.n == one.seeds) & (one.x >= one.first)
    marker = "o" if there.sum() == 1 else ""
    axes.plot(one.x[there], scale * one.mean[there], color=colour, linewidth=1.3, linestyle=line, marker=marker)


def _mark_lowest(column: Sequence[Axes], table: Series) -> None:
    """A dotted line through all panels at the lowest mean test error, the first of equals; and the epochs below."""
    mean = np.where(table.n == table.seeds, table.mean, np.nan)[1:]
    if np.isfinite(mean).any():
        for axes in column:
            axes.axvline(int(np.nanargmin(mean)) + 1, color="black", linestyle=":", linewidth=0.6, zorder=0.5)
    column[-1].set_xlabel("epoch")
    column[-1].xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))


def _legend(several: bool, judged: bool) -> dict[str, Artist]:
    entries: dict[str, Artist] = {"supernet, validation images": Line2D([], [], color=style.NEUTRAL, linestyle="--")}
    if judged:
        entries["table's test error"] = Line2D([], [], color=style.NEUTRAL, linewidth=1.6)
        entries["lowest test error"] = Line2D([], [], color="black", linestyle=":", linewidth=0.8)
    if several:
        entries["mean over seeds"] = Line2D([], [], color=style.NEUTRAL)
        entries["single seeds"] = Line2D([], [], color=style.NEUTRAL, linewidth=0.5)
    return entries
