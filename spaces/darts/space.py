"""The DARTS cell space and S1 to S4: which operations each edge may carry, and what a mixture stands for.

`darts` has the eight operations of DARTS on every edge (Liu et al. 2019); `darts7` leaves out `none`, as SmoothDARTS
does where it calls the space s5. S1 to S4 are the spaces of RobustDARTS (Zela et al. 2020a), in which plain DARTS
fails: S1 has two operations an edge, each edge its own two; S2 `skip_connect` and `sep_conv_3x3`; S3 these and `none`;
S4 `noise` and `sep_conv_3x3`. The lists are those of SmoothDARTS `sota/cnn/spaces.py`.

A mixture has a row tensor `[14, operations]` for normal and one for reduction cells; row e is the simplex of edge e
(`spaces.darts.operations.EDGES`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.base import Architecture, CellChoices, DerivedSize, InputShape, Network, NodeChoices, Space, Unsupported
from spaces.darts.config import SupernetConfig
from spaces.darts.genotype import EDGES_PER_NODE, CellChoice, Choice, Genotype
from spaces.darts.operations import (
    AVERAGE_POOL,
    EDGES,
    GROUPS,
    INPUTS,
    KNOWN,
    MAX_POOL,
    NODES,
    NOISE,
    NONE,
    NORMAL,
    OPERATIONS,
    PARAMETER_FREE,
    REDUCE,
    SKIP,
    edges_into,
)
from spaces.mixture import Layout, Row

EdgeOperations = tuple[tuple[str, ...], ...]
"""The operations of each of the 14 edges."""

SEP3, DIL3, DIL5 = "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"

S1_NORMAL: EdgeOperations = (
    (SKIP, DIL3),
    (SKIP, DIL5),
    (SKIP, DIL5),
    (SKIP, SEP3),
    (SKIP, DIL3),
    (MAX_POOL, SKIP),
    (SKIP, SEP3),
    (SKIP, SEP3),
    (SKIP, DIL3),
    (SKIP, SEP3),
    (MAX_POOL, SKIP),
    (SKIP, DIL3),
    (DIL3, DIL5),
    (DIL3, DIL5),
)
S1_REDUCE: EdgeOperations = (
    (MAX_POOL, AVERAGE_POOL),
    (MAX_POOL, DIL3),
    (MAX_POOL, AVERAGE_POOL),
    (MAX_POOL, AVERAGE_POOL),
    (SKIP, DIL5),
    (MAX_POOL, AVERAGE_POOL),
    (MAX_POOL, SEP3),
    (SKIP, DIL3),
    (SKIP, DIL5),
    (MAX_POOL, AVERAGE_POOL),
    (MAX_POOL, AVERAGE_POOL),
    (SKIP, DIL5),
    (SKIP, DIL5),
    (SKIP, DIL5),
)


class DartsSpace(Space[SupernetConfig]):
    """A space of normal and reduction cells.

    Args:
        name: what `--space` takes.
        summary: one line with the source.
        normal: the operations of each edge of a normal cell.
        reduce: those of each edge of a reduction cell.
        edge_weights: whether a mixture also weighs the edges that lead to a node (PC-DARTS's edge normalisation, Xu et
            al. 2020, section 3.3). It then has, for each kind of cell, a row `[2]`, `[3]`, `[4]` and `[5]` more, over
            the edges to each node; an edge counts with the product of both.

    Raises:
        ValueError: other than 14 edges, edges with different numbers of operations, or an unknown operation.
    """

    config_class = SupernetConfig
    parameter_free = PARAMETER_FREE

    def __init__(
        self, name: str, summary: str, normal: EdgeOperations, reduce: EdgeOperations, edge_weights: bool = False
    ) -> None:
        self.name = self.label = name
        self.summary = summary
        self.edge_weights = edge_weights
        self.edge_operations = {NORMAL: normal, REDUCE: reduce}
        """For each kind of cell the operations of each edge: the labels of a row tensor's entries."""
        for group, operations in self.edge_operations.items():
            _check_edges(group, operations)
        self.layout = self._layout()

    def derive(self, rows: Sequence[npt.ArrayLike]) -> Genotype:
        """The genotype that a mixture stands for (SmoothDARTS `sota/cnn/model_search.py`, `genotype`).

        A node keeps the two edges whose largest coefficient, `none` left out, is largest, the lower edge of equals; an
        edge keeps the operation of that coefficient, the first of equals. With edge weights it is their product with
        the coefficients that counts (PC-DARTS `model_search.py`, `genotype`).

        Args:
            rows: arrays of the shapes `row_shapes`.

        Raises:
            ValueError: other shapes.
        """
        arrays = [np.asarray(row) for row in rows]
        if tuple(array.shape for array in arrays) != self.row_shapes:
            raise ValueError(f"expected rows of shapes {self.row_shapes}, got {tuple(a.shape for a in arrays)}")
        cells = []
        for position, group in enumerate(GROUPS):
            strengths = arrays[position]
            if self.edge_weights:
                first = len(GROUPS) + NODES * position
                strengths = strengths * np.concatenate(arrays[first : first + NODES])[:, None]
            cells.append(self._strongest(group, strengths))
        return Genotype(*cells)

    def one_hot(self, architecture: Architecture) -> list[npt.NDArray[np.float64]]:
        """The 0/1 coefficients at which a network computes this genotype.

        Eight edges of a cell carry a 1 each. An edge that was not kept has zeros only, so its row is no simplex.

        Raises:
            ValueError: the genotype is none of this space.
        """
        genotype = self.check(architecture)
        rows = [np.zeros(shape) for shape in self.row_shapes]
        for position, group in enumerate(GROUPS):
            for place, (operation, source) in enumerate(genotype.cell(group)):
                edge = edge_of(place, source)
                rows[position][edge, self.edge_operations[group][edge].index(operation)] = 1
                if self.edge_weights:
                    rows[len(GROUPS) + NODES * position + place // EDGES_PER_NODE][source] = 1
        return rows

    def sample(self, generator: random.Random) -> Genotype:
        """A genotype drawn uniformly: for each node two states below it, and an operation for each, never `none`."""
        cells = []
        for group in GROUPS:
            cell: list[Choice] = []
            for node in range(INPUTS, INPUTS + NODES):
                for source in sorted(generator.sample(range(node), EDGES_PER_NODE)):
                    cell.append((generator.choice(self.candidates(group, edges_into(node)[source])), source))
            cells.append(tuple(cell))
        return Genotype(*cells)

    def read(self, content: Mapping[str, Any]) -> Genotype:
        """The genotype whose `to_json` this is.

        Raises:
            ValueError: it is none of this space.
        """
        return self.check(Genotype.from_json(content))

    def parse(self, text: str) -> Genotype:
        """The genotype of `Genotype(normal=[...], normal_concat=range(2, 6), ...)`.

        Raises:
            ValueError: it is none of this space.
        """
        return self.check(Genotype.from_text(text))

    def check(self, genotype: Architecture) -> Genotype:
        """The genotype, refused if a search in this space cannot return it.

        Raises:
            ValueError: an architecture of another kind, or an edge with an operation that it may not carry here.
        """
        if not isinstance(genotype, Genotype):
            raise ValueError(f"{self.name}: expected a genotype, got {type(genotype).__name__}")
        for group in GROUPS:
            for place, (operation, source) in enumerate(genotype.cell(group)):
                candidates = self.candidates(group, edge_of(place, source))
                if operation not in candidates:
                    node = INPUTS + place // EDGES_PER_NODE
                    raise ValueError(
                        f"{self.name}: the {group} cell's edge from {source} to {node} carries one of "
                        f"{', '.join(candidates)}, got {operation}"
                    )
        return genotype

    def network(self, config: SupernetConfig, shape: InputShape) -> Network:
        """The published search network (`spaces.darts.supernet`).

        Raises:
            ValueError: the settings do not go together.
        """
        from spaces.darts.supernet import DartsSupernet

        return DartsSupernet(self, self.edge_operations, config, shape, self.edge_weights)

    def derived_network(
        self, architecture: Architecture, config: SupernetConfig, shape: InputShape, size: DerivedSize
    ) -> Network:
        """The network of a genotype's two cells, with affine batch norms (`spaces.darts.derived`).

        Raises:
            ValueError: the genotype is none of this space, or fewer than three cells.
        """
        from spaces.darts.derived import DerivedConfig, GenotypeNetwork

        derived = DerivedConfig(
            channels=size.channels or config.channels,
            cells=size.cells or config.cells,
            stem="imagenet" if size.large_images else "small",
            auxiliary=size.auxiliary,
        )
        return GenotypeNetwork(self, self.check(architecture), derived, shape)

    def choices(self) -> tuple[CellChoices, ...]:
        """A normal and a reduction cell: for each node two states below it, and an operation for each, never `none`."""
        cells = []
        for group in GROUPS:
            nodes = []
            for node in range(INPUTS, INPUTS + NODES):
                counts = {len(self.candidates(group, edge)) for edge in edges_into(node)}
                if len(counts) > 1:
                    raise Unsupported(f"{self.name}: edges to one node differ in how many operations they have")
                nodes.append(NodeChoices(EDGES_PER_NODE, tuple(counts) * EDGES_PER_NODE))
            cells.append(CellChoices(INPUTS, tuple(nodes)))
        return tuple(cells)

    def decided(self, choices: Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]) -> Genotype:
        """The genotype of a controller's decisions.

        Args:
            choices: for the normal and the reduction cell, for each node, two parents, and for each of these the number
                of its operation among the `candidates` of that edge.
        """
        cells = []
        for group, nodes in zip(GROUPS, choices, strict=True):
            cell: list[Choice] = []
            for node, (parents, operations) in enumerate(nodes, start=INPUTS):
                for source, operation in zip(parents, operations, strict=True):
                    cell.append((self.candidates(group, edges_into(node)[source])[operation], source))
            cells.append(tuple(cell))
        return Genotype(*cells)

    def labels(self) -> tuple[EdgeOperations, ...]:
        """The operations of each edge, of the normal cell and of the reduction cell.

        Raises:
            Unsupported: the space weighs edges, too.
        """
        if self.edge_weights:
            raise Unsupported(f"{self.name}: weighs edges beside operations, and its edges are no operations")
        return tuple(self.edge_operations[group] for group in GROUPS)

    def narrowed(self, labels: Sequence[Sequence[Sequence[str]]]) -> DartsSpace:
        """The space in which each edge has these operations alone.

        Raises:
            ValueError: not of 14 edges with equally many known operations each.
        """
        normal, reduce = (tuple(tuple(operations) for operations in edges) for edges in labels)
        return DartsSpace(self.name, self.summary, normal, reduce, self.edge_weights)

    def candidates(self, group: str, edge: int) -> tuple[str, ...]:
        """The operations that a kept edge may have: those of the edge without `none`."""
        return tuple(operation for operation in self.edge_operations[group][edge] if operation != NONE)

    @property
    def size(self) -> int:
        """How many pairs of cells a search can return, isomorphic ones counted apart: 46,080^2 in S2 to S4."""
        total = 1
        for group in GROUPS:
            for node in range(INPUTS, INPUTS + NODES):
                counts = [len(self.candidates(group, edge)) for edge in edges_into(node)]
                total *= sum(math.prod(pair) for pair in _pairs(counts))
        return total

    def _layout(self) -> Layout:
        operations = [
            Row(f"{group} operations", "operation", (len(EDGES), len(self.edge_operations[group][0])), group)
            for group in GROUPS
        ]
        if not self.edge_weights:
            return tuple(operations)
        edges = [
            Row(f"{group} edges to node {node}", "parents", (node,), group)
            for group in GROUPS
            for node in range(INPUTS, INPUTS + NODES)
        ]
        return (*operations, *edges)

    def _strongest(self, group: str, strengths: npt.NDArray[Any]) -> CellChoice:
        cell: list[Choice] = []
        for node in range(INPUTS, INPUTS + NODES):
            best: list[tuple[Any, str, int]] = []
            for source, edge in enumerate(edges_into(node)):
                counting = [
                    (strengths[edge, entry], operation)
                    for entry, operation in enumerate(self.edge_operations[group][edge])
                    if operation != NONE
                ]
                # max keeps the first of equals
                strength, operation = max(counting, key=lambda candidate: candidate[0])
                best.append((strength, operation, source))
            # sorting is stable: of equals the lower edge comes first
            best.sort(key=lambda candidate: -candidate[0])
            cell.extend((operation, source) for _, operation, source in best[:EDGES_PER_NODE])
        return tuple(cell)


