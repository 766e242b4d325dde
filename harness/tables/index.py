"""The index of a table: one file that is mapped into memory, and in which no damage passes for an answer.

An index is little-endian: eight bytes of magic, u32 format version, then u64 position, u32 length and u32 CRC32C of a
JSON header that ends the file; between them arrays at multiples of 64 bytes. All versions have this frame and the
header's `info`, so that any version can say what it was made from. Cells are sorted by hash, the records of a cell by
epoch budget and then by their order in the source. With c cells, b budgets and r records the arrays are:

    hash_high     u64 [c]        high half of the MD5 digest, read as a big-endian number
    cells         24 bytes [c]   u64 low half of the digest; u32 the matrix's bits above the diagonal in row order, the
                                 first of them the most significant; u8 [7] 0 input, 1 output, then one code for each
                                 of `OPERATIONS`, 255 beyond v; one byte 0; u32 CRC32C of bytes 8 to 19 of these, of
                                 the cell's b + 1 numbers in `first_record`, and of its records
    first_record  u32 [c*b + 1]  where the records of a cell and a budget start; they end where the next start
    records       [r]            one run: `RECORD_COLUMNS`; each f64, or f32 where that keeps every value, or in the
                                 header alone where all values are one; trainable parameters u32

The header has the CRC32C of each array. Of a record in the source, the evaluation before training, the total time with
evaluation and the path of a checkpoint are left out; everything else is kept in full precision.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import google_crc32c
import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.tables.header import HeaderError, check, described, parsed
from spaces.nb101.cell import INPUT, MAX_VERTICES, OPERATIONS, OUTPUT, vertices_on_a_path
from spaces.nb101.reachability import draws, is_enumerated
from spaces.nb101.space import SearchSpace

FORMAT_VERSION = 2
RECORD_COLUMNS = (
    "halfway_seconds",
    "halfway_train_accuracy",
    "halfway_validation_accuracy",
    "halfway_test_accuracy",
    "final_seconds",
    "final_train_accuracy",
    "final_validation_accuracy",
    "final_test_accuracy",
    "parameters",
)
#: What the codes of a cell's operations stand for.
LABELS = (INPUT, OUTPUT, *OPERATIONS)
NO_VERTEX = 255

CELL = struct.Struct("<QI7sxI")
CELL_DTYPE = np.dtype(
    [("hash_low", "<u8"), ("adjacency", "<u4"), ("operations", "u1", (MAX_VERTICES,)), ("", "u1"), ("check", "<u4")]
)
#: The bytes of a cell's 24 that its checksum covers.
CHECKED = slice(8, 20)

MAGIC = b"NASTABLE"
PREFIX = struct.Struct("<8sIQII")
CHUNK_BYTES = 1 << 20

Array = npt.NDArray[Any]


class StaleIndex(UserError):
    """An index of another format version.

    Attributes:
        info: what it says it was made from; None if it does not say.
    """

    def __init__(self, message: str, info: Mapping[str, Any] | None) -> None:
        super().__init__(message)
        self.info = info


@dataclass(frozen=True)
class IndexInfo:
    """What an index was made from and what it holds.

    Attributes:
        label: what results call this table; `NAS-Bench-101` only for an official file.
        kind: `official` if the source is one of the two official files by its SHA-256, else `other`.
        source: name of the source file, without its folder.
        source_sha256: SHA-256 of the source's (decompressed) content.
        source_bytes: length of that content.
        cells, records: how many there are.
        epoch_budgets: what cells were trained for, ascending.
        repeats: the most records that a cell has at one budget.
        fewest_repeats: the fewest that any cell has at any budget; 0 if a cell lacks one.
        spaces: the search spaces whose cells were cut out of a larger table; empty if it is the whole one.
        format_version: of the index file.
    """

    label: str
    kind: str
    source: str
    source_sha256: str
    source_bytes: int
    cells: int
    records: int
    epoch_budgets: tuple[int, ...]
    repeats: int
    fewest_repeats: int
    spaces: tuple[int, ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def is_official(self) -> bool:
        """Whether the numbers may be called NAS-Bench-101's."""
        return self.kind == "official"


