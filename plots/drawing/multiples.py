"""Small multiples: a panel for each method, which stands out against all others in grey, on the same axes.

Where more than `MOST_TOGETHER` methods would share a panel, their curves cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.runs.records import Series

MOST_TOGETHER = 7
PANEL_HEIGHT = 1.02
MOST_NAMED = 4
OTHERS = "0.82"
"""The grey of what is behind."""

Draw = Callable[[Axes, Sequence[Series]], object]


def draw_multiples(
    figure: Figure, columns: Sequence[Sequence[Series | None]], scale: float, draw: Draw, label: Callable[[Series], str]
) -> list[list[Axes]]:
    """Fill a figure with panels, `grid` of them.

    Args:
        figure: an empty one, a page wide.
        columns: series that share a vertical axis and are each other's background. A single column is broken into
            rows of four or five panels; several stand side by side, row by row one method, None where it is missing.
        scale: what values are multiplied with.
        draw: draws one series on axes, in front of the others.
        label: names a series above its panel.

    Returns:
        the panels that hold a series, column by column.
    """
    single = len(columns) == 1
    rows, across = grid(columns)
    panels = figure.subplots(rows, across, sharex=True, sharey=True if single else "col", squeeze=False)
    used: list[list[Axes]] = [[] for _ in columns]
    for axes in panels.flat:
        axes.set_axis_off()
    for number, column in enumerate(columns):
        for row, one in enumerate(column):
            if one is None:
                continue
            axes = panels[divmod(row, across)] if single else panels[row, number]
            axes.set_axis_on()
            for other in column:
                if other is not None and other is not one:
                    _background(axes, other, scale)
            draw(axes, [one])
            axes.set_title(label(one), pad=2)
            used[number].append(axes)
    return used


def grid(columns: Sequence[Sequence[Series | None]]) -> tuple[int, int]:
    """Rows and columns of panels; a single column of series is broken so that the fewest places stay empty."""
    count = len(columns[0])
    if len(columns) > 1:
        return count, len(columns)
    _, rows, across = min((-count % across, -(-count // across), across) for across in (4, 5))
    return rows, across


def label_outside(used: Sequence[Sequence[Axes]], x: str, y: str) -> None:
    """Name the axes once: the vertical one left of each row, of many left of the middle; the other at the foot."""
    places = [(axes, axes.get_subplotspec()) for column in used for axes in column]
    cells = {(place.rowspan.start, place.colspan.start): axes for axes, place in places if place is not None}
    last_row = max(row for row, _ in cells)
    named = range(last_row + 1) if last_row < MOST_NAMED else [last_row // 2]
    for (row, column), axes in cells.items():
        axes.set_xlabel(x if row == last_row else "")
        axes.set_ylabel(y if column == 0 and row in named else "")
        if (row + 1, column) not in cells:
            axes.tick_params(labelbottom=True)


def _background(axes: Axes, other: Series, scale: float) -> None:
    there = other.n > 0
    there[: other.first] = False
    x, mean = other.x[there], scale * other.mean[there]
    axes.plot(x, mean, color=OTHERS, linewidth=0.45, drawstyle=other.drawstyle, zorder=0.5)
