"""An engine that does as a test tells it, and tasks that it writes lines for, without a process or a search."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.launch.pool import Failure
from harness.study.engine import Attempt, Began, Ended, Event, Told
from harness.study.entries import Running
from harness.study.task import SEARCH, Task

Behaviour = Callable[[Attempt], Iterator["Event | None"]]
"""What an attempt does, an event at a time; None for a time without any."""


def task(results: Path, name: str = "darts", seed: int = 0, epochs: int = 3, **changed: Any) -> Task:
    """A search of a few epochs."""
    key = f"toy/space1/{name}/seed{seed}"
    group = ("toy", "space1", name, "small", "cpu")
    given = {"kind": SEARCH, "path": results / key, "content": {}, "epochs": epochs, "group": group, "variant": name}
    return Task(key, **{**given, **changed})


def write_line(attempt: Attempt, epoch: int, **content: Any) -> Told:
    """Record a line, as an attempt does before it tells it."""
    attempt.task.path.mkdir(parents=True, exist_ok=True)
    line = {"epoch": epoch, "seconds": {"train": 1.0}, **content}
    with (attempt.task.path / "epochs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return Told(attempt, line)


def last_epoch(attempt: Attempt) -> int:
    """The last recorded epoch; -1 where there is none."""
    path = attempt.task.path / "epochs.jsonl"
    return len(path.read_text().splitlines()) - 1 if path.exists() else -1


def well(attempt: Attempt) -> Iterator[Event | None]:
    """Begin, record all epochs, or those up to the rung, and end."""
    yield Began(attempt, "here", "a processor")
    for epoch in range(last_epoch(attempt) + 1, (attempt.until or attempt.task.epochs) + 1):
        yield write_line(attempt, epoch)
    yield Ended(attempt, None)


def fails(status: int = 1, text: str = "Traceback\nValueError: no", **how: bool) -> Behaviour:
    """Begin, and fail."""

    def behave(attempt: Attempt) -> Iterator[Event | None]:
        yield Began(attempt, "here", "a processor")
        yield Ended(attempt, Failure(status, text, **how))

    return behave


class ToldEngine:
    """Runs attempts in this process, each as its behaviour says; `stop` ends one, `kill` drops it.

    Args:
        behave: which behaviour an attempt has.
        seats_here: attempts side by side.
    """

    name = "told"

    def __init__(self, behave: Callable[[Attempt], Iterator[Event | None]], seats_here: int = 2) -> None:
        self.behave, self.seats_here = behave, seats_here
        self.begun: list[tuple[str, int]] = []
        self.killed: list[tuple[str, int]] = []
        self.waits = 0
        self._running: dict[str, tuple[Attempt, Iterator[Event | None]]] = {}
        self._stopped: list[Attempt] = []

    def elsewhere(self, run: Running) -> str | None:
        return "cpu"

    def check(self, tasks: Sequence[Task]) -> None:
        pass

    def __enter__(self) -> ToldEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()

    def seats(self, task: Task) -> int:
        return self.seats_here

    def takes(self, task: Task) -> bool:
        return not self.full()

    def full(self) -> bool:
        return len(self._running) >= self.seats_here

    def start(self, attempt: Attempt) -> None:
        self.begun.append((attempt.key, attempt.number))
        self._running[attempt.key] = attempt, self.behave(attempt)

    def wait(self, seconds: float) -> list[Event]:
        self.waits += 1
        assert self.waits < 1000, "the loop does not end"
        events: list[Event] = [Ended(attempt, None) for attempt in self._stopped]
        self._stopped.clear()
        for _, doing in list(self._running.values()):
            if (event := next(doing)) is not None:
                events.append(event)
        for event in events:
            if isinstance(event, Ended) and self._runs(event.attempt):
                del self._running[event.attempt.key]
        return events

    def _runs(self, attempt: Attempt) -> bool:
        running = self._running.get(attempt.key)
        return running is not None and running[0].number == attempt.number

    def stop(self, attempt: Attempt) -> None:
        if self._running.pop(attempt.key, None):
            self._stopped.append(attempt)

    def kill(self, attempt: Attempt) -> None:
        self.killed.append((attempt.key, attempt.number))
        self._running.pop(attempt.key, None)
