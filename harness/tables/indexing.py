"""From a TFRecord, or from a larger index, to the index of a table."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.tables.header import OFFICIAL_FILES, HeaderError, check_label
from harness.tables.index import (
    LABELS,
    NO_VERTEX,
    RECORD_COLUMNS,
    Array,
    IndexInfo,
    map_index,
    table_stem,
)
from harness.tables.tfrecord import Matrix, Record, TFRecordReader
from harness.tables.writing import Columns, write_index
from spaces.nb101.cell import INPUT, MAX_VERTICES, OPERATIONS, OUTPUT, Cell, InvalidCell
from spaces.nb101.space import get_space

OFFICIAL_LABEL = "NAS-Bench-101"
#: Cells whose hash is recomputed while an index is built: the first ones, and of the others one in so many.
_CHECKED_FIRST = 1000
_CHECKED_ONE_IN = 256
_RECORDS_PER_REPORT = 2000
_VALUES = RECORD_COLUMNS[:-1]

#: Told how many bytes of the source file are done, and how many there are.
Progress = Callable[[int, int], object]


def build_index(source: Path, out: Path, *, label: str | None = None, progress: Progress | None = None) -> IndexInfo:
    """Make an index of a TFRecord file, which may be compressed with xz or gzip.

    Every checksum in the file is verified, and the file's SHA-256 decides whether it is official. That a record's hash
    is that of its matrix and operations is verified for a fixed sample, since it takes longer than all the rest: the
    first 1,000 cells, one in 256 of the others, and wherever the records of a cell disagree about its matrix or
    operations (the first record's are kept).

    Args:
        source: the TFRecord; repeats of a cell may lie anywhere in it.
        out: the index; it appears as a whole when it is done, and on a failure nothing changes.
        label: what results call the table; by default the source's name without endings. Official files are called
            `NAS-Bench-101` whatever is given here.
        progress: told now and then how far the reading is.

    Raises:
        UserError: the source is damaged, holds other things than NAS-Bench records, or has a hash that is not its
            cell's; the label is the official one although the file is not; `out` is the source.
        OSError: a file cannot be read or written.
    """
    if out.exists() and out.samefile(source):
        raise UserError(f"{out}: is the source itself; give another path for the index")
    rows = _Rows()
    with TFRecordReader(source) as reader:
        file_bytes = source.stat().st_size
        for record in reader.records():
            try:
                rows.add(record)
            except ValueError as error:
                raise reader.error(f"{error}; the file is not a table of NAS-Bench cells, give another") from None
            if progress and reader.number % _RECORDS_PER_REPORT == 0:
                progress(reader.consumed, file_bytes)
        if progress:
            progress(file_bytes, file_bytes)
        official = reader.sha256 in OFFICIAL_FILES
        counts = rows.counts()
        info = IndexInfo(
            label=OFFICIAL_LABEL if official else _other_label(source, label),
            kind="official" if official else "other",
            source=source.name,
            source_sha256=reader.sha256,
            source_bytes=reader.content_bytes,
            cells=len(rows.cells),
            records=len(rows.cell_of_record),
            epoch_budgets=tuple(rows.sorted_budgets()),
            repeats=int(counts.max()),
            fewest_repeats=int(counts.min()),
        )
    write_index(out, info, rows.columns(counts))
    return info


def cut_index(source: Path, spaces: Sequence[int], out: Path) -> IndexInfo:
    """Cut the cells that some search spaces can return out of an index, with all their records.

    Args:
        source: an index.
        spaces: numbers of search spaces.
        out: the new index; it appears as a whole when it is done.

    Raises:
        UserError: the source is not an index, is damaged, or has no cell of these spaces; `out` is the source.
        OSError: a file cannot be read or written.
    """
    if out.exists() and out.samefile(source):
        raise UserError(f"{out}: is the index to cut itself; give another path")
    index = map_index(source)
    chosen = np.zeros(index.info.cells, bool)
    for number in spaces:
        chosen |= index.draws(get_space(number)) > 0
    if not chosen.any():
        raise UserError(f"{source}: has no cell of space {' or '.join(map(str, spaces))}; give another index")
    budgets = len(index.info.epoch_budgets)
    first = index.verified("first_record").astype(np.int64)
    counts = (first[1:] - first[:-1]).reshape(-1, budgets)
    kept = np.repeat(chosen, counts.sum(axis=1))
    cells = index.verified("cells")[chosen]
    info = replace(
        index.info,
        cells=len(cells),
        records=int(kept.sum()),
        repeats=int(counts[chosen].max()),
        fewest_repeats=int(counts[chosen].min()),
        spaces=tuple(sorted(set(spaces))),
    )
    columns = Columns(
        hash_high=index.verified("hash_high")[chosen],
        hash_low=cells["hash_low"],
        adjacency=cells["adjacency"],
        operations=cells["operations"],
        first_record=_starts(counts[chosen]),
        column=lambda name: index.column(name, kept),
    )
    write_index(out, info, columns)
    return info


class _Rows:
    """Records as they come, in columns: millions of them must fit in memory."""

    def __init__(self) -> None:
        self.cells: dict[bytes, int] = {}
        self.budgets: dict[int, int] = {}
        self.cell_of_record = array("I")
        self._budget_of_record = array("I")
        self._parameters = array("I")
        self._values = array("d")
        self._adjacency = array("I")
        self._operations = array("I")
        self._known_matrices: dict[Matrix, int] = {}
        self._known_operations: dict[tuple[str, ...], int] = {}

    def add(self, record: Record) -> None:
        """Take one record.

        Raises:
            ValueError: its matrix and operations are not a cell, or the hash is not theirs.
        """
        adjacency = self._adjacency_bits(record.matrix)
        operations = self._operations_number(record.ops)
        key = bytes.fromhex(record.hash)
        cell = self.cells.setdefault(key, len(self.cells))
        if cell == len(self._adjacency):
            self._adjacency.append(adjacency)
            self._operations.append(operations)
            if cell < _CHECKED_FIRST or cell % _CHECKED_ONE_IN == 0:
                _check_hash(record)
        elif self._adjacency[cell] != adjacency or self._operations[cell] != operations:
            _check_hash(record)
        self.cell_of_record.append(cell)
        self._budget_of_record.append(self.budgets.setdefault(record.epochs, len(self.budgets)))
        self._parameters.append(record.trainable_parameters)
        for moment in (record.halfway, record.final):
            self._values.extend(
                (moment.training_time, moment.train_accuracy, moment.validation_accuracy, moment.test_accuracy)
            )

    def sorted_budgets(self) -> list[int]:
        """The epoch budgets, ascending."""
        return sorted(self.budgets)

    def counts(self) -> npt.NDArray[np.int64]:
        """How many records each cell, ascending by hash, has at each budget: `[cells, budgets]`."""
        shape = (len(self.cells), len(self.budgets))
        counts: npt.NDArray[np.int64] = np.bincount(self._slots(), minlength=shape[0] * shape[1]).reshape(shape)
        return counts

    def columns(self, counts: npt.NDArray[np.int64]) -> Columns:
        """What goes into the index."""
        order, halves = self._cell_order()
        codes = np.array([_operation_codes(ops) for ops in self._known_operations], np.uint8)
        values = np.frombuffer(self._values, np.float64).reshape(-1, len(_VALUES))
        records = np.argsort(self._slots(), kind="stable")

        def column(name: str) -> Array:
            if name == "parameters":
                return np.frombuffer(self._parameters, np.uint32)[records]
            chosen: Array = values[records, _VALUES.index(name)]
            return chosen

        return Columns(
            hash_high=halves[order, 0],
            hash_low=halves[order, 1],
            adjacency=np.frombuffer(self._adjacency, np.uint32)[order],
            operations=codes[np.frombuffer(self._operations, np.uint32)[order]],
            first_record=_starts(counts),
            column=column,
        )

    def _cell_order(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
        """Which cell, by number, comes at each place of the sorted hashes, and the halves of each cell's hash."""
        halves = np.frombuffer(b"".join(self.cells), ">u8").astype(np.uint64).reshape(-1, 2)
        return np.lexsort((halves[:, 1], halves[:, 0])), halves

    def _slots(self) -> npt.NDArray[np.int64]:
        """For each record the place of its cell and budget in the index."""
        order, _ = self._cell_order()
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ranked = self.sorted_budgets()
        budget_place = np.array([ranked.index(budget) for budget in self.budgets])
        cell = np.frombuffer(self.cell_of_record, np.uint32)
        budget = np.frombuffer(self._budget_of_record, np.uint32)
        slots: npt.NDArray[np.int64] = place[cell] * len(ranked) + budget_place[budget]
        return slots

    def _adjacency_bits(self, matrix: Matrix) -> int:
        bits = self._known_matrices.get(matrix)
        if bits is None:
            if len(matrix) > MAX_VERTICES:
                raise ValueError(f"expected at most {MAX_VERTICES} vertices, got {len(matrix)}")
            if any(any(row[: index + 1]) for index, row in enumerate(matrix)):
                raise ValueError("the adjacency matrix is not upper triangular")
            upper = [entry for index, row in enumerate(matrix) for entry in row[index + 1 :]]
            bits = int("".join(map(str, upper)), 2)
            self._known_matrices[matrix] = bits
        return bits

    def _operations_number(self, ops: tuple[str, ...]) -> int:
        number = self._known_operations.get(ops)
        if number is None:
            if ops[0] != INPUT or ops[-1] != OUTPUT or not set(ops[1:-1]).issubset(OPERATIONS):
                raise ValueError(
                    f"expected {INPUT}, operations among {', '.join(OPERATIONS)}, {OUTPUT}; got {','.join(ops)}"
                )
            number = len(self._known_operations)
            self._known_operations[ops] = number
        return number


def _check_hash(record: Record) -> None:
    try:
        expected = Cell(record.matrix, record.ops).hash
    except InvalidCell as error:
        raise ValueError(f"matrix and operations of {record.hash} are not a cell ({error})") from None
    if expected != record.hash:
        raise ValueError(f"the hash is {record.hash}, but matrix and operations have {expected}")


def _operation_codes(ops: tuple[str, ...]) -> list[int]:
    return [LABELS.index(op) for op in ops] + [NO_VERTEX] * (MAX_VERTICES - len(ops))


def _starts(counts: npt.NDArray[np.int64]) -> Array:
    """Where the records of each cell and budget start: `[cells * budgets + 1]`."""
    starts: Array = np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)
    return starts


def _other_label(source: Path, label: str | None) -> str:
    chosen = (label or table_stem(source.name)).strip()
    try:
        check_label(chosen)
    except HeaderError as error:
        raise UserError(f"{source}: {error}; give another `--label`") from None
    return chosen
