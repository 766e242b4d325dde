"""What becomes of each task: which attempt comes next, and what an attempt's end means. It is the same on every engine.

Ends are of these kinds:

    finished   the last epoch is recorded
    diverged   the numbers of the search are none any more; never run again
    mistake    something that the user can mend, and that no further attempt would; never run again by itself
    failed     anything else that went wrong in the attempt: tried again after 10, 60, then 300 seconds, set aside after
               `retries` of them
    lost       its process, its node or its owner died, or was silent for too long: tried again at once; set aside after
               twenty in a row that recorded nothing
    stopped    told to end, by a signal or since the budget is spent; goes on when the study is run again
    paused     reached its rung, and waits for the decision

Nothing here starts a process, reads a clock or writes a file.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import EXIT_USER_ERROR
from harness.launch.pool import Failure
from harness.study.engine import Attempt
from harness.study.journal import STUDY_DIED, History
from harness.study.order import Pace, Queue, Waiting
from harness.study.task import Task

FINISHED, DIVERGED, MISTAKE, FAILED, LOST, STOPPED, PAUSED, PRUNED = (
    "finished",
    "diverged",
    "mistake",
    "failed",
    "lost",
    "stopped",
    "paused",
    "pruned",
)
WAITING, RUNNING = "waiting", "running"

BACK_OFF = (10.0, 60.0, 300.0)
"""Seconds before a failed task is tried again, after its first, second and any later failure."""

MOST_LOSSES = 20
"""Attempts in a row that may be lost without having recorded anything."""


@dataclass(frozen=True)
class Rules:
    """What `[run]` says of attempts.

    Attributes:
        retries: failed attempts of a task that are followed by another.
        silent_minutes: after so long without a sign an attempt is replaced; None for never.
        budget_hours: device-hours that the study may take; None for no limit.
    """

    retries: int = 3
    silent_minutes: float | None = 10.0
    budget_hours: float | None = None


@dataclass(frozen=True)
class Standing:
    """What the disk says of a task.

    Attributes:
        epoch: the last recorded epoch; None where nothing is recorded. Of a part of a table the measured jobs.
        finished: whether its last epoch is recorded.
        diverged: which quantity stopped being a number, and when; None where none did.
    """

    epoch: int | None = None
    finished: bool = False
    diverged: str | None = None


@dataclass
class Progress:
    """A task on its way.

    Attributes:
        task: the task.
        place: its place in the study.
        state: one of the words above.
        epoch: the last epoch that is known to be recorded.
        attempt: the attempt that runs.
        attempts: how many there were, over all runs of the study.
        failures: failed ones.
        losses: lost ones in a row.
        reason: of the state, in a line.
        began: when the attempt was started.
        heard: when it last gave a sign.
        recorded: whether it recorded anything.
        stopping: whether it was told to end.
        until: the rung that it runs to; None for its end.
        pruned: the rung at which it was pruned; None where it was not.
    """

    task: Task
    place: int
    state: str = WAITING
    epoch: int | None = None
    attempt: Attempt | None = None
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    reason: str = ""
    began: float = 0.0
    heard: float = 0.0
    recorded: bool = False
    stopping: bool = False
    until: int | None = None
    pruned: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What an attempt's end means.

    Attributes:
        ending: its kind.
        reason: why, in a line; empty where all is well.
        again: seconds after which the task is tried again; None where it is not.
    """

    ending: str
    reason: str = ""
    again: float | None = None


