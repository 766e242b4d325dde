"""A keeper in this process, as an attempt's host asks it over Ray."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from harness.launch.pool import Failure
from harness.study.ray.hosting import host
from harness.study.ray.keeper import Keeper
from harness.study.task import Task


@dataclass
class DirectLine:
    """The way to a keeper of this process.

    Attributes:
        keeper: the keeper.
        task: whose attempt it is.
        attempt: its number.
        before: called before a record is passed on.
        said: what the attempt said of itself.
    """

    keeper: Keeper
    task: str
    attempt: int
    before: Callable[[bytes], None] = lambda parcel: None
    said: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    _awaited: Future[str] | None = None

    def record(self, parcel: bytes) -> Future[str]:
        self.before(parcel)
        self.verdicts.append(self.keeper.record(parcel))
        if self._awaited and not self._awaited.done() and (order := self.keeper.order(self.task, self.attempt)):
            self._awaited.set_result(order)
        return _done(self.verdicts[-1])

    def began(self) -> None:
        self.said.append("began")

    def beat(self) -> None:
        self.said.append("beat")

    def order(self, heard: str) -> Future[str]:
        self._awaited = Future()
        return self._awaited


def order_of(task: Task, attempt: int = 1, **changed: Any) -> dict[str, Any]:
    """What an engine orders of a task."""
    given = {
        "task": task.key,
        "attempt": attempt,
        "kind": task.kind,
        "path": str(task.path),
        "jobs": list(task.jobs),
        "content": dict(task.content),
        "until": None,
        "sync_seconds": 0.0,
        "environment": {},
    }
    return json.loads(json.dumps({**given, **changed}))  # type: ignore[no-any-return]


def hosted(keeper: Keeper, task: Task, line: DirectLine, **changed: Any) -> Failure | None:
    """Run an attempt on this machine, whose records the keeper writes."""
    order = order_of(task, line.attempt, **changed)
    given = keeper.open(order)
    assert given is not None
    failure = host(order, given, line)
    keeper.close(task.key, line.attempt)
    return failure


def _done(text: str) -> Future[str]:
    future: Future[str] = Future()
    future.set_result(text)
    return future
