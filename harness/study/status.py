"""Where a study stands, by the ends of files alone: ten thousand run folders take a second or two."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import printable
from harness.records.lock import is_held
from harness.study import attempts as states
from harness.study.attempts import Attempts, Progress
from harness.study.cost import cost_of
from harness.study.display import failure_table
from harness.study.entries import StudyFile
from harness.study.expansion import expand
from harness.study.folder import StudyFolder
from harness.study.journal import History
from harness.study.running import SET_ASIDE
from harness.study.standing import Paces, standing
from harness.study.task import TABLE, Task

STATES = (
    states.FINISHED,
    states.RUNNING,
    states.WAITING,
    states.PAUSED,
    states.PRUNED,
    states.DIVERGED,
    states.FAILED,
    states.MISTAKE,
    states.LOST,
)
"""In the order in which they are told."""

PRUNING_NOTE = (
    "pruned by the supernets' validation accuracy, which is known to mislead: what was pruned may be the better one"
)


@dataclass(frozen=True)
class Status:
    """Where a study stands.

    Attributes:
        study: the study.
        progress: of each task.
        changed: whether the file is another than that of the first run.
        hours_left: until the last task ends, with as many side by side as run now; None where that is not known.
        device_hours: what its attempts have taken.
    """

    study: StudyFile
    progress: Sequence[Progress]
    changed: bool
    hours_left: float | None
    device_hours: float

    @property
    def counts(self) -> Counter[str]:
        """How many tasks are in each state."""
        return Counter(each.state for each in self.progress)

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        failed = [each for each in self.progress if each.state in SET_ASIDE]
        return {
            "study": self.study.name,
            "sha256": self.study.sha256,
            "changed": self.changed,
            "tasks": len(self.progress),
            "counts": {state: self.counts[state] for state in STATES},
            "hours_left": self.hours_left,
            "device_hours": round(self.device_hours, 4),
            "running": [{"task": each.task.key, "epoch": each.epoch} for each in self.progress if _runs(each)],
            "failed": [
                {"task": each.task.key, "state": each.state, "attempts": each.attempts, "reason": each.reason}
                for each in failed
            ],
        }

    def text(self) -> str:
        """Everything, for people."""
        counts = self.counts
        parts = [f"{counts[state]:,} {state}" for state in STATES if counts[state]]
        lines = [f"{self.study.name}: {len(self.progress):,} tasks: {', '.join(parts)}"]
        if self.changed:
            lines.append("the file was changed since its first run")
        if self.hours_left is not None:
            lines.append(f"about {self.hours_left:.2f} h left, {self.device_hours:.2f} device-hours taken")
        elif self.device_hours:
            lines.append(f"{self.device_hours:.2f} device-hours taken")
        if counts[states.PRUNED]:
            lines.append(PRUNING_NOTE)
        failed = [each for each in self.progress if each.state in SET_ASIDE]
        return "\n".join([*lines, *([failure_table(failed)] if failed else [])])


def status_of(study: StudyFile, results: Path) -> Status:
    """Where a study stands.

    Raises:
        UserError: the journal is damaged, or the study was never run and cannot be planned.
    """
    folder = StudyFolder(results, study.name)
    history = folder.histories()
    paces = Paces(results)
    attempts = Attempts(tasks_of(study, results), study.run.rules, standing, paces.pace, history)
    progress = list(attempts.progress.values())
    held = folder.is_held()
    for each in progress:
        if each.state == states.WAITING and _is_running(each.task, history.get(each.task.key), held):
            each.state = states.RUNNING
    left = [each.task for each in progress if each.state in (states.WAITING, states.RUNNING, states.PAUSED)]
    running = sum(each.state == states.RUNNING for each in progress)
    cost = cost_of(left, standing, paces.pace, max(1, running)) if left and running else None
    first = folder.first_sha256()
    hours = None if cost is None or cost.unknown else cost.hours
    return Status(study, progress, first not in (None, study.sha256), hours, attempts.device_hours(0.0))


def tasks_of(study: StudyFile, results: Path) -> Sequence[Task]:
    """The tasks of a study: as its last run planned them, or planned now where there was none of this file."""
    return StudyFolder(results, study.name).tasks(study) or expand(study, results, without_data=True).tasks


def show(study: StudyFile, results: Path, as_json: bool = False, every: float | None = None) -> None:
    """Print where a study stands, once or again and again until nothing is left to run.

    Args:
        study: the study.
        results: the results folder.
        as_json: as JSON, an object a time.
        every: seconds after which it is printed again; None for once.
    """
    while True:
        status = status_of(study, results)
        print(json.dumps(status.to_json()) if as_json else printable(status.text()), flush=True)
        counts = status.counts
        if every is None or not (counts[states.RUNNING] + counts[states.WAITING] + counts[states.PAUSED]):
            return
        time.sleep(every)
        if not as_json:
            print()


def missing(study: StudyFile, results: Path) -> list[tuple[str, str]]:
    """The tasks that are not finished, each with where it stands."""
    progress = status_of(study, results).progress
    return [(each.task.key, _stands(each)) for each in progress if each.state != states.FINISHED]


def _stands(progress: Progress) -> str:
    epoch = "" if progress.epoch is None or progress.task.kind == TABLE else f" after epoch {progress.epoch}"
    return f"{progress.state}{epoch}"


def _runs(progress: Progress) -> bool:
    return progress.state == states.RUNNING


def _is_running(task: Task, past: History | None, study_runs: bool) -> bool:
    """Whether an attempt runs: the study's own, or one that holds the run folder, as that of an array does."""
    if study_runs and past is not None and past.open is not None:
        return True
    if task.kind == TABLE:
        return False
    try:
        return is_held(task.path / ".lock")
    except OSError:
        return False
