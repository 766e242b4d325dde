"""The rows of a NAS-Bench-1Shot1 mixture by what they mean in a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Coefficients(NamedTuple):
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
        """The tensors in the space's order (`SearchSpace.layout`)."""
        return (self.operations, self.output, *self.inputs)

    @classmethod
    def from_rows(cls, rows: Sequence[Tensor]) -> Coefficients:
        """The coefficients that these tensors are, in the space's order."""
        return cls(rows[0], rows[1], tuple(rows[2:]))

    def of_cells(self, cells: int) -> list[Coefficients]:
        """The coefficients of each of so many cells."""
        if self.operations.dim() == 2:
            return [self] * cells
        return [Coefficients.from_rows(rows) for rows in zip(*(row.unbind() for row in self.rows), strict=True)]
