"""`nb101`: CIFAR-10 and the official NAS-Bench-101 table, the paper's protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.benchmarks.benchmark import Benchmark, SpaceLabel
from harness.data.registry import ImageSource, get_dataset
from harness.errors import MissingDataError, UserError

if TYPE_CHECKING:
    from harness.tables.query import Table


def _open_table(space: SpaceLabel) -> Table:
    from harness.tables.open import official_index, open_covering

    index = official_index()
    if not index.exists():
        raise MissingDataError(
            f"{index}: no NAS-Bench-101 table; get it with `python -m harness.prepare`, or use --bench digits, which "
            "needs no download"
        )
    table = open_covering(index, space)
    if table.info.kind != "official":
        raise UserError(
            f"{table.path}: nb101 takes the official NAS-Bench-101 table only, this one is {table.info.label!r} "
            f"(SHA-256 {table.info.source_sha256[:12]}...); get it with `python -m harness.prepare`, or describe this "
            "table in a .toml benchmark of its own, or use --bench digits"
        )
    return table


NB101 = Benchmark(
    "nb101",
    "CIFAR-10 and the official NAS-Bench-101 table, 16 channels, 9 cells: the paper's protocol",
    ImageSource(get_dataset("cifar10")),
    open_table=_open_table,
    table_spaces=(1, 2, 3),
)
