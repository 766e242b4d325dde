"""Every vertex and edge of a cell is drawn, and no edge runs through another vertex's box."""

from __future__ import annotations

import random

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from harness.records.line import Drawable, Graph, nasbench_graph
from plots.drawing.cell import (
    BOX_HEIGHT,
    BOX_WIDTH,
    _sampled,
    draw_cell,
    edge_curves,
    edge_labels,
    layout,
    operation_colours,
)
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space

#: A cell with two inputs and its operations on the edges, two of them between the same nodes.
LABELLED = Graph(
    "normal",
    ("c_{k-2}", "c_{k-1}", "0", "1", "c_{k}"),
    (
        (0, 2, "sep_conv_3x3"),
        (1, 2, "skip_connect"),
        (0, 3, "max_pool_3x3"),
        (2, 3, "dil_conv_5x5"),
        (2, 3, "none"),
        (2, 4, ""),
        (3, 4, ""),
    ),
)


def graph_of(cell: Cell) -> Graph:
    graph = nasbench_graph(cell.matrix.tolist(), cell.ops)
    assert graph is not None
    return graph


def some_cells() -> list[Cell]:
    generator = random.Random(0)
    return [get_space(number).sample(generator).cell for number in (1, 2, 3) for _ in range(12)]


def test_each_vertex_is_a_box_and_each_edge_an_arrow() -> None:
    for cell in some_cells()[::4]:
        axes = Figure().add_subplot()
        draw_cell(axes, graph_of(cell))
        boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        arrows = {patch.get_gid() for patch in axes.patches if isinstance(patch, FancyArrowPatch)}
        assert len(boxes) == len(cell.ops)
        assert arrows == {f"edge {source} {target}" for source, target in np.argwhere(cell.matrix)}
        assert not axes.axison


def test_vertices_lie_below_what_feeds_them_and_do_not_overlap() -> None:
    for cell in some_cells():
        places = layout(graph_of(cell))
        for source, target in np.argwhere(cell.matrix):
            assert places[source][1] - places[target][1] > BOX_HEIGHT
        for first in range(len(places)):
            for second in range(first):
                apart = np.abs(places[first] - places[second])
                assert apart[0] >= BOX_WIDTH or apart[1] >= BOX_HEIGHT


def test_no_edge_runs_through_another_vertex() -> None:
    for cell in some_cells():
        graph = graph_of(cell)
        places = layout(graph)
        for edge, curve in edge_curves(graph, places):
            others = np.delete(places, edge[:2], axis=0)
            apart = np.abs(_sampled(curve)[:, None, :] - others[None, :, :])
            assert not (apart < (BOX_WIDTH / 2, BOX_HEIGHT / 2)).all(axis=2).any(), (graph, edge)


@pytest.mark.parametrize("label", ["max$pool_{3}$", "a label far too long for its box"])
def test_unknown_operations_are_written_as_they_are_within_their_boxes(label: str) -> None:
    axes = Figure().add_subplot()
    draw_cell(axes, Graph("", ("input", label, "output"), ((0, 1, ""), (1, 2, ""))))
    letters = axes.patches[2 + 2 * 1 + 1].get_path().get_extents()
    assert letters.width <= BOX_WIDTH


def test_a_cell_with_its_operations_on_the_edges_has_every_edge_and_its_label() -> None:
    axes = Figure().add_subplot()
    draw_cell(axes, LABELLED)
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == len(LABELLED.edges)
    places = layout(LABELLED)
    labels = edge_labels(edge_curves(LABELLED, places), places)
    assert sorted(label for label, _, _ in labels) == sorted(label for _, _, label in LABELLED.edges if label)
    for place, (_, (x, y), width) in enumerate(labels):
        for _, (other_x, other_y), other_width in labels[:place]:
            assert abs(x - other_x) >= (width + other_width) / 2 or abs(y - other_y) >= 0.2
        assert all(abs(y - node[1]) > BOX_HEIGHT / 2 or abs(x - node[0]) > BOX_WIDTH / 2 for node in places)
        assert axes.get_xlim()[0] <= x - width / 2
        assert x + width / 2 <= axes.get_xlim()[1]


def test_operations_that_no_colour_is_known_of_get_one_each() -> None:
    colours = operation_colours([Drawable("key", (LABELLED,)), None])
    operations = {label for _, _, label in LABELLED.edges if label}
    assert len({colours[label] for label in operations}) == len(operations)
    assert "c_{k-2}" not in colours
