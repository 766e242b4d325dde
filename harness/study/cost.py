"""What a study will take: device-hours by what was recorded of its like, and the time until its last task ends."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.study.attempts import Standing
from harness.study.order import Pace, Queue, Waiting
from harness.study.task import Task


@dataclass(frozen=True)
class Cost:
    """What some tasks will take.

    Attributes:
        device_hours: of those whose pace is known.
        unknown: how many there are besides.
        hours: until the last of the known ones ends; None where none is known.
    """

    device_hours: float
    unknown: int
    hours: float | None


def cost_of(tasks: Sequence[Task], standing: Callable[[Task], Standing], pace: Pace, seats: int) -> Cost:
    """What is left of some tasks.

    Args:
        tasks: none of which is finished.
        standing: what the disk says of a task.
        pace: seconds that an epoch of a task takes, as far as is known.
        seats: tasks side by side.
    """
    seconds: dict[str, float] = {}
    for task in tasks:
        each = pace(task)
        if each is not None:
            left = max(1, task.epochs - (standing(task).epoch or 0)) if task.epochs else 1
            seconds[task.key] = each * left
    known = [task for task in tasks if task.key in seconds]
    device_hours = sum(seconds[task.key] * task.devices for task in known) / 3600
    hours = simulate(known, lambda task: seconds[task.key], seats) / 3600 if known else None
    return Cost(device_hours, len(tasks) - len(known), hours)


def simulate(tasks: Sequence[Task], takes: Callable[[Task], float], seats: int, known: bool = True) -> float:
    """Seconds until the last of some tasks ends, where they start in the order of a study's queue.

    Args:
        tasks: in the order of the study.
        takes: seconds that a task takes.
        seats: tasks side by side.
        known: whether the queue knows from the start what they take; otherwise of a group once one of it has recorded
            its first epoch.
    """
    paces = {task.group: takes(task) / max(1, task.epochs) for task in tasks} if known else {}
    queue = Queue(lambda task: paces.get(task.group))
    for place, task in enumerate(tasks):
        queue.add(Waiting(task, max(1, task.epochs), place))
    running: list[tuple[float, int, Task]] = []
    first_lines: list[tuple[float, int, Task]] = []
    now = 0.0
    for number in range(len(tasks)):
        if len(running) == seats:
            now, _, over = heapq.heappop(running)
            queue.over(over)
        while first_lines and first_lines[0][0] <= now:
            _, _, told = heapq.heappop(first_lines)
            paces[told.group] = takes(told) / max(1, told.epochs)
        chosen = queue.take(lambda _: True)
        assert chosen is not None
        heapq.heappush(running, (now + takes(chosen), number, chosen))
        heapq.heappush(first_lines, (now + takes(chosen) / max(1, chosen.epochs), number, chosen))
    return max((end for end, _, _ in running), default=0.0)
