"""Anytime test error (the paper's figures 3 and 4): what the search would return if it stopped at this epoch.

The curve runs over epochs 1..N, each the state after that epoch. Epoch 0, before any training, is in the CSV only.
`draw_curves` is shared with the Hessian's figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.records.catalogue import get_quantity
from harness.records.run_folder import space_names
from plots.drawing import style
from plots.drawing.few_seeds import few_seeds
from plots.drawing.multiples import MOST_TOGETHER, OTHERS, draw_multiples, grid, label_outside
from plots.drawing.multiples import PANEL_HEIGHT as MULTIPLES_HEIGHT
from plots.runs.records import (
    DEVIATION,
    INTERVAL,
    NO_BAND,
    RANGE,
    Array,
    Comparison,
    NothingToDrawError,
    Series,
    counted,
    series_of,
)

NAME = "anytime_error"
TEST_ERROR = get_quantity("test_error")
PANEL_HEIGHT = 2.3
MARKERS = 8


def draw(comparison: Comparison) -> tuple[Figure, list[Series]]:
    """The figure and the numbers behind it (fractions there, percent on the figure).

    Raises:
        NothingToDrawError: no run has a test error after epoch 1 or later.
    """
    series = [
        series_of(method, TEST_ERROR)
        for method in sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    ]
    shown = [one for one in series if one.seeds]
    if not shown:
        raise NothingToDrawError(why_no_errors([comparison]))
    with style.applied():
        figure, legends, height = panels(
            comparison,
            shown,
            scale=100,
            join_gaps=at_some_epochs(comparison),
            labels=(TEST_ERROR.axis, "test error (%)"),
            beside=lambda axes: table_lines(axes, comparison, last_epoch(shown)),
        )
        style.lay_out(
            figure,
            height,
            f"Anytime test error, {comparison.place}",
            comparison.conditions(),
            legends,
            [
                *few_seeds(shown),
                *absent_seeds(series),
                *unjudged(comparison, shown),
                *without_table_lines([comparison]),
            ],
        )
    return figure, series


def panels(
    comparison: Comparison,
    shown: Sequence[Series],
    scale: float,
    join_gaps: bool,
    labels: tuple[str, str],
    beside: Callable[[Axes], list[Line2D]] = lambda axes: [],
) -> tuple[Figure, list[Legend], float]:
    """A figure with all curves in one panel of column width, or from eight methods on in a panel each, a page wide.

    Args:
        comparison: whose curves they are.
        shown: the curves.
        scale: what values are multiplied with.
        join_gaps: as in `draw_curves`.
        labels: of the vertical axis, in full and for a small panel.
        beside: draws further lines into a panel, which are then explained below.

    Returns:
        the figure, its legends, and inches for its panels.
    """
    if len(shown) <= MOST_TOGETHER:
        figure = style.new_figure(style.COLUMN_WIDTH)
        axes = figure.add_subplot()
        draw_curves(axes, shown, scale, join_gaps)
        axes.set_ylabel(labels[0])
        lines = beside(axes)
        legends, height = curve_legends(figure, shown, comparison.epochs_differ), PANEL_HEIGHT
    else:
        figure = style.new_figure(style.PAGE_WIDTH)
        used = draw_multiples(
            figure,
            shown,
            scale,
            lambda axes, one: draw_curves(axes, one, scale, join_gaps, plain=True),
            lambda one: curve_label(one, comparison.epochs_differ),
        )
        lines = [beside(axes) for axes in used].pop()
        label_outside(used, "epoch", labels[1])
        legends, height = [], MULTIPLES_HEIGHT * grid(len(shown))[0] + 0.2
        entries = {**band_entries(shown), **mean_entries(shown, plain=True)}
        legends.append(style.legend_below(figure, list(entries.values()), list(entries), most_columns=4))
    if lines:
        legends.append(style.legend_below(figure, lines, [str(line.get_label()) for line in lines]))
    return figure, legends, height


def draw_curves(
    axes: Axes, series: Sequence[Series], scale: float, join_gaps: bool, singles: bool = True, plain: bool = False
) -> None:
    """Mean curves with markers, their bands, and faint single seeds.

    Args:
        axes: where to draw.
        series: one for each method, in drawing order.
        scale: what values are multiplied with; 100 turns fractions into percent.
        join_gaps: draw the line through the points that are there; otherwise it breaks where there is none.
        singles: whether single seeds are drawn.
        plain: draw the mean as a solid line without markers, where colour alone need not tell methods apart.
    """
    faint = 0.35 if sum(one.seeds for one in series) <= 12 else 0.2
    for position, one in enumerate(series):
        look = style.look(one.method.name)
        if one.band != NO_BAND:
            x, low = _points(one, one.low * scale, join_gaps)
            _, high = _points(one, one.high * scale, join_gaps)
            step: Literal["post"] | None = None if one.seconds is None else "post"
            axes.fill_between(x, low, high, step=step, color=look.colour, alpha=0.15, linewidth=0, zorder=1)
            for row in one.values[one.drawn] if singles else ():
                x, values = _points(one, row * scale, join_gaps)
                axes.plot(x, values, color=look.colour, linewidth=0.4, alpha=faint, zorder=2, drawstyle=one.drawstyle)
        x, mean = _points(one, one.mean * scale, join_gaps)
        every = max(1, len(x) // MARKERS)
        start = position * every // len(series)
        line = {"color": look.colour, "linewidth": 1.0} if plain and len(x) > 1 else look.line
        axes.plot(x, mean, **line, markevery=(start, every), zorder=3, label=one.method.name, drawstyle=one.drawstyle)
    over_seconds = any(one.seconds is not None for one in series)
    axes.set_xlabel("seconds of training" if over_seconds else "epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=not over_seconds))
    axes.margins(x=0.02)


def last_epoch(series: Sequence[Series]) -> int:
    """The last one that any curve reaches."""
    return max(len(one.x) for one in series) - 1


def table_lines(axes: Axes, comparison: Comparison, epochs: int, above: float = 0.0) -> list[Line2D]:
    """The optimum, and what random search expects with one draw an epoch, each trained fully; as the runs recorded.

    Args:
        axes: where to draw.
        comparison: whose runs they are.
        epochs: how far the line of random search goes; 0 for none, where the axis has no epochs.
        above: the error that the vertical axis counts from: 0, or the optimum where it shows regret.
    """
    lines = []
    if comparison.random_search and epochs:
        expected = 100 * (np.array(comparison.random_search[:epochs]) - above)
        x = np.arange(1, len(expected) + 1)
        (line,) = axes.plot(x, expected, color=style.NEUTRAL, linewidth=0.9, dashes=(2, 1), zorder=2.5)
        line.set_label("random search, a trained cell an epoch")
        lines.append(line)
    if comparison.optimum is not None:
        line = axes.axhline(100 * (comparison.optimum - above), color="black", linewidth=0.9, linestyle=":")
        line.set_label("optimum of the space")
        lines.append(line)
    return lines


def without_table_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """A note on each line of the table that some runs do not record, as those of older versions."""
    notes = []
    for what, lacking in (
        ("Optimum", [one for one in comparisons if one.optimum is None]),
        ("Random search", [one for one in comparisons if not one.random_search]),
    ):
        if lacking:
            spaces = "" if len(lacking) == len(comparisons) else f" of {space_names([one.space for one in lacking])}"
            notes.append(f"{what}: not recorded by these runs{spaces}.")
    return notes


def curve_legends(figure: Figure, series: Sequence[Series], with_epochs: bool, singles: bool = True) -> list[Legend]:
    """What each line is: the methods with their n, the bands with theirs, means and single seeds."""
    methods = [Line2D([], [], **style.look(one.method.name).line) for one in series]
    legend = style.legend_below(figure, methods, [curve_label(one, with_epochs) for one in series])
    return [legend, *band_legends(figure, series)]


def band_legends(figure: Figure, series: Sequence[Series]) -> list[Legend]:
    """What bands, means and single seeds are; the bands with their n."""
    bands, means = band_entries(series), mean_entries(series)
    return [
        style.legend_below(figure, list(entries.values()), list(entries), most_columns=columns)
        for entries, columns in ((bands, 1), (means, 3))
        if entries
    ]


def band_entries(series: Sequence[Series]) -> dict[str, Artist]:
    """What stands in a legend for each kind of band, by its name with n."""
    entries: dict[str, Artist] = {}
    for band in (INTERVAL, DEVIATION, RANGE):
        counts = sorted({one.seeds for one in series if one.band == band})
        if counts:
            patch = Patch(facecolor=style.NEUTRAL, alpha=0.25, linewidth=0)
            entries[f"band: {band} of {' or '.join(map(str, counts))} seeds"] = patch
    return entries


def mean_entries(series: Sequence[Series], singles: bool = True, plain: bool = False) -> dict[str, Artist]:
    """What stands in a legend for means and single seeds; `singles` and `plain` as in `draw_curves`."""
    banded = any(one.band != NO_BAND for one in series)
    marker = "" if plain else "o"
    entries: dict[str, Artist] = {
        "mean over seeds" if banded else "one seed, no band": Line2D([], [], color=style.NEUTRAL, marker=marker)
    }
    if banded and singles:
        entries["single seeds"] = Line2D([], [], color=style.NEUTRAL, linewidth=0.5, alpha=0.7)
    if plain:
        entries["means of the other methods"] = Line2D([], [], color=OTHERS, linewidth=0.8)
    return entries


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


def _points(one: Series, values: Array, join_gaps: bool) -> tuple[Array, Array]:
    """Where values lie and what is to be drawn there, from the first epoch on."""
    x, values = one.x[one.first :], values[one.first :]
    there = np.isfinite(values) | (not join_gaps)
    return x[there], values[there]


def why_no_errors(comparisons: Sequence[Comparison]) -> str:
    """Why there is no test error to draw."""
    if not any(comparison.is_judged for comparison in comparisons):
        return "these runs had no judge, so that no architecture has a test error"
    return "no run has a test error at epoch 1 or later yet"


def at_some_epochs(comparison: Comparison) -> bool:
    """Whether the judge trains architectures, which it does at some epochs only: points of a curve are then joined."""
    return comparison.judge_kind == "trained"


def unjudged(comparison: Comparison, series: Sequence[Series]) -> list[str]:
    """Notes on epochs without a test error: a judge that trains looks at some epochs, a table may lack a cell."""
    if at_some_epochs(comparison):
        return ["Test errors are of the epochs whose architectures were trained for it."]
    return not_in_table(series)


def not_in_table(series: Sequence[Series]) -> list[str]:
    """Notes on cells that a partial table does not hold, and on damaged lines: both are missing from the means."""
    runs = [run for one in series for run in one.method.runs]
    recorded = sum(max(0, run.recorded - 1) for run in runs)
    damaged = sum(sum(epoch > 0 for epoch in run.damaged(TEST_ERROR.entry)) for run in runs)
    missing = recorded - sum(int(np.isfinite(one.values[:, 1:]).sum()) for one in series) - damaged
    notes = [f"{missing} of {recorded} cells are not in the table and are left out."] if missing else []
    if damaged:
        notes.append(f"{counted(damaged, 'test error')} of {recorded} not finite (damaged lines), left out.")
    return notes
