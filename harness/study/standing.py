"""Where the tasks of a study stand on disk, and how long their like took, by the ends of files alone."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path

from harness.records.files import UnreadableFileError, parse_json, read_regular
from harness.records.line import DIVERGED, as_number
from harness.records.run_folder import ENVIRONMENT, EPOCHS, MOST_BYTES, Line
from harness.records.tail import last_line, last_lines
from harness.study.attempts import Standing
from harness.study.task import TABLE, Task

_SAMPLED_RUNS = 4
_SAMPLED_LINES = 8


def standing(task: Task) -> Standing:
    """What the disk says of a task: of a search its last line, of a unit of a table its jobs."""
    if task.kind == TABLE:
        measured = sum(job_file(task.path, number).exists() for number in task.jobs)
        return Standing(measured, finished=measured == len(task.jobs))
    line = last_line(task.path)
    if line is None:
        return Standing()
    what = line.get(DIVERGED)
    return Standing(line["epoch"], line["epoch"] >= task.epochs and not what, str(what) if what else None)


def job_file(work: Path, number: int) -> Path:
    """Where the measurements of a job lie."""
    return work / f"job{number:06d}.json"


class Paces:
    """Seconds that an epoch takes, or a job of a table, by group of tasks: what was recorded before, and what is told.

    Args:
        results: the results folder, in which runs of the same method, space and device are looked for.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self._seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
        self._looked: set[tuple[str, ...]] = set()

    def pace(self, task: Task) -> float | None:
        """Seconds per epoch of a task, or of a unit; None where nothing like it is recorded.

        A variant of which nothing is known takes as long as its method.
        """
        own = self._of(task.group)
        if own is not None or task.kind == TABLE:
            return own
        bench, space, method, *rest = task.group
        return self._of((bench, space, method.partition("@")[0], *rest)) if "@" in method else None

    def learn(self, task: Task, content: Line) -> None:
        """Take note of what an attempt told."""
        seconds = _seconds(content)
        if seconds is not None:
            self._of(task.group)
            self._seconds[task.group].append(seconds)

    def _of(self, group: tuple[str, ...]) -> float | None:
        if group not in self._looked:
            self._looked.add(group)
            self._seconds[group] += self._recorded(group)
        known = self._seconds[group]
        return statistics.median(known) if known else None

    def _recorded(self, group: tuple[str, ...]) -> list[float]:
        """Of a few runs of the group, the mean over their last lines."""
        if len(group) != 5:
            return []
        bench, space, method, scale, device = group
        found: list[float] = []
        for run in sorted((self.results / bench / space / method).glob("seed*")):
            lines = last_lines(run / EPOCHS, _SAMPLED_LINES)
            alike = [line for line in lines if scale in ("", line.get("scale"))]
            seconds = [taken for line in alike if (taken := _seconds(line)) is not None]
            if seconds and ran_on(run) == device:
                found.append(statistics.fmean(seconds))
            if len(found) == _SAMPLED_RUNS:
                break
        return found


def ran_on(run: Path) -> str | None:
    """cpu or cuda, by the last start of a run; None where it is not recorded."""
    try:
        starts = parse_json(read_regular(run / ENVIRONMENT, MOST_BYTES["object"]))["starts"]
        device = starts[-1]["device"]
    except (OSError, UnreadableFileError, ValueError, LookupError, TypeError):
        return None
    return "cpu" if device == "cpu" else "cuda"


def _seconds(content: Line) -> float | None:
    """What a line, or a job of a table, says that it took; None where it says nothing."""
    recorded = content.get("seconds")
    parts = list(recorded.values()) if isinstance(recorded, dict) else [recorded]
    numbers = [number for part in parts if (number := as_number(part)) is not None]
    return sum(numbers) if numbers and sum(numbers) > 0 else None
