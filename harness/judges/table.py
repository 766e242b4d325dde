"""The judge that looks architectures up.

A benchmark's table, whatever its file and its space, becomes a judge by two answers: what an architecture is worth, and
what is known of the whole space. `harness.tables.space_table` gives them for tables of NAS-Bench-101 cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from harness.judges.base import Judge, JudgeInfo, Verdict

if TYPE_CHECKING:
    from spaces.base import Architecture


class ArchitectureTable(Protocol):
    """Measurements of the architectures of one space.

    Attributes:
        info: what the table is.
    """

    info: JudgeInfo

    def lookup(self, architecture: Architecture, /) -> Verdict:
        """What an architecture is worth; `UNKNOWN` where the table does not hold it.

        Raises:
            UserError: the table is damaged.
        """

    def truths(self, epochs: int, /) -> dict[str, Any]:
        """What the table tells of the whole space, as `Judge.truths` gives it.

        Raises:
            UserError: the table is damaged, or holds no architecture of the space.
        """


class TableJudge(Judge):
    """Answers at every epoch with what a table holds.

    Attributes:
        table: the table.
    """

    def __init__(self, table: ArchitectureTable) -> None:
        self.table, self.info = table, table.info

    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """What the table holds of an architecture, the same at every epoch."""
        return self.table.lookup(architecture)

    def truths(self, epochs: int) -> dict[str, Any]:
        """What the table tells of the whole space."""
        return self.table.truths(epochs)
