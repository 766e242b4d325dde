"""A cell: what an architecture is, independent of the space it came from.

A cell is a small directed acyclic graph whose vertices carry operations. Two graphs that differ only in the order
of their interior vertices, or in vertices that no path from input to output crosses, are the same architecture;
`Cell.hash` is equal for them. Pruning and hash reproduce `ModelSpec` and `hash_module` of google-research/nasbench
(`lib/model_spec.py`, `lib/graph_util.py:95-127`), so a hash is a key of the official NAS-Bench-101 table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

INPUT = "input"
OUTPUT = "output"
MAXPOOL3X3 = "maxpool3x3"
CONV3X3 = "conv3x3-bn-relu"
CONV1X1 = "conv1x1-bn-relu"

#: Operations in the order of the supernet's alphas (SmoothDARTS `optimizers/darts/genotypes.py:5-9`).
OPERATIONS = (MAXPOOL3X3, CONV3X3, CONV1X1)

#: Labels that enter the hash (nasbench `lib/config.py`, `available_ops`; `graph_util.py`). This order differs from
#: `OPERATIONS`.
HASH_LABELS = {INPUT: -1, OUTPUT: -2, CONV3X3: 0, CONV1X1: 1, MAXPOOL3X3: 2}

#: Limits of NAS-Bench-101, which count after pruning (nasbench `api.py:368-391`).
MAX_VERTICES = 7
MAX_EDGES = 9


#: A matrix of 0 and 1 as nested lists: a cell is so small that plain integers are several times faster than arrays.
Rows = list[list[int]]


class InvalidCell(ValueError):
    """A matrix and operations that do not describe a cell."""


class Cell:
    """A pruned, hashable cell.

    Args:
        matrix: square, strictly upper triangular adjacency matrix of 0 and 1, integer or bool dtype; entry `[i, j]`
            says that vertex `i` feeds vertex `j`. Floats are refused: the published hash differs for them.
        ops: one label a vertex, the first `input`, the last `output`, the others from `OPERATIONS`.

    Attributes:
        ops: the labels of the kept vertices.

    Raises:
        InvalidCell: the input is malformed, no path leads from input to output, or the pruned graph exceeds seven
            vertices or nine edges.
    """

    ops: tuple[str, ...]

    def __init__(self, matrix: npt.ArrayLike, ops: Sequence[str]) -> None:
        rows = _checked_rows(matrix, ops)
        kept = vertices_on_a_path(rows)
        if len(kept) < len(rows):
            rows = [[rows[source][target] for target in kept] for source in kept]
        self._rows = rows
        self.ops = tuple([ops[vertex] for vertex in kept])
        _check_domain(rows, self.ops)

    @cached_property
    def matrix(self) -> npt.NDArray[np.int8]:
        """`[v, v]`, read-only, pruned to the vertices on a path from input to output."""
        matrix = np.array(self._rows, dtype=np.int8)
        matrix.setflags(write=False)
        return matrix

    @cached_property
    def hash(self) -> str:
        """Isomorphism-invariant MD5 hex digest, the key of the official table (nasbench `graph_util.py:95-127`)."""
        return _hash_module(self._rows, self.ops)

    @property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """The vertices that feed each vertex of the pruned cell."""
        return tuple(tuple(np.flatnonzero(column).tolist()) for column in self.matrix.T)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Cell({self._rows}, {list(self.ops)})"

    def to_json(self) -> dict[str, Any]:
        """The fields that an epoch line carries: `cell` (hash), `matrix`, `ops`."""
        return {"cell": self.hash, "matrix": [*map(list, self._rows)], "ops": list(self.ops)}


def _checked_rows(matrix: npt.ArrayLike, ops: Sequence[str]) -> Rows:
    array = np.asarray(matrix)
    if array.dtype.kind not in "iub":
        raise InvalidCell(
            f"expected a matrix of integers 0 and 1, got dtype {array.dtype}; cast it (`matrix.astype(int)`), since a "
            "float matrix has another hash in the official table's code"
        )
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise InvalidCell(f"matrix must be square, got shape {array.shape}")
    if array.shape[0] != len(ops):
        raise InvalidCell(f"length of ops must match matrix dimensions: {len(ops)} ops, matrix {array.shape}")
    rows: Rows = array.astype(np.int8).tolist() if array.dtype.kind == "b" else array.tolist()
    if not {0, 1}.issuperset(chain.from_iterable(rows)):
        raise InvalidCell("matrix entries must be 0 or 1")
    if any(1 in row[: index + 1] for index, row in enumerate(rows)):
        raise InvalidCell("matrix must be upper triangular with a zero diagonal")
    return rows


def vertices_on_a_path(rows: Rows) -> list[int]:
    """Vertices reachable from the first and from which the last is reachable, in order.

    Raises:
        InvalidCell: no path leads from the first to the last.
    """
    last = len(rows) - 1
    # Edges only point forwards. So all is well if every vertex has a predecessor and a successor where it may, and
    # else one sweep each way closes the relation.
    columns = zip(*rows, strict=True)
    next(columns, None)
    if last and all(map(any, columns)) and all(map(any, rows[:-1])):
        return list(range(len(rows)))
    from_input = {0}
    for source, row in enumerate(rows):
        if source in from_input:
            from_input.update([target for target, edge in enumerate(row) if edge])
    to_output = {last}
    for source in range(last - 1, -1, -1):
        row = rows[source]
        if any(row[target] for target in to_output):
            to_output.add(source)
    kept = sorted(from_input & to_output)
    if len(kept) < 2:
        raise InvalidCell("no path leads from input to output")
    return kept


def _check_domain(rows: Rows, ops: tuple[str, ...]) -> None:
    if len(ops) > MAX_VERTICES:
        raise InvalidCell(f"expected at most {MAX_VERTICES} vertices after pruning, got {len(ops)}")
    if (edges := sum(map(sum, rows))) > MAX_EDGES:
        raise InvalidCell(f"expected at most {MAX_EDGES} edges after pruning, got {edges}")
    if ops[0] != INPUT or ops[-1] != OUTPUT:
        raise InvalidCell(f"the first op must be {INPUT!r} and the last {OUTPUT!r}, got {ops[0]!r} and {ops[-1]!r}")
    for op in ops[1:-1]:
        if op not in OPERATIONS:
            raise InvalidCell(f"unknown operation {op!r}; known: {', '.join(OPERATIONS)}")


def _hash_module(rows: Rows, ops: tuple[str, ...]) -> str:
    successors = [[target for target, edge in enumerate(row) if edge] for row in rows]
    predecessors = [[source for source, edge in enumerate(column) if edge] for column in zip(*rows, strict=True)]
    edges = list(zip(predecessors, successors, strict=True))
    digests = [
        _initial_digest(len(after), len(before), HASH_LABELS[op])
        for (before, after), op in zip(edges, ops, strict=True)
    ]
    for _ in ops:
        digests = [
            _digest(f"{_joined(digests, before)}|{_joined(digests, after)}|{own}")
            for own, (before, after) in zip(digests, edges, strict=True)
        ]
    return _digest(str(sorted(digests)))


@cache
def _initial_digest(out_degree: int, in_degree: int, label: int) -> str:
    return _digest(str((out_degree, in_degree, label)))


def _joined(digests: Sequence[str], vertices: Sequence[int]) -> str:
    return "".join(sorted([digests[vertex] for vertex in vertices]))


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
