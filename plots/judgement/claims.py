"""What recorded runs say about a claim: supported, not supported, or that nobody can tell.

A claim is a list of statements, each of one space and with a test of its own; `RULE` says what follows from them. What
was not measured supports nothing. `plots.judgement.papers_claims` has the claims.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.records.run_folder import SpaceLabel, space_name
from harness.records.statistics import holm
from plots.judgement.findings import ALPHA

SUPPORTED, NOT_SUPPORTED, CANNOT_TELL = "supported", "not supported", "cannot tell"
HOLDS, CONTRADICTED, OPEN, MISSING = OUTCOMES = "holds", "contradicted", "open", "not recorded"
FEW = 3
"""Up to so many statements a claim's row in a table names each."""

RULE = (
    "A statement holds where its test finds what it says at p <= .05, two-sided. It is contradicted where its test "
    "finds the opposite at p <= .05 after Holm over all statements of its claim. A claim is supported where every "
    "statement holds, in every space recorded here; not supported where any is contradicted; and otherwise nobody can "
    "tell, which is so wherever a method is missing. Each of the six claims is judged by itself."
)


@dataclass(frozen=True)
class Statement:
    """Something that a test can find or find the opposite of.

    Attributes:
        text: what is stated, without the space.
        space: where.
        n: seeds of the method, and of the other where there is one.
        effect: Cliff's delta, or a mean difference; below zero in the direction that is claimed, NaN without values.
        shown: the effect as it was measured, in words.
        p: two-sided; NaN where nothing was tested.
        holm_p: the same, adjusted over the claim's statements.
        outcome: `HOLDS`, `CONTRADICTED`, `OPEN` or `MISSING`.
    """

    text: str
    space: SpaceLabel
    n: tuple[int, ...]
    effect: float
    shown: str
    p: float
    holm_p: float = math.nan
    outcome: str = OPEN

    @property
    def numbers(self) -> str:
        """What was measured, of how many seeds, and p before and after the adjustment."""
        return f"{self.shown}, n {'/'.join(map(str, self.n))}, p {self.p:.2g}, {self.holm_p:.2g} after Holm"


@dataclass(frozen=True)
class Verdict:
    """What the runs of one benchmark say about one claim.

    Attributes:
        figure: of the paper.
        claim: in a sentence.
        verdict: `SUPPORTED`, `NOT_SUPPORTED` or `CANNOT_TELL`.
        statements: what it rests on.
    """

    figure: str
    claim: str
    verdict: str
    statements: tuple[Statement, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The distinct numbers of seeds that were tested, ascending."""
        return tuple(sorted({n for statement in self.statements if statement.outcome != MISSING for n in statement.n}))

    @property
    def told(self) -> str:
        """The verdict, with n where nothing can be told."""
        if self.verdict != CANNOT_TELL:
            return self.verdict
        if not self.seeds:
            return f"{CANNOT_TELL}: not recorded"
        few, many = self.seeds[0], self.seeds[-1]
        return f"{CANNOT_TELL} at n = {few}" + (f" to {many}" if many > few else "")

    @property
    def shows(self) -> str:
        """What the runs show: each of a few statements with its numbers, of many how many hold and what is against."""
        tested = [statement for statement in self.statements if statement.outcome != MISSING]
        if len(self.statements) <= FEW:
            told = tested
            parts = []
        else:
            told = [statement for statement in tested if statement.outcome == CONTRADICTED]
            counts = [
                (sum(statement.outcome == outcome for statement in self.statements), outcome) for outcome in OUTCOMES
            ]
            counted = ", ".join(f"{count} {outcome}" for count, outcome in counts if count)
            parts = [f"{len(self.statements)} statements: {counted}."]
        parts += [
            f"{statement.outcome.capitalize()}: {statement.text}, {space_name(statement.space)}, {statement.numbers}."
            for statement in told
        ]
        return " ".join(parts) or "Not recorded."


def decide(statements: Sequence[Statement]) -> tuple[str, tuple[Statement, ...]]:
    """The verdict on a claim, and its statements with their outcomes; `RULE` in code.

    Args:
        statements: with effect and p; one without a p is missing.
    """
    tested = [statement for statement in statements if math.isfinite(statement.p)]
    adjusted = dict(zip(map(id, tested), holm([statement.p for statement in tested]).tolist(), strict=True))
    judged = []
    for statement in statements:
        holm_p = adjusted.get(id(statement), math.nan)
        if id(statement) not in adjusted:
            outcome = MISSING
        elif statement.effect < 0 and statement.p <= ALPHA:
            outcome = HOLDS
        elif statement.effect > 0 and holm_p <= ALPHA:
            outcome = CONTRADICTED
        else:
            outcome = OPEN
        judged.append(replace(statement, holm_p=holm_p, outcome=outcome))
    outcomes = {statement.outcome for statement in judged}
    if CONTRADICTED in outcomes:
        return NOT_SUPPORTED, tuple(judged)
    return (SUPPORTED if outcomes == {HOLDS} else CANNOT_TELL), tuple(judged)
