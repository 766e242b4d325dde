"""The three search spaces of NAS-Bench-1Shot1 (Zela et al. 2020b; SmoothDARTS `nasbench_analysis/search_spaces`).

A space fixes how many choice blocks a cell has and how many parents each node takes. Node 0 is the cell's input,
nodes 1..n are the choice blocks, node n+1 is the output; every node chooses its parents among all lower nodes.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.base import Architecture, CellChoices, InputShape, Network, NodeChoices, Space, Variable
from spaces.mixture import Layout, Row
from spaces.nb101.architecture import CellChoice, ParentChoice
from spaces.nb101.cell import INPUT, MAXPOOL3X3, OPERATIONS, OUTPUT, Cell
from spaces.nb101.config import SupernetConfig
from spaces.nb101.isomorphism import automorphisms, canonical_order


@dataclass(frozen=True)
class SearchSpace(Space[SupernetConfig]):
    """A space of cells.

    Attributes:
        number: 1, 2 or 3, as the paper counts them.
        parent_counts: how many parents each of the nodes 1..n+1 takes; the last is the output.
    """

    number: int
    parent_counts: tuple[int, ...]

    config_class = SupernetConfig
    parameter_free = frozenset({MAXPOOL3X3})

    @property
    def name(self) -> str:  # type: ignore[override]
        """`nb101_1`, `nb101_2` or `nb101_3`."""
        return f"nb101_{self.number}"

    @property
    def label(self) -> int:  # type: ignore[override]
        """The number, as folders, lines and figures call the space."""
        return self.number

    @property
    def summary(self) -> str:  # type: ignore[override]
        """One line with the source."""
        return f"space {self.number} of NAS-Bench-1Shot1, {self.blocks} choice blocks (Zela et al. 2020b)"

    @property
    def blocks(self) -> int:
        """Number of choice blocks, n."""
        return len(self.parent_counts) - 1

    @cached_property
    def choosing_nodes(self) -> tuple[int, ...]:
        """Choice blocks that have more candidate parents than they take; each has a row of input alphas."""
        return tuple(node for node in range(1, self.blocks + 1) if self.parent_counts[node - 1] < node)

    @cached_property
    def _parent_options(self) -> tuple[tuple[int, ParentChoice], ...]:
        """Each node that chooses its parents, the output last, with its options in lexicographic order."""
        return tuple(
            (node, tuple(itertools.combinations(range(node), count)))
            for node, count in enumerate(self.parent_counts, start=1)
            if count < node
        )

    @cached_property
    def layout(self) -> Layout:  # type: ignore[override]
        """Rows `operations` `[n, 3]`, `output` `[n + 1]`, then `inputs<node>` `[node]` for each choosing node.

        The order is the published code's (SmoothDARTS `optimizers/darts/model_search.py`).
        """
        inputs = (Row(f"inputs{node}", "parents", (node,)) for node in self.choosing_nodes)
        operations = Row("operations", "operation", (self.blocks, len(OPERATIONS)))
        return (operations, Row("output", "output", (self.blocks + 1,)), *inputs)

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

    def derive(self, rows: Sequence[npt.ArrayLike]) -> CellChoice:
        """The choice that a mixture stands for (`eval_darts_one_shot_model_in_nasbench.py:42-116`).

        Each block takes its largest operation, the first of equals; each choosing node and the output take as many
        parents as the space demands, the largest coefficients, later ones of equals.

        Args:
            rows: arrays of the shapes `row_shapes`.
        """
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
        return CellChoice(parents, tuple(OPERATIONS[index] for index in operations.argmax(axis=1)))

    def one_hot(self, architecture: Architecture) -> list[npt.NDArray[np.float64]]:
        """The 0/1 coefficients of a choice (SmoothDARTS `model_search.py`, discrete path).

        A node's row is its column of the adjacency matrix; nothing is divided by the number of parents.
        """
        assert isinstance(architecture, CellChoice)
        adjacency = self.matrix(architecture.parents).astype(np.float64)
        operations = np.zeros((self.blocks, len(OPERATIONS)))
        operations[np.arange(self.blocks), [OPERATIONS.index(op) for op in architecture.ops]] = 1
        columns = [adjacency[: self.blocks + 1, -1], *(adjacency[:node, node] for node in self.choosing_nodes)]
        return [operations, *columns]

    def sample(self, generator: random.Random) -> CellChoice:
        """A choice drawn uniformly over parents and operations, loose ends included (`search_space.py:35-69`)."""
        parents = tuple(
            tuple(sorted(generator.sample(range(node), count)))
            for node, count in enumerate(self.parent_counts, start=1)
        )
        return CellChoice(parents, tuple(generator.choices(OPERATIONS, k=self.blocks)))

    def read(self, content: Mapping[str, Any]) -> CellChoice:
        """The choice of a `to_json`, or one that makes the cell of an epoch line."""
        if "parents" not in content:
            return self.place(Cell(np.array(content["matrix"], dtype=np.int8), content["ops"]))
        choice = CellChoice(tuple(tuple(node) for node in content["parents"]), tuple(content["ops"]))
        self.cell(choice.parents, choice.ops)
        return choice

    def place(self, cell: Cell) -> CellChoice:
        """A choice that makes a cell: the first placement of its vertices, loose ends filled in the first way.

        Raises:
            ValueError: the space does not hold the cell.
        """
        from spaces.nb101.reachability import placements

        placed = placements(self, cell.matrix)
        if not placed:
            raise ValueError(f"{self.name}: does not hold the cell {cell.hash}")
        node_of = dict(enumerate((0, *placed[0], self.blocks + 1)))
        parents = [tuple(range(count)) for count in self.parent_counts]
        ops = [OPERATIONS[-1]] * self.blocks
        for vertex, above in enumerate(cell.parents[1:], start=1):
            parents[node_of[vertex] - 1] = tuple(sorted(node_of[parent] for parent in above))
        for vertex, op in enumerate(cell.ops[1:-1], start=1):
            ops[node_of[vertex] - 1] = op
        return CellChoice(tuple(parents), tuple(ops))

    def network(self, config: SupernetConfig, shape: InputShape) -> Network:
        """The plain supernet."""
        from spaces.nb101.supernet import Supernet

        return Supernet(self, config, shape)

    def record(self, architecture: Architecture) -> dict[str, Any]:
        """`cell`, `matrix` and `ops`, from which all else of a cell follows."""
        return architecture.record()

    def choices(self) -> tuple[CellChoices, ...]:
        """The decisions of the published controller: it visits the nodes 2..n+1, of which the last is the output.

        The operation that is drawn at a node goes to the block below it (SmoothDARTS `enas/micro_controller.py`).
        """
        nodes = tuple(NodeChoices(count, (len(OPERATIONS),)) for count in self.parent_counts[1:])
        return (CellChoices(inputs=2, nodes=nodes),)

    def decided(self, choices: Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]) -> CellChoice:
        """The choice of a controller's decisions; node 1 has the cell's input as its parent."""
        (nodes,) = choices
        parents = ((0,), *(tuple(sorted(above)) for above, _ in nodes))
        return CellChoice(parents, tuple(OPERATIONS[op] for _, (op,) in nodes))

    def variables(self) -> tuple[Variable, ...]:
        """The operation of each block, then the parents of each node that chooses them, of the output last."""
        operations = (Variable(f"operation of {block}", "operation", OPERATIONS) for block in range(1, self.blocks + 1))
        parents = (
            Variable("parents of output" if node > self.blocks else f"parents of {node}", "parents", options)
            for node, options in self._parent_options
        )
        return (*operations, *parents)

    def values_of(self, architecture: Architecture) -> tuple[int, ...]:
        """The number of each block's operation, then that of the parents of each choosing node.

        Raises:
            ValueError: the choice is none of this space.
        """
        assert isinstance(architecture, CellChoice)
        operations = (OPERATIONS.index(op) for op in architecture.ops)
        parents = (options.index(architecture.parents[node - 1]) for node, options in self._parent_options)
        return (*operations, *parents)

    def of_values(self, values: Sequence[int]) -> CellChoice:
        """The choice with these operations and parents; nodes without a choice take all nodes below them."""
        parents = [tuple(range(node)) for node in range(1, self.blocks + 2)]
        for (node, options), value in zip(self._parent_options, values[self.blocks :], strict=True):
            parents[node - 1] = options[value]
        return CellChoice(tuple(parents), tuple(OPERATIONS[value] for value in values[: self.blocks]))

    def enumerate(self) -> list[Architecture]:
        """A choice for each of the `cells`, in their order."""
        return [self.place(cell) for cell in self.cells()]

    def cells(self) -> list[Cell]:
        """All cells that a search in this space can return, one for each hash: 2,685 / 7,773 / 55,854.

        Of the isomorphic variants the one met first stands for all; the order is fixed. (Isomorphic cells are those of
        equal hash, which would take ten times as long to tell.) The published enumeration without loose ends
        (`search_space.py:130-146`) is incomplete and finds 2,127 / 3,258 / 17,940.
        """
        cells: dict[tuple[bytes, tuple[str, ...]], Cell] = {}
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
                if (key, smallest) not in cells:
                    ops = [OPERATIONS[-1]] * self.blocks
                    for block, label in zip(used.tolist(), labels, strict=True):
                        ops[block - 1] = label
                    cells[key, smallest] = Cell(matrix, (INPUT, *ops, OUTPUT))
        return list(cells.values())

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
    """The space of a number, as the table's rooms ask for it (`spaces.registry` knows all spaces by name).

    Raises:
        ValueError: no such space.
    """
    if number not in SPACES:
        raise ValueError(f"unknown space {number!r}; known: {', '.join(map(str, SPACES))}")
    return SPACES[number]
