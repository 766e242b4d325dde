"""An epoch's line, read by name: numbers that are numbers, the architecture as graphs that can be drawn.

A line of another version may lack an entry, and a damaged one may hold anything in it. A view gives what it can and
None for the rest, and what this version does not know stays in `content`.

A line says which architecture it is about in one of two forms. In the spaces of NAS-Bench-101: `cell`, its hash, with
`matrix` and `ops`. In any other: `cell`, its key, `architecture`, its choices, and `graphs`, a list of

    {"title": "normal", "nodes": ["c_{k-2}", ...], "edges": [[0, 2, "sep_conv_3x3"], ...]}

with nodes in an order in which every edge points forwards. Both come out as `Graph`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.records.run_folder import Line

DIVERGED = "diverged"
"""The entry of a last line that says which quantity stopped being a number, and when."""

PARAMETER_FREE = ("maxpool3x3",)
"""The operations of NAS-Bench-101 that have no parameters."""


@dataclass(frozen=True)
class Graph:
    """A cell as it is drawn.

    Attributes:
        title: what kind of cell this is, such as `normal`; empty where there is one kind only.
        nodes: a label each.
        edges: (from, to, label); the label is empty where the operation is in the node.
    """

    title: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class Drawable:
    """An architecture that a line holds.

    Attributes:
        key: what its space knows it by; equal for equal architectures.
        graphs: its cells.
    """

    key: str
    graphs: tuple[Graph, ...]


@dataclass(frozen=True)
class EpochLine:
    """A line of `epochs.jsonl`.

    Attributes:
        content: everything in it.
    """

    content: Line

    def number(self, name: str) -> float | None:
        """An entry that is a finite number; None for anything else."""
        number = as_number(self.content.get(name))
        return number if number is not None and math.isfinite(number) else None

    @property
    def has_alphas(self) -> bool:
        """Whether it holds architecture parameters, of whatever shape."""
        return bool(self.content.get("alphas"))

    @property
    def training_seconds(self) -> float:
        """Seconds of training in this epoch, without measuring; NaN where they were not recorded."""
        recorded = self.content.get("seconds")
        value = as_number(recorded.get("train")) if isinstance(recorded, dict) else None
        return value if value is not None and value >= 0 else math.nan

    @property
    def parameter_free(self) -> float | None:
        """The share of the architecture's operations that have no parameters.

        It is recorded by the spaces that know their operations, and counted here for those of NAS-Bench-101. None
        where there is no operation.
        """
        if (recorded := self.number("parameter_free")) is not None:
            return recorded
        operations = self.operations
        return sum(operation in PARAMETER_FREE for operation in operations) / len(operations) if operations else None

    @property
    def operations(self) -> list[Any]:
        """The labels of the operations that count, one for each use; empty where the line holds none."""
        recorded, vertices = self.content.get("operations"), self.content.get("ops")
        if isinstance(recorded, list):
            return recorded
        return vertices[1:-1] if isinstance(vertices, list) else []

    @property
    def architecture(self) -> Drawable | None:
        """The architecture, None where the line holds none that can be drawn."""
        graphs = self._graphs() if "graphs" in self.content else self._nasbench_graph()
        return None if graphs is None else Drawable(str(self.content.get("cell")), graphs)

    def _graphs(self) -> tuple[Graph, ...] | None:
        recorded = self.content["graphs"]
        graphs = [_graph(graph) for graph in recorded] if isinstance(recorded, list) else []
        known = tuple(graph for graph in graphs if graph is not None)
        return known if known and len(known) == len(graphs) else None

    def _nasbench_graph(self) -> tuple[Graph, ...] | None:
        graph = nasbench_graph(self.content.get("matrix"), self.content.get("ops"))
        return None if graph is None else (graph,)


def nasbench_graph(matrix: object, operations: object) -> Graph | None:
    """A cell of NAS-Bench-101 as a graph; None for anything else.

    Args:
        matrix: `[v][v]` upper triangular adjacency matrix of 0s and 1s.
        operations: `v` labels.
    """
    if not isinstance(matrix, list) or not isinstance(operations, (list, tuple)) or len(matrix) != len(operations):
        return None
    count = len(operations)
    square = count >= 2 and all(isinstance(row, list) and len(row) == count for row in matrix)
    if not square or not all(type(entry) is int and entry in (0, 1) for row in matrix for entry in row):
        return None
    if not all(isinstance(operation, str) for operation in operations):
        return None
    edges = [(source, target, "") for target in range(count) for source in range(target) if matrix[source][target]]
    return Graph("", tuple(operations), tuple(edges))


def as_number(value: object) -> float | None:
    """A number from JSON, infinite where it is too large; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _graph(recorded: object) -> Graph | None:
    """A graph as a line holds it; None for anything else."""
    if not isinstance(recorded, dict):
        return None
    title, nodes, edges = recorded.get("title", ""), recorded.get("nodes"), recorded.get("edges")
    if not isinstance(title, str) or not isinstance(nodes, list) or not isinstance(edges, list) or not nodes:
        return None
    if not all(isinstance(node, str) for node in nodes) or not all(_is_edge(edge, len(nodes)) for edge in edges):
        return None
    return Graph(title, tuple(nodes), tuple((source, target, label) for source, target, label in edges))


def _is_edge(edge: object, nodes: int) -> bool:
    """Whether this is an edge that points forwards, with a label."""
    if not isinstance(edge, list) or len(edge) != 3:
        return False
    source, target, label = edge
    return type(source) is int and type(target) is int and 0 <= source < target < nodes and isinstance(label, str)
