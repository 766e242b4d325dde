"""Anytime test error (the paper's figures 3 and 4): what the search would return if it stopped at this epoch.

The curve runs over epochs 1..N, each the state after that epoch. Epoch 0, before any training, is in the CSV only.
`draw_curves` is shared with the Hessian's figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from plots import style
from plots.records import INTERVAL, NO_BAND, RANGE, Array, Comparison, NothingToDrawError, Series, counted, summarise

NAME = "anytime_error"
PANEL_HEIGHT = 2.3
MARKERS = 8


def draw(comparison: Comparison) -> tuple[Figure, list[Series]]:
    """The figure and the numbers behind it (fractions there, percent on the figure).

    Raises:
        NothingToDrawError: no run has a test error after epoch 1 or later.
    """
    series = [
        summarise(method, "test_error", method.values("test_error"), first=1)
        for method in sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    ]
    shown = [one for one in series if one.seeds]
    if not shown:
        raise NothingToDrawError("no run has a test error at epoch 1 or later yet")
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH)
        axes = figure.add_subplot()
        draw_curves(axes, shown, scale=100, join_gaps=False)
        axes.set_ylabel("test error of the derived cell (%)")
        legends = curve_legends(figure, shown, comparison.epochs_differ)
        legends.extend(_table_lines(figure, axes, comparison, max(one.values.shape[1] for one in shown) - 1))
        style.lay_out(
            figure,
            PANEL_HEIGHT,
            f"Anytime test error, {comparison.bench}, space {comparison.space}",
            comparison.conditions(),
            legends,
            [*absent_seeds(series), *_not_in_table(shown)],
        )
    return figure, series


def draw_curves(axes: Axes, series: Sequence[Series], scale: float, join_gaps: bool) -> None:
    """Mean curves with markers, their bands, and faint single seeds.

    Args:
        axes: where to draw.
        series: one for each method, in drawing order.
        scale: what values are multiplied with; 100 turns fractions into percent.
        join_gaps: draw the line through the points that are there; otherwise it breaks where there is none.
    """
    faint = 0.35 if sum(one.seeds for one in series) <= 12 else 0.2
    for position, one in enumerate(series):
        look = style.look(one.method.name)
        if one.band != NO_BAND:
            x, low = _points(one.low * scale, one.first, join_gaps)
            _, high = _points(one.high * scale, one.first, join_gaps)
            axes.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0, zorder=1)
            for row in one.values[one.drawn]:
                x, values = _points(row * scale, one.first, join_gaps)
                axes.plot(x, values, color=look.colour, linewidth=0.4, alpha=faint, zorder=2)
        x, mean = _points(one.mean * scale, one.first, join_gaps)
        every = max(1, len(x) // MARKERS)
        start = position * every // len(series)
        axes.plot(x, mean, **look.line, markevery=(start, every), zorder=3, label=one.method.name)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    axes.margins(x=0.02)


def _table_lines(figure: Figure, axes: Axes, comparison: Comparison, epochs: int) -> list[Legend]:
    """The optimum, and what random search expects with one draw an epoch, each trained fully; as the runs recorded."""
    lines = []
    if comparison.random_search:
        expected = 100 * np.array(comparison.random_search[:epochs])
        (line,) = axes.plot(
            np.arange(1, len(expected) + 1), expected, color=style.NEUTRAL, linewidth=0.9, dashes=(2, 1)
        )
        line.set_label("random search, a trained cell an epoch")
        lines.append(line)
    if comparison.optimum is not None:
        line = axes.axhline(100 * comparison.optimum, color="black", linewidth=0.9, linestyle=":")
        line.set_label("optimum of the space")
        lines.append(line)
    return [style.legend_below(figure, lines, [str(line.get_label()) for line in lines])] if lines else []


def curve_legends(figure: Figure, series: Sequence[Series], with_epochs: bool) -> list[Legend]:
    """What each line is: the methods with their n, the bands with theirs, means and single seeds."""
    methods = [Line2D([], [], **style.look(one.method.name).line) for one in series]
    legends = [style.legend_below(figure, methods, [curve_label(one, with_epochs) for one in series])]
    bands = {}
    for band in (INTERVAL, RANGE):
        counts = sorted({one.seeds for one in series if one.band == band})
        if counts:
            patch = Patch(facecolor=style.NEUTRAL, alpha=0.25, linewidth=0)
            bands[f"band: {band} of {' or '.join(map(str, counts))} seeds"] = patch
    mean = Line2D([], [], color=style.NEUTRAL, marker="o")
    if not bands:
        return [*legends, style.legend_below(figure, [mean], ["one seed, no band"])]
    single = Line2D([], [], color=style.NEUTRAL, linewidth=0.5, alpha=0.7)
    legends.append(style.legend_below(figure, list(bands.values()), list(bands), most_columns=1))
    legends.append(style.legend_below(figure, [mean, single], ["mean over seeds", "single seeds"]))
    return legends


def curve_label(one: Series, with_epochs: bool) -> str:
    """A method's name with its number of seeds, how many of them are unfinished, and its epochs where asked for."""
    epochs = f", {counted(one.method.epochs, 'epoch')}" if with_epochs else ""
    unfinished = f" ({one.unfinished} unfinished)" if one.unfinished else ""
    return f"{style.look(one.method.name).label}{epochs}, n={one.seeds}{unfinished}"


def absent_seeds(series: Sequence[Series]) -> list[str]:
    """A note on seeds that were begun and have no point on the figure."""
    parts = []
    for one in series:
        seeds = [str(run.seed) for run, drawn in zip(one.method.runs, one.drawn, strict=True) if not drawn]
        if seeds:
            parts.append(f"{style.look(one.method.name).label} seed {', '.join(seeds)}")
    return [f"Without a value yet: {'; '.join(parts)}."] if parts else []


def _points(values: Array, first: int, join_gaps: bool) -> tuple[Array, Array]:
    """Epochs and values to draw, from epoch `first` on."""
    epochs, values = np.arange(first, len(values), dtype=np.float64), values[first:]
    there = np.isfinite(values) | (not join_gaps)
    return epochs[there], values[there]


def _not_in_table(series: Sequence[Series]) -> list[str]:
    """A note on cells that a partial table does not hold, since they are missing from the means."""
    recorded = sum(max(0, len(run.lines) - 1) for one in series for run in one.method.runs)
    missing = recorded - sum(int(np.isfinite(one.values[:, 1:]).sum()) for one in series)
    return [f"{missing} of {recorded} cells are not in the table and are left out."] if missing else []
