"""The three search spaces of NAS-Bench-1Shot1 (Zela et al. 2020b; SmoothDARTS `nasbench_analysis/search_spaces`).

A space fixes how many choice blocks a cell has and how many parents each node takes. Node 0 is the cell's input,
nodes 1..n are the choice blocks, node n+1 is the output; every node chooses its parents among all lower nodes.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spaces.nb101.cell import INPUT, OPERATIONS, OUTPUT, Cell
from spaces.nb101.isomorphism import automorphisms, canonical_order

ParentChoice = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class SearchSpace:
    """A space of cells.

    Attributes:
        number: 1, 2 or 3, as the paper counts them.
        parent_counts: how many parents each of the nodes 1..n+1 takes; the last is the output.
    """

    number: int
    parent_counts: tuple[int, ...]

    @property
    def blocks(self) -> int:
        """Number of choice blocks, n."""
        return len(self.parent_counts) - 1

    @cached_property
    def choosing_nodes(self) -> tuple[int, ...]:
        """Choice blocks that have more candidate parents than they take; each has a row of input alphas."""
        return tuple(node for node in range(1, self.blocks + 1) if self.parent_counts[node - 1] < node)

    @cached_property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of a mixture's tensors: ops `[n, 3]`, output `[n + 1]`, then one `[node]` per choosing node.

        The order is the published code's (SmoothDARTS `optimizers/darts/model_search.py`); every last dimension is a
        probability simplex.
        """
        inputs = tuple((node,) for node in self.choosing_nodes)
        return ((self.blocks, len(OPERATIONS)), (self.blocks + 1,), *inputs)

    @property
    def alpha_count(self) -> int:
        """Number of architecture parameters: 24, 26, 35."""
        return sum(math.prod(shape) for shape in self.row_shapes)

    def parent_choices(self) -> Iterator[ParentChoice]:
        """Every assignment of parents to the nodes 1..n+1, loose ends included (180 / 360 / 5,400 of them)."""
        options = [
            tuple(itertools.combinations(range(node), count)) for node, count in enumerate(self.parent_counts, start=1)
        ]
        return itertools.product(*options)

    def matrix(self, parents: ParentChoice) -> npt.NDArray[np.int8]:
        """Adjacency matrix `[n + 2, n + 2]` of a choice of parents, loose ends included.

        Raises:
            ValueError: a node has the wrong number of parents, or a parent that is not a lower node.
        """
        if len(parents) != len(self.parent_counts):
            raise ValueError(f"expected parents of {len(self.parent_counts)} nodes, got {len(parents)}")
        matrix = np.zeros((self.blocks + 2, self.blocks + 2), dtype=np.int8)
        for node, (chosen, count) in enumerate(zip(parents, self.parent_counts, strict=True), start=1):
            if not len(chosen) == len(set(chosen)) == count or not all(0 <= parent < node for parent in chosen):
                raise ValueError(f"node {node} takes {count} distinct parents below {node}, got {chosen}")
            matrix[list(chosen), node] = 1
        return matrix

    def cell(self, parents: ParentChoice, ops: Sequence[str]) -> Cell:
        """The cell with these parents of the nodes 1..n+1 and these operations of the blocks 1..n."""
        if len(ops) != self.blocks:
            raise ValueError(f"expected {self.blocks} operations, got {len(ops)}")
        return Cell(self.matrix(parents), (INPUT, *ops, OUTPUT))

    def derive(self, rows: Sequence[npt.ArrayLike]) -> Cell:
        """The discrete cell that a mixture stands for (SPEC: `eval_darts_one_shot_model_in_nasbench.py:42-116`).

        Each block takes its largest operation, the first of equals; each choosing node and the output take as many
        parents as the space demands, the largest coefficients, later ones of equals.

        Args:
            rows: arrays of the shapes `row_shapes`.
        """
        return self.cell(*self.derive_choice(rows))

    def derive_choice(self, rows: Sequence[npt.ArrayLike]) -> tuple[ParentChoice, tuple[str, ...]]:
        """Parents and operations of the cell that `derive` gives, loose ends included."""
        arrays = [np.asarray(row) for row in rows]
        if tuple(array.shape for array in arrays) != self.row_shapes:
            raise ValueError(f"expected rows of shapes {self.row_shapes}, got {tuple(a.shape for a in arrays)}")
        operations, output, *inputs = arrays
        chosen = dict(zip(self.choosing_nodes, inputs, strict=True))
        chosen[self.blocks + 1] = output
        parents = tuple(
            _largest(chosen[node], count) if node in chosen else tuple(range(node))
            for node, count in enumerate(self.parent_counts, start=1)
        )
        return parents, tuple(OPERATIONS[index] for index in operations.argmax(axis=1))

    def sample(self, generator: random.Random) -> Cell:
        """A cell drawn uniformly over parents and operations with loose ends (`search_space.py:35-69`)."""
        return self.cell(*self.sample_choice(generator))

    def sample_choice(self, generator: random.Random) -> tuple[ParentChoice, tuple[str, ...]]:
        """Parents and operations drawn uniformly, loose ends included."""
        parents = tuple(
            tuple(sorted(generator.sample(range(node), count)))
            for node, count in enumerate(self.parent_counts, start=1)
        )
        return parents, tuple(generator.choices(OPERATIONS, k=self.blocks))

    def enumerate(self) -> list[Cell]:
        """All cells that a search in this space can return, one for each hash: 2,685 / 7,773 / 55,854.

        Of the isomorphic variants the one met first stands for all; the order is fixed. (Isomorphic cells are those of
        equal hash, which would take ten times as long to tell.) The published enumeration without loose ends
        (`search_space.py:130-146`) is incomplete and finds 2,127 / 3,258 / 17,940.
        """
        found: dict[tuple[bytes, tuple[str, ...]], Cell] = {}
        for matrix in self.pruned_matrices():
            used = np.flatnonzero(matrix[1:-1].any(axis=1)) + 1
            kept = np.array([0, *used, self.blocks + 1])
            graph = matrix[np.ix_(kept, kept)]
            order = canonical_order(graph)
            graph = graph[np.ix_(order, order)]
            # Labels in the graph's canonical order; of those that its automorphisms make equal, the smallest.
            orders = [tuple((order[same][1:-1] - 1).tolist()) for same in automorphisms(graph)]
            key = graph.tobytes()
            for labels in itertools.product(OPERATIONS, repeat=len(used)):
                smallest = min([tuple([labels[index] for index in order]) for order in orders])
                if (key, smallest) not in found:
                    ops = [OPERATIONS[-1]] * self.blocks
                    for block, label in zip(used.tolist(), labels, strict=True):
                        ops[block - 1] = label
                    found[key, smallest] = Cell(matrix, (INPUT, *ops, OUTPUT))
        return list(found.values())

    def pruned_matrices(self) -> list[npt.NDArray[np.int8]]:
        """The distinct graphs of the output's ancestors: 66 / 190 / 876 matrices `[n + 2, n + 2]`."""
        distinct: dict[bytes, npt.NDArray[np.int8]] = {}
        for parents in self.parent_choices():
            matrix = self.matrix(parents)
            keep = _ancestors_of_output(matrix)
            pruned = np.where(keep[None, :], matrix, 0).astype(np.int8)
            distinct.setdefault(pruned.tobytes(), pruned)
        return list(distinct.values())


def _ancestors_of_output(matrix: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Mask of the nodes from which the output is reachable, itself included."""
    keep = np.zeros(len(matrix), dtype=bool)
    keep[-1] = True
    for node in range(len(matrix) - 1, 0, -1):
        if keep[node]:
            keep |= matrix[:, node].astype(bool)
    return keep


def _largest(values: npt.NDArray[np.generic], count: int) -> tuple[int, ...]:
    order = np.argsort(values, kind="stable")
    return tuple(sorted(order[-count:].tolist()))


SPACES = {
    1: SearchSpace(1, (1, 2, 2, 2, 2)),
    2: SearchSpace(2, (1, 1, 2, 2, 3)),
    3: SearchSpace(3, (1, 1, 1, 2, 2, 2)),
}


def get_space(number: int) -> SearchSpace:
    """The space called 1, 2 or 3.

    Raises:
        ValueError: no such space.
    """
    if number not in SPACES:
        raise ValueError(f"unknown space {number!r}; known: {', '.join(map(str, SPACES))}")
    return SPACES[number]