class Index:
    """An index, mapped into memory.

    Attributes:
        path: the file.
        info: what it was made from and what it holds.
        content: its bytes.
        hash_high, first_record: the arrays of that name, to be indexed one by one.
        cells_at, starts_at, records_at: where the arrays of cells, of `first_record` and of records begin.
        record_bytes: size of one record.
        stored: the columns that records hold, in their order.
        constants: the value of each other column.
    """

    def __init__(self, path: Path, content: mmap.mmap, header: Mapping[str, Any]) -> None:
        fields = header["info"]
        tuples = {key: tuple(fields[key]) for key in ("epoch_budgets", "spaces")}
        self.path = path
        self.content = content
        self.info = IndexInfo(**(fields | tuples))
        self.constants: dict[str, float] = header["constants"]
        self._arrays = {item["name"]: item for item in header["arrays"]}
        self._verified: set[str] = set()
        self.hash_high = self._view("hash_high").cast("Q")
        self.first_record = self._view("first_record").cast("I")
        self.cells_at: int = self._arrays["cells"]["position"]
        self.starts_at: int = self._arrays["first_record"]["position"]
        self.records_at: int = self._arrays["records"]["position"]
        self._dtypes = {
            "hash_high": np.dtype("<u8"),
            "cells": CELL_DTYPE,
            "first_record": np.dtype("<u4"),
            "records": np.dtype([(name, code) for name, code in header["record"]]),
        }
        self.record_bytes = self._dtypes["records"].itemsize
        self.stored = tuple(name for name, _ in header["record"])

    def cell(self, row: int) -> tuple[int, int, bytes, int]:
        """A cell as it is stored, unchecked: low half of its hash, bits of its matrix, operations, checksum."""
        low, bits, operations, checksum = CELL.unpack_from(self.content, self.cells_at + CELL.size * row)
        return low, bits, operations, checksum

    def is_intact(self, row: int) -> bool:
        """Whether a cell, the places of its records and its records have the checksum that is stored."""
        budgets = len(self.info.epoch_budgets)
        position, starts = self.cells_at + CELL.size * row, self.starts_at + 4 * row * budgets
        first, end = (
            self.records_at + self.first_record[limit * budgets] * self.record_bytes for limit in (row, row + 1)
        )
        checked = self.content[position + CHECKED.start : position + CHECKED.stop]
        covered = checked + self.content[starts : starts + 4 * budgets + 4] + self.content[first:end]
        return bool(google_crc32c.value(covered) == self.cell(row)[3])

    def runs(self, start: int, end: int) -> dict[str, tuple[Any, ...]]:
        """Each of `RECORD_COLUMNS` of records that follow each other, unchecked: a number each."""
        count = end - start
        position = self.records_at + start * self.record_bytes
        values = np.frombuffer(self.content, self._dtypes["records"], count, position).tolist()
        stored = dict(zip(self.stored, zip(*values, strict=True), strict=True))
        return {name: stored.get(name) or (self.constants[name],) * count for name in RECORD_COLUMNS}

    def verified(self, name: str) -> Array:
        """An array, read only once its checksum was found right.

        Raises:
            UserError: it is damaged.
        """
        item = self._arrays[name]
        start, end = item["position"], item["position"] + item["bytes"]
        if name not in self._verified:
            checksum = 0
            for chunk in range(start, end, CHUNK_BYTES):
                checksum = google_crc32c.extend(checksum, self.content[chunk : min(chunk + CHUNK_BYTES, end)])
            if checksum != item["crc32c"]:
                self.fail(f"the checksum of {name} is wrong")
            self._verified.add(name)
        dtype = self._dtypes[name]
        values: Array = np.frombuffer(self.content, dtype, item["bytes"] // dtype.itemsize, start)
        return values

    def column(self, name: str, records: Array) -> Array:
        """One of `RECORD_COLUMNS`, for some records by number or mask, in full precision; same errors as `verified`."""
        kind = np.uint32 if name == "parameters" else np.float64
        if name in self.constants:
            count = records.sum() if records.dtype == bool else len(records)
            return np.full(count, self.constants[name], kind)
        return self.verified("records")[name][records].astype(kind)

    def graphs(self) -> Iterator[tuple[npt.NDArray[np.int8], Array, Array]]:
        """Each distinct graph `[v, v]`, which cells have it, by number, and their operations `[cells, v]` as codes.

        Raises:
            UserError: the index is damaged.
        """
        cells = self.verified("cells")
        vertices = (cells["operations"] != NO_VERTEX).sum(axis=1)
        graphs, graph_of_cell = np.unique(vertices << 32 | cells["adjacency"], return_inverse=True)
        by_graph = np.argsort(graph_of_cell, kind="stable")
        limits = np.searchsorted(graph_of_cell[by_graph], np.arange(len(graphs) + 1))
        for graph, start, end in zip(graphs.tolist(), limits[:-1], limits[1:], strict=True):
            rows = matrix_rows(graph & 0xFFFFFFFF, graph >> 32)
            kept = vertices_on_a_path(rows)
            chosen = by_graph[start:end]
            yield np.array(rows, np.int8)[np.ix_(kept, kept)], chosen, cells["operations"][chosen][:, kept]

    def draws(self, space: SearchSpace) -> npt.NDArray[np.int64]:
        """How many choices of a space give each cell, `[cells]`; 0 where the space cannot return it."""
        counts = np.zeros(self.info.cells, np.int64)
        for matrix, chosen, operations in self.graphs():
            counts[chosen] = draws(space, matrix, operations)
        return counts

    def enumerated(self, space: SearchSpace) -> npt.NDArray[np.bool_]:
        """Whether the published enumeration of a space finds each cell, `[cells]`."""
        enumerated = np.zeros(self.info.cells, bool)
        for matrix, chosen, _ in self.graphs():
            enumerated[chosen] = is_enumerated(space, matrix)
        return enumerated

    def fail(self, reason: str) -> NoReturn:
        """Refuse a damaged index."""
        raise UserError(f"{self.path}: the index is damaged ({reason}); {remedy(self.path, asdict(self.info))}")

    def _view(self, name: str) -> memoryview:
        item = self._arrays[name]
        return memoryview(self.content)[item["position"] : item["position"] + item["bytes"]]


def matrix_rows(bits: int, vertices: int) -> list[list[int]]:
    """The matrix `[v][v]` whose bits above the diagonal, in row order, are those of a number."""
    rows = [[0] * vertices for _ in range(vertices)]
    for source in range(vertices - 1, -1, -1):
        for target in range(vertices - 1, source, -1):
            rows[source][target] = bits & 1
            bits >>= 1
    return rows


def remedy(path: Path, info: Mapping[str, Any] | None) -> str:
    """How to make an index anew, given what it says it was made from."""
    if info is None:
        return "build it with `python -m harness.prepare --nasbench FILE`"
    if info["kind"] == "official" and not info.get("spaces"):
        return f"make it anew with `python -m harness.prepare --nasbench --out {path}`"
    if info.get("spaces"):
        spaces = " ".join(map(str, info["spaces"]))
        return f"make it anew with `python -m harness.prepare --cut INDEX --space {spaces} --out {path}`"
    label = "" if info["label"] == table_stem(info["source"]) else f" --label {info['label']}"
    return f"make it anew with `python -m harness.prepare --nasbench {info['source']}{label} --out {path}`"


def table_stem(source: str) -> str:
    """The name of a TFRecord file without its endings."""
    for ending in (".xz", ".gz", ".tfrecord"):
        source = source.removesuffix(ending)
    return source


def map_index(path: Path) -> Index:
    """Map an index into memory; a few kilobytes are read.

    Raises:
        UserError: the file is missing, cut short or not an index.
        StaleIndex: it is of another format version.
    """
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise UserError(f"{path}: no such index; {remedy(path, None)}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, expected an index file; {remedy(path, None)}") from None
    except ValueError:
        raise UserError(f"{path}: the file is empty; {remedy(path, None)}") from None
    if len(content) < PREFIX.size or content[: len(MAGIC)] != MAGIC:
        raise UserError(f"{path}: not an index of a table; {remedy(path, None)}")
    _, version, position, length, checksum = PREFIX.unpack_from(content)
    encoded = content[position : position + length]
    try:
        header = parsed(encoded) if google_crc32c.value(encoded) == checksum else None
        info = None if header is None else described(header)
        if header is not None and version == FORMAT_VERSION:
            check(header, position, RECORD_COLUMNS, CELL.size)
    except HeaderError as error:
        raise UserError(f"{path}: not an index that this program wrote: {error}; {remedy(path, None)}") from None
    if version != FORMAT_VERSION:
        raise StaleIndex(
            f"{path}: an index of format {version}, this program reads format {FORMAT_VERSION}; {remedy(path, info)}",
            info,
        )
    if len(content) != position + length:
        raise UserError(
            f"{path}: the index has {len(content)} bytes, expected {position + length}; {remedy(path, None)}"
        )
    if header is None:
        raise UserError(f"{path}: the index is damaged (the checksum of its header is wrong); {remedy(path, None)}")
    return Index(path, content, header)
