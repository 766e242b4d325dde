"""How figures look: letters and lines in the size of print, and a page that fits a printed column.

`plots.drawing.looks` says how each method is drawn; `look` and `drawing_order` are to be had here, too.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.text import Text

from harness.records.files import write_atomically
from plots.drawing.looks import drawing_order as drawing_order
from plots.drawing.looks import literal
from plots.drawing.looks import look as look

COLUMN_WIDTH = 3.25
PAGE_WIDTH = 6.75
MARGIN = 0.04
NEUTRAL = "0.35"


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Within it, matplotlib draws in this project's style; whatever the user has set is put back afterwards."""
    settings = {
        **seaborn.axes_style("ticks"),
        "font.family": "DejaVu Sans",
        "font.size": 7.5,
        "axes.labelsize": 7.5,
        "axes.linewidth": 0.6,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 7,
        "axes.unicode_minus": True,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 3,
        "lines.markeredgewidth": 0.7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "ytick.minor.size": 1.5,
        "ytick.minor.width": 0.5,
        "figure.dpi": 200,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def new_figure(width: float) -> Figure:
    """An empty figure, in inches; `lay_out` finds its height."""
    figure = Figure(figsize=(width, width), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def lay_out(
    figure: Figure, panel_height: float, title: str, conditions: str, legends: Sequence[Legend], notes: Sequence[str]
) -> None:
    """Stack title, conditions, panels, legends and notes from top to bottom, and give the figure the height they need.

    Args:
        figure: with its axes drawn, and `legends` made at loc "upper center".
        panel_height: inches for all axes together, labels included.
        title: first line.
        conditions: under what conditions the numbers arose; wrapped to the width.
        legends: below the axes, in this order.
        notes: below the legends, one paragraph each; wrapped to the width.
    """
    gap = 0.03
    below: list[Text | Legend] = [*legends, *(_paragraph(figure, note, 6.5, "normal") for note in notes)]
    title = re.sub(r"\b(space|seed|epoch) (?=\d)", "\\1\N{NO-BREAK SPACE}", title)
    head = [_paragraph(figure, title, 8.5, "bold"), _paragraph(figure, conditions, 7, "normal")]
    head_heights = [_height(figure, artist) for artist in head]
    below_heights = [_height(figure, artist) for artist in below]
    total = 2 * MARGIN + sum(head_heights) + panel_height + sum(below_heights) + gap * (len(head) + len(below_heights))
    width = float(figure.get_size_inches()[0])
    figure.set_size_inches(width, total)
    y = total - MARGIN
    for text, height in zip(head, head_heights, strict=True):
        text.set_position((MARGIN / width, y / total))
        y -= height + gap
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, (y - panel_height) / total, 1, panel_height / total))
    y -= panel_height
    for artist, height in zip(below, below_heights, strict=True):
        y -= gap
        if isinstance(artist, Legend):
            artist.set_bbox_to_anchor((0.5, y / total))
        else:
            artist.set_position((MARGIN / width, y / total))
        y -= height


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends with one, as an abbreviated name does."""
    return text if text.endswith(".") else f"{text}."


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str], most_columns: int = 3) -> Legend:
    """A legend for `lay_out` to place, with as many columns as fit the width; too long a label is broken."""
    room = float(figure.get_size_inches()[0]) - 2 * MARGIN
    for columns in range(min(most_columns, len(handles)), 0, -1):
        legend = figure.legend(
            handles,
            labels if columns > 1 else [textwrap.fill(label, 50) for label in labels],
            loc="upper center",
            ncols=columns,
            handlelength=3.2,
            columnspacing=1.2,
            labelspacing=0.3,
            borderaxespad=0,
            borderpad=0.2,
        )
        if columns == 1 or width_of(figure, legend) <= room:
            return legend
        legend.remove()
    raise ValueError("a legend needs at least one entry")


def width_of(figure: Figure, legend: Legend) -> float:
    """Inches that a legend takes."""
    return float(legend.get_window_extent(_renderer(figure)).width / figure.dpi)


def save(figure: Figure, stem: Path, numbers: str) -> list[Path]:
    """Write `stem`.png, `stem`.pdf and the numbers behind them as `stem`.csv; the same runs give the same bytes.

    Returns:
        the paths written.
    """
    contents = {}
    with applied():
        _settle(figure)
        for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
            data = io.BytesIO()
            figure.savefig(data, format=suffix[1:], metadata=metadata)
            contents[suffix] = data.getvalue()
    contents[".csv"] = numbers.encode()
    paths = [stem.with_name(stem.name + suffix) for suffix in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomically(path, content)
    return paths


def _settle(figure: Figure) -> None:
    """Fix the places of the panels, rounded: the layout's solver differs from run to run in the last digits."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))


def _renderer(figure: Figure) -> Any:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    return canvas.get_renderer()  # type: ignore[no-untyped-call]


def _height(figure: Figure, artist: Text | Legend) -> float:
    """Inches."""
    return float(artist.get_window_extent(_renderer(figure)).height / figure.dpi)


def _paragraph(figure: Figure, text: str, size: float, weight: str) -> Text:
    """Text broken into lines that fit the figure's width."""
    paragraph = figure.text(0, 0, "", size=size, weight=weight, va="top", linespacing=1.1)
    room = float(figure.get_size_inches()[0]) - 2 * MARGIN
    lines = [""]
    for word in literal(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        paragraph.set_text(longer)
        if lines[-1] and paragraph.get_window_extent(_renderer(figure)).width / figure.dpi > room:
            lines.append(word)
        else:
            lines[-1] = longer
    paragraph.set_text("\n".join(lines))
    return paragraph
