"""A cell drawn: vertices in topological layers from input to output, edges bent around what lies between.

`draw_cell` fills an `Axes`, so that any figure can hold cells; nothing but matplotlib is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

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

Point = npt.NDArray[np.float64]


def draw_cell(axes: Axes, matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> None:
    """Draw a cell on axes, which lose their frame; letters scale with the boxes, so that they fit at any size.

    Args:
        axes: where to draw.
        matrix: `[v][v]` upper triangular adjacency matrix.
        ops: `v` labels; those that are not known are written as they are.
    """
    places = layout(matrix)
    curves = edge_curves(matrix, places)
    for (source, target), curve in curves.items():
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
    for (x, y), op in zip(places, ops, strict=True):
        corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
        style = "round,pad=0,rounding_size=0.08"
        face = COLOURS.get(op, PLAIN)
        axes.add_patch(
            FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, boxstyle=style, fc=face, ec="0.25", lw=0.6, zorder=3)
        )
        axes.add_patch(PathPatch(_lettering(LABELS.get(op, op), x, y), fc="black", lw=0, zorder=4))
    half = (BOX_WIDTH / 2, BOX_HEIGHT / 2)
    reach = np.concatenate([places - half, places + half, *map(_sampled, curves.values())])
    low, high = reach.min(axis=0) - CLEARANCE, reach.max(axis=0) + CLEARANCE
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_axis_off()


def _lettering(label: str, x: float, y: float) -> Path:
    """The outline of a label, centred on a point."""
    outline = TextPath((0, 0), label.replace("$", r"\$"), size=LETTER_SIZE, prop=FontProperties(family="DejaVu Sans"))
    # All stand on one line, whatever letters reach below it.
    width = outline.get_extents().width
    scale = min(1.0, 0.9 * BOX_WIDTH / width)
    return outline.transformed(Affine2D().translate(-width / 2, -0.36 * LETTER_SIZE).scale(scale).translate(x, y))


def layout(matrix: Sequence[Sequence[int]]) -> Point:
    """Where vertices lie, `[v, 2]`: as far down as the longest path from the input is, side by side in a layer."""
    count = len(matrix)
    layer = [0] * count
    for target in range(count):
        layer[target] = max((layer[source] + 1 for source in range(target) if matrix[source][target]), default=0)
    layer[-1] = max(layer)
    places = np.zeros((count, 2))
    for depth in range(max(layer) + 1):
        vertices = [vertex for vertex in range(count) if layer[vertex] == depth]
        # In the order of where their predecessors lie, so that fewer edges cross.
        vertices.sort(key=lambda vertex: (_mean_x(matrix, places, vertex), vertex))
        for column, vertex in enumerate(vertices):
            places[vertex] = ((column - (len(vertices) - 1) / 2) * COLUMN_WIDTH, -depth * LAYER_HEIGHT)
    return places


def edge_curves(matrix: Sequence[Sequence[int]], places: Point) -> Mapping[tuple[int, int], Point]:
    """Four control points of each edge's curve; of the bends that touch no other vertex, the one that crosses least."""
    edges = [(source, target) for target in range(len(matrix)) for source in range(target) if matrix[source][target]]
    edges.sort(key=lambda edge: (places[edge[0]][1] - places[edge[1]][1], edge))
    curves: dict[tuple[int, int], Point] = {}
    for source, target in edges:
        others = np.delete(places, [source, target], axis=0)
        options = [_curve(places[source], places[target], bend) for bend in BENDS]
        costs = []
        for rank, option in enumerate(options):
            meets = [_meets(option, curve, bool({source, target} & set(edge))) for edge, curve in curves.items()]
            costs.append((_touches(option, others), sum(meets), rank))
        curves[source, target] = options[min(costs)[-1]]
    return curves


def _mean_x(matrix: Sequence[Sequence[int]], places: Point, vertex: int) -> float:
    above = [places[source][0] for source in range(vertex) if matrix[source][vertex]]
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