@dataclass
class Attempts:
    """The tasks of a study that are to be run, and where each stands.

    Args:
        tasks: in the order of the study.
        rules: when to try again.
        standing: what the disk says of a task.
        pace: seconds that an epoch of a task takes, as far as is known.
        history: what the journal says of earlier runs, by task.
        retry_failed: try again what was set aside.
    """

    tasks: Sequence[Task]
    rules: Rules
    standing: Callable[[Task], Standing]
    pace: Pace
    history: Mapping[str, History] = field(default_factory=dict)
    retry_failed: bool = False

    def __post_init__(self) -> None:
        self.progress = {task.key: Progress(task, place) for place, task in enumerate(self.tasks)}
        self.queue = Queue(self.pace)
        self._delayed: list[tuple[float, int, Progress]] = []
        self._running: dict[str, Progress] = {}
        self._device_seconds = sum(past.device_seconds for past in self.history.values())
        for progress in self.progress.values():
            self._begin(progress, self.history.get(progress.task.key, History()))

    @property
    def running(self) -> list[Progress]:
        """The tasks that an attempt of runs."""
        return list(self._running.values())

    def counts(self) -> Counter[str]:
        """How many tasks are in each state."""
        return Counter(progress.state for progress in self.progress.values())

    def next(self, fits: Callable[[Task], bool], now: float) -> Attempt | None:
        """The attempt that comes next among those that fit, which the caller starts; None where none does."""
        while self._delayed and self._delayed[0][0] <= now:
            self._wait(heapq.heappop(self._delayed)[2])
        task = self.queue.take(fits)
        if task is None:
            return None
        progress = self.progress[task.key]
        progress.attempts += 1
        progress.attempt = Attempt(task, progress.attempts, progress.until)
        progress.state, progress.reason = RUNNING, ""
        progress.began = progress.heard = now
        progress.recorded = progress.stopping = False
        self._running[task.key] = progress
        return progress.attempt

    def soonest(self) -> float | None:
        """When the first task that was put off is due; None where none is."""
        return self._delayed[0][0] if self._delayed else None

    def is_waiting(self) -> bool:
        """Whether a task waits, for a seat or since it was put off."""
        return bool(self._delayed) or len(self.queue) > 0

    def is_current(self, attempt: Attempt) -> bool:
        """Whether an attempt is the one that runs, and not one that was replaced."""
        progress = self.progress.get(attempt.key)
        return progress is not None and progress.attempt is not None and progress.attempt.number == attempt.number

    def heard(self, attempt: Attempt, now: float, content: Mapping[str, Any] | None = None) -> None:
        """An attempt gave a sign of life, with what it recorded where it did."""
        progress = self.progress[attempt.key]
        progress.heard = now
        if content is not None:
            progress.recorded = True
            progress.epoch = content.get("epoch", progress.epoch)

    def stopping(self, attempt: Attempt) -> None:
        """An attempt was told to end."""
        self.progress[attempt.key].stopping = True

    def silent(self, now: float) -> list[Attempt]:
        """Attempts that gave no sign for too long; the caller kills them, and tells their end as lost."""
        if self.rules.silent_minutes is None:
            return []
        limit = now - 60 * self.rules.silent_minutes
        return [each.attempt for each in self._running.values() if each.attempt and each.heard <= limit]

    def device_hours(self, now: float) -> float:
        """What all attempts of the study have taken of devices."""
        running = sum((now - each.began) * each.task.devices for each in self._running.values())
        return (self._device_seconds + running) / 3600

    def budget_is_spent(self, now: float) -> bool:
        """Whether the device-hours that the study may take are used up."""
        return self.rules.budget_hours is not None and self.device_hours(now) >= self.rules.budget_hours

    def ended(self, attempt: Attempt, failure: Failure | None, now: float) -> Verdict:
        """Take note of an attempt's end, and let its task wait again where it is tried again."""
        progress = self._running.pop(attempt.key)
        self.queue.over(progress.task)
        self._device_seconds += (now - progress.began) * progress.task.devices
        verdict = self._judge(progress, self.standing(progress.task), failure)
        progress.attempt = None
        progress.reason = verdict.reason
        progress.state = WAITING if verdict.ending == STOPPED or verdict.again is not None else verdict.ending
        if verdict.again:
            heapq.heappush(self._delayed, (now + verdict.again, progress.place, progress))
        elif verdict.again is not None:
            self._wait(progress)
        return verdict

    def goes_on(self, task: Task, until: int | None) -> None:
        """A task that paused may go on to its next rung, or to its end."""
        progress = self.progress[task.key]
        progress.until, progress.reason = until, ""
        if until is None or (progress.epoch or 0) < until:
            self._wait(progress)

    def prune(self, task: Task, rung: int, reason: str) -> None:
        """A task that paused is not run any further."""
        progress = self.progress[task.key]
        progress.state, progress.reason, progress.pruned = PRUNED, reason, rung

    def _begin(self, progress: Progress, past: History) -> None:
        """Where a task stands before the first attempt of this run."""
        standing = self.standing(progress.task)
        progress.epoch, progress.attempts, progress.reason = standing.epoch, past.attempts, past.reason
        progress.failures, progress.losses = (0, 0) if self.retry_failed else (past.failures, past.losses)
        if progress.task.rungs:
            progress.until = progress.task.rungs[0]
        if standing.finished:
            progress.state, progress.reason = FINISHED, ""
        elif standing.diverged:
            progress.state, progress.reason = DIVERGED, _of_divergence(standing.diverged)
        elif past.pruned is not None:
            progress.state, progress.pruned = PRUNED, past.pruned
        elif not self.retry_failed and self._is_set_aside(past):
            progress.state = past.ending or FAILED
        elif progress.until is not None and (standing.epoch or 0) >= progress.until:
            progress.state = PAUSED
        else:
            progress.reason = ""
            self._wait(progress)

    def _is_set_aside(self, past: History) -> bool:
        if past.ending == FAILED:
            return past.failures > self.rules.retries
        return past.ending == MISTAKE or (past.ending == LOST and past.losses > MOST_LOSSES)

    def _wait(self, progress: Progress) -> None:
        progress.state = WAITING
        task = progress.task
        left = max(1, (progress.until or task.epochs) - (progress.epoch or 0)) if task.epochs else 1
        self.queue.add(Waiting(task, left, progress.place))

    def _judge(self, progress: Progress, standing: Standing, failure: Failure | None) -> Verdict:
        """What an end means, by what the disk says first: who dies after the last line has finished."""
        progress.epoch = standing.epoch
        if standing.finished:
            return Verdict(FINISHED)
        if standing.diverged:
            return Verdict(DIVERGED, _of_divergence(standing.diverged))
        if progress.until is not None and (standing.epoch or 0) >= progress.until:
            return Verdict(PAUSED, f"epoch {progress.until} is a rung")
        if failure is None and progress.stopping:
            return Verdict(STOPPED)
        if failure is not None and failure.died:
            progress.losses = 1 if progress.recorded else progress.losses + 1
            if progress.losses > MOST_LOSSES:
                reason = f"{failure.text}; {progress.losses} attempts in a row recorded nothing"
                return Verdict(LOST, reason)
            return Verdict(LOST, failure.text, again=0.0)
        text = "it ended before its last epoch, and said nothing" if failure is None else failure.text
        if failure is not None and failure.status == EXIT_USER_ERROR and not failure.passing:
            return Verdict(MISTAKE, text)
        progress.failures += 1
        if progress.failures > self.rules.retries:
            return Verdict(FAILED, text)
        return Verdict(FAILED, text, again=BACK_OFF[min(progress.failures, len(BACK_OFF)) - 1])


def lost(reason: str = STUDY_DIED) -> Failure:
    """The failure of an attempt whose process, node or owner is gone."""
    return Failure(1, reason, died=True)


def _of_divergence(what: str) -> str:
    return f"{what} is not finite"
