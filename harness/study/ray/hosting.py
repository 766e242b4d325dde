"""An attempt on its node: scratch, the forked process that has torch, and what passes between it and the keeper.

The process that hosts an attempt imports no torch. It may be one of Ray's, which hosts one attempt after the other: the
server that processes are forked from stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from harness.errors import EXIT_USER_ERROR, UserError
from harness.launch.pool import Failure, Job, Link, Pool, start_server
from harness.study.ray.keeper import END, RECORDED, STALE, STOP
from harness.study.ray.parcel import unpacked
from harness.study.ray.scratch import scratch, scratch_root, sweep
from harness.study.ray.shipping import Shipment, ship
from harness.study.worker import Assignment

BEAT_SECONDS = 2.0
PATIENCE = 0.1
"""Seconds after which a host looks whether the keeper has an order for it."""

PRELOADED = ["harness.launch.seed_imports", "harness.study.ray.shipping"]


class KeeperLine(Protocol):
    """What an attempt's host asks of the keeper."""

    def record(self, parcel: bytes) -> Future[str]:
        """Send a record; what became of it."""

    def began(self) -> None:
        """Say that the attempt's process runs."""

    def beat(self) -> None:
        """Say that it is at work."""

    def order(self, heard: str) -> Future[str]:
        """The next order, `STOP` or `END`, once there is one that was not heard."""


def host(order: Mapping[str, Any], given: bytes, keeper: KeeperLine) -> Failure | None:
    """Run an attempt to its end, or until the keeper says otherwise.

    Args:
        order: `task`, `attempt`, `kind`, `content`, `path` of the results, `until`, `sync_seconds`, `environment`.
        given: the parcel that the keeper opened the folder with.
        keeper: the way to it.

    Returns:
        why it did not end well; None where it did, or where nobody waits for it any more.
    """
    content, files = unpacked(given)
    if "failure" in content:
        return Failure(**content["failure"])
    try:
        root = scratch_root()
        sweep(root)
        with scratch(root) as path:
            for name, data in files.items():
                (path / name).parent.mkdir(exist_ok=True)
                (path / name).write_bytes(data)
            failure = _Hosted(order, path, keeper).run()
            return failure and dataclasses.replace(failure, text=failure.text.replace(str(path), order["path"]))
    except UserError as error:
        return Failure(EXIT_USER_ERROR, f"error: {error}")
    except OSError as error:
        text = f"error: {error.filename or 'scratch'}: {error.strerror}; what was recorded is kept"
        return Failure(EXIT_USER_ERROR, text, passing=True)


@dataclass
class _Hosted:
    """An attempt while it runs."""

    order: Mapping[str, Any]
    path: Path
    keeper: KeeperLine
    over: bool = False
    failure: Failure | None = None
    recording: Future[str] | None = None
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        self.pool = Pool(1, self._told, self._ended, lambda key: self.keeper.began(), lambda key: self.keeper.beat())

    @property
    def key(self) -> str:
        return str(self.order["task"])

    def run(self) -> Failure | None:
        order = self.order
        assignment = Assignment(order["kind"], dict(order["content"]), str(self.path), order["until"])
        shipment = Shipment(self.key, order["attempt"], assignment, order["sync_seconds"])
        with self.pool.opened():
            start_forked(self.pool, Job(self.key, ship, shipment, order["environment"], BEAT_SECONDS))
            awaited = self.keeper.order("")
            while not self.over:
                self.pool.listen(PATIENCE)
                if awaited.done():
                    if _result_of(awaited) == STOP:
                        self.pool.stop(self.key)
                        awaited = self.keeper.order(STOP)
                    else:
                        self._give_up(None)
                elif self.recording and self.recording.done():
                    self._hear_of_record()
            self._hear_of_record()
        return self.failure

    def _told(self, key: str, parcel: bytes) -> None:
        # A record at a time, so that they arrive in their order and no more than two are in memory.
        self._hear_of_record()
        if not self.over:
            self.recording = self.keeper.record(parcel)

    def _ended(self, key: str, failure: Failure | None) -> None:
        if not self.over:
            self.over, self.failure = True, failure

    def _hear_of_record(self) -> None:
        """Wait for what became of the record on its way."""
        if self.recording is None:
            return
        recording, self.recording = self.recording, None
        verdict = _result_of(recording)
        if verdict != RECORDED:
            self._give_up(None if verdict in (STALE, END) else Failure(**json.loads(verdict)))

    def _give_up(self, failure: Failure | None) -> None:
        """End the attempt's process at once."""
        self.pool.kill(self.key)
        self.over, self.failure = True, failure


def run_forked(function: Callable[[Any, Link], None], argument: Any) -> tuple[list[Any], Failure | None]:
    """Call a function in a process with torch; what it told, and why it did not end well."""
    told: list[Any] = []
    ends: list[Failure | None] = []
    pool = Pool(1, lambda key, content: told.append(content), lambda key, failure: ends.append(failure))
    with pool.opened():
        start_forked(pool, Job(function.__name__, function, argument))
        while not ends:
            pool.listen()
    return told, ends[0]


def start_forked(pool: Pool, job: Job) -> None:
    """Start a job in a process that is forked from the server, which is started where none is.

    The main module of a host may be Ray's own, which must not be imported beside torch: a process that held both could
    abort on its way out.
    """
    with _without_main():
        start_server(PRELOADED)
        pool.start(job)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """While the block runs, new processes find no main module to import."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _result_of(future: Future[str]) -> str:
    """What a future gives; `END` where the keeper is gone."""
    while not future.done():
        time.sleep(0.005)
    return END if future.cancelled() or future.exception() is not None else future.result()
