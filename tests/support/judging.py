"""A judge that looks architectures up in a table."""

from __future__ import annotations

from harness.judges.base import UNKNOWN, Judge, JudgeInfo, Verdict
from harness.tables.query import CellNotInTable, CellTable
from spaces.base import Architecture
from spaces.nb101.architecture import CellChoice


class TableOf(Judge):
    """Answers what a table holds of a cell, and nothing of a cell that is not in it.

    Args:
        table: of the space that is searched.
    """

    def __init__(self, table: CellTable) -> None:
        self.table = table
        self.info = JudgeInfo(table.info.label, table.info.kind, table.info.source_sha256)

    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """The table's means at its largest epoch budget."""
        assert isinstance(architecture, CellChoice)
        try:
            metrics = self.table.query(architecture.cell)
        except CellNotInTable:
            return UNKNOWN
        return Verdict(metrics.test_error, metrics.valid_error, metrics.repeats)
