"""Cells with operations on edges: input to inner node, input to output, inner node to output.

A network has two kinds of cell, which choose apart: `reduce` halves its maps before its first edge, `normal` does not.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from spaces.base import (
    Architecture,
    CellChoices,
    Demand,
    Graph,
    InputShape,
    Network,
    NetworkConfig,
    NodeChoices,
    Space,
    Variable,
    check_partial_channels,
)
from spaces.mixture import Row
from spaces.ranges import Range

SKIP, CONV3X3, CONV1X1, POOL = "skip", "conv3x3", "conv1x1", "avgpool3x3"
OPERATIONS = (SKIP, CONV3X3, CONV1X1, POOL)

EDGES = ((0, 1), (0, 2), (1, 2))
"""From node to node: 0 is the cell's input, 2 its output."""

KINDS = ("normal", "reduce")


@dataclass(frozen=True)
class ToyConfig(NetworkConfig):
    """Size and quirks of the network."""

    channels: Annotated[int, Range(1, 4096)] = 8
    """Width of every map."""

    cells: Annotated[int, Range(1, 200)] = 4
    """Number of cells, normal ones and reductions in turn."""

    partial_channels: Annotated[int, Range(1, 4096)] = 1
    """k: the first k-th of an edge's channels goes through the operations, the others pass by."""

    batchnorm_momentum: Annotated[float, Range(0, 1)] = 0.1
    """Share of the last batch in the running statistics."""

    def __post_init__(self) -> None:
        if min(self.channels, self.cells, self.partial_channels) < 1:
            raise ValueError("expected at least 1 cell, 1 channel and 1 part of the channels")

    def check(self) -> None:
        """Refuse channels that do not split into parts, and a network without a cell of each kind."""
        check_partial_channels(self.channels, self.partial_channels)
        if self.cells < len(KINDS):
            raise ValueError(f"expected network.cells ({self.cells}) of at least {len(KINDS)}, one of each kind")

    def demand(self, shape: InputShape, pixels: int) -> Demand:
        """What a network takes at the least: a 3x3 convolution of each cell, and the map of the first one.

        Maps are halved again and again while the channels stay, so that those of later cells weigh next to nothing.
        """
        working = self.channels // self.partial_channels
        parameters = 3 * 9 * self.cells * working**2 + self.channels * shape.outputs
        return Demand(parameters, self.channels * pixels)

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, {self.cells} cells"


@dataclass(frozen=True)
class ToyArchitecture(Architecture):
    """The operation of each of the `EDGES`, for each of the `KINDS` of cell."""

    cells: tuple[tuple[str, ...], ...]

    @property
    def key(self) -> str:
        """The operations, those of cells that compute the same in one order."""
        return " ".join(f"{kind}:{','.join(_canonical(ops))}" for kind, ops in zip(KINDS, self.cells, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Kind of cell -> operations."""
        return {kind: list(ops) for kind, ops in zip(KINDS, self.cells, strict=True)}

    def graphs(self) -> tuple[Graph, ...]:
        """Both cells, with operations on edges."""
        edges = ([(*edge, op) for edge, op in zip(EDGES, ops, strict=True)] for ops in self.cells)
        return tuple(Graph(("input", "", "output"), tuple(cell), kind) for cell, kind in zip(edges, KINDS, strict=True))

    def operations(self) -> tuple[str, ...]:
        """Labels of all edges of both cells."""
        return tuple(itertools.chain(*self.cells))


def _canonical(ops: tuple[str, ...]) -> tuple[str, ...]:
    """Operations alike for all cells that compute the same: a skip makes two edges one, and edges side by side add."""
    first, direct, second = ops
    if SKIP not in (first, second):
        return ops
    return (SKIP, *sorted((direct, second if first == SKIP else first)))


class ToySpace(Space[ToyConfig]):
    """Three edges of four operations in each of two kinds of cell: 4,096 architectures, 2,116 that differ."""

    name = label = "toy"
    summary = "two kinds of cell with three edges each, for trials; no table knows it"
    layout = tuple(Row(kind, "operation", (len(EDGES), len(OPERATIONS)), kind) for kind in KINDS)
    config_class = ToyConfig
    parameter_free = frozenset({SKIP, POOL})

    def derive(self, rows: Sequence[npt.ArrayLike]) -> ToyArchitecture:
        """The largest operation of each edge, the first of equals."""
        arrays = [np.asarray(row) for row in rows]
        if tuple(array.shape for array in arrays) != self.row_shapes:
            raise ValueError(f"expected rows of shapes {self.row_shapes}, got {tuple(a.shape for a in arrays)}")
        return ToyArchitecture(tuple(tuple(OPERATIONS[best] for best in array.argmax(axis=1)) for array in arrays))

    def one_hot(self, architecture: Architecture) -> list[npt.NDArray[np.float64]]:
        """A one at the operation of each edge."""
        assert isinstance(architecture, ToyArchitecture)
        return [np.eye(len(OPERATIONS))[[OPERATIONS.index(op) for op in ops]] for ops in architecture.cells]

    def sample(self, generator: random.Random) -> ToyArchitecture:
        """Operations drawn uniformly."""
        return ToyArchitecture(tuple(tuple(generator.choices(OPERATIONS, k=len(EDGES))) for _ in KINDS))

    def read(self, content: Mapping[str, Any]) -> ToyArchitecture:
        """The architecture whose `to_json` this is."""
        cells = tuple(tuple(content.get(kind, ())) for kind in KINDS)
        if any(len(ops) != len(EDGES) or not set(ops) <= set(OPERATIONS) for ops in cells):
            raise ValueError(f"expected {len(EDGES)} operations for each of {', '.join(KINDS)}, got {dict(content)}")
        return ToyArchitecture(cells)

    def network(self, config: ToyConfig, shape: InputShape) -> Network:
        """The supernet."""
        from spaces.toy.network import ToyNetwork

        return ToyNetwork(self, config, shape)

    def choices(self) -> tuple[CellChoices, ...]:
        """At each node the operations of the edges that lead there; all nodes before it are its parents."""
        count = len(OPERATIONS)
        return (CellChoices(1, (NodeChoices(0, (count,)), NodeChoices(0, (count, count)))),) * len(KINDS)

    def decided(self, choices: Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]) -> ToyArchitecture:
        """The architecture of a controller's decisions, whose order is that of the edges."""
        return ToyArchitecture(tuple(tuple(OPERATIONS[op] for _, ops in nodes for op in ops) for nodes in choices))

    def variables(self) -> tuple[Variable, ...]:
        """The operation of each edge, of the normal cell first."""
        return tuple(
            Variable(f"{kind} {target}<-{source}", "operation", OPERATIONS)
            for kind in KINDS
            for source, target in EDGES
        )

    def values_of(self, architecture: Architecture) -> tuple[int, ...]:
        """The number of each edge's operation."""
        assert isinstance(architecture, ToyArchitecture)
        return tuple(OPERATIONS.index(op) for ops in architecture.cells for op in ops)

    def of_values(self, values: Sequence[int]) -> ToyArchitecture:
        """The architecture with these operations."""
        ops = tuple(OPERATIONS[value] for value in values)
        return ToyArchitecture((ops[: len(EDGES)], ops[len(EDGES) :]))

    def enumerate(self) -> list[Architecture]:
        """The first architecture of each key."""
        cells = list(itertools.product(OPERATIONS, repeat=len(EDGES)))
        distinct: dict[str, Architecture] = {}
        for pair in itertools.product(cells, repeat=len(KINDS)):
            distinct.setdefault((architecture := ToyArchitecture(pair)).key, architecture)
        return list(distinct.values())
