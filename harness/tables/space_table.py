"""A table of NAS-Bench-101 cells as the table of one search space: what a table judge asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.judges.base import UNKNOWN, JudgeInfo, JudgeKind, Verdict
from harness.judges.table import ArchitectureTable, Outcomes, Trainings
from harness.tables.query import CellNotInTable, CellTable, Table
from harness.tables.truths import Truths
from spaces.nb101.cell import Cell
from spaces.nb101.space import SearchSpace

if TYPE_CHECKING:
    from spaces.base import Architecture


class SpaceTable:
    """The cells of a space that a table holds (`harness.judges.table.ArchitectureTable`).

    Attributes:
        info: what the table is.
        table: the index.
        space: the space.
    """

    info: JudgeInfo

    def __init__(
        self,
        table: Table,
        space: SearchSpace,
        *,
        kind: JudgeKind | None = None,
        answering: Callable[[], CellTable] | None = None,
    ) -> None:
        """Join a table and a space.

        Args:
            table: the index.
            space: the space.
            kind: where the numbers come from, if the table is not official: `measured` if every cell was trained, by
                default `stand-in`.
            answering: opens what looks single cells up, when the first is asked for; the index itself by default.
        """
        self.table, self.space = table, space
        self._kind, self._open = kind, answering or (lambda: table)
        self._answering: CellTable | None = None
        info = table.info
        self.info = JudgeInfo(
            label=info.label,
            kind="official" if info.is_official else kind or "stand-in",
            sha256=info.source_sha256,
            noise_known=info.repeats > 1,
        )

    def answered_by(self, answering: Callable[[], CellTable]) -> SpaceTable:
        """The same table, whose single cells something else looks up."""
        return SpaceTable(self.table, self.space, kind=self._kind, answering=answering)

    def lookup(self, architecture: Architecture | Cell) -> Verdict:
        """What the table knows of a cell at its largest epoch budget; `UNKNOWN` if it does not hold it.

        Raises:
            UserError: the index is damaged where this cell lies.
        """
        if self._answering is None:
            self._answering = self._open()
        try:
            metrics = self._answering.query(cell_of(architecture))
        except CellNotInTable:
            return UNKNOWN
        return Verdict(metrics.test_error, metrics.valid_error, metrics.repeats)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Numbers of epochs that the table has trainings of, ascending."""
        return self.table.info.epoch_budgets

    @property
    def charged(self) -> str:
        """What a training is said to cost."""
        return "the table's seconds of training, mean over the architecture's repeats"

    @property
    def has_seconds(self) -> bool:
        """Trainings have their seconds."""
        return True

    def trainings(self, architecture: Architecture | Cell, epochs: int) -> Trainings | None:
        """What the table knows of a cell trained for so many epochs; None where it does not hold it.

        Raises:
            UserError: the index is damaged where this cell lies.
        """
        cell = cell_of(architecture)
        try:
            metrics = self.table.query(cell, epochs)
            last = metrics if epochs == self.budgets[-1] else self.table.query(cell)
        except CellNotInTable:
            return None
        valid = tuple(1.0 - accuracy for accuracy in metrics.valid_accuracies)
        return Trainings(valid, last.test_error, metrics.training_seconds)

    def outcomes(self, space: Any, epochs: int) -> Outcomes:
        """What a draw of the space can give.

        Raises:
            UserError: the index is damaged, or has no cell of the space with so many epochs.
        """
        truths = Truths(self.table, self.space, epochs)
        test = truths.test
        if epochs != self.budgets[-1]:
            test, _ = self.table.mean_errors(truths.hashes)
        return Outcomes(truths.probability, truths.valid_runs, test, truths.share)

    def truths(self, epochs: int) -> dict[str, Any]:
        """What the table tells of the whole space (`Truths.record`), random search as long as a search.

        Raises:
            UserError: the table has no cell of the space, or is damaged.
        """
        return Truths(self.table, self.space).record(epochs)


def of_space(table: Any, space: Any, kind: JudgeKind | None = None) -> ArchitectureTable:
    """A benchmark's table as that of one space: an index of cells joined with the space, any other table as it is.

    Args:
        table: what a benchmark gives.
        space: of the search.
        kind: where the numbers of an index that is not official come from.
    """
    if isinstance(table, Table):
        return SpaceTable(table, space, kind=kind)
    other: ArchitectureTable = table
    return other


def cell_of(architecture: Architecture | Cell) -> Cell:
    """The cell of an architecture of a NAS-Bench-101 space, which is the cell itself or has it as `cell`.

    Raises:
        TypeError: the architecture is of another space.
    """
    cell = getattr(architecture, "cell", architecture)
    if not isinstance(cell, Cell):
        raise TypeError(f"expected an architecture of a NAS-Bench-101 space, got {type(architecture).__name__}")
    return cell
