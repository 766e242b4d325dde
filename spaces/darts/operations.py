"""The cell of the DARTS space: its nodes, its edges, and the operations that an edge may carry.

A cell (Liu et al. 2019, section 2.1) has two inputs, the outputs of the two cells before it, and four nodes. A node
sums what its edges give, and an edge leads from each input and each lower node to each node: 2 + 3 + 4 + 5 = 14 edges.
The output is the concatenation of the four nodes. A network has two kinds of cells. Those at one and at two thirds of
its depth are reduction cells, whose edges from the inputs halve the map; the others are normal.
"""

from __future__ import annotations

NONE = "none"
NOISE = "noise"
MAX_POOL = "max_pool_3x3"
AVERAGE_POOL = "avg_pool_3x3"
SKIP = "skip_connect"

SEPARABLE = {"sep_conv_3x3": 3, "sep_conv_5x5": 5}
"""Depthwise separable convolutions, applied twice; the side of their kernels."""

DILATED = {"dil_conv_3x3": 3, "dil_conv_5x5": 5}
"""Depthwise separable convolutions with dilation 2, applied once; the side of their kernels."""

POOLINGS = (MAX_POOL, AVERAGE_POOL)

OPERATIONS = (NONE, MAX_POOL, AVERAGE_POOL, SKIP, *SEPARABLE, *DILATED)
"""The eight operations of DARTS, in its order."""

KNOWN = (*OPERATIONS, NOISE)
"""Every operation that a cell of these spaces may have; `noise` is that of S4 (Zela et al. 2020a)."""

PARAMETER_FREE = frozenset({NONE, NOISE, SKIP, *POOLINGS})
"""The operations without weights in a normal cell. In a reduction cell a skip connection that halves the map has
some."""

NORMAL = "normal"
REDUCE = "reduce"
GROUPS = (NORMAL, REDUCE)
"""The two kinds of cells, in the order of the mixture's rows."""

INPUTS = 2
NODES = 4
EDGES = tuple((source, INPUTS + node) for node in range(NODES) for source in range(INPUTS + node))
"""(source, node) of each edge in the order of a mixture's rows; states 0 and 1 are the inputs, 2 to 5 the nodes."""


def edges_into(node: int) -> list[int]:
    """Which edges lead to a node, numbered 2 to 5, by their sources in order."""
    return [edge for edge, (_, to) in enumerate(EDGES) if to == node]


def reductions(cells: int) -> tuple[int, int]:
    """Which cells of a network are reduction cells (SmoothDARTS `sota/cnn/model_search.py`)."""
    return cells // 3, 2 * cells // 3


def groups_of_cells(cells: int) -> tuple[str, ...]:
    """The kind of each cell of a network.

    Raises:
        ValueError: a network of so few cells has none of some kind.
    """
    if cells < 3:
        raise ValueError(f"expected at least 3 cells, two of which are reduction cells, got {cells}")
    return tuple(REDUCE if cell in reductions(cells) else NORMAL for cell in range(cells))


def widths(cells: int, channels: int) -> list[int]:
    """Channels C of each cell's nodes, doubled at each reduction cell; a cell's output has 4 C."""
    return [channels * 2 ** sum(cell >= reduction for reduction in reductions(cells)) for cell in range(cells)]


def stride(group: str, source: int) -> int:
    """The stride of an edge from a source in a cell of a kind."""
    return 2 if group == REDUCE and source < INPUTS else 1


def operation_parameters(operation: str, channels: int, step: int) -> int:
    """Weights of an operation in a network that is trained from scratch, with affine batch norm.

    Args:
        operation: its label.
        channels: C, those that enter and leave it.
        step: its stride.

    Raises:
        ValueError: no such operation.
    """
    if operation in SEPARABLE:
        return 2 * (channels * SEPARABLE[operation] ** 2 + channels**2 + 2 * channels)
    if operation in DILATED:
        return channels * DILATED[operation] ** 2 + channels**2 + 2 * channels
    if operation == SKIP and step == 2:
        return channels**2 + 2 * channels
    if operation not in KNOWN:
        raise ValueError(f"unknown operation {operation!r}; known: {', '.join(KNOWN)}")
    return 0
