"""What the supernet believes against what the table knows, one panel for each method.

A search decays when the supernet's validation error keeps falling while the true test error of the cell it would
return rises: the effect that the paper sets out to remove. Means over seeds; the bands are in the CSV.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.records.catalogue import get_quantity
from plots.drawing import style
from plots.drawing.anytime import TEST_ERROR, curve_label, why_no_errors
from plots.drawing.few_seeds import few_seeds
from plots.runs.records import Comparison, Method, NothingToDrawError, Series, series_of

NAME = "supernet_vs_table"
SUPERNET_ERROR = get_quantity("supernet_valid_error")
PANEL_HEIGHT = 1.35
TITLE_LINE = 0.12
LETTERS_NARROW = 23
LETTERS_WIDE = 36
TICKS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100)


def draw(comparison: Comparison) -> tuple[Figure, list[Series]]:
    """The figure and the numbers behind it (fractions there, percent on the figure).

    Raises:
        NothingToDrawError: no run has both errors after epoch 1 or later.
    """
    methods = sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    pairs = [pair for pair in map(error_pair, methods) if all(one.seeds for one in pair)]
    if not pairs:
        if not comparison.is_judged:
            raise NothingToDrawError(why_no_errors([comparison]))
        raise NothingToDrawError("no run has a supernet error and a test error at epoch 1 or later yet")
    columns = min(len(pairs), 2 if len(pairs) <= 2 else 3 if len(pairs) in (3, 5, 6, 9) else 4)
    rows = math.ceil(len(pairs) / columns)
    letters = LETTERS_WIDE if columns % 2 else LETTERS_NARROW
    titles = [textwrap.fill(curve_label(table, comparison.epochs_differ), letters) for _, table in pairs]
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH if columns < 3 else style.PAGE_WIDTH)
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, pair, title in zip(panels.flat, pairs, titles, strict=False):
            _draw_panel(axes, *pair)
            axes.set_title(title, pad=2)
        for axes in list(panels.flat)[len(pairs) :]:
            axes.set_axis_off()
        for axes in list(panels.flat)[len(pairs) - columns : len(pairs)]:
            axes.set_xlabel("epoch")
            axes.tick_params(labelbottom=True)
        for axes in panels[:, 0]:
            axes.set_ylabel("error (%)")
        error_axis(panels[0, 0], [one for pair in pairs for one in pair])
        legend = style.legend_below(
            figure,
            [Line2D([], [], color=style.NEUTRAL, linestyle="--"), Line2D([], [], color=style.NEUTRAL, linewidth=1.8)],
            ["supernet, validation images", "derived cell, table's test error"],
        )
        style.lay_out(
            figure,
            (PANEL_HEIGHT + TITLE_LINE * max(title.count("\n") for title in titles)) * rows,
            f"Supernet against table, {comparison.place}",
            comparison.conditions(),
            [legend],
            ["Means over seeds.", *few_seeds([table for _, table in pairs])],
        )
    return figure, [one for pair in pairs for one in pair]


def error_pair(method: Method) -> tuple[Series, Series]:
    """Supernet validation error and table test error."""
    return series_of(method, SUPERNET_ERROR), series_of(method, TEST_ERROR)


def _draw_panel(axes: Axes, supernet: Series, table: Series) -> None:
    colour = style.look(table.method.name).colour
    for one, line_colour, line, width in ((supernet, style.NEUTRAL, "--", 1.0), (table, colour, "-", 1.8)):
        epochs = np.arange(1, one.values.shape[1])
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(
            epochs,
            100 * one.mean[1:],
            color=line_colour,
            linestyle=line,
            linewidth=width,
            marker=marker,
            label=one.quantity,
        )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.02)


def error_axis(axes: Axes, errors: Sequence[Series]) -> None:
    """Logarithmic from 1 % on, so that both errors have room; linear below, so that zero has a place."""
    means = np.concatenate([100 * one.mean[1:] for one in errors])
    axes.set_yscale("symlog", linthresh=1, linscale=0.3)
    lowest = float(np.nanmin(means))
    axes.set_ylim(lowest / 1.2 if lowest > 0 else -0.05, float(np.nanmax(means)) * 1.15 + 0.1)
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
