"""A NAS-Bench-101 cell as an architecture of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spaces.base import Architecture, Graph
from spaces.nb101.cell import Cell


@dataclass(frozen=True)
class CellArchitecture(Architecture):
    """A cell, known by its hash."""

    cell: Cell

    @property
    def key(self) -> str:
        """The hash."""
        return self.cell.hash

    def to_json(self) -> dict[str, Any]:
        """Matrix and operations."""
        return self.cell.to_json()

    def graphs(self) -> tuple[Graph, ...]:
        """No drawing."""
        return ()

    def operations(self) -> tuple[str, ...]:
        """Of the inner vertices."""
        return self.cell.ops[1:-1]
