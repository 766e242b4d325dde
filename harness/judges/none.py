"""The judge of a search that nothing judges: its errors are null, and figures say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.judges.base import UNKNOWN, Judge, JudgeInfo, Verdict

if TYPE_CHECKING:
    from spaces.base import Architecture


class NoJudge(Judge):
    """Knows of no architecture what it is worth."""

    info = JudgeInfo(label="none", kind="none", sha256="", noise_known=False)

    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """The verdict without an answer, at every epoch."""
        return UNKNOWN
