"""What runs attempts, and what it may know of a study: nothing but the attempt in hand.

An engine starts an attempt when told to, passes on what the attempt says, and ends it when told to. Which task comes
next, whether a failed one is tried again, which attempt was silent for too long and when the budget is spent are
decisions of `harness.study.attempts`, which are the same on every engine; so is the journal.

An attempt runs `harness.study.worker.perform` in a process that is forked from a server with torch
(`harness.launch.pool`), on this machine or on a node. What it writes is what `harness.run` would write.

Who writes is the engine's affair. On this machine the attempt writes in place, under the folder's lock. An engine whose
nodes share no file system has one writer on the study's machine, which takes a record only from the newest attempt of
its task, and passes a line on as `Told` once it is on disk: what the study reads of a task, it reads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from harness.launch.pool import Failure
from harness.study.task import Task

if TYPE_CHECKING:
    from harness.study.entries import Running


@dataclass(frozen=True)
class Attempt:
    """One try at a task.

    Attributes:
        task: the task.
        number: counted from 1 over all runs of the study, so that a record of an older attempt can be refused.
        until: the epoch at whose end the search pauses, for its rung; None to go on to its last.
    """

    task: Task
    number: int
    until: int | None = None

    @property
    def key(self) -> str:
        """The task's key; a task has one attempt at a time."""
        return self.task.key


@dataclass(frozen=True)
class Began:
    """An attempt's process runs.

    Attributes:
        attempt: the attempt.
        node: the machine's name.
        kind: the machine's kind, in words: a processor's or a GPU's model, and whatever else decides the last bits.
    """

    attempt: Attempt
    node: str
    kind: str


@dataclass(frozen=True)
class Told:
    """A line was recorded, or a job of a table measured; a sign of life, too.

    Attributes:
        attempt: the attempt.
        content: the line of a search; of a table
            `{"jobs": numbers, "cells": count, "seconds": seconds}`.
    """

    attempt: Attempt
    content: dict[str, Any]


@dataclass(frozen=True)
class Beat:
    """An attempt is at work, with nothing to tell yet."""

    attempt: Attempt


@dataclass(frozen=True)
class Ended:
    """An attempt is over, and holds its devices no longer.

    Attributes:
        attempt: the attempt.
        failure: why it did not end well, `died` where the process or its node did; None where it ended by itself, at
            the end of its task or because it was told to stop. What was reached stands in the run folder.
    """

    attempt: Attempt
    failure: Failure | None


@dataclass(frozen=True)
class Noted:
    """Something for the terminal that is of no attempt: a node that was lost, joined or left out; one line."""

    text: str


Event: TypeAlias = "Began | Told | Beat | Ended | Noted"


class Engine(Protocol):
    """Runs attempts side by side.

    It is entered once for a study, after `check`. At its exit nothing of it runs any more.
    """

    name: str
    """How `--engine` and the journal call it."""

    def elsewhere(self, run: Running) -> str | None:
        """The device, cpu or cuda, that tasks run on, where that is not for this machine to find out; else None.

        Args:
            run: `[run]` of the study's file.
        """

    def check(self, tasks: Sequence[Task]) -> None:
        """Refuse what can never run here; called before anything starts or is written.

        Raises:
            UserError: a task takes more than any node has, or the engine cannot be used at all.
        """

    def __enter__(self) -> Engine:
        """Start what attempts need."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything at once."""

    def seats(self, task: Task) -> int:
        """How many attempts of such a task could run side by side, as things stand; for estimates."""

    def takes(self, task: Task) -> bool:
        """Whether an attempt of this task could start now. Where it cannot, another task's perhaps can."""

    def full(self) -> bool:
        """Whether no attempt of any task could start now."""

    def start(self, attempt: Attempt) -> None:
        """Start an attempt that it `takes`; `Began` follows, or `Ended`."""

    def wait(self, seconds: float) -> list[Event]:
        """What happened, in its order: at once where something has, or after so long.

        A signal's handler may run in it, which calls `stop` or raises; nothing is lost by that.
        """

    def stop(self, attempt: Attempt) -> None:
        """Ask an attempt to end at its next step; `Ended` follows."""

    def kill(self, attempt: Attempt) -> None:
        """End an attempt now. No event of it follows, and nothing that it still sends is recorded."""
