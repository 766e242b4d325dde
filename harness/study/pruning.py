"""Successive halving by thirds: at a rung, the better third of a method's variants in one space goes on.

A variant is judged by the mean over its seeds of the supernet's validation accuracy at the rung, from recorded lines
alone, once all of its race are there or out of it: so the same variants go on whatever ran first and wherever. Test
errors are never looked at. That accuracy is what this project shows to mislead, so that pruning is a way to spend less,
not a way to choose well.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.records.line import as_number
from harness.records.run_folder import RunFolder, RunFolderError
from harness.study.attempts import DIVERGED, FAILED, LOST, MISTAKE, PAUSED, Attempts, Progress
from harness.study.task import Task

OUT_OF_THE_RACE = (DIVERGED, FAILED, LOST, MISTAKE)

Accuracy = Callable[[Task, int], "float | None"]
"""The supernet's validation accuracy of a task after an epoch; None where it is not recorded."""


@dataclass(frozen=True)
class Pruned:
    """A task that goes no further.

    Attributes:
        task: the task.
        rung: the epoch at which that was decided.
        reason: why, in a line.
    """

    task: Task
    rung: int
    reason: str


def better_third(means: Mapping[str, float]) -> list[str]:
    """The better third of some variants, rounded up; of equal ones the earlier.

    Args:
        means: variant -> mean accuracy, in the order of the study.
    """
    ranked = sorted(means, key=lambda variant: -means[variant])
    return ranked[: math.ceil(len(ranked) / 3)]


def settle(attempts: Attempts, accuracy: Accuracy) -> list[Pruned]:
    """Decide every rung that all of its race have reached: the better third goes on, the others are pruned.

    Returns:
        those that were pruned now.
    """
    races: dict[tuple[str, ...], list[Progress]] = defaultdict(list)
    for progress in attempts.progress.values():
        if progress.task.race:
            races[progress.task.race].append(progress)
    return [pruned for race in races.values() for pruned in _settle(attempts, race, accuracy)]


def recorded_accuracy(task: Task, epoch: int) -> float | None:
    """What a run folder says of the supernet's validation accuracy after an epoch."""
    try:
        lines = RunFolder(task.path).epochs()
    except RunFolderError:
        return None
    return as_number(lines[epoch].get("supernet_valid_accuracy")) if epoch < len(lines) else None


def _settle(attempts: Attempts, race: Sequence[Progress], accuracy: Accuracy) -> Iterable[Pruned]:
    rungs = race[0].task.rungs
    for index, rung in enumerate(rungs):
        members = [each for each in race if each.pruned is None or each.pruned >= rung]
        there = [each for each in members if (each.epoch or 0) >= rung]
        if any(each not in there and each.state not in OUT_OF_THE_RACE for each in members):
            return
        found: dict[str, list[float]] = defaultdict(list)
        for each in there:
            if (value := accuracy(each.task, rung)) is not None and each.state not in OUT_OF_THE_RACE:
                found[each.task.variant].append(value)
        means = {variant: statistics.fmean(values) for variant, values in found.items()}
        good = better_third(means)
        until = rungs[index + 1] if index + 1 < len(rungs) else None
        for each in there:
            variant = each.task.variant
            if variant in good:
                if each.state == PAUSED and each.until == rung:
                    attempts.goes_on(each.task, until)
            elif each.pruned is None and each.state == PAUSED:
                mean = f"{100 * means[variant]:.2f} %" if variant in means else "not known"
                reason = f"at epoch {rung} its supernets' mean accuracy, {mean}, was not in the better third"
                attempts.prune(each.task, rung, reason)
                yield Pruned(each.task, rung, reason)
