"""Reach and probability of a cell, told from its graph alone, are those that trying every choice finds."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest

from spaces.nb101.cell import OPERATIONS, Cell
from spaces.nb101.reachability import choices, draws, is_enumerated, placements
from spaces.nb101.space import SearchSpace, get_space

#: SHA-256 of the sorted hashes that the published enumeration without loose ends finds.
PUBLISHED_ENUMERATION = {
    1: (2_127, "b5f5d44699fb9e063443c465e41290bda7ce93a69340092610cd352707a80c19"),
    2: (3_258, "35735f77e274f3a153b4a91f93aea9140ee396f5c59423dd3bdcfb0ad988456a"),
}


def by_graph(space: SearchSpace) -> list[list[Cell]]:
    groups: dict[bytes, list[Cell]] = defaultdict(list)
    for cell in space.cells():
        groups[cell.matrix.tobytes()].append(cell)
    return list(groups.values())


def test_draws_are_counted_as_by_trying_every_choice() -> None:
    space = get_space(1)
    counted = Counter(
        space.cell(parents, ops).hash
        for parents in space.parent_choices()
        for ops in itertools.product(OPERATIONS, repeat=space.blocks)
    )
    found: dict[str, int] = {}
    for cells in by_graph(space):
        numbers = draws(space, cells[0].matrix, [cell.ops for cell in cells])
        found.update({cell.hash: number for cell, number in zip(cells, numbers.tolist(), strict=True)})
    assert found == counted


@pytest.mark.parametrize(("number", "expected"), [(1, 14_580), (2, 29_160), (3, 1_312_200)])
def test_draws_of_all_cells_are_all_choices(number: int, expected: int) -> None:
    space = get_space(number)
    assert choices(space) == expected
    assert sum(int(draws(space, group[0].matrix, [cell.ops for cell in group]).sum()) for group in by_graph(space)) == (
        expected
    )


def test_order_of_the_vertices_does_not_matter() -> None:
    space = get_space(3)
    cell = next(cell for cell in space.cells() if len(cell.ops) == 7)
    for interior in itertools.permutations(range(1, 6)):
        order = (0, *interior, 6)
        matrix = cell.matrix[np.ix_(order, order)]
        if not np.tril(matrix).any():
            ops = [cell.ops[vertex] for vertex in order]
            assert draws(space, matrix, [ops]).tolist() == draws(space, cell.matrix, [cell.ops]).tolist()


def test_cells_of_other_spaces_have_no_draws() -> None:
    overlap = 0
    for cells in by_graph(get_space(1)):
        assert not draws(get_space(2), cells[0].matrix, [cell.ops for cell in cells]).any()
        overlap += int((draws(get_space(3), cells[0].matrix, [cell.ops for cell in cells]) > 0).sum())
    assert overlap == 201
    assert placements(get_space(1), np.array([[0, 1], [0, 0]], np.int8)) == []


@pytest.mark.parametrize("number", PUBLISHED_ENUMERATION)
def test_published_enumeration_is_told_from_the_graph(number: int) -> None:
    space = get_space(number)
    hashes = sorted(cell.hash for cells in by_graph(space) for cell in cells if is_enumerated(space, cells[0].matrix))
    expected = PUBLISHED_ENUMERATION[number]
    assert (len(hashes), hashlib.sha256("\n".join(hashes).encode()).hexdigest()) == expected
