"""Every vertex and edge of a cell is drawn, and no edge runs through another vertex's box."""

from __future__ import annotations

import random

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from plots.drawing.cell import BOX_HEIGHT, BOX_WIDTH, _sampled, draw_cell, edge_curves, layout
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space


def some_cells() -> list[Cell]:
    generator = random.Random(0)
    return [get_space(number).sample(generator) for number in (1, 2, 3) for _ in range(12)]


def test_each_vertex_is_a_box_and_each_edge_an_arrow() -> None:
    for cell in some_cells()[::4]:
        axes = Figure().add_subplot()
        draw_cell(axes, cell.matrix.tolist(), cell.ops)
        boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        arrows = {patch.get_gid() for patch in axes.patches if isinstance(patch, FancyArrowPatch)}
        assert len(boxes) == len(cell.ops)
        assert arrows == {f"edge {source} {target}" for source, target in np.argwhere(cell.matrix)}
        assert not axes.axison


def test_vertices_lie_below_what_feeds_them_and_do_not_overlap() -> None:
    for cell in some_cells():
        places = layout(cell.matrix.tolist())
        for source, target in np.argwhere(cell.matrix):
            assert places[source][1] - places[target][1] > BOX_HEIGHT
        for first in range(len(places)):
            for second in range(first):
                apart = np.abs(places[first] - places[second])
                assert apart[0] >= BOX_WIDTH or apart[1] >= BOX_HEIGHT


def test_no_edge_runs_through_another_vertex() -> None:
    for cell in some_cells():
        matrix = cell.matrix.tolist()
        places = layout(matrix)
        for edge, curve in edge_curves(matrix, places).items():
            others = np.delete(places, edge, axis=0)
            apart = np.abs(_sampled(curve)[:, None, :] - others[None, :, :])
            assert not (apart < (BOX_WIDTH / 2, BOX_HEIGHT / 2)).all(axis=2).any(), (matrix, edge)


@pytest.mark.parametrize("label", ["max$pool_{3}$", "a label far too long for its box"])
def test_unknown_operations_are_written_as_they_are_within_their_boxes(label: str) -> None:
    axes = Figure().add_subplot()
    draw_cell(axes, [[0, 1, 0], [0, 0, 1], [0, 0, 0]], ["input", label, "output"])
    letters = axes.patches[2 + 2 * 1 + 1].get_path().get_extents()
    assert letters.width <= BOX_WIDTH
