"""A made-up table of full size: every cell of NAS-Bench-101, with numbers that nobody measured.

It serves timings alone. Its file and label say `synthetic`, its SHA-256 is not an official one, and so no command takes
it for NAS-Bench-101.
"""

from __future__ import annotations

import base64
import itertools
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.tables.tfrecord import write_tfrecord
from spaces.nb101.cell import INPUT, MAX_EDGES, MAX_VERTICES, OPERATIONS, OUTPUT, Cell
from spaces.nb101.isomorphism import Matrix, automorphisms

CELLS = 423_624
REPEATS = 3
BUDGETS = (4, 12, 36, 108)

_EVALUATION = struct.Struct("<3sdBdBdBdBd")
_TAGS = (b"\x0a\x2d\x09", 0x11, 0x19, 0x21, 0x29)
_IMAGES = np.float64(9984)

Array = npt.NDArray[Any]


def write_synthetic_table(path: Path, budgets: tuple[int, ...] = (108,), seed: int = 0) -> int:
    """Write the table as a TFRecord in the official format.

    The repeats of a cell lie far apart, which is the harder case for who reads them.

    Args:
        path: where to write.
        budgets: epochs that every cell is said to be trained for.
        seed: of the made-up numbers.

    Returns:
        the number of records.
    """
    graphs = graphs_of_nasbench101()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        heads = [head for some in pool.map(_heads, graphs, chunksize=64) for head in some]
    generator = np.random.default_rng(seed)
    quality = generator.beta(9, 1, len(heads))
    parameters = generator.integers(200_000, 50_000_000, len(heads)).tolist()

    def payloads() -> Iterator[bytes]:
        for _, budget in itertools.product(range(REPEATS), budgets):
            numbers = _made_up(quality, budget, generator).tolist()
            for (hash_, rest), size, values in zip(heads, parameters, numbers, strict=True):
                metrics = base64.b64encode(_message(budget, values, size)).decode()
                yield f'["{hash_}", {budget}, {rest}, "{metrics}"]'.encode()

    write_tfrecord(path, payloads())
    return len(heads) * REPEATS * len(budgets)


def graphs_of_nasbench101() -> list[Matrix]:
    """One matrix for each graph of at most seven vertices and nine edges whose every vertex lies on a path."""
    found: list[Matrix] = []
    for count in range(2, MAX_VERTICES + 1):
        matrices = _whole_graphs(count)
        smallest = np.full(len(matrices), np.iinfo(np.int64).max)
        powers = 2 ** np.arange(count * count, dtype=np.int64)
        for interior in itertools.permutations(range(1, count - 1)):
            order = [0, *interior, count - 1]
            reordered = matrices[:, order][:, :, order]
            bits = reordered.reshape(len(matrices), -1) @ powers
            is_upper = ~np.tril(reordered).any(axis=(1, 2))
            smallest = np.where(is_upper & (bits < smallest), bits, smallest)
        _, first = np.unique(smallest, return_index=True)
        found.extend(matrices[first])
    return found


def _whole_graphs(count: int) -> npt.NDArray[np.int8]:
    """All upper triangular matrices `[n, count, count]` of few enough edges in which every vertex lies on a path."""
    pairs = list(itertools.combinations(range(count), 2))
    bits = np.arange(1 << len(pairs), dtype=np.uint32)
    edges = np.sum([bits >> index & 1 for index in range(len(pairs))], axis=0)
    bits = bits[edges <= MAX_EDGES]
    matrices = np.zeros((len(bits), count, count), np.int8)
    for index, (source, target) in enumerate(pairs):
        matrices[:, source, target] = bits >> index & 1
    parents, children = matrices.sum(axis=1), matrices.sum(axis=2)
    whole: npt.NDArray[np.int8] = matrices[np.minimum(parents[:, 1:], children[:, :-1]).min(axis=1) > 0]
    return whole


def _heads(matrix: Matrix) -> list[tuple[str, str]]:
    """Hash, and adjacency and operations as JSON, of each cell of one graph."""
    adjacency = "".join(map(str, matrix.ravel().tolist()))
    heads = []
    for labels in _distinct_labels(matrix):
        ops = (INPUT, *(OPERATIONS[label] for label in labels), OUTPUT)
        heads.append((Cell(matrix, ops).hash, f'"{adjacency}", "{",".join(ops)}"'))
    return heads


def _distinct_labels(matrix: Matrix) -> list[list[int]]:
    """Operations of the interior vertices, one choice of those that an automorphism makes equal."""
    labels = _all_labels(len(matrix) - 2)
    powers = len(OPERATIONS) ** np.arange(labels.shape[1])
    orders = automorphisms(matrix)[:, 1:-1] - 1
    codes = (labels[:, orders] * powers).sum(axis=2).min(axis=1)
    _, first = np.unique(codes, return_index=True)
    chosen: list[list[int]] = labels[first].tolist()
    return chosen


@cache
def _all_labels(count: int) -> npt.NDArray[np.int64]:
    labels = list(itertools.product(range(len(OPERATIONS)), repeat=count))
    return np.array(labels, np.int64).reshape(len(labels), count)


def _made_up(quality: Array, budget: int, generator: np.random.Generator) -> Array:
    """Halfway and final time, train, validation and test accuracy, `[cells, 8]`, in the precision of the real ones."""
    noise = generator.normal(0, 0.005, (len(quality), 6))
    accuracies = np.clip(quality[:, None] * (1 - 0.3 / budget) + noise, 0, 1)
    accuracies = np.round(accuracies * _IMAGES) / _IMAGES
    seconds = generator.uniform(5, 20, len(quality)) * budget
    columns = [seconds / 2, *accuracies[:, :3].T, seconds, *accuracies[:, 3:].T]
    return np.stack(columns, axis=1).astype(np.float32).astype(np.float64)


def _message(budget: int, values: list[float], parameters: int) -> bytes:
    """The `ModelMetrics` of a record."""
    evaluations = [(0.0,) * 5, (budget / 2, *values[:4]), (float(budget), *values[4:])]
    message = b"".join(
        _EVALUATION.pack(*itertools.chain.from_iterable(zip(_TAGS, evaluation, strict=True)))
        for evaluation in evaluations
    )
    varint = bytearray()
    while parameters > 0x7F:
        varint.append(parameters & 0x7F | 0x80)
        parameters >>= 7
    varint.append(parameters)
    return message + b"\x10" + bytes(varint) + b"\x19" + struct.pack("<d", values[4])
