"""The order in which tasks start: longest expected first, so that the last ones to end are short.

Tasks that are expected to take equally long per epoch share a group. As long as nothing is known of a group's pace, one
of its tasks goes before all others, so that its pace becomes known; what is then still unknown counts as a usual task.
"""

from __future__ import annotations

import bisect
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.study.task import Task

Pace = Callable[[Task], "float | None"]
"""Seconds that an epoch of a task takes, or a part of a table; None where nothing like it was recorded."""


@dataclass(frozen=True)
class Waiting:
    """A task that waits for a seat.

    Attributes:
        task: the task.
        left: epochs that it has left; 1 for a part of a table.
        place: its place in the study, which decides between equals.
    """

    task: Task
    left: int
    place: int


class Queue:
    """Tasks that wait, and which of them comes next.

    Args:
        pace: seconds that an epoch of a task takes, as far as is known.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._waiting: dict[tuple[int, tuple[str, ...]], list[Waiting]] = defaultdict(list)
        self._running: Counter[tuple[str, ...]] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, waiting: Waiting) -> None:
        """Let a task wait."""
        bisect.insort(
            self._waiting[waiting.task.priority, waiting.task.group], waiting, key=lambda each: (-each.left, each.place)
        )

    def take(self, fits: Callable[[Task], bool]) -> Task | None:
        """The task that comes next among those that fit, which then waits no longer; None where none fits."""
        for group in self._in_order():
            for index, waiting in enumerate(self._waiting[group]):
                if fits(waiting.task):
                    del self._waiting[group][index]
                    if not self._waiting[group]:
                        del self._waiting[group]
                    self._running[waiting.task.group] += 1
                    return waiting.task
        return None

    def over(self, task: Task) -> None:
        """A task that was taken runs no longer."""
        self._running[task.group] -= 1

    def tasks(self) -> list[Task]:
        """All that wait."""
        return [waiting.task for group in self._waiting.values() for waiting in group]

    def _in_order(self) -> Sequence[tuple[int, tuple[str, ...]]]:
        """The groups that wait, the one whose first task comes next first."""
        expected = {group: self._expected(waiting[0]) for group, waiting in self._waiting.items()}
        known = [seconds for seconds in expected.values() if seconds is not None]
        usual = statistics.median(known) if known else 0.0

        def urgency(group: tuple[int, tuple[str, ...]]) -> tuple[int, bool, float, int, int]:
            first, seconds = self._waiting[group][0], expected[group]
            unseen = seconds is None and not self._running[group[1]]
            return group[0], unseen, usual if seconds is None else seconds, first.left, -first.place

        return sorted(expected, key=urgency, reverse=True)

    def _expected(self, waiting: Waiting) -> float | None:
        pace = self._pace(waiting.task)
        return None if pace is None else pace * waiting.left
