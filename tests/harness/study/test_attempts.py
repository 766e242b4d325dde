"""What becomes of tasks: which attempt comes next, and what an attempt's end means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.launch.pool import Failure
from harness.study import attempts as states
from harness.study.attempts import BACK_OFF, MOST_LOSSES, Attempts, Rules, Standing, Verdict, lost
from harness.study.engine import Attempt
from harness.study.journal import History
from harness.study.task import Task
from tests.support.study_engine import task

RESULTS = Path("results")
FAULT = Failure(1, "Traceback\nValueError: no")


class Disk(dict[str, Standing]):
    """What a disk would say of tasks, by key; nothing of those that it does not name."""

    def of(self, task: Task) -> Standing:
        return self.get(task.key, Standing())


def attempts(disk: Disk, *tasks: Task, history: Mapping[str, History] | None = None, **rules: Any) -> Attempts:
    retry_failed = rules.pop("retry_failed", False)
    return Attempts(tasks, Rules(**rules), disk.of, lambda _: None, history or {}, retry_failed)


def started(of: Attempts, now: float = 0.0) -> Attempt:
    attempt = of.next(lambda _: True, now)
    assert attempt is not None
    return attempt


def test_a_task_whose_last_epoch_is_recorded_is_finished_however_its_attempt_ended() -> None:
    disk, one = Disk(), task(RESULTS)
    of = attempts(disk, one)
    attempt = started(of)
    disk[one.key] = Standing(3, finished=True)
    assert of.ended(attempt, lost("killed"), 1.0) == Verdict(states.FINISHED)
    assert of.counts() == {states.FINISHED: 1}


def test_a_failed_task_is_tried_again_later_and_later_and_then_set_aside() -> None:
    of = attempts(Disk(), task(RESULTS), retries=3)
    now = 0.0
    for number, seconds in enumerate(BACK_OFF, 1):
        attempt = started(of, now)
        assert attempt.number == number
        assert of.ended(attempt, FAULT, now).again == seconds
        assert of.next(lambda _: True, now + seconds - 0.1) is None
        now += seconds
    verdict = of.ended(started(of, now), FAULT, now)
    assert (verdict.ending, verdict.again) == (states.FAILED, None)
    assert of.next(lambda _: True, now + 1e6) is None


def test_a_lost_task_is_tried_again_at_once_and_losses_in_a_row_without_a_line_are_counted() -> None:
    of = attempts(Disk(), task(RESULTS), retries=0)
    for number in range(MOST_LOSSES):
        attempt = started(of)
        assert of.ended(attempt, lost("gone"), 0.0) == Verdict(states.LOST, "gone", again=0.0), number
    attempt = started(of)
    of.heard(attempt, 0.0, {"epoch": 1})
    assert of.ended(attempt, lost("gone"), 0.0).again == 0.0
    for _ in range(MOST_LOSSES - 1):
        of.ended(started(of), lost("gone"), 0.0)
    verdict = of.ended(started(of), lost("gone"), 0.0)
    assert (verdict.ending, verdict.again) == (states.LOST, None)


@pytest.mark.parametrize(
    ("standing", "failure", "ending"),
    [
        (Standing(1, diverged="training loss at epoch 1, step 2"), None, states.DIVERGED),
        (Standing(1), Failure(2, "error: expected another value"), states.MISTAKE),
    ],
)
def test_what_diverged_or_is_a_mistake_is_never_tried_again(
    standing: Standing, failure: Failure | None, ending: str
) -> None:
    disk, one = Disk(), task(RESULTS)
    of = attempts(disk, one)
    attempt = started(of)
    disk[one.key] = standing
    verdict = of.ended(attempt, failure, 0.0)
    assert (verdict.ending, verdict.again) == (ending, None)
    assert verdict.reason


def test_what_may_pass_such_as_a_full_disk_is_tried_again() -> None:
    of = attempts(Disk(), task(RESULTS))
    verdict = of.ended(started(of), Failure(2, "error: No space left on device", passing=True), 0.0)
    assert (verdict.ending, verdict.again) == (states.FAILED, BACK_OFF[0])


def test_a_task_that_was_told_to_stop_waits_but_is_not_started_again_in_this_run() -> None:
    of = attempts(Disk(), task(RESULTS))
    attempt = started(of)
    of.stopping(attempt)
    assert of.ended(attempt, None, 0.0) == Verdict(states.STOPPED)
    assert of.counts() == {states.WAITING: 1}
    assert not of.is_waiting()


def test_attempts_that_give_no_sign_for_too_long_are_silent() -> None:
    of = attempts(Disk(), task(RESULTS), task(RESULTS, seed=1), silent_minutes=10)
    first, second = started(of), started(of)
    of.heard(second, 300.0)
    assert of.silent(599.0) == []
    assert of.silent(600.0) == [first]
    assert of.silent(900.0) == [first, second]


def test_device_hours_of_earlier_runs_count_for_the_budget() -> None:
    one = task(RESULTS, gpus=0.5)
    of = attempts(Disk(), one, history={"other": History(device_seconds=3600)}, budget_hours=2)
    started(of)
    assert of.device_hours(3600) == pytest.approx(1.5)
    assert not of.budget_is_spent(7199)
    assert of.budget_is_spent(7200)


def test_what_earlier_runs_set_aside_stays_so_until_it_is_asked_for_anew() -> None:
    tasks = [task(RESULTS, seed=seed) for seed in range(3)]
    history = {
        tasks[0].key: History(attempts=4, failures=4, ending=states.FAILED, reason="no"),
        tasks[1].key: History(attempts=2, failures=2, ending=states.FAILED),
        tasks[2].key: History(attempts=1, ending=states.MISTAKE),
    }
    of = attempts(Disk(), *tasks, history=history)
    assert of.counts() == {states.FAILED: 1, states.WAITING: 1, states.MISTAKE: 1}
    assert started(of).number == 3
    again = attempts(Disk(), *tasks, history=history, retry_failed=True)
    assert again.counts() == {states.WAITING: 3}


def test_records_of_a_replaced_attempt_are_not_current() -> None:
    of = attempts(Disk(), task(RESULTS))
    first = started(of)
    of.ended(first, lost("silent"), 0.0)
    second = started(of)
    assert (of.is_current(first), of.is_current(second)) == (False, True)
