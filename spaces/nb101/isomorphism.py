"""When two graphs are one cell: orders of the interior vertices that leave edges, or edges and operations, as they are.

Cells are so small that all orders of at most five interior vertices can be tried, which takes a fraction of the time of
the hash. A graph is an upper triangular matrix `[v, v]` whose first vertex is the input and whose last is the output.
"""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.int8]
Orders = npt.NDArray[np.int64]


def canonical_order(matrix: Matrix) -> npt.NDArray[np.int64]:
    """The order `[v]` of the vertices in which all isomorphic graphs have the same matrix."""
    orders = _orders(len(matrix))
    reordered = _reordered(matrix, orders)
    is_upper = ~np.tril(reordered).any(axis=(1, 2))
    bits = reordered.reshape(len(orders), -1) @ _powers(len(matrix))
    order: npt.NDArray[np.int64] = orders[np.where(is_upper, bits, np.iinfo(np.int64).max).argmin()]
    return order


def automorphisms(matrix: Matrix) -> Orders:
    """All orders `[n, v]` of the vertices that leave the matrix as it is; the first leaves every vertex in place."""
    orders = _orders(len(matrix))
    same: Orders = orders[(_reordered(matrix, orders) == matrix).all(axis=(1, 2))]
    return same


def _reordered(matrix: Matrix, orders: Orders) -> npt.NDArray[np.int64]:
    reordered: npt.NDArray[np.int64] = matrix.astype(np.int64)[orders[:, :, None], orders[:, None, :]]
    return reordered


@cache
def _orders(count: int) -> Orders:
    """All orders of `count` vertices that leave the first and the last in place."""
    interiors = itertools.permutations(range(1, count - 1))
    return np.array([(0, *interior, count - 1) for interior in interiors])


@cache
def _powers(count: int) -> npt.NDArray[Any]:
    return 2 ** np.arange(count * count - 1, -1, -1, dtype=np.int64)
