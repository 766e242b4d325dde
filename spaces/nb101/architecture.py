"""An architecture of NAS-Bench-1Shot1: a choice of parents and operations, loose ends included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spaces.base import Architecture, Graph
from spaces.nb101.cell import INPUT, OPERATIONS, OUTPUT, Cell

ParentChoice = tuple[tuple[int, ...], ...]
"""The parents of each of the nodes 1..n+1; the last is the output."""


@dataclass(frozen=True)
class CellChoice(Architecture):
    """A choice in a space: which blocks of the supernet a cell takes.

    Blocks that do not lead to the output are loose ends; they belong to the choice, not to the cell. So choices that
    differ may be one cell, and cells that are one to the table may be different functions of a supernet's weights.

    Attributes:
        parents: parents of the nodes 1..n+1.
        ops: operation of each of the n blocks, in the order of the nodes.
    """

    parents: ParentChoice
    ops: tuple[str, ...]

    @cached_property
    def cell(self) -> Cell:
        """The cell, without loose ends, as the table knows it."""
        nodes = len(self.parents)
        matrix = np.zeros((nodes + 1, nodes + 1), dtype=np.int8)
        for node, chosen in enumerate(self.parents, start=1):
            matrix[list(chosen), node] = 1
        return Cell(matrix, (INPUT, *self.ops, OUTPUT))

    @property
    def key(self) -> str:
        """The cell's hash, the key of the official table."""
        return self.cell.hash

    def to_json(self) -> dict[str, Any]:
        """Parents and operations."""
        return {"parents": [list(node) for node in self.parents], "ops": list(self.ops)}

    def record(self) -> dict[str, Any]:
        """The entries of an epoch line: `cell`, `matrix` and `ops` of the pruned cell."""
        return self.cell.to_json()

    def graphs(self) -> tuple[Graph, ...]:
        """The cell, with the operations in its vertices."""
        edges = tuple((int(start), int(end), "") for start, end in np.argwhere(self.cell.matrix))
        return (Graph(self.cell.ops, edges),)

    def operations(self) -> tuple[str, ...]:
        """Labels of the cell's interior vertices."""
        return self.cell.ops[1:-1]

    def computed(self) -> CellChoice:
        """What is computed: nodes that do not lead to the output have no parents and the first operation."""
        live = {len(self.parents)}
        for node in range(len(self.parents), 0, -1):
            if node in live:
                live.update(self.parents[node - 1])
        parents = tuple(chosen if node in live else () for node, chosen in enumerate(self.parents, start=1))
        ops = tuple(op if node in live else OPERATIONS[0] for node, op in enumerate(self.ops, start=1))
        return CellChoice(parents, ops)
