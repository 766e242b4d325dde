"""Checks of black-box methods: each can fail, and the command says which does."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from harness.commands import check
from harness.conformance.black_box import BlackBoxSubject, judge_black_box
from optimizers.black_box.base import BlackBox, BlackBoxConfig, Proposal
from optimizers.black_box.random_search import RandomSearch
from spaces.base import Architecture
from spaces.registry import get_space


class ElsewhereSampled(RandomSearch):
    def propose(self) -> Architecture:
        return get_space("toy").sample(self.random)


class GloballyRandom(RandomSearch):
    def propose(self) -> Architecture:
        np.random.rand()
        return self.space.sample(random)  # type: ignore[arg-type]


class Seedless(RandomSearch):
    def __init__(self, space, config, seed):  # type: ignore[no-untyped-def]
        super().__init__(space, config, 0)


class Credulous(RandomSearch):
    def tell(self, proposal: Proposal, valid_error: float) -> None:
        self._incumbent = valid_error, proposal


class Impatient(RandomSearch):
    def propose(self) -> Architecture:
        if self._waiting:
            raise RuntimeError("tell me first")
        return super().propose()


@pytest.mark.parametrize(
    ("method_class", "broken"),
    [
        (RandomSearch, set()),
        (ElsewhereSampled, {"proposals are of the space"}),
        (GloballyRandom, {"a seed means one sequence", "global generators are left alone"}),
        (Seedless, {"seeds differ"}),
        (Credulous, {"what was not asked is refused"}),
        (Impatient, {"proposals may wait"}),
    ],
)
def test_each_broken_promise_is_named(method_class: type[BlackBox[BlackBoxConfig]], broken: set[str]) -> None:
    random.seed(0)
    subject = BlackBoxSubject("method", method_class, BlackBoxConfig(), get_space("nb201"))
    named = {statement for statement, words in judge_black_box(subject) if words}
    assert named == broken


def test_the_command_takes_a_class_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_black_box.py").write_text(
        "from optimizers.black_box.random_search import RandomSearch\n\n\n"
        'class Own(RandomSearch):\n    """Random search of my own."""\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert check.main(["own_black_box:Own", "--space", "toy"]) == 0
    assert "own_black_box:Own: keeps the contract" in capsys.readouterr().out
