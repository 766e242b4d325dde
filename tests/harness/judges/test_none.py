"""A search that nothing judges records null errors."""

from __future__ import annotations

from harness.judges.none import NoJudge
from tests.support.two_groups import TwoGroupsArchitecture


def test_nothing_is_known_of_any_architecture() -> None:
    judge = NoJudge()
    architecture = TwoGroupsArchitecture({"normal": (0, 1, 2), "reduce": (3, 0, 0)})
    assert (judge.info.label, judge.info.kind) == ("none", "none")
    for epoch, last in ((0, False), (10, True)):
        assert judge.judge(architecture, epoch, last).record() == {
            "test_error": None,
            "valid_error": None,
            "repeats": 0,
        }
    assert judge.truths(10) == {}
