"""A mixture: the coefficients that a supernet actually multiplies, as rows on probability simplices.

How alphas become a mixture (softmax, Gumbel, one-hot, perturbed) is the optimizer's business. To it a mixture is a
tuple of tensors whose last dimension lies on a simplex, each described by a `Row`; what a row means inside a cell, only
the space knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

RowKind = Literal["operation", "parents", "output"]
"""What a row chooses: the operation of a block or an edge, the inputs of a node, or what a cell's output is made of."""


@dataclass(frozen=True)
class Row:
    """One tensor of a mixture.

    Attributes:
        name: what it is called, such as `operations`.
        kind: what its entries choose.
        shape: its shape where cells of a kind share it; along the last dimension its entries lie on a simplex.
        group: the kind of cell that it serves, such as `normal`.
    """

    name: str
    kind: RowKind
    shape: tuple[int, ...]
    group: str = "cell"


Layout = tuple[Row, ...]
"""The rows of a mixture, in the order of its tensors."""


@dataclass(frozen=True)
class Mixture:
    """Coefficients of all cells of a kind alike, or of each cell.

    Attributes:
        layout: what the rows are.
        rows: a tensor for each row, of its shape; where cells have coefficients of their own, with a first dimension of
            the cells of its group.
    """

    layout: Layout
    rows: tuple[Tensor, ...]

    @property
    def per_cell(self) -> bool:
        """Whether each cell has coefficients of its own."""
        return self.rows[0].dim() > len(self.layout[0].shape)

    def map(self, function: Callable[[Tensor], Tensor]) -> Mixture:
        """The mixture with the function applied to each tensor."""
        return Mixture(self.layout, tuple(function(row) for row in self.rows))

    def with_rows(self, rows: Sequence[Tensor]) -> Mixture:
        """Other coefficients of the same layout."""
        return Mixture(self.layout, tuple(rows))

    def detach(self) -> Mixture:
        """The same coefficients without their history."""
        return self.map(lambda row: row.detach())

    def of_cells(self, groups: Sequence[str]) -> list[tuple[Tensor, ...]]:
        """For each cell the rows of its kind, in the order of the layout.

        Args:
            groups: the kind of each cell, as `Network.groups` has it.

        Raises:
            ValueError: these are the coefficients of another number of cells.
        """
        shared = {group: tuple(self.rows[index] for index in self.indices(group)) for group in dict.fromkeys(groups)}
        if not self.per_cell:
            return [shared[group] for group in groups]
        for group, rows in shared.items():
            if any(len(row) != groups.count(group) for row in rows):
                raise ValueError(f"expected coefficients of {groups.count(group)} cells, got {len(rows[0])}")
        cells = {group: iter(zip(*(row.unbind() for row in rows), strict=True)) for group, rows in shared.items()}
        return [next(cells[group]) for group in groups]

    def indices(self, group: str) -> list[int]:
        """Which rows serve the cells of a kind."""
        return [index for index, row in enumerate(self.layout) if row.group == group]

    def along(self, entries: Tensor) -> list[Tensor]:
        """Directions `[k, coefficients]`, all coefficients flattened and in order, as `[k, *shape]` of each tensor."""
        parts = entries.split([row.numel() for row in self.rows], dim=1)  # type: ignore[no-untyped-call]
        return [part.reshape(-1, *row.shape) for part, row in zip(parts, self.rows, strict=True)]


def groups_of(layout: Layout) -> list[str]:
    """The kinds of cell that some rows serve, in the order of their first rows."""
    return list(dict.fromkeys(row.group for row in layout))
