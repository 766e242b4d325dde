"""Writes the index of a table, in the format that `harness.tables.index` describes and reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np

from harness.data.folder import replaced_atomically
from harness.tables.index import (
    CELL,
    CELL_DTYPE,
    CHECKED,
    CHUNK_BYTES,
    FORMAT_VERSION,
    MAGIC,
    PREFIX,
    RECORD_COLUMNS,
    Array,
    IndexInfo,
)

_ALIGNMENT = 64


@dataclass(frozen=True)
class Columns:
    """The content of an index, cells ascending by hash.

    Attributes:
        hash_high, hash_low: u64 `[cells]`.
        adjacency: u32 `[cells]`.
        operations: u8 `[cells, 7]`.
        first_record: u32 `[cells * budgets + 1]`.
        column: gives one of `RECORD_COLUMNS`, `[records]`.
    """

    hash_high: Array
    hash_low: Array
    adjacency: Array
    operations: Array
    first_record: Array
    column: Callable[[str], Array]


def write_index(out: Path, info: IndexInfo, columns: Columns) -> None:
    """Write an index; it appears as a whole when it is done, and on a failure nothing changes.

    Raises:
        OSError: it cannot be written.
    """
    records, constants = _pack_records(info.records, columns.column)
    cells = np.zeros(info.cells, CELL_DTYPE)
    cells["hash_low"], cells["adjacency"], cells["operations"] = (
        columns.hash_low,
        columns.adjacency,
        columns.operations,
    )
    first_record = columns.first_record.astype("<u4")
    cells["check"] = _checksums(cells, first_record, records)
    arrays = {
        "hash_high": columns.hash_high.astype("<u8"),
        "cells": cells,
        "first_record": first_record,
        "records": records,
    }
    with replaced_atomically(out) as file:
        header = {
            "info": asdict(replace(info, format_version=FORMAT_VERSION)),
            "arrays": _write_arrays(file, arrays),
            "record": [[name, records.dtype[name].str] for name in records.dtype.names or ()],
            "constants": constants,
        }
        position = file.tell()
        encoded = json.dumps(header).encode()
        file.write(encoded)
        file.seek(0)
        file.write(PREFIX.pack(MAGIC, FORMAT_VERSION, position, len(encoded), google_crc32c.value(encoded)))


def _pack_records(count: int, column: Callable[[str], Array]) -> tuple[Array, dict[str, float]]:
    """Records, each column in the least space that keeps every value, and the columns that are one value throughout."""
    constants: dict[str, float] = {}
    codes: list[tuple[str, str]] = []
    for name in RECORD_COLUMNS:
        values = column(name)
        if (values == values[0]).all():
            constants[name] = values[0].item()
        elif name == "parameters":
            codes.append((name, "<u4"))
        else:
            with np.errstate(over="ignore"):
                codes.append((name, "<f4" if (values.astype("<f4") == values).all() else "<f8"))
    records = np.zeros(count, np.dtype(codes))
    for name, _ in codes:
        records[name] = column(name)
    return records, constants


def _checksums(cells: Array, first_record: Array, records: Array) -> list[int]:
    """CRC32C of each cell without its hash, of where its records start, and of its records."""
    cell_bytes, start_bytes, record_bytes = _bytes(cells), _bytes(first_record), _bytes(records)
    budgets = (len(first_record) - 1) // len(cells)
    limits = (first_record[::budgets].astype(np.int64) * records.dtype.itemsize).tolist()
    return [
        google_crc32c.value(
            bytes(cell_bytes[CELL.size * row + CHECKED.start : CELL.size * row + CHECKED.stop])
            + bytes(start_bytes[4 * row * budgets : 4 * (row + 1) * budgets + 4])
            + bytes(record_bytes[limits[row] : limits[row + 1]])
        )
        for row in range(len(cells))
    ]


def _write_arrays(file: BinaryIO, arrays: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Write arrays behind the prefix, and leave the file where the header goes."""
    specifications = []
    position = _aligned(PREFIX.size)
    file.seek(position)
    for name, values in arrays.items():
        checksum = 0
        for start in range(0, values.nbytes, CHUNK_BYTES):
            chunk = bytes(_bytes(values)[start : start + CHUNK_BYTES])
            checksum = google_crc32c.extend(checksum, chunk)
            file.write(chunk)
        file.write(bytes(_aligned(values.nbytes) - values.nbytes))
        specifications.append({"name": name, "position": position, "bytes": values.nbytes, "crc32c": checksum})
        position += _aligned(values.nbytes)
    return specifications


def _bytes(values: Array) -> memoryview:
    """The bytes of an array, without a copy."""
    return values.view(np.uint8).data.cast("B") if values.nbytes else memoryview(b"")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
