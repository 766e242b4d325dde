"""The engine of this machine: attempts in the pool that `harness.run` uses, each in a seat, writing in place."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from harness.errors import UserError
from harness.launch.pool import Failure, Job, Pool, start_server
from harness.launch.provenance import processor
from harness.launch.seats import Seat, Seats, processors, visible_devices
from harness.study.engine import Attempt, Beat, Began, Ended, Event, Told
from harness.study.entries import Running
from harness.study.task import Task
from harness.study.worker import Assignment, perform

BEAT_SECONDS = 2.0


class LocalEngine:
    """Runs attempts on this machine.

    Args:
        workers: attempts side by side; None for as many as processors, or shares of GPUs, allow.
        beat: seconds after which an attempt says that it is at work.
    """

    name = "local"

    def __init__(self, workers: int | None = None, beat: float = BEAT_SECONDS) -> None:
        self._workers, self._beat = workers, beat
        self._seats = Seats(None if workers else processors(), (), workers)
        self._shapes: set[tuple[int, float]] = set()
        self._kinds = {"cpu": processor(), "cuda": "GPU"}
        self._events: list[Event] = []
        self._running: dict[str, tuple[Attempt, Seat]] = {}
        self._pool = Pool(1, self._told, self._ended, self._began, self._beaten)
        self._opened = self._pool.opened()

    def elsewhere(self, run: Running) -> str | None:
        """None: planning looks at this machine."""
        return None

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse what takes more than this machine has."""
        if any(task.gpus for task in tasks):
            # Planning has imported it, to know that there is a GPU.
            import torch

            devices = visible_devices(torch.cuda.device_count())
            self._seats = Seats(None if self._workers else processors(), devices, self._workers)
        self._shapes = {(task.cpus, task.gpus) for task in tasks}
        for cpus, gpus in self._shapes:
            self._seats.check(cpus, gpus)

    def __enter__(self) -> LocalEngine:
        start_server(["harness.launch.seed_imports"])
        self._opened.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.kill_all()
        self._opened.__exit__(kind, error, trace)

    def seats(self, task: Task) -> int:
        """How many such tasks run side by side."""
        return max(1, self._seats.count(task.cpus, task.gpus))

    def takes(self, task: Task) -> bool:
        """Whether there is a seat."""
        return self._seats.has_room(task.cpus, task.gpus)

    def full(self) -> bool:
        """Whether there is no seat for any task."""
        return not any(self._seats.has_room(*shape) for shape in self._shapes)

    def start(self, attempt: Attempt) -> None:
        """Start an attempt's process."""
        task = attempt.task
        seat = self._seats.take(task.cpus, task.gpus)
        if seat is None:
            raise UserError(f"{task.key}: no seat is free")
        self._running[task.key] = attempt, seat
        assignment = Assignment(task.kind, dict(task.content), str(task.path), attempt.until)
        self._pool.start(Job(task.key, perform, assignment, seat.environment, self._beat))

    def wait(self, seconds: float) -> list[Event]:
        """What happened since."""
        if not self._events:
            self._pool.listen(seconds)
        events, self._events = self._events, []
        return events

    def stop(self, attempt: Attempt) -> None:
        """Ask an attempt to end."""
        self._pool.stop(attempt.key)

    def kill(self, attempt: Attempt) -> None:
        """End an attempt now."""
        self._pool.kill(attempt.key)
        self._give_back(attempt.key)

    def _began(self, key: str) -> None:
        attempt, _ = self._running[key]
        self._events.append(Began(attempt, platform.node(), self._kinds["cuda" if attempt.task.gpus else "cpu"]))

    def _told(self, key: str, content: Any) -> None:
        self._events.append(Told(self._running[key][0], content))

    def _beaten(self, key: str) -> None:
        self._events.append(Beat(self._running[key][0]))

    def _ended(self, key: str, failure: Failure | None) -> None:
        self._events.append(Ended(self._give_back(key), failure))

    def _give_back(self, key: str) -> Attempt:
        attempt, seat = self._running.pop(key)
        self._seats.give_back(seat)
        return attempt
