"""A cell drawn as a graph: nodes in layers from input to output, edges bent around what lies between.

`draw_cell` fills an `Axes`, so that any figure can hold cells; nothing but matplotlib is needed. The report page draws
the same in `page_files/cell.js`, from the sizes below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import seaborn
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from harness.records.line import Drawable, Graph

LABELS = {
    "maxpool3x3": "max pool",
    "conv3x3-bn-relu": "conv 3x3",
    "conv1x1-bn-relu": "conv 1x1",
}
COLOURS = {"maxpool3x3": "#bfe5d3", "conv3x3-bn-relu": "#b5d3ec", "conv1x1-bn-relu": "#f7dcae"}
PLAIN = "#e6e6e6"

#: In units of the axes, which are about a box wide.
BOX_WIDTH, BOX_HEIGHT = 1.0, 0.36
LETTER_SIZE = 0.2
LAYER_HEIGHT = 0.72
COLUMN_WIDTH = 1.3
CLEARANCE = 0.1
BENDS = (0.0, 0.7, -0.7, 0.9, -0.9, 1.3, -1.3, 1.7, -1.7, 2.1, -2.1, 2.5, -2.5)
#: The same where edges have labels, which need room.
LABELLED_LAYER_HEIGHT, LABELLED_COLUMN_WIDTH = 1.1, 1.9
#: An edge's label: its height, the width of a letter, and where on its edge it may stand, the first place first.
LABEL_HEIGHT, LABEL_LETTER = 0.2, 0.1
LABEL_PLACES = (12, 9, 15, 6, 18)

Point = npt.NDArray[np.float64]
Edge = tuple[int, int, str]


def operation_colours(architectures: Iterable[Drawable | None]) -> dict[str, str]:
    """Label -> colour of every operation of some architectures: the known ones have theirs, others get one by name."""
    graphs = [graph for one in architectures if one is not None for graph in one.graphs]
    edges = {label for graph in graphs for _, _, label in graph.edges if label}
    nodes = {label for graph in graphs if not is_labelled(graph) for label in graph.nodes[1:-1]}
    others = sorted((edges | nodes) - set(COLOURS))
    palette = seaborn.color_palette("pastel", max(1, min(10, len(others)))).as_hex()
    return {**COLOURS, **{label: str(palette[place % len(palette)]) for place, label in enumerate(others)}}


def is_labelled(graph: Graph) -> bool:
    """Whether the operations are on the edges rather than in the nodes."""
    return any(label for _, _, label in graph.edges)


def draw_cell(axes: Axes, graph: Graph, colours: dict[str, str] | None = None) -> None:
    """Draw a cell on axes, which lose their frame; letters scale with the boxes, so that they fit at any size.

    Args:
        axes: where to draw.
        graph: the cell; labels that are not known are written as they are.
        colours: of operations; those that are missing are plain.
    """
    colours = COLOURS if colours is None else colours
    places = layout(graph)
    curves = edge_curves(graph, places)
    for (source, target, _), curve in curves:
        arrow = FancyArrowPatch(
            path=Path(curve, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]),
            arrowstyle="-|>",
            mutation_scale=5,
            linewidth=0.7,
            color="0.25",
            shrinkA=0,
            shrinkB=0,
            zorder=2,
        )
        arrow.set_gid(f"edge {source} {target}")
        axes.add_patch(arrow)
    for (x, y), node in zip(places, graph.nodes, strict=True):
        corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
        style = "round,pad=0,rounding_size=0.08"
        face = colours.get(node, PLAIN)
        axes.add_patch(
            FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, boxstyle=style, fc=face, ec="0.25", lw=0.6, zorder=3)
        )
        if node:
            axes.add_patch(PathPatch(_lettering(LABELS.get(node, node), x, y), fc="black", lw=0, zorder=4))
    labels = edge_labels(curves, places)
    for label, (x, y), width in labels:
        corner = (x - width / 2, y - LABEL_HEIGHT / 2)
        axes.add_patch(Rectangle(corner, width, LABEL_HEIGHT, fc=colours.get(label, "white"), lw=0, zorder=5))
        axes.add_patch(PathPatch(_lettering(LABELS.get(label, label), x, y, width, 0.15), fc="black", lw=0, zorder=6))
    half = (BOX_WIDTH / 2, BOX_HEIGHT / 2)
    sides = [place + np.array([side * width / 2, 0.0]) for _, place, width in labels for side in (-1, 1)]
    drawn = [places - half, places + half, *(_sampled(curve) for _, curve in curves), *(place[None] for place in sides)]
    reach = np.concatenate(drawn)
    low, high = reach.min(axis=0) - CLEARANCE, reach.max(axis=0) + CLEARANCE
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_axis_off()


def layout(graph: Graph) -> Point:
    """Where nodes lie, `[nodes, 2]`: as far down as the longest path from an input is, side by side in a layer."""
    count = len(graph.nodes)
    height = LABELLED_LAYER_HEIGHT if is_labelled(graph) else LAYER_HEIGHT
    width = LABELLED_COLUMN_WIDTH if is_labelled(graph) else COLUMN_WIDTH
    layer = [0] * count
    for target in range(count):
        layer[target] = max((layer[source] + 1 for source in _sources(graph, target)), default=0)
    layer[-1] = max(layer)
    places = np.zeros((count, 2))
    for depth in range(max(layer) + 1):
        nodes = [node for node in range(count) if layer[node] == depth]
        # In the order of where their predecessors lie, so that fewer edges cross.
        nodes.sort(key=lambda node: (_mean_x(graph, places, node), node))
        for column, node in enumerate(nodes):
            places[node] = ((column - (len(nodes) - 1) / 2) * width, -depth * height)
    return places


def edge_curves(graph: Graph, places: Point) -> list[tuple[Edge, Point]]:
    """Four control points of each edge's curve; of the bends that touch no other node, the one that crosses least."""
    edges = sorted(graph.edges, key=lambda edge: (places[edge[0]][1] - places[edge[1]][1], edge[:2]))
    curves: list[tuple[Edge, Point]] = []
    for edge in edges:
        source, target, _ = edge
        others = np.delete(places, [source, target], axis=0)
        options = [_curve(places[source], places[target], bend) for bend in BENDS]
        costs = []
        for rank, option in enumerate(options):
            meets = [_meets(option, curve, bool({source, target} & set(other[:2]))) for other, curve in curves]
            costs.append((_touches(option, others), sum(meets), rank))
        curves.append((edge, options[min(costs)[-1]]))
    return curves


