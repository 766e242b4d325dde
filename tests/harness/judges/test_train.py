"""The train judge trains each architecture once, whoever asks, and keeps every finished training."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.judges.base import UNKNOWN, Verdict
from harness.judges.cache import IDENTITY
from harness.judges.train import Errors, TrainJudge
from spaces.base import Architecture
from tests.support.two_groups import TwoGroupsArchitecture

FIRST = TwoGroupsArchitecture({"normal": (0, 1, 2), "reduce": (3, 0, 0)})
SECOND = TwoGroupsArchitecture({"normal": (0, 1, 2), "reduce": (3, 0, 1)})


class CountingTrainer:
    """Gives errors that depend on architecture, repeat and recipe alone, and writes down what it trained."""

    def __init__(self, log: Path, recipe: str = "short") -> None:
        self.log, self.recipe = log, recipe

    def identity(self) -> Mapping[str, Any]:
        """The recipe."""
        return {"recipe": self.recipe}

    def train(self, architecture: Architecture, repeat: int) -> Errors:
        """A quarter, and an eighth for each repeat."""
        with self.log.open("a") as log:
            log.write(f"{architecture.key} {repeat}\n")
        return Errors(test=0.25 + repeat / 8, validation=len(architecture.key) / 1024)

    @property
    def trained(self) -> list[str]:
        """A line for each training."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def trainer(tmp_path: Path) -> CountingTrainer:
    return CountingTrainer(tmp_path / "log")


def judge_of(trainer: CountingTrainer, folder: Path, repeats: int = 2, every: int = 1) -> TrainJudge:
    return TrainJudge(trainer, repeats, every, folder)


def test_verdict_is_the_mean_of_the_repeats(trainer: CountingTrainer, tmp_path: Path) -> None:
    verdict = judge_of(trainer, tmp_path, repeats=3).judge(FIRST, 0, last=False)
    assert (verdict.test_error, verdict.valid_error, verdict.repeats) == (0.375, len(FIRST.key) / 1024, 3)
    assert verdict.seconds > 0


def test_second_answer_is_the_same_and_trains_nothing(trainer: CountingTrainer, tmp_path: Path) -> None:
    first = judge_of(trainer, tmp_path).judge(FIRST, 0, last=False)
    assert trainer.trained == [f"{FIRST.key} 0", f"{FIRST.key} 1"]
    second = judge_of(trainer, tmp_path).judge(FIRST, 9, last=True)
    assert second == Verdict(first.test_error, first.valid_error, 2, seconds=0.0)
    assert len(trainer.trained) == 2


def test_more_repeats_add_to_those_that_are_kept(trainer: CountingTrainer, tmp_path: Path) -> None:
    judge_of(trainer, tmp_path, repeats=1).judge(FIRST, 0, last=False)
    verdict = judge_of(trainer, tmp_path, repeats=3).judge(FIRST, 0, last=False)
    assert trainer.trained == [f"{FIRST.key} {repeat}" for repeat in range(3)]
    assert (verdict.test_error, verdict.repeats) == (0.375, 3)


def test_other_architectures_are_trained_on_their_own(trainer: CountingTrainer, tmp_path: Path) -> None:
    judge = judge_of(trainer, tmp_path, repeats=1)
    judge.judge(FIRST, 0, last=False)
    judge.judge(SECOND, 1, last=False)
    assert trainer.trained == [f"{FIRST.key} 0", f"{SECOND.key} 0"]


def test_epochs_between_are_not_judged_and_the_last_is(trainer: CountingTrainer, tmp_path: Path) -> None:
    judge = judge_of(trainer, tmp_path, every=10)
    for epoch in (1, 9, 11):
        assert judge.judge(FIRST, epoch, last=False) == UNKNOWN
    assert trainer.trained == []
    for epoch, last in ((0, False), (10, False), (13, True)):
        assert judge.judge(FIRST, epoch, last).test_error is not None


def test_another_recipe_has_trainings_and_a_hash_of_its_own(trainer: CountingTrainer, tmp_path: Path) -> None:
    first = judge_of(trainer, tmp_path)
    first.judge(FIRST, 0, last=False)
    other = judge_of(CountingTrainer(trainer.log, "long"), tmp_path)
    assert other.info.sha256 != first.info.sha256 == judge_of(trainer, tmp_path).info.sha256
    other.judge(FIRST, 0, last=False)
    assert len(trainer.trained) == 4
    identities = [json.loads(file.read_text()) for file in tmp_path.glob(f"*/{IDENTITY}")]
    assert sorted(identity["recipe"] for identity in identities) == ["long", "short"]


