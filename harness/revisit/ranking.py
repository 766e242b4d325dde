"""The supernet's ranking of cells beside the table's.

Cells are drawn as the space's sampler draws architectures: the parents of every node and all operations uniformly,
loose ends included (NAS-Bench-1Shot1 `search_space.py:35-69`), so that a cell which many choices give is likelier to be
drawn. Each cell is taken once, as it was first drawn, and only if the table knows it.

An architecture is measured as a mixture of zeros and ones at the checkpoint's weights, on the whole validation split,
twice: with the statistics that the search's own accuracy is measured with, and with those of each batch. The first are
of the search's mixture, or of the cell that trained last, and fit no other cell; where the two rankings differ, that is
the statistics' doing and not the weights'.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from harness.errors import UserError
from harness.revisit.search import Measured, Revisited, Statistics, ValidationPass
from harness.tables.query import CellMetrics, CellNotInTable
from harness.tables.truths import Truths
from spaces.base import Architecture

CHUNK = 10
"""Cells measured in one pass over the images."""

STATISTICS: tuple[Statistics, ...] = get_args(Statistics)


@dataclass(frozen=True)
class Drawn:
    """A cell that was drawn, as an architecture, and what the table knows of it."""

    architecture: Architecture
    metrics: CellMetrics


def draw_cells(then: Revisited, count: int, truths: Truths) -> list[Drawn]:
    """So many different cells of the space, the same for every method and epoch of a seed.

    Args:
        then: the search.
        count: how many.
        truths: the cells of the space that the table holds.

    Raises:
        UserError: the table holds fewer.
    """
    if count > len(truths.hashes):
        raise UserError(
            f"--cells: expected at most {len(truths.hashes)}, the cells of space {truths.space.number} in the table "
            f"{truths.table.info.label}, got {count}"
        )
    source = random.Random(then.search.randomness.generator("correlation").initial_seed())
    drawn: dict[str, Drawn] = {}
    unknown: set[str] = set()
    while len(drawn) < count:
        architecture = truths.space.sample(source)
        hash_ = architecture.key
        if hash_ in drawn or hash_ in unknown:
            continue
        try:
            drawn[hash_] = Drawn(architecture, truths.table.query(hash_))
        except CellNotInTable:
            unknown.add(hash_)
    return list(drawn.values())


def measure(then: Revisited, cells: Sequence[Drawn]) -> Iterator[list[dict[str, Any]]]:
    """What the supernet and the table say of each cell, a few cells at a time.

    Yields:
        for each cell: `cell` (hash), `parents`, `ops`, `test_error` and `valid_error` of the table, and under each of
        `STATISTICS` the supernet's `accuracy` and `loss`.
    """
    passes = {name: ValidationPass(then, name) for name in STATISTICS}
    optimizer = then.search.optimizer
    for start in range(0, len(cells), CHUNK):
        chunk = cells[start : start + CHUNK]
        mixtures = [
            optimizer.supernet.space.mixture_of(drawn.architecture, optimizer.dtype).map(
                lambda row: row.to(optimizer.device)
            )
            for drawn in chunk
        ]
        measured = {name: validation.measure(mixtures, skip_zeros=True) for name, validation in passes.items()}
        yield [
            {
                "cell": drawn.metrics.hash,
                **drawn.architecture.to_json(),
                "test_error": drawn.metrics.test_error,
                "valid_error": drawn.metrics.valid_error,
                **{name: _to_json(values[place]) for name, values in measured.items()},
            }
            for place, drawn in enumerate(chunk)
        ]


def _to_json(measured: Measured) -> dict[str, float | None]:
    return {"accuracy": measured.accuracy, "loss": measured.loss if math.isfinite(measured.loss) else None}