def edge_labels(curves: Sequence[tuple[Edge, Point]], places: Point) -> list[tuple[str, Point, float]]:
    """The labels of edges, where they lie and how wide they are: on their edge, over as little else as possible."""
    labels: list[tuple[str, Point, float]] = []
    for (_, _, label), curve in curves:
        if not label:
            continue
        width = LABEL_LETTER * len(LABELS.get(label, label))
        samples = _sampled(curve)
        costs = []
        for rank, place in enumerate(LABEL_PLACES):
            x, y = samples[place]
            covered = sum(
                abs(x - other[0]) < (width + its) / 2 and abs(y - other[1]) < LABEL_HEIGHT for _, other, its in labels
            )
            covered += sum(
                abs(x - node[0]) < (width + BOX_WIDTH) / 2 and abs(y - node[1]) < (LABEL_HEIGHT + BOX_HEIGHT) / 2
                for node in places
            )
            costs.append((covered, rank))
        labels.append((label, samples[LABEL_PLACES[min(costs)[1]]], width))
    return labels


def _lettering(label: str, x: float, y: float, width: float = BOX_WIDTH, size: float = LETTER_SIZE) -> Path:
    """The outline of a label, centred on a point and no wider than nine tenths of a width."""
    outline = TextPath((0, 0), label.replace("$", r"\$"), size=size, prop=FontProperties(family="DejaVu Sans"))
    # All stand on one line, whatever letters reach below it.
    extent = outline.get_extents().width if label.strip() else 0.0
    scale = min(1.0, 0.9 * width / extent) if extent else 1.0
    return outline.transformed(Affine2D().translate(-extent / 2, -0.36 * size).scale(scale).translate(x, y))


def _sources(graph: Graph, node: int) -> list[int]:
    """The nodes that feed a node, each once and ascending."""
    return sorted({source for source, target, _ in graph.edges if target == node})


def _mean_x(graph: Graph, places: Point, node: int) -> float:
    above = [places[source][0] for source in _sources(graph, node)]
    return float(np.mean(above)) if above else 0.0


def _curve(start: Point, end: Point, bend: float) -> Point:
    """From the lower side of one box to the upper side of another, pushed sideways by `bend`."""
    side = np.sign(bend) * BOX_WIDTH / 4
    first, last = start + np.array([side, -BOX_HEIGHT / 2]), end + np.array([side, BOX_HEIGHT / 2])
    # A cubic reaches three quarters of how far its middle points are pushed.
    push = np.array([bend / 0.75, 0.0])
    return np.array([first, first + (last - first) * 0.2 + push, first + (last - first) * 0.8 + push, last])


def _sampled(curve: Point) -> Point:
    """Points on a cubic, `[n, 2]`."""
    t = np.linspace(0, 1, 25)[:, None]
    a, b, c, d = curve
    points: Point = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
    return points


def _touches(curve: Point, others: Point) -> int:
    """How many other boxes a curve comes too close to."""
    distance = np.abs(_sampled(curve)[:, None, :] - others[None, :, :])
    limits = (BOX_WIDTH / 2 + CLEARANCE, BOX_HEIGHT / 2 + CLEARANCE / 2)
    return int((distance < limits).all(axis=2).any(axis=0).sum())


def _meets(curve: Point, other: Point, share_an_end: bool) -> bool:
    """Whether a curve crosses another, or runs along it; where they share an end, its middle third alone counts."""
    points, limit = (_sampled(curve)[8:17], 0.2) if share_an_end else (_sampled(curve), 0.06)
    gaps = np.abs(points[:, None, :] - _sampled(other)[None, :, :]).sum(axis=2)
    return bool(gaps.min() < limit)
