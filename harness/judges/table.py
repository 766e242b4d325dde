"""The judge that looks architectures up.

A benchmark's table, whatever its file and its space, becomes a judge by two answers: what an architecture is worth, and
what is known of the whole space. `harness.tables.space_table` gives them for tables of NAS-Bench-101 cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from harness.judges.base import Judge, JudgeInfo, Verdict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from spaces.base import Architecture, Space


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


@dataclass(frozen=True)
class Trainings:
    """What a table recorded of training one architecture for some epochs.

    Attributes:
        valid_errors: fractions, one for each repeat.
        test_error: fraction, a mean over the repeats, after the table's largest number of epochs.
        seconds: what one training took, a mean over the repeats; None where the table has no times.
    """

    valid_errors: tuple[float, ...]
    test_error: float
    seconds: float | None


@dataclass(frozen=True)
class Outcomes:
    """What a draw of a space's sampler can give, by a table; an entry for each architecture that the table holds.

    Attributes:
        probability: of drawing each, `[architectures]`, given that it is one of the table; adds up to 1.
        valid_errors: `[architectures, repeats]`, NaN where there is none.
        test_errors: `[architectures]`, as `Trainings.test_error`.
        share: of all that the sampler may draw, what part the table holds; 1 for all.
    """

    probability: npt.NDArray[np.float64]
    valid_errors: npt.NDArray[np.float64]
    test_errors: npt.NDArray[np.float64]
    share: float


@runtime_checkable
class TrainingTable(Protocol):
    """A table that says, besides `ArchitectureTable`, what single trainings gave: what black-box methods ask.

    Attributes:
        budgets: numbers of epochs that it has trainings of, ascending.
        charged: what a training is said to cost, in words for records and figures.
        has_seconds: whether trainings have their seconds.
    """

    @property
    def budgets(self) -> tuple[int, ...]: ...

    @property
    def charged(self) -> str: ...

    @property
    def has_seconds(self) -> bool: ...

    def trainings(self, architecture: Architecture, epochs: int, /) -> Trainings | None:
        """What is known of an architecture trained for so many epochs; None where the table does not hold it.

        Raises:
            UserError: the table is damaged.
        """

    def outcomes(self, space: Space[Any], epochs: int, /) -> Outcomes:
        """What a draw of the space can give.

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