def edge_of(place: int, source: int) -> int:
    """The edge that the pair at a place of a genotype's cell stands for.

    Args:
        place: 0 to 7; pairs 2 n and 2 n + 1 lead to node n + 2.
        source: the state that the edge comes from.
    """
    return edges_into(INPUTS + place // EDGES_PER_NODE)[source]


def _pairs(counts: Sequence[int]) -> list[tuple[int, int]]:
    return [(first, second) for index, first in enumerate(counts) for second in counts[index + 1 :]]


def _check_edges(group: str, operations: EdgeOperations) -> None:
    if len(operations) != len(EDGES):
        raise ValueError(f"{group}: expected the operations of {len(EDGES)} edges, got {len(operations)}")
    if len({len(labels) for labels in operations}) != 1:
        raise ValueError(f"{group}: expected as many operations on every edge, got {[len(o) for o in operations]}")
    for edge, labels in enumerate(operations):
        unknown = [label for label in labels if label not in KNOWN]
        if unknown or len(set(labels)) != len(labels) or set(labels) <= {NONE}:
            raise ValueError(
                f"{group}: edge {edge} has different operations of {', '.join(KNOWN)}, not `none` alone; got {labels}"
            )


def _alike(*operations: str) -> tuple[EdgeOperations, EdgeOperations]:
    """The same operations on every edge of both kinds of cells."""
    return (operations,) * len(EDGES), (operations,) * len(EDGES)


SPACES = {
    space.name: space
    for space in (
        DartsSpace("darts", "DARTS cells, 8 operations with none (Liu et al. 2019)", *_alike(*OPERATIONS)),
        DartsSpace(
            "darts7", "DARTS cells, 7 operations without none (SmoothDARTS, section 5.2)", *_alike(*OPERATIONS[1:])
        ),
        DartsSpace(
            "darts_edges",
            "DARTS cells with weights of edges beside those of the 8 operations (PC-DARTS, Xu et al. 2020)",
            *_alike(*OPERATIONS),
            edge_weights=True,
        ),
        DartsSpace("s1", "S1: two operations an edge, its own (RobustDARTS, Zela et al. 2020a)", S1_NORMAL, S1_REDUCE),
        DartsSpace("s2", "S2: skip_connect, sep_conv_3x3 (RobustDARTS)", *_alike(SKIP, SEP3)),
        DartsSpace("s3", "S3: none, skip_connect, sep_conv_3x3 (RobustDARTS)", *_alike(NONE, SKIP, SEP3)),
        DartsSpace("s4", "S4: noise, sep_conv_3x3 (RobustDARTS)", *_alike(NOISE, SEP3)),
    )
}
"""The spaces by name."""
