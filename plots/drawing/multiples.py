"""Panels for more curves than can be told apart in one: what stands in front is in colour, all else behind it in grey.

Where more than `MOST_TOGETHER` methods would share a panel, `draw_multiples` gives each a panel of its own, and
`groups_of` says which may stand in front together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.drawing.looks import drawing_order
from plots.runs.records import Series

MOST_TOGETHER = 7
MOST_IN_FRONT = 4
PANEL_HEIGHT = 1.02
OTHERS = "0.82"
"""The grey of what is behind."""

FAMILIES = (
    ("darts", "darts_2nd", "sdarts_rs", "sdarts_adv", "sdarts_gauss"),
    ("pc_darts", "gdas", "nasp", "enas"),
    ("hessian_reg", "darts_es", "r_darts_l2", "r_darts_dp"),
)
"""Methods that are looked at together: DARTS and its perturbations, the paper's other baselines, regularisation."""

Draw = Callable[[Axes, Sequence[Series]], object]


def groups_of(names: Sequence[str]) -> list[list[str]]:
    """Methods in groups of at most `MOST_IN_FRONT`, each a family or a part of it, small neighbours joined.

    Args:
        names: of the methods; a variant goes with its method.
    """
    families: list[list[str]] = [[] for _ in range(len(FAMILIES) + 1)]
    for name in sorted(names, key=drawing_order):
        optimizer = name.partition("@")[0]
        number = next((at for at, family in enumerate(FAMILIES) if optimizer in family), len(FAMILIES))
        families[number].append(name)
    groups: list[list[str]] = []
    for family in families:
        parts = -(-len(family) // MOST_IN_FRONT)
        for part in range(parts):
            some = family[part * len(family) // parts : (part + 1) * len(family) // parts]
            if groups and len(groups[-1]) + len(some) <= MOST_IN_FRONT:
                groups[-1] += some
            else:
                groups.append(some)
    return groups


def draw_multiples(
    figure: Figure, series: Sequence[Series], scale: float, draw: Draw, label: Callable[[Series], str]
) -> list[Axes]:
    """A panel for each series in rows of four or five, all on the same axes and each other's background.

    Args:
        figure: an empty one, a page wide.
        series: what is drawn.
        scale: what values are multiplied with.
        draw: draws one series on axes, in front of the others.
        label: names a series above its panel.

    Returns:
        the panels.
    """
    rows, across = grid(len(series))
    panels = list(figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False).flat)
    for axes in panels[len(series) :]:
        axes.set_axis_off()
    for axes, curve in zip(panels, series, strict=False):
        draw_behind(axes, [other for other in series if other is not curve], scale)
        draw(axes, [curve])
        axes.set_title(label(curve), pad=2)
    return panels[: len(series)]


def grid(count: int) -> tuple[int, int]:
    """Rows and columns of so many panels, four or five across, so that the fewest places stay empty."""
    _, rows, across = min((-count % across, -(-count // across), across) for across in (4, 5))
    return rows, across


def draw_behind(axes: Axes, others: Sequence[Series], scale: float) -> None:
    """The means of other methods in grey."""
    for other in others:
        there = other.n > 0
        there[: other.first] = False
        x, mean = other.x[there], scale * other.mean[there]
        axes.plot(x, mean, color=OTHERS, linewidth=0.45, drawstyle=other.drawstyle, zorder=0.5)


def label_outside(panels: Sequence[Axes], x: str, y: str) -> None:
    """Name the axes of a grid of panels once: the vertical one left of each row, the other at the foot of a column."""
    places = [(axes, axes.get_subplotspec()) for axes in panels]
    cells = {(place.rowspan.start, place.colspan.start): axes for axes, place in places if place is not None}
    for (row, column), axes in cells.items():
        lowest = not any(below > row and beside == column for below, beside in cells)
        leftmost = not any(left < column and beside == row for beside, left in cells)
        axes.set_xlabel(x if row == max(below for below, _ in cells) else "")
        axes.set_ylabel(y if leftmost else "")
        axes.tick_params(labelbottom=lowest)
