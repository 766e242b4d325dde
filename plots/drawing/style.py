"""How figures look: one fixed colour, line and marker for each method, and a page that fits a printed column.

Colours are seaborn's `colorblind` palette and black. Line style and marker tell methods apart in grey print. A method's
look depends on its name alone, so that it stays the same on every figure, whatever else is drawn.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

Dashes = tuple[int, tuple[float, ...]]

COLUMN_WIDTH = 3.3
PAGE_WIDTH = 6.9
MARGIN = 0.04
NEUTRAL = "0.35"

_PALETTE = [str(colour) for colour in seaborn.color_palette("colorblind").as_hex()]
_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _BROWN, _PINK, _GREY, _YELLOW, _SKY = _PALETTE
_BLACK = "#000000"

_SOLID: Dashes = (0, ())
_DASHED: Dashes = (0, (4, 1.5))
_DASH_DOT: Dashes = (0, (5, 1.3, 1, 1.3))
_DOTTED: Dashes = (0, (1, 1))
_LONG: Dashes = (0, (9, 2))
_DASH_DOT_DOT: Dashes = (0, (5, 1.3, 1, 1.3, 1, 1.3))
_SHORT: Dashes = (0, (2.2, 1.1))
_SPARSE: Dashes = (0, (1, 2.2))
_LONG_SHORT: Dashes = (0, (8, 1.5, 2.5, 1.5))


@dataclass(frozen=True)
class Look:
    """How one method is drawn.

    Attributes:
        label: its name as the literature writes it.
        colour: "#rrggbb".
        dashes: offset and on-off lengths in line widths; empty is solid.
        marker: matplotlib's letter.
        hollow: whether the marker is drawn as an outline.
    """

    label: str
    colour: str
    dashes: Dashes
    marker: str
    hollow: bool = False

    @property
    def line(self) -> dict[str, Any]:
        """The mean curve's properties, for `Axes.plot`."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
        }


_KNOWN = {
    "darts": Look("DARTS", _VERMILION, _SOLID, "o"),
    "darts_2nd": Look("DARTS (2nd order)", _VERMILION, _LONG, "o", hollow=True),
    "sdarts_rs": Look("SDARTS-RS", _BLUE, _DASHED, "s"),
    "sdarts_adv": Look("SDARTS-ADV", _GREEN, _DASH_DOT, "^"),
    "pc_darts": Look("PC-DARTS", _ORANGE, _DOTTED, "D"),
    "gdas": Look("GDAS", _PURPLE, _LONG, "v"),
    "nasp": Look("NASP", _BROWN, _DASH_DOT_DOT, "<"),
    "enas": Look("ENAS", _SKY, _SHORT, ">"),
    "random_ws": Look("Random search (WS)", _GREY, _SPARSE, "x"),
    "hessian_reg": Look("Hessian reg.", _BLACK, _LONG_SHORT, "P"),
    "darts_es": Look("DARTS-ES", _GREY, _DASH_DOT, "h"),
    "r_darts_l2": Look("R-DARTS (L2)", _PURPLE, _DOTTED, "p"),
    "r_darts_dp": Look("R-DARTS (DP)", _SKY, _LONG, "d"),
    "pc_darts_rs": Look("PC-DARTS-RS", _ORANGE, _DASHED, "s", hollow=True),
    "pc_darts_adv": Look("PC-DARTS-ADV", _ORANGE, _DASH_DOT, "^", hollow=True),
    "gdas_rs": Look("GDAS-RS", _PURPLE, _SHORT, "s", hollow=True),
    "gdas_adv": Look("GDAS-ADV", _PURPLE, _DASH_DOT, "v", hollow=True),
    "nasp_rs": Look("NASP-RS", _BROWN, _DASHED, "<", hollow=True),
    "nasp_adv": Look("NASP-ADV", _BROWN, _DASH_DOT, ">", hollow=True),
}
_OTHER_COLOURS = (_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _BROWN, _GREY, _SKY, _BLACK)
_OTHER_DASHES = (_SOLID, _DASHED, _DASH_DOT, _DOTTED, _LONG, _DASH_DOT_DOT, _SPARSE)
_OTHER_MARKERS = (("*", False), ("*", True), ("X", False), ("X", True), ("P", True), ("D", True))


def look(method: str) -> Look:
    """How a method is drawn; `X@NAME` has the colour of X and its own line, an unknown name a look from its hash."""
    optimizer, _, name = method.partition("@")
    plain = _KNOWN.get(optimizer) or _look_from_hash(optimizer)
    if not name:
        return plain
    dashes = [dashes for dashes in _OTHER_DASHES if dashes != plain.dashes]
    marker, hollow = _OTHER_MARKERS[_hash(name, "marker") % len(_OTHER_MARKERS)]
    return Look(
        label=f"{plain.label} @{_literal(name)}",
        colour=plain.colour,
        dashes=dashes[_hash(name, "line") % len(dashes)],
        marker=marker,
        hollow=hollow,
    )


def drawing_order(method: str) -> tuple[int, str]:
    """Sorts methods: those of the literature in their usual order, then others by name, variants after their base."""
    optimizer = method.partition("@")[0]
    known = list(_KNOWN)
    return (known.index(optimizer) if optimizer in known else len(known), method)


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
        if columns == 1 or legend.get_window_extent(_renderer(figure)).width / figure.dpi <= room:
            return legend
        legend.remove()
    raise ValueError("a legend needs at least one entry")


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


def _look_from_hash(name: str) -> Look:
    marker, hollow = _OTHER_MARKERS[_hash(name, "marker") % len(_OTHER_MARKERS)]
    return Look(
        label=_literal(name),
        colour=_OTHER_COLOURS[_hash(name, "colour") % len(_OTHER_COLOURS)],
        dashes=_OTHER_DASHES[_hash(name, "line") % len(_OTHER_DASHES)],
        marker=marker,
        hollow=hollow,
    )


def _hash(name: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{name}".encode()).digest()[:8], "big")


def _literal(text: str) -> str:
    """Keep matplotlib from reading mathematics into a name."""
    return text.replace("$", r"\$")


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
    for word in _literal(text).split(" "):
        longer = f"{lines[-1]} {word}".strip()
        paragraph.set_text(longer)
        if lines[-1] and paragraph.get_window_extent(_renderer(figure)).width / figure.dpi > room:
            lines.append(word)
        else:
            lines[-1] = longer
    paragraph.set_text("\n".join(lines))
    return paragraph
