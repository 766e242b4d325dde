"""One repeat of a black-box method: asked, looked up, charged and told until its limit is reached."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from harness.ask_tell.evaluating import Evaluator
from harness.records.repeats import DIGITS
from optimizers.black_box.base import BlackBox
from spaces.base import Architecture


@dataclass(frozen=True)
class Limit:
    """When a repeat ends; at least one of the two is given.

    Attributes:
        evaluations: after so many.
        seconds: before the evaluation that would end later than so many charged seconds.
    """

    evaluations: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a repeat gave.

    Attributes:
        best: the architecture that it returns, the incumbent by observed validation error.
        line: what is recorded of it, as `harness.records.repeats` says, but for its number.
    """

    best: Architecture
    line: dict[str, Any]


def run_repeat(method: BlackBox[Any], evaluator: Evaluator, limit: Limit) -> Outcome | None:
    """Run a method to its limit; None where not one evaluation fits into it.

    Args:
        method: before its first proposal; its seed also decides the noise of the evaluations.
        evaluator: gives errors and costs.
        limit: when to end.

    Raises:
        UserError: the method proposes what the table does not hold.
    """
    noise = random.Random(f"evaluations {method.seed}")
    columns: dict[str, list[float]] = {"evaluation": [], "valid_error": [], "test_error": [], "seconds": []}
    best: tuple[float, Architecture] | None = None
    made, charged, timed = 0, 0.0, True
    while limit.evaluations is None or made < limit.evaluations:
        proposal = method.ask()
        evaluation = evaluator.evaluate(proposal.architecture, noise)
        if evaluation.seconds is None:
            timed = False
        elif limit.seconds is not None and charged + evaluation.seconds > limit.seconds:
            break
        else:
            charged += evaluation.seconds
        made += 1
        method.tell(proposal, evaluation.valid_error)
        if best is None or evaluation.valid_error < best[0]:
            best = evaluation.valid_error, proposal.architecture
            entries = (made, evaluation.valid_error, evaluation.test_error, charged)
            for column, entry in zip(columns.values(), entries, strict=True):
                column.append(round(entry, DIGITS))
    if best is None:
        return None
    if not timed:
        del columns["seconds"]
    line = {
        "evaluations": made,
        "seconds": round(charged, DIGITS) if timed else None,
        "incumbents": columns,
        "architecture": best[1].to_json(),
    }
    return Outcome(best[1], line)
