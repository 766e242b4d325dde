"""The contract of `optimizers.base` as checks that any optimizer can be put through.

Each check runs a method on a tiny network on the CPU and raises `Violation`, which says in words what is wrong and
where to look. `python -m harness.check my_module:MyOptimizer` runs them all; a test suite does it so:

    import pytest
    from harness.conformance import conformance_checks
    from my_module import MyOptimizer

    @pytest.mark.parametrize("check", conformance_checks(MyOptimizer), ids=str)
    def test_my_optimizer_keeps_the_contract(check):
        check()

A check that has nothing to say about a method is skipped. What is legal for one method and a mistake in most others can
be left out by name and reason, as by a method that means to train its alphas on the training split:
`conformance_checks(MyOptimizer, skip={"alphas_follow_the_validation_batch": "one level, on purpose"})`.

By default a method is run in the spaces 1, 2 and 3 and judged in the first; `space="..."` judges it in another one.
"""

from __future__ import annotations

from harness.conformance.subject import Subject
from harness.conformance.suite import (
    BoundCheck,
    Check,
    NotJudged,
    Verdict,
    Violation,
    all_checks,
    conformance_checks,
    judge,
)

__all__ = [
    "BoundCheck",
    "Check",
    "NotJudged",
    "Subject",
    "Verdict",
    "Violation",
    "all_checks",
    "conformance_checks",
    "judge",
]
