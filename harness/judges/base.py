"""A judge says how good an architecture is: by looking it up, by training it, or not at all.

A search asks its judge after every epoch what the architecture that it would return now is worth. A judge may have no
answer, for an architecture that it does not know or at an epoch that it does not judge; errors of that epoch are then
null, and figures say so. The judge, its kind and its source's SHA-256 stand in `config.json` and the label in every
line, so that numbers of different judges are never mixed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from spaces.base import Architecture

JudgeKind = Literal["official", "stand-in", "measured", "surrogate", "trained", "none"]
"""Where a judge's numbers come from: the official file of a benchmark by its SHA-256, a file that imitates one, a table
measured by training every architecture, a model's prediction, training on demand, or nowhere."""


@dataclass(frozen=True)
class JudgeInfo:
    """What a judge is, as results say it.

    Attributes:
        label: what lines and figures call it.
        kind: where its numbers come from.
        sha256: of the source's file, or of the recipe; empty for no judge.
        noise_known: whether repeats tell how far two measurements of one architecture differ.
    """

    label: str
    kind: str
    sha256: str
    noise_known: bool = True


@dataclass(frozen=True)
class Verdict:
    """What an architecture is worth.

    Attributes:
        test_error: fraction of the test set that it gets wrong, a mean over the repeats; None if unknown.
        valid_error: fraction of the validation set; None if unknown.
        repeats: how many trainings the means are over; 0 where the architecture is unknown.
        seconds: what the judgement took here, beyond a look-up; 0 for a look-up.
    """

    test_error: float | None
    valid_error: float | None
    repeats: int
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """The entries of an epoch line."""
        return {"test_error": self.test_error, "valid_error": self.valid_error, "repeats": self.repeats}


UNKNOWN = Verdict(None, None, 0)
"""The verdict where a judge has no answer."""


class Judge(ABC):
    """Says how good the architectures of one space are.

    Attributes:
        info: what it is.
    """

    info: JudgeInfo

    @abstractmethod
    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """What an architecture is worth.

        Args:
            architecture: of the judge's space.
            epoch: of the search; a judge that takes long may answer at some epochs only.
            last: whether it is the search's last epoch, which is always judged.
        """

    def truths(self, epochs: int) -> dict[str, Any]:
        """What is known of the whole space, for `config.json`: optimum, random search, distribution; empty if nothing.

        Args:
            epochs: length of the search, for what random search would find meanwhile.
        """
        return {}
