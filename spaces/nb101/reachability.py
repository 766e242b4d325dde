"""Which cells a space can return, how often its sampler draws each, and which the published enumeration finds.

All of it follows from the graph of a cell and needs no hash. A search lays a cell's interior vertices on some of the
choice blocks; the blocks that remain are loose ends, whose parents and operations do not matter. So a cell is in the
space if its vertices can be laid on blocks that take as many parents as they have, and it is drawn in as many ways as
there are such placements, times the ways to fill the loose ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spaces.nb101.cell import OPERATIONS
from spaces.nb101.isomorphism import Matrix, automorphisms
from spaces.nb101.space import SearchSpace

#: The block of each interior vertex, in the order of the vertices.
Placement = tuple[int, ...]


def choices(space: SearchSpace) -> int:
    """How many choices of parents and operations there are, loose ends included; the sampler draws one uniformly."""
    per_node = (math.comb(node, count) for node, count in enumerate(space.parent_counts, start=1))
    return math.prod(per_node, start=len(OPERATIONS) ** space.blocks)


def placements(space: SearchSpace, matrix: Matrix) -> list[Placement]:
    """Every way to lay the vertices of a pruned graph `[v, v]` on a space's blocks; none if it is not reachable."""
    vertices = len(matrix) - 2
    parents = [np.flatnonzero(column).tolist() for column in matrix.T]
    if vertices > space.blocks or len(parents[-1]) != space.parent_counts[-1]:
        return []

    def laid(node: int, blocks: dict[int, int]) -> Iterator[Placement]:
        if len(blocks) == vertices:
            yield tuple(blocks[vertex] for vertex in range(1, vertices + 1))
            return
        if vertices - len(blocks) > space.blocks - node + 1:
            return
        yield from laid(node + 1, blocks)
        for vertex in range(1, vertices + 1):
            is_next = vertex not in blocks and all(parent == 0 or parent in blocks for parent in parents[vertex])
            if is_next and len(parents[vertex]) == space.parent_counts[node - 1]:
                yield from laid(node + 1, {**blocks, vertex: node})

    return list(laid(1, {}))


def draws(space: SearchSpace, matrix: Matrix, operations: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """How many of the space's `choices` give each of some cells of one graph: `[cells]`, 0 if it is not reachable.

    Args:
        space: the space.
        matrix: `[v, v]`, pruned.
        operations: `[cells, v]` labels of the vertices, the cells' own or any code for them.
    """
    labels = np.asarray(operations)
    possible = placements(space, matrix)
    if not possible:
        return np.zeros(len(labels), np.int64)
    loose = sum(_loose_parents(space, placement) for placement in possible)
    total = loose * len(OPERATIONS) ** (space.blocks - len(matrix) + 2)
    # Placements that differ by an automorphism of the cell are one choice.
    same = (labels[:, automorphisms(matrix)] == labels[:, None, :]).all(axis=2).sum(axis=1)
    counts: npt.NDArray[np.int64] = total // same
    return counts


def is_enumerated(space: SearchSpace, matrix: Matrix) -> bool:
    """Whether the published enumeration without loose ends finds a graph (NAS-Bench-1Shot1 `search_space.py:130-146`).

    From the output it descends into each parent with a copy of the graph, so that only what the descent into the last
    parent adds is kept: it finds the graphs whose every vertex lies on the path of last parents.
    """
    return any(_is_path_of_last_parents(placement, matrix) for placement in placements(space, matrix))


def _loose_parents(space: SearchSpace, placement: Placement) -> int:
    """Ways to choose the parents of the blocks that a placement leaves loose."""
    free = (node for node in range(1, space.blocks + 1) if node not in placement)
    return math.prod(math.comb(node, space.parent_counts[node - 1]) for node in free)


def _is_path_of_last_parents(placement: Placement, matrix: Matrix) -> bool:
    blocks = (0, *placement)
    vertex, length = len(matrix) - 1, -1
    while vertex:
        vertex = max(np.flatnonzero(matrix[:, vertex]).tolist(), key=blocks.__getitem__)
        length += 1
    return length == len(placement)
