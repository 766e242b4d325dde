"""What an evaluation of an architecture gives and costs, by a table.

A method is told a validation error: the mean over the table's repeats, or that of one repeat drawn for the evaluation,
as a training of one's own would give it. It is charged what the table says that a training took, each time anew, also
for an architecture that was evaluated before. The test error is for the record and no method sees it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from harness.errors import UserError
from harness.judges.base import Judge
from harness.judges.table import TableJudge, Trainings, TrainingTable
from harness.records.repeats import DIGITS
from spaces.base import Architecture

Observed = Literal["mean", "repeat"]


@dataclass(frozen=True)
class Evaluation:
    """What evaluating an architecture gave.

    Attributes:
        valid_error: what the method is told, rounded to a billionth.
        test_error: of the architecture, a mean over the table's repeats after its largest number of epochs.
        seconds: what is charged; None where the table has no times.
    """

    valid_error: float
    test_error: float
    seconds: float | None


class Evaluator:
    """Evaluates architectures by a table.

    Attributes:
        table: the table.
        observed: which validation error is told.
        epochs: for how many an architecture is trained.
    """

    def __init__(self, table: TrainingTable, observed: Observed = "mean", epochs: int | None = None) -> None:
        """Begin without anything looked up.

        Args:
            table: the table.
            observed: `mean`, or `repeat` for one repeat drawn for each evaluation.
            epochs: one of the table's budgets; None for the largest.

        Raises:
            UserError: the table has no trainings of so many epochs.
        """
        if epochs is not None and epochs not in table.budgets:
            known = ", ".join(map(str, table.budgets))
            raise UserError(f"--epochs: expected one of the table's numbers of epochs, {known}, got {epochs}")
        self.table, self.observed = table, observed
        self.epochs = table.budgets[-1] if epochs is None else epochs
        self._known: dict[Architecture, Trainings] = {}

    def evaluate(self, architecture: Architecture, generator: random.Random) -> Evaluation:
        """What training and validating an architecture gives.

        Args:
            architecture: of the table's space.
            generator: of the evaluation's noise; draws nothing where the mean is told.

        Raises:
            UserError: the table does not hold the architecture, or is damaged.
        """
        known = self._known.get(architecture)
        if known is None:
            known = self.table.trainings(architecture, self.epochs)
            if known is None:
                raise UserError(f"architecture {architecture.key} is not in the table; expected one of the whole space")
            self._known[architecture] = known
        errors = known.valid_errors
        valid = generator.choice(errors) if self.observed == "repeat" else sum(errors) / len(errors)
        # What is equal but for rounding must tie, here as for exact random search.
        return Evaluation(round(valid, DIGITS), known.test_error, known.seconds)


def table_of(judge: Judge) -> TrainingTable:
    """The table of a judge that has one whose trainings can be asked for.

    Raises:
        UserError: it has none.
    """
    table = judge.table if isinstance(judge, TableJudge) else judge
    if not isinstance(table, TrainingTable):
        raise UserError(f"{judge.info.label}: a black-box method needs a table of trainings, which this judge has not")
    return table