def test_info_says_that_it_is_trained_and_whether_noise_is_known(trainer: CountingTrainer, tmp_path: Path) -> None:
    info = judge_of(trainer, tmp_path).info
    assert (info.kind, info.noise_known, len(info.sha256)) == ("trained", True, 64)
    assert not judge_of(trainer, tmp_path, repeats=1).info.noise_known


@pytest.mark.parametrize("fault", ["cut short", "edited", "another's", "no JSON", "a list", "empty"])
def test_file_that_is_not_what_was_written_is_measured_again(
    fault: str, trainer: CountingTrainer, tmp_path: Path
) -> None:
    judge = judge_of(trainer, tmp_path, repeats=1)
    expected = judge.judge(FIRST, 0, last=False).test_error
    (file,) = (path for path in tmp_path.glob("*/*.json") if path.name != IDENTITY)
    content = file.read_text()
    judge.judge(SECOND, 0, last=False)
    (other,) = (path for path in tmp_path.glob("*/*.json") if path.name not in (IDENTITY, file.name))
    spoiled = {
        "cut short": content[:-5],
        "edited": content.replace("0.25", "0.125"),
        "another's": other.read_text(),
        "no JSON": "{",
        "a list": "[1, 2]",
        "empty": "",
    }
    assert spoiled[fault] != content
    file.write_text(spoiled[fault])
    assert judge.judge(FIRST, 0, last=False).test_error == expected
    assert trainer.trained.count(f"{FIRST.key} 0") == 2
    assert judge.judge(FIRST, 0, last=False).seconds == 0


def test_impossible_settings_are_one_clear_line(trainer: CountingTrainer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--judge-every: expected 1 or more epochs between judgements, got 0"):
        judge_of(trainer, tmp_path, every=0)
    with pytest.raises(UserError, match=r"train\.repeats: expected 1 or more, got 0"):
        judge_of(trainer, tmp_path, repeats=0)


SCRIPT = """
import sys, time
from pathlib import Path
from tests.harness.judges.test_train import FIRST, CountingTrainer, TrainJudge

folder, waits_at = Path(sys.argv[1]), int(sys.argv[2])

class Waiting(CountingTrainer):
    def train(self, architecture, repeat):
        errors = super().train(architecture, repeat)
        if repeat == waits_at:
            print("training", flush=True)
            sys.stdin.readline()
        return errors

verdict = TrainJudge(Waiting(folder / "log"), 3, 1, folder).judge(FIRST, 0, last=False)
print(verdict.test_error, flush=True)
"""


def start(folder: Path, waits_at: int) -> subprocess.Popen[str]:
    """Judge in another process, which waits in the training of one repeat until it is told to go on."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(waits_at)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )


def test_training_that_is_killed_is_repeated_and_finished_ones_are_kept(
    trainer: CountingTrainer, tmp_path: Path
) -> None:
    with start(tmp_path, waits_at=1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGKILL)
    verdict = judge_of(trainer, tmp_path, repeats=3).judge(FIRST, 0, last=False)
    assert trainer.trained == [f"{FIRST.key} {repeat}" for repeat in (0, 1, 1, 2)]
    assert verdict.test_error == 0.375


def test_two_processes_at_once_train_everything_once(trainer: CountingTrainer, tmp_path: Path) -> None:
    with start(tmp_path, waits_at=0) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == "training\n"
        with start(tmp_path, waits_at=-1) as second:
            assert second.stdout is not None
            # The second cannot have an answer before the first goes on, since both want the training in hand.
            first.stdin.write("\n")
            first.stdin.flush()
            assert second.stdout.readline() == first.stdout.readline() == "0.375\n"
            assert (first.wait(), second.wait()) == (0, 0)
    assert sorted(trainer.trained) == [f"{FIRST.key} {repeat}" for repeat in range(3)]


def test_folder_can_be_moved(trainer: CountingTrainer, tmp_path: Path) -> None:
    judge_of(trainer, tmp_path / "here").judge(FIRST, 0, last=False)
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert judge_of(trainer, tmp_path / "there").judge(FIRST, 0, last=False).seconds == 0
