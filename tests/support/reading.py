"""Reading a figure: its panels, its words, and whether it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from plots.drawing import style
from plots.drawing.pages import Page, sheets
from plots.runs.records import Comparison
from plots.runs.survey import survey


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def page_texts(figure: Figure) -> str:
    texts = (text.get_text().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ") for text in figure.texts)
    return " ".join(texts)


def sheet(results: Path) -> Sequence[Comparison]:
    ((_, found),) = sheets(survey(results))
    return found


def drawn(page: Page) -> list[Axes]:
    return [axes for axes in page.figure.axes if axes.axison]


def assert_apart(figure: Figure) -> None:
    """No panel, legend or text lies over another or sticks out of the page."""
    with style.applied():
        figure.draw_without_rendering()
        groups = [[part.get_tightbbox()] for part in (*figure.texts, *figure.legends)]
        groups += [_ink(axes) for axes in figure.axes if axes.axison]
    boxes = [[box for box in group if box is not None and box.width and box.height] for group in groups]
    for number, group in enumerate(boxes):
        others = [box for other in boxes[:number] for box in other]
        for box in group:
            assert not any(box.overlaps(other) for other in others)
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1 + 1
            assert box.y0 >= 0
            assert box.y1 <= figure.bbox.y1


def _ink(axes: Axes) -> list[Bbox | None]:
    """The boxes of a panel, its title, and the names and numbers of its axes."""
    texts = [axes.title, axes.xaxis.label, axes.yaxis.label]
    for axis, limits, coordinate in ((axes.xaxis, axes.get_xlim(), 0), (axes.yaxis, axes.get_ylim(), 1)):
        for number in axis.get_ticklabels():
            if number.get_visible() and min(limits) <= number.get_position()[coordinate] <= max(limits):
                texts.append(number)
    return [axes.get_window_extent(), *(text.get_window_extent() for text in texts if text.get_text())]
