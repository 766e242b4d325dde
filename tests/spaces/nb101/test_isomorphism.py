"""Graphs that differ in the order of their vertices only are recognised as one, as their hashes would tell."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from spaces.nb101.cell import OPERATIONS, Cell
from spaces.nb101.isomorphism import automorphisms, canonical_order
from spaces.nb101.space import get_space

DIAMOND = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], np.int8)
CHAIN = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], np.int8)


def test_canonical_matrices_are_equal_just_where_the_graphs_have_one_hash() -> None:
    matrices = [np.array(matrix) for matrix in {matrix.tobytes(): matrix for matrix in some_matrices()}.values()]
    hashes, canonical = [], []
    for matrix in matrices:
        hashes.append(Cell(matrix, ("input", *[OPERATIONS[0]] * (len(matrix) - 2), "output")).hash)
        order = canonical_order(matrix)
        reordered = matrix[np.ix_(order, order)]
        assert not np.tril(reordered).any()
        canonical.append(reordered.tobytes())
    assert len(set(hashes)) < len(matrices)
    pairs = list(zip(hashes, canonical, strict=True))
    assert len(set(pairs)) == len(set(hashes)) == len(set(canonical))


def some_matrices() -> list[np.ndarray]:
    """Pruned graphs of spaces 1 and 2, each also with its vertices in other orders where edges still point forward."""
    found = []
    for number in (1, 2):
        for cell in {cell.matrix.tobytes(): cell for cell in get_space(number).cells()}.values():
            for interior in itertools.permutations(range(1, len(cell.ops) - 1)):
                order = (0, *interior, len(cell.ops) - 1)
                matrix = cell.matrix[np.ix_(order, order)]
                if not np.tril(matrix).any():
                    found.append(matrix)
    return found


def test_automorphisms_leave_a_graph_as_it_is() -> None:
    assert automorphisms(CHAIN).tolist() == [[0, 1, 2]]
    assert automorphisms(DIAMOND).tolist() == [[0, 1, 2, 3], [0, 2, 1, 3]]
    for matrix in random.Random(0).sample(some_matrices(), 20):
        for order in automorphisms(matrix):
            assert (matrix[np.ix_(order, order)] == matrix).all()


@pytest.mark.parametrize("number", [1, 2])
def test_cells_of_one_hash_are_listed_once(number: int) -> None:
    """Every labelled graph has the hash of a listed cell, and no two listed cells share one."""
    space = get_space(number)
    listed = [cell.hash for cell in space.cells()]
    assert len(set(listed)) == len(listed)
    generator = random.Random(number)
    assert {space.sample(generator).key for _ in range(300)} <= set(listed)
