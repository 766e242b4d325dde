"""The table: what NAS-Bench-101, or a table measured in its manner, knows about a cell.

`build_index` turns a TFRecord file into an index once; `Table.open` maps the index into memory and `Table.query` finds
a cell in it in microseconds, without TensorFlow.

An index is one little-endian file: eight bytes of magic, u32 format version, then u64 position, u32 length and u32
CRC32C of a JSON header that ends the file; between them arrays at multiples of 64 bytes. Cells are sorted by hash, the
records of a cell by epoch budget and then by their order in the source. With c cells, b budgets and r records the
arrays are:

    hash_high, hash_low   u64 [c]        halves of the MD5 digest, read as big-endian numbers
    adjacency             u64 [c]        the matrix's v * v bits in row order, the first of them the most significant
    operations            u8 [c, 7]      0 input, 1 output, then one code for each of `OPERATIONS`; 255 beyond v
    first_record          u32 [c*b + 1]  where the records of a cell and a budget start; they end where the next start
    parameters            u32 [r]        trainable parameters
    halfway_*, final_*    f64 [r]        seconds, train_accuracy, validation_accuracy, test_accuracy

A column that holds one value throughout is stored as that value alone. Of a record, the evaluation before training, the
total time with evaluation and the path of a checkpoint are left out; everything else is kept in full precision.
"""

from __future__ import annotations

import json
import mmap
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt

from harness.data_folder import replaced_atomically
from harness.errors import UserError
from harness.tfrecord import Matrix, Record, TFRecordReader
from spaces.cell import INPUT, MAX_VERTICES, OPERATIONS, OUTPUT, Cell, InvalidCell

FORMAT_VERSION = 1
OFFICIAL_LABEL = "NAS-Bench-101"
#: SHA-256 of the two files that google-research/nasbench publishes.
OFFICIAL_FILES = {
    "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1": "nasbench_only108.tfrecord",
    "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c": "nasbench_full.tfrecord",
}

_MAGIC = b"NASTABLE"
_PREFIX = struct.Struct("<8sIQII")
_ALIGNMENT = 64
_MENDING = "build it with `python -m harness.prepare --nasbench FILE`"
_LABELS = (INPUT, OUTPUT, *OPERATIONS)
_NO_VERTEX = 255
_COLUMNS = (
    "halfway_seconds",
    "halfway_train_accuracy",
    "halfway_validation_accuracy",
    "halfway_test_accuracy",
    "final_seconds",
    "final_train_accuracy",
    "final_validation_accuracy",
    "final_test_accuracy",
)
#: Cells whose hash is recomputed while an index is built: the first ones, and of the others one in so many.
_CHECKED_FIRST = 1000
_CHECKED_ONE_IN = 256
_RECORDS_PER_REPORT = 2000

#: Told how many bytes of the source file are done, and how many there are.
Progress = Callable[[int, int], object]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class CellNotInTable(UserError):
    """The table has no such cell, or not at that epoch budget."""


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
    format_version: int = FORMAT_VERSION

    @property
    def is_official(self) -> bool:
        """Whether the numbers may be called NAS-Bench-101's."""
        return self.kind == "official"


@dataclass(frozen=True, slots=True)
class CellMetrics:
    """What the table knows about a cell at one epoch budget.

    Attributes:
        hash: of the cell.
        epochs: the budget.
        repeats: how many training runs there are; the tuples below have one entry for each.
        test_error, valid_error: fractions, means over the runs of 1 - accuracy.
        test_accuracies, valid_accuracies, train_accuracies: fractions.
        training_seconds: mean over the runs.
        trainable_parameters: of the trained network, from the first run.
    """

    hash: str
    epochs: int
    repeats: int
    test_error: float
    valid_error: float
    test_accuracies: tuple[float, ...]
    valid_accuracies: tuple[float, ...]
    train_accuracies: tuple[float, ...]
    training_seconds: float
    trainable_parameters: int


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
    with replaced_atomically(out) as file:
        _write(file, info, rows.arrays(counts))
    return info


