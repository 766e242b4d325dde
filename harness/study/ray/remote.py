"""All that Ray itself runs: the keeper, an attempt, the look at a new node.

Only text and bytes come in and go out. Ray pickles these functions as the names that they have in this module.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from collections import defaultdict
from concurrent.futures import Future
from typing import Any

from harness.errors import EXIT_USER_ERROR, UserError
from harness.launch.pool import Failure
from harness.study.ray.baggage import settled, unpacked_here
from harness.study.ray.hosting import host
from harness.study.ray.keeper import Keeper
from harness.study.ray.parcel import packed
from harness.study.ray.probe import look

HELD_SECONDS = 15.0
"""How long the keeper waits for a folder that another process holds, as that of a killed study does for a moment."""


class KeeperActor:
    """The keeper as Ray calls it, in one thread that waits for many."""

    def __init__(self) -> None:
        self._keeper = Keeper()
        self._news = asyncio.Event()
        self._orders: dict[tuple[str, int], asyncio.Event] = defaultdict(asyncio.Event)

    async def open(self, text: str) -> bytes:
        """Take a folder for an attempt; see `Keeper.open`."""
        order = json.loads(text)
        deadline = time.monotonic() + HELD_SECONDS
        while (parcel := self._keeper.open(order)) is None:
            if time.monotonic() > deadline:
                held = f"error: {order['path']}: another process is running this seed; wait for it or stop it"
                return packed({"failure": dataclasses.asdict(Failure(EXIT_USER_ERROR, held, passing=True))})
            await asyncio.sleep(0.1)
        return parcel

    async def record(self, parcel: bytes) -> str:
        """Write a record; see `Keeper.record`."""
        verdict = self._keeper.record(parcel)
        self._news.set()
        return verdict

    async def say(self, event: str, task: str, attempt: int) -> None:
        """Pass on that an attempt began, or is at work."""
        if self._keeper.is_current(task, attempt):
            self._keeper.say({"event": event, "task": task, "attempt": attempt})
            self._news.set()

    async def order(self, task: str, attempt: int, heard: str) -> str:
        """What an attempt is to do, once that is something which it has not heard."""
        while (order := self._keeper.order(task, attempt)) is None or order == heard:
            changed = self._orders[task, attempt]
            await changed.wait()
            changed.clear()
        self._orders.pop((task, attempt), None)
        return order

    async def stop(self, task: str, attempt: int) -> None:
        """Let an attempt know that it should end."""
        self._keeper.stop(task, attempt)
        self._wake(task, attempt)

    async def close(self, task: str, attempt: int, after: int) -> str:
        """Take no record of an attempt any more; the events after a number, since none of it follows."""
        self._keeper.close(task, attempt)
        self._wake(task, attempt)
        return json.dumps(self._keeper.fetch(after))

    async def events(self, after: int, patience: float) -> str:
        """The events after a number, once there are any, or after so many seconds."""
        if not self._keeper.fetch(after):
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), patience)
            except asyncio.TimeoutError:
                return "[]"
        return json.dumps(self._keeper.fetch(after))

    async def process(self) -> int:
        """The number of its process."""
        return os.getpid()

    def _wake(self, task: str, attempt: int) -> None:
        if changed := self._orders.get((task, attempt)):
            changed.set()


class _Line:
    """An attempt's way to the keeper."""

    def __init__(self, keeper: Any, task: str, attempt: int) -> None:
        self._keeper, self._whose = keeper, (task, attempt)

    def record(self, parcel: bytes) -> Future[str]:
        future: Future[str] = self._keeper.record.remote(parcel).future()
        return future

    def began(self) -> None:
        self._keeper.say.remote("began", *self._whose)

    def beat(self) -> None:
        self._keeper.say.remote("beat", *self._whose)

    def order(self, heard: str) -> Future[str]:
        future: Future[str] = self._keeper.order.remote(*self._whose, heard).future()
        return future


def run_attempt(text: str, given: bytes) -> str:
    """Run an attempt on this node.

    Args:
        text: the order, as JSON.
        given: what the keeper opened the task's folder with.

    Returns:
        the failure as JSON, or null.
    """
    import ray

    order = json.loads(text)
    try:
        keeper = ray.get_actor(order["keeper"], namespace=order["namespace"])
    except ValueError:
        return "null"
    failure = host(settled(order), given, _Line(keeper, order["task"], order["attempt"]))
    return json.dumps(failure and dataclasses.asdict(failure))


def look_at_node(text: str, *archives: bytes) -> str:
    """What this node is, as JSON; `error` where it cannot say.

    Args:
        text: `code` and `needs`, as JSON.
        archives: files that travel to it (`harness.study.ray.baggage`).
    """
    asked = json.loads(text)
    try:
        for archive in archives:
            unpacked_here(archive)
        return json.dumps(look(asked["code"], settled(asked["needs"])))
    except (UserError, OSError) as error:
        return json.dumps({"error": " ".join(str(error).split())})


def asks_for_a_token() -> bool:
    """Whether the node that this runs on was started with token authentication."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
