"""An architecture of the DARTS space: a normal and a reduction cell, as the published code writes them.

`Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...],
reduce_concat=range(2, 6))` lists two edges for each of the four nodes, each an operation and the state that it comes
from (SmoothDARTS `sota/cnn/genotypes.py`). Logs and papers pass cells on in this form.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spaces.base import Architecture, Graph
from spaces.darts.operations import GROUPS, INPUTS, KNOWN, NODES, PARAMETER_FREE

EDGES_PER_NODE = 2

Choice = tuple[str, int]
"""One edge that was kept: its operation, and the state that it comes from."""

CellChoice = tuple[Choice, ...]
"""The edges of a cell: two for node 2, two for node 3, and so on."""

OUTPUT_STATES = tuple(range(INPUTS, INPUTS + NODES))
"""The states whose concatenation is a cell's output."""


@dataclass(frozen=True, eq=False)
class Genotype(Architecture):
    """A normal and a reduction cell.

    The order of a node's two edges is kept as it was written, strongest first where a search wrote it, and means
    nothing: genotypes that differ only there are equal.

    Attributes:
        normal: eight pairs (operation, source); pairs 2 n and 2 n + 1 are the edges of node n + 2.
        reduce: those of the reduction cell.

    Raises:
        ValueError: another number of edges, an unknown operation, a source that is not below its node, or one source
            twice for one node.
    """

    normal: CellChoice
    reduce: CellChoice

    def __post_init__(self) -> None:
        for group in GROUPS:
            _check_cell(group, self.cell(group))

    def cell(self, group: str) -> CellChoice:
        """The edges of the normal or of the reduction cell."""
        return self.normal if group == GROUPS[0] else self.reduce

    @property
    def text(self) -> str:
        """The published form, `Genotype(normal=[...], normal_concat=range(2, 6), ...)`."""
        parts = [f"{group}={list(self.cell(group))}, {group}_concat=range(2, 6)" for group in GROUPS]
        return f"Genotype({', '.join(parts)})"

    @cached_property
    def key(self) -> str:
        """The smallest text among all ways to write the same cells.

        Neither the order of a node's edges nor that of the nodes matters to a network with weights of its own: the
        layers that read a concatenation have weights for each of its channels.
        """
        smallest = {group: min(_orders(self.cell(group))) for group in GROUPS}
        return Genotype(**smallest).text

    def computed(self) -> Genotype:
        """The same cells with each node's edges sorted by their sources; the places of a supernet stay."""
        return Genotype(*(_sorted_edges(self.cell(group)) for group in GROUPS))

    def to_json(self) -> dict[str, Any]:
        """`{"normal": [[operation, source], ...], "reduce": [...]}`, eight pairs each."""
        return {group: [list(choice) for choice in self.cell(group)] for group in GROUPS}

    def graphs(self) -> tuple[Graph, Graph]:
        """Both cells: two inputs, four nodes and the output, with the operations on the edges.

        Nodes are called as SmoothDARTS's `sota/cnn/visualize.py` does.
        """
        nodes = ("c_{k-2}", "c_{k-1}", *(str(node) for node in range(NODES)), "c_{k}")
        outward = tuple((state, len(nodes) - 1, "") for state in OUTPUT_STATES)
        drawings = []
        for group in GROUPS:
            kept = ((source, node, operation) for node, operation, source in _by_node(self.cell(group)))
            drawings.append(Graph(nodes, (*kept, *outward), group))
        return drawings[0], drawings[1]

    def operations(self) -> tuple[str, ...]:
        """The eight operations of the normal cell.

        The paper's table 5, like RobustDARTS, counts the parameter-free among them; in a reduction cell a skip
        connection may have weights.
        """
        return tuple(operation for operation, _ in self.normal)

    @property
    def parameter_free_share(self) -> float:
        """The share of the normal cell's eight operations that have no weights (table 5 of the paper)."""
        return sum(operation in PARAMETER_FREE for operation in self.operations()) / len(self.normal)

    @property
    def width(self) -> float:
        """The width of the normal cell in units of its channels c (appendix 7.4 of the paper).

        A node that reads an input of the cell counts with the share of its edges that do; others do not count.
        """
        return sum(source < INPUTS for _, source in self.normal) / EDGES_PER_NODE

    @property
    def depth(self) -> int:
        """The number of edges on the longest path through the normal cell, the one to the output included (7.4)."""
        longest = dict.fromkeys(range(INPUTS), 0)
        for node, _, source in _by_node(self.normal):
            longest[node] = max(longest.get(node, 0), longest[source] + 1)
        return max(longest.values()) + 1

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Genotype:
        """The genotype whose `to_json` this is.

        Raises:
            ValueError: it is not of that form, or no cell of the space.
        """
        if set(content) != set(GROUPS):
            raise ValueError(f"expected a genotype with the entries {', '.join(GROUPS)}, got {', '.join(content)}")
        return cls(*(_choices(group, content[group]) for group in GROUPS))

    @classmethod
    def from_text(cls, text: str) -> Genotype:
        """The genotype in the published form. The text is parsed, never executed.

        Raises:
            ValueError: it is not of that form, or no cell of the space.
        """
        return cls(*_parsed(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Genotype) and self._sorted == other._sorted

    def __hash__(self) -> int:
        return hash(self._sorted)

    @cached_property
    def _sorted(self) -> tuple[CellChoice, ...]:
        return tuple(_sorted_edges(self.cell(group)) for group in GROUPS)


def _by_node(cell: CellChoice) -> list[tuple[int, str, int]]:
    """(node, operation, source) of each edge."""
    return [(INPUTS + place // EDGES_PER_NODE, *choice) for place, choice in enumerate(cell)]


def _sorted_edges(cell: CellChoice) -> CellChoice:
    ordered = sorted(_by_node(cell), key=lambda edge: (edge[0], edge[2], edge[1]))
    return tuple((operation, source) for _, operation, source in ordered)


def _orders(cell: CellChoice) -> list[CellChoice]:
    """The cell with its nodes in every order in which no edge points backwards, edges sorted."""
    edges = _by_node(cell)
    orders = []
    for order in itertools.permutations(OUTPUT_STATES):
        # The node that was `order[n]` becomes node n + 2.
        renamed = {**{state: state for state in range(INPUTS)}, **dict(zip(order, OUTPUT_STATES, strict=True))}
        moved = sorted((renamed[node], renamed[source], operation) for node, operation, source in edges)
        if all(source < node for node, source, _ in moved):
            orders.append(tuple((operation, source) for _, source, operation in moved))
    return orders


def _check_cell(group: str, cell: CellChoice) -> None:
    if len(cell) != EDGES_PER_NODE * NODES:
        raise ValueError(f"{group}: expected {EDGES_PER_NODE * NODES} edges, two a node, got {len(cell)}")
    taken: set[tuple[int, int]] = set()
    for node, operation, source in _by_node(cell):
        if operation not in KNOWN:
            raise ValueError(f"{group}: unknown operation {operation!r}; known: {', '.join(KNOWN)}")
        if not 0 <= source < node:
            raise ValueError(f"{group}: node {node} reads states 0 to {node - 1}, got {source}")
        if (node, source) in taken:
            raise ValueError(f"{group}: node {node} reads two different states, got {source} twice")
        taken.add((node, source))


def _choices(group: str, content: Any) -> CellChoice:
    """Pairs (operation, source) from lists or tuples of them."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        raise ValueError(f"{group}: expected a list of pairs (operation, source), got {content!r}")
    pairs: list[Choice] = []
    for pair in content:
        proper = isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], str)
        if not proper or not isinstance(pair[1], int) or isinstance(pair[1], bool):
            raise ValueError(f"{group}: expected pairs (operation, source), got {pair!r}")
        pairs.append((pair[0], pair[1]))
    return tuple(pairs)


def _parsed(text: str) -> tuple[CellChoice, ...]:
    form = "Genotype(normal=[(operation, source), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=...)"
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"expected {form}, got a text that does not parse: {error}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise ValueError(f"expected {form}, got {text.strip()[:80]!r}")
    arguments = {keyword.arg: keyword.value for keyword in call.keywords}
    names = [name for group in GROUPS for name in (group, f"{group}_concat")]
    arguments.update(zip(names, call.args, strict=False))
    if set(arguments) != set(names) or len(call.args) + len(call.keywords) != len(names):
        raise ValueError(f"expected the arguments {', '.join(names)} of {form}, each once")
    for group in GROUPS:
        states = _states(arguments[f"{group}_concat"])
        if states != OUTPUT_STATES:
            raise ValueError(f"{group}_concat: expected the states {OUTPUT_STATES}, got {states}")
    return tuple(_choices(group, _literal(group, arguments[group])) for group in GROUPS)


def _states(node: ast.expr) -> tuple[Any, ...]:
    """The states that `range(2, 6)` or a list of numbers names."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        bounds = [_literal("concat", argument) for argument in node.args]
        if len(bounds) != 2 or not all(isinstance(bound, int) and 0 <= bound < 100 for bound in bounds):
            raise ValueError(f"concat: expected range(2, 6), got {ast.unparse(node)}")
        return tuple(range(*bounds))
    states = _literal("concat", node)
    if not isinstance(states, list | tuple):
        raise ValueError(f"concat: expected range(2, 6) or a list of states, got {ast.unparse(node)}")
    return tuple(states)


def _literal(name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{name}: expected a literal, got {ast.unparse(node)[:80]}") from None