class Table:
    """An index, mapped into memory.

    Attributes:
        path: the index file.
        info: what it was made from and what it holds.
    """

    path: Path
    info: IndexInfo

    def __init__(self, path: Path, info: IndexInfo, arrays: dict[str, Array]) -> None:
        self.path = path
        self.info = info
        self._arrays = arrays
        self._hash_high = arrays["hash_high"]
        self._hash_low = arrays["hash_low"]
        self._first_record = arrays["first_record"]

    @classmethod
    def open(cls, path: Path | str) -> Table:
        """Map an index into memory; a few kilobytes are read.

        Raises:
            UserError: the file is missing, cut short, of another format version, or not an index.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise UserError(f"{path}: no such index; {_MENDING}") from None
        except IsADirectoryError:
            raise UserError(f"{path}: a folder, expected an index file; {_MENDING}") from None
        except ValueError:
            raise UserError(f"{path}: the file is empty; {_MENDING}") from None
        info, arrays = _mapped(path, content)
        return cls(path, info, arrays)

    def query(self, cell: Cell | str, epochs: int | None = None, *, halfway: bool = False) -> CellMetrics:
        """What the table knows about a cell.

        Args:
            cell: the cell, or its hash.
            epochs: an epoch budget; by default the table's largest.
            halfway: the state of the same training runs at half the budget.

        Raises:
            CellNotInTable: there is no such cell, or not at this budget.
        """
        hash_ = cell if isinstance(cell, str) else cell.hash
        budgets = len(self.info.epoch_budgets)
        slot = self._row(hash_) * budgets + self._budget(epochs)
        runs = slice(int(self._first_record[slot]), int(self._first_record[slot + 1]))
        if runs.start == runs.stop:
            raise self._untrained(hash_, epochs)
        moment = "halfway" if halfway else "final"
        test = self._arrays[f"{moment}_test_accuracy"][runs]
        valid = self._arrays[f"{moment}_validation_accuracy"][runs]
        return CellMetrics(
            hash=hash_,
            epochs=self.info.epoch_budgets[-1] if epochs is None else epochs,
            repeats=len(test),
            test_error=_mean(1.0 - test),
            valid_error=_mean(1.0 - valid),
            test_accuracies=tuple(test.tolist()),
            valid_accuracies=tuple(valid.tolist()),
            train_accuracies=tuple(self._arrays[f"{moment}_train_accuracy"][runs].tolist()),
            training_seconds=_mean(self._arrays[f"{moment}_seconds"][runs]),
            trainable_parameters=int(self._arrays["parameters"][runs.start]),
        )

    def mean_errors(self, hashes: Sequence[str], epochs: int | None = None) -> tuple[Floats, Floats]:
        """Test and validation errors `[len(hashes)]` of many cells: fractions, means over the repeats.

        Raises:
            CellNotInTable: one of the cells is missing, or not there at this budget.
        """
        if not len(hashes):
            return np.empty(0), np.empty(0)
        slots = self._rows(hashes) * len(self.info.epoch_budgets) + self._budget(epochs)
        starts = self._first_record[slots].astype(np.int64)
        repeats = self._first_record[slots + 1] - starts
        if not repeats.all():
            raise self._untrained(hashes[int(repeats.argmin())], epochs)
        test, valid = np.empty(len(hashes)), np.empty(len(hashes))
        for count in np.unique(repeats):
            chosen = repeats == count
            records = starts[chosen, None] + np.arange(count)
            test[chosen] = (1.0 - self._arrays["final_test_accuracy"][records]).mean(axis=1)
            valid[chosen] = (1.0 - self._arrays["final_validation_accuracy"][records]).mean(axis=1)
        return test, valid

    def cell(self, hash_: str) -> Cell:
        """The cell of a hash.

        Raises:
            CellNotInTable: there is no such cell.
        """
        row = self._row(hash_)
        ops = [_LABELS[code] for code in self._arrays["operations"][row].tolist() if code != _NO_VERTEX]
        count = len(ops)
        bits = f"{int(self._arrays['adjacency'][row]):0{count * count}b}"
        return Cell([[int(bit) for bit in bits[start : start + count]] for start in range(0, len(bits), count)], ops)

    def hashes(self) -> list[str]:
        """The hashes of all cells, ascending."""
        halves = np.stack([self._hash_high, self._hash_low], axis=1).astype(">u8")
        digits = halves.tobytes().hex()
        return [digits[start : start + 32] for start in range(0, len(digits), 32)]

    def __len__(self) -> int:
        return self.info.cells

    def __contains__(self, cell: object) -> bool:
        if not isinstance(cell, (Cell, str)):
            return False
        return self._find(cell if isinstance(cell, str) else cell.hash) is not None

    def __repr__(self) -> str:
        return f"Table({str(self.path)!r}, {self.info.label}, {self.info.cells} cells)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path,)

    def _row(self, hash_: str) -> int:
        row = self._find(hash_)
        if row is None:
            raise CellNotInTable(
                f"{self.path}: cell {hash_} is not among the {self.info.cells} cells of {self.info.label}; "
                "query a cell of the space that this table covers"
            )
        return row

    def _find(self, hash_: str) -> int | None:
        halves = _halves([hash_])
        if halves is None:
            return None
        high, low = halves[0]
        row = int(self._hash_high.searchsorted(high))
        while row < self.info.cells and self._hash_high[row] == high:
            if self._hash_low[row] == low:
                return row
            row += 1
        return None

    def _rows(self, hashes: Sequence[str]) -> npt.NDArray[np.int64]:
        halves = _halves(hashes)
        if halves is None:
            return np.array([self._row(hash_) for hash_ in hashes])
        rows = np.minimum(self._hash_high.searchsorted(halves[:, 0]), self.info.cells - 1)
        found = (self._hash_high[rows] == halves[:, 0]) & (self._hash_low[rows] == halves[:, 1])
        for missed in np.flatnonzero(~found).tolist():
            rows[missed] = self._row(hashes[missed])
        return rows.astype(np.int64)

    def _budget(self, epochs: int | None) -> int:
        budgets = self.info.epoch_budgets
        if epochs is None:
            return len(budgets) - 1
        if epochs not in budgets:
            raise CellNotInTable(
                f"{self.path}: {self.info.label} has no cells trained for {epochs} epochs; "
                f"choose among {', '.join(map(str, budgets))}"
            )
        return budgets.index(epochs)

    def _untrained(self, hash_: str, epochs: int | None) -> CellNotInTable:
        budget = self.info.epoch_budgets[self._budget(epochs)]
        return CellNotInTable(
            f"{self.path}: cell {hash_} has no training run of {budget} epochs in {self.info.label}; "
            "choose another budget, or a table that is complete"
        )


class _Rows:
    """Records as they come, in columns: millions of them must fit in memory."""

    def __init__(self) -> None:
        self.cells: dict[bytes, int] = {}
        self.budgets: dict[int, int] = {}
        self.cell_of_record = array("I")
        self._budget_of_record = array("I")
        self._parameters = array("I")
        self._values = array("d")
        self._adjacency = array("Q")
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

    def arrays(self, counts: npt.NDArray[np.int64]) -> Iterator[tuple[str, Array]]:
        """The arrays of the index one by one, by name, so that one at a time is copied."""
        order, halves = self._cell_order()
        yield "hash_high", halves[order, 0]
        yield "hash_low", halves[order, 1]
        yield "adjacency", np.frombuffer(self._adjacency, np.uint64)[order]
        codes = np.array([_operation_codes(ops) for ops in self._known_operations], np.uint8)
        yield "operations", codes[np.frombuffer(self._operations, np.uint32)[order]]
        yield "first_record", np.concatenate(([0], np.cumsum(counts))).astype(np.uint32)
        records = np.argsort(self._slots(), kind="stable")
        yield "parameters", np.frombuffer(self._parameters, np.uint32)[records]
        values = np.frombuffer(self._values, np.float64).reshape(-1, len(_COLUMNS))
        for column, name in enumerate(_COLUMNS):
            yield name, values[records, column]

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
            bits = int("".join(str(entry) for row in matrix for entry in row), 2)
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
    return [_LABELS.index(op) for op in ops] + [_NO_VERTEX] * (MAX_VERTICES - len(ops))


def _other_label(source: Path, label: str | None) -> str:
    chosen = (label or table_stem(source)).strip()
    if not chosen or "".join(filter(str.isalnum, chosen)).lower() == "nasbench101":
        raise UserError(
            f"{source}: not an official file by its SHA-256, so it cannot be labelled {chosen!r}; "
            "give another `--label`"
        )
    return chosen


def table_stem(source: Path) -> str:
    """The name of a TFRecord file without its endings."""
    name = source.name
    for ending in (".xz", ".gz", ".tfrecord"):
        name = name.removesuffix(ending)
    return name


def _mean(values: Array) -> float:
    # What `mean` computes, without the half of its time that goes into checking arguments.
    return float(np.add.reduce(values)) / len(values)


def _halves(hashes: Sequence[str]) -> npt.NDArray[np.uint64] | None:
    """High and low halves `[len(hashes), 2]` of hashes; None if one is not 32 hexadecimal digits."""
    try:
        digits = bytes.fromhex("".join(hashes))
    except (ValueError, TypeError):
        return None
    if any(len(hash_) != 32 for hash_ in hashes) or len(digits) != 16 * len(hashes):
        return None
    return np.frombuffer(digits, ">u8").astype(np.uint64).reshape(-1, 2)


def _write(file: BinaryIO, info: IndexInfo, arrays: Iterator[tuple[str, Array]]) -> None:
    specifications: list[dict[str, Any]] = []
    position = _aligned(_PREFIX.size)
    file.seek(position)
    for name, values in arrays:
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        constant = little.ndim == 1 and len(little) > 1 and bool((little == little[0]).all())
        specifications.append(
            {
                "name": name,
                "dtype": little.dtype.str,
                "shape": list(little.shape),
                "position": position,
                "constant": constant,
            }
        )
        content = little[:1].tobytes() if constant else little.data
        size = little.itemsize if constant else little.nbytes
        file.write(content)
        file.write(bytes(_aligned(size) - size))
        position += _aligned(size)
    header = json.dumps({"info": asdict(info), "arrays": specifications}).encode()
    file.write(header)
    file.seek(0)
    file.write(_PREFIX.pack(_MAGIC, FORMAT_VERSION, position, len(header), google_crc32c.value(header)))


def _mapped(path: Path, content: mmap.mmap) -> tuple[IndexInfo, dict[str, Array]]:
    if len(content) < _PREFIX.size or content[: len(_MAGIC)] != _MAGIC:
        raise UserError(f"{path}: not an index of a table; {_MENDING}")
    _, version, position, length, checksum = _PREFIX.unpack_from(content)
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: an index of format {version}, this program reads format {FORMAT_VERSION}; {_MENDING}")
    if len(content) != position + length:
        raise UserError(f"{path}: the index has {len(content)} bytes, expected {position + length}; {_MENDING}")
    encoded = content[position:]
    if google_crc32c.value(encoded) != checksum:
        raise UserError(f"{path}: the index is damaged; {_MENDING}")
    header = json.loads(encoded)
    fields = header["info"]
    info = IndexInfo(**(fields | {"epoch_budgets": tuple(fields["epoch_budgets"])}))
    arrays: dict[str, Array] = {}
    for item in header["arrays"]:
        shape = tuple(item["shape"])
        stored = (1,) if item["constant"] else shape
        values = np.frombuffer(content, item["dtype"], int(np.prod(stored)), item["position"]).reshape(stored)
        arrays[item["name"]] = np.broadcast_to(values, shape) if item["constant"] else values
    return info, arrays


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
