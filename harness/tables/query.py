"""The table: what NAS-Bench-101, or a table measured in its manner, knows about a cell.

`harness.tables.indexing` turns a TFRecord file into an index once; `Table.open` maps the index into memory and
`Table.query` finds a cell in it in microseconds, without TensorFlow. Every answer is checked against the checksum of
its cell. `python -m harness.table` prints what a table says of a whole search space.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.tables.index import LABELS, NO_VERTEX, Index, IndexInfo, map_index, matrix_rows
from spaces.nb101.cell import Cell
from spaces.nb101.space import SearchSpace

Floats = npt.NDArray[np.float64]

_HALVES = struct.Struct(">QQ")


class CellNotInTable(UserError):
    """The table has no such cell, or not at that epoch budget."""


class CellMetrics(NamedTuple):
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


class CellTable(Protocol):
    """What a search asks for the true errors of a cell."""

    info: IndexInfo

    def query(self, cell: Cell, /) -> CellMetrics:
        """What the table knows about a cell at its largest epoch budget.

        Raises:
            CellNotInTable: there is no such cell.
        """


class Table:
    """An index, mapped into memory.

    Attributes:
        path: the index file.
        info: what it was made from and what it holds.
    """

    path: Path
    info: IndexInfo

    def __init__(self, index: Index) -> None:
        self.path = index.path
        self.info = index.info
        self._index = index
        self._budgets = len(index.info.epoch_budgets)

    @classmethod
    def open(cls, path: Path | str) -> Table:
        """Map an index into memory; a few kilobytes are read.

        Raises:
            UserError: the file is missing, cut short, of another format version, or not an index.
        """
        return cls(map_index(Path(path)))

    def query(self, cell: Cell | str, epochs: int | None = None, *, halfway: bool = False) -> CellMetrics:
        """What the table knows about a cell.

        Args:
            cell: the cell, or its hash.
            epochs: an epoch budget; by default the table's largest.
            halfway: the state of the same training runs at half the budget.

        Raises:
            CellNotInTable: there is no such cell, or not at this budget.
            UserError: the index is damaged where this cell lies.
        """
        hash_ = cell if isinstance(cell, str) else cell.hash
        slot = self._checked_row(hash_) * self._budgets + self._budget(epochs)
        start, end = self._index.first_record[slot], self._index.first_record[slot + 1]
        if start == end:
            raise self._untrained(hash_, epochs)
        runs = self._index.runs(start, end)
        moment = "halfway" if halfway else "final"
        test, valid = runs[f"{moment}_test_accuracy"], runs[f"{moment}_validation_accuracy"]
        return CellMetrics(
            hash=hash_,
            epochs=epochs or self.info.epoch_budgets[-1],
            repeats=end - start,
            test_error=mean_error(test),
            valid_error=mean_error(valid),
            test_accuracies=test,
            valid_accuracies=valid,
            train_accuracies=runs[f"{moment}_train_accuracy"],
            training_seconds=mean(runs[f"{moment}_seconds"]),
            trainable_parameters=runs["parameters"][0],
        )

    def mean_errors(self, hashes: Sequence[str], epochs: int | None = None) -> tuple[Floats, Floats]:
        """Test and validation errors `[len(hashes)]` of many cells: fractions, means over the repeats.

        Raises:
            CellNotInTable: one of the cells is missing, or not there at this budget.
            UserError: the index is damaged.
        """
        test, valid = self.errors(self._rows(hashes), epochs)
        repeats = np.isfinite(test).sum(axis=1)
        if not repeats.all():
            raise self._untrained(hashes[int(repeats.argmin())], epochs)
        return mean_of_repeats(test), mean_of_repeats(valid)

    def errors(self, rows: npt.ArrayLike, epochs: int | None = None) -> tuple[Floats, Floats]:
        """Test and validation error of every training run of some cells: `[cells, repeats]`, NaN where there is none.

        Args:
            rows: places among the sorted `hashes`, or a mask over them.
            epochs: an epoch budget; by default the table's largest.

        Raises:
            CellNotInTable: the table has no such budget.
            UserError: the index is damaged.
        """
        chosen = np.asarray(rows)
        places = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        slots = places * self._budgets + self._budget(epochs)
        first = self._index.verified("first_record").astype(np.int64)
        repeat = np.arange(max(1, int((first[slots + 1] - first[slots]).max(initial=0))))
        records = first[slots, None] + repeat
        there = records < first[slots + 1, None]
        errors = []
        for name in ("final_test_accuracy", "final_validation_accuracy"):
            values = np.full(records.shape, np.nan)
            values[there] = 1.0 - self._index.column(name, records[there])
            errors.append(values)
        return errors[0], errors[1]

    def draws(self, space: SearchSpace) -> npt.NDArray[np.int64]:
        """How many choices of a space give each of the sorted `hashes`; 0 where the space cannot return the cell.

        Raises:
            UserError: the index is damaged.
        """
        return self._index.draws(space)

    def enumerated(self, space: SearchSpace) -> npt.NDArray[np.bool_]:
        """Whether the published, incomplete enumeration of a space finds each of the sorted `hashes`; same errors."""
        return self._index.enumerated(space)

    def cell(self, hash_: str) -> Cell:
        """The cell of a hash.

        Raises:
            CellNotInTable: there is no such cell.
            UserError: the index is damaged where this cell lies.
        """
        _, bits, codes, _ = self._index.cell(self._checked_row(hash_))
        ops = [LABELS[code] for code in codes if code != NO_VERTEX]
        return Cell(matrix_rows(bits, len(ops)), ops)

    def hashes(self) -> list[str]:
        """The hashes of all cells, ascending.

        Raises:
            UserError: the index is damaged.
        """
        halves = np.stack([self._index.verified("hash_high"), self._index.verified("cells")["hash_low"]], axis=1)
        digits = halves.astype(">u8").tobytes().hex()
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

    def _checked_row(self, hash_: str) -> int:
        """The place of a cell whose content has the right checksum."""
        row = self._find(hash_)
        if row is None:
            raise CellNotInTable(
                f"{self.path}: cell {hash_} is not among the {self.info.cells} cells of {self.info.label}; "
                "query a cell of the space that this table covers"
            )
        if not self._index.is_intact(row):
            self._index.fail(f"the checksum of cell {hash_} is wrong")
        return row

    def _find(self, hash_: str) -> int | None:
        halves = _halves(hash_)
        if halves is None:
            return None
        high, low = halves
        first = self._index.hash_high
        row = bisect_left(first, high)
        while row < self.info.cells and first[row] == high:
            if self._index.cell(row)[0] == low:
                return row
            row += 1
        # Damage must not make a cell disappear.
        self._index.verified("hash_high")
        self._index.verified("cells")
        return None

    def _rows(self, hashes: Sequence[str]) -> npt.NDArray[np.int64]:
        halves = np.array([_halves(hash_) or (0, 0) for hash_ in hashes], np.uint64).reshape(-1, 2)
        high, low = self._index.verified("hash_high"), self._index.verified("cells")["hash_low"]
        rows = np.minimum(high.searchsorted(halves[:, 0]), self.info.cells - 1)
        known = (high[rows] == halves[:, 0]) & (low[rows] == halves[:, 1])
        for missed in np.flatnonzero(~known).tolist():
            rows[missed] = self._checked_row(hashes[missed])
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


def mean_of_repeats(values: Floats) -> Floats:
    """Means `[cells]` over the repeats that are there of `[cells, repeats]`, the same to the bit as `Table.query`'s."""
    repeats = np.isfinite(values).sum(axis=1)
    means = np.full(len(values), np.nan)
    for count in np.unique(repeats[repeats > 0]):
        chosen = repeats == count
        means[chosen] = values[chosen, :count].mean(axis=1)
    return means


def mean_error(accuracies: Sequence[float]) -> float:
    """The mean of 1 - accuracy over a cell's repeats."""
    return mean([1.0 - accuracy for accuracy in accuracies])


def mean(values: Sequence[float]) -> float:
    """The mean of some numbers, the same to the bit as of a row of `mean_of_repeats`."""
    if len(values) < 8:
        # NumPy adds so few in their order too, in ten times the time; `sum` compensates rounding since Python 3.12.
        return reduce(add, values) / len(values)
    return float(np.mean(values))


def _halves(hash_: str) -> tuple[int, int] | None:
    """High and low half of a hash; None if it is not 32 hexadecimal digits."""
    try:
        digest = bytes.fromhex(hash_)
    except (ValueError, TypeError):
        return None
    return _HALVES.unpack(digest) if len(digest) == 16 and len(hash_) == 32 else None
