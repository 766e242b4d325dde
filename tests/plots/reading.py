"""Reading a figure: its panels, its words, and whether it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import style
from plots.pages import Page, sheets
from plots.records import Comparison
from plots.survey import survey


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def page_texts(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.texts)


def sheet(results: Path) -> Sequence[Comparison]:
    ((_, found),) = sheets(survey(results))
    return found


def drawn(page: Page) -> list[Axes]:
    return [axes for axes in page.figure.axes if axes.axison]


def assert_apart(figure: Figure) -> None:
    """No panel, legend or text lies over another or sticks out of the page."""
    with style.applied():
        figure.draw_without_rendering()
        parts = [*figure.texts, *figure.legends, *(axes for axes in figure.axes if axes.axison)]
        boxes = [box for part in parts if (box := part.get_tightbbox()) is not None]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.y1
