"""A mixture: the coefficients that a supernet actually multiplies.

How alphas become a mixture (softmax, Gumbel, one-hot, perturbed) is the optimizer's business. To it a mixture is a
tuple of tensors whose last dimension lies on the probability simplex; what the rows mean, only the space knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spaces.nb101.cell import OPERATIONS
from spaces.nb101.space import ParentChoice, SearchSpace


class Mixture(NamedTuple):
    """Coefficients of one cell, or of all cells alike.

    Where cells differ, every tensor has a first dimension of cells before the shape given here.

    Attributes:
        operations: `[n, 3]`, a row for each choice block over maxpool, conv3x3, conv1x1.
        output: `[n + 1]`, over the cell's input and the n blocks.
        inputs: one vector for each choosing node `k`, `[k]`, over the cell's input and the blocks below it.
    """

    operations: Tensor
    output: Tensor
    inputs: tuple[Tensor, ...]

    @property
    def rows(self) -> tuple[Tensor, ...]:
        """The tensors in the space's order (`SearchSpace.row_shapes`)."""
        return (self.operations, self.output, *self.inputs)

    @classmethod
    def from_rows(cls, rows: Sequence[Tensor]) -> Mixture:
        """The mixture with these tensors, in the space's order."""
        return cls(rows[0], rows[1], tuple(rows[2:]))

    def of_cells(self, cells: int) -> list[Mixture]:
        """The coefficients of each of so many cells.

        Raises:
            ValueError: these are the coefficients of another number of cells.
        """
        if self.operations.dim() == 2:
            return [self] * cells
        if len(self.operations) != cells:
            raise ValueError(f"expected coefficients of {cells} cells, got {len(self.operations)}")
        return [Mixture.from_rows(rows) for rows in zip(*(row.unbind() for row in self.rows), strict=True)]

    def map(self, function: Callable[[Tensor], Tensor]) -> Mixture:
        """The mixture with the function applied to each tensor."""
        return Mixture.from_rows([function(row) for row in self.rows])

    def along(self, entries: Tensor) -> list[Tensor]:
        """Directions `[k, coefficients]`, all coefficients flattened and in order, as `[k, *shape]` of each tensor."""
        parts = torch.split(entries, [row.numel() for row in self.rows], dim=1)
        return [part.reshape(-1, *row.shape) for part, row in zip(parts, self.rows, strict=True)]

    def detach(self) -> Mixture:
        """The same coefficients without their history."""
        return self.map(Tensor.detach)


def discrete_mixture(
    space: SearchSpace, parents: ParentChoice, ops: Sequence[str], dtype: torch.dtype = torch.float32
) -> Mixture:
    """The 0/1 coefficients of one architecture, loose ends allowed (SmoothDARTS `model_search.py`, discrete path).

    A node's row is its column of the adjacency matrix; nothing is divided by the number of parents.

    Args:
        parents: parents of the nodes 1..n+1.
        ops: operation of each of the n blocks.
    """
    adjacency = space.matrix(parents)
    operations = np.zeros((space.blocks, len(OPERATIONS)))
    operations[np.arange(space.blocks), [OPERATIONS.index(op) for op in ops]] = 1
    columns = [adjacency[: space.blocks + 1, -1], *(adjacency[:node, node] for node in space.choosing_nodes)]
    return Mixture.from_rows([torch.tensor(row, dtype=dtype) for row in (operations, *columns)])
