"""A study as an array of SLURM jobs: a script, the tasks fixed beside it, and what each of them does.

A job of an array is `harness.study task`, which needs nothing but the shared file system: it runs its seed in its own
process, without a server to fork from, so that SIGTERM ends it at its next step, and writes in place under the run
folder's lock. A job that is started again goes on where it was, and one whose task is finished ends at once.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from harness.errors import EXIT_INTERRUPTED, UserError
from harness.launch.pool import STOPPING, Link, failure_of
from harness.launch.provenance import processor
from harness.records.files import UnreadableFileError, parse_json, read_regular, write_atomically
from harness.records.run_folder import MOST_BYTES
from harness.study.attempts import FINISHED, Attempts, Rules
from harness.study.display import figures, one_line
from harness.study.engine import Attempt
from harness.study.entries import StudyFile
from harness.study.expansion import Asked, Expanded, expand, only_task
from harness.study.folder import StudyFolder
from harness.study.journal import StudyJournal, now_text
from harness.study.standing import standing
from harness.study.task import TABLE, Task
from harness.study.worker import Assignment, perform

MOST_OF_AN_ARRAY = 1000
"""Jobs of an array where a site says nothing else: SLURM's own limit, MaxArraySize, is 1001."""

_MARK = "# Written by `python -m harness.study export`"


def export(study: StudyFile, results: Path, script: Path, limit: int = MOST_OF_AN_ARRAY) -> list[Path]:
    """Write an array script for what is not finished of a study, and its list of tasks; several above the limit.

    Args:
        study: the study.
        results: the results folder, which every node must see under this path.
        script: where to write; further arrays lie beside it, as `NAME-2.sh` and so on.
        limit: jobs of one array.

    Returns:
        the scripts.

    Raises:
        UserError: nothing is left to run, variants are to be pruned, or something else lies there.
    """
    if any(entry.rungs for entry in study.searches):
        raise UserError(
            f"{study.path}: has rungs, at which variants wait for each other, as jobs of an array cannot; leave rungs "
            "out, or use `harness.study run`"
        )
    expanded = expand(study, results, "cuda" if study.run.gpus else "cpu" if study.run.gpus == 0 else None)
    tasks = [task for task in expanded.tasks if not standing(task).finished]
    if not tasks:
        raise UserError(f"{study.name}: every task is finished, so that there is nothing to export")
    if script.exists() and _MARK not in script.read_text(errors="replace"):
        raise UserError(f"{script}: is there, and is no script of ours, so it is not overwritten; give another name")
    for prepared in expanded.tables:
        prepared.claim()
    listing = script.with_suffix(".tasks.json")
    fixed = {"format": 1, "study": study.sha256, "tasks": [_fixed(task) for task in tasks]}
    write_atomically(listing, json.dumps(fixed, indent=1).encode())
    logs = StudyFolder(results, study.name).path / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    written = []
    for part, first in enumerate(range(0, len(tasks), limit), 1):
        path = script if part == 1 else script.with_name(f"{script.stem}-{part}{script.suffix}")
        count = min(limit, len(tasks) - first)
        text = _script(study, results.resolve(), listing.resolve(), tasks[first], logs.resolve(), first, count)
        write_atomically(path, text.encode())
        path.chmod(0o755)
        written.append(path)
    return written


def run_task(study: StudyFile, results: Path, number: int, listing: Path | None) -> int:
    """Run one task in this process, until its end or SIGTERM.

    Args:
        study: the study.
        results: the results folder.
        number: of the task, from 0, in the list or, without one, in the study.
        listing: the list that `export` fixed; None for all tasks of the study in its order.

    Returns:
        exit status: 0 where it is finished, 1 where it failed or diverged, 2 for a mistake, 130 where it was stopped.

    Raises:
        UserError: there is no such task, or it cannot be run as asked.
    """
    expanded, task = _task(study, results, number, listing)
    for prepared in expanded.tables:
        prepared.claim()
    folder = StudyFolder(results, study.name)
    folder.own_journals.mkdir(parents=True, exist_ok=True)
    own = folder.own_journals / f"{task.key.replace('/', '_')}.jsonl"
    attempts = Attempts([task], Rules(retries=0), standing, lambda _: None, folder.histories(), retry_failed=True)
    attempt = attempts.next(lambda _: True, time.monotonic())
    if attempt is None:
        progress = attempts.progress[task.key]
        print(f"{task.key}: {progress.state}{figures(task)}")
        return 0 if progress.state == FINISHED else 1
    with StudyJournal(own, "array") as journal:
        return _attempt(attempts, attempt, journal)


def _attempt(attempts: Attempts, attempt: Attempt, journal: StudyJournal) -> int:
    task, link, began = attempt.task, _OwnLink(), now_text()
    journal.started(attempt)
    node, kind = platform.node(), processor()
    journal.began(attempt, node, kind)
    started = time.monotonic()
    with link:
        assignment = Assignment(task.kind, dict(task.content), str(task.path))
        failure = failure_of(lambda: perform(assignment, link), task.key)
    if link.stopped():
        attempts.stopping(attempt)
    verdict = attempts.ended(attempt, failure, time.monotonic())
    seconds = time.monotonic() - started
    progress = attempts.progress[task.key]
    journal.ended(
        task.key,
        attempt.number,
        began=began,
        node=node,
        kind=kind,
        ending=verdict.ending,
        reason=one_line(verdict.reason),
        epoch=progress.epoch,
        seconds=round(seconds, 3),
        device_seconds=round(seconds * task.devices, 3),
        failures=progress.failures,
        losses=progress.losses,
    )
    if verdict.ending == FINISHED:
        print(f"{task.key}: finished{figures(task)}")
        return 0
    print(f"{task.key}: {verdict.ending}: {one_line(verdict.reason) or 'told to end'}", file=sys.stderr)
    if failure is None and link.stopped():
        return EXIT_INTERRUPTED
    return failure.status if failure else 1


class _OwnLink(Link):
    """What a task's own process asks and tells, as `harness.launch.pool.Link` does for the process of a job."""

    def __init__(self) -> None:
        self._stopped = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _OwnLink:
        for number in STOPPING:
            self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def tell(self, content: Any) -> None:
        """Say that a line was recorded."""
        if "epoch" in content:
            print(f"epoch {content['epoch']}", flush=True)

    def stopped(self) -> bool:
        """Whether a signal came."""
        return self._stopped

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True


def _task(study: StudyFile, results: Path, number: int, listing: Path | None) -> tuple[Expanded, Task]:
    """The task of a number, planned."""
    if listing is None:
        expanded = expand(study, results)
        _check_range(number, len(expanded.tasks))
        return expanded, expanded.tasks[number]
    fixed = _read_listing(listing)
    if fixed["study"] != study.sha256:
        raise UserError(f"{study.path}: was changed since {listing} was written; export it again")
    _check_range(number, len(fixed["tasks"]))
    wanted = fixed["tasks"][number]
    expanded = only_task(study, results, wanted["kind"], wanted["entry"], lambda asked: _is_of(asked, wanted))
    found = [task for task in expanded.tasks if task.key == wanted["key"]]
    if not found:
        raise UserError(f"{listing}: task {number} is {wanted['key']}, which the study has not; export it again")
    return expanded, found[0]


def _check_range(number: int, count: int) -> None:
    if not 0 <= number < count:
        raise UserError(f"task: expected a number from 0 to {count - 1}, got {number}")


def _fixed(task: Task) -> dict[str, Any]:
    """What finds a task again, without planning the others."""
    fixed: dict[str, Any] = {"key": task.key, "kind": task.kind, "entry": task.entry}
    if task.kind == TABLE:
        return fixed
    request = task.content["request"]
    names = ("optimizer", "space", "name", "overrides")
    return {**fixed, "seed": task.content["number"], **{name: request[name] for name in names}}


def _is_of(asked: Asked, wanted: Mapping[str, Any]) -> Sequence[int]:
    """The seeds of a search that are wanted: one, or none."""
    request = asked.request
    same = all(getattr(request, name) == wanted[name] for name in ("optimizer", "space", "name"))
    return [wanted["seed"]] if same and dict(request.overrides) == wanted["overrides"] else []


def _read_listing(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_regular(path, MOST_BYTES["object"]))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; expected the list that `harness.study export` wrote") from None
    except (UnreadableFileError, ValueError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), list) or "study" not in content:
        raise UserError(f"{path}: expected the list of tasks that `harness.study export` wrote")
    return content


def _script(study: StudyFile, results: Path, listing: Path, task: Task, logs: Path, first: int, count: int) -> str:
    gpus = [f"#SBATCH --gres=gpu:{max(1, int(task.gpus))}"] if task.gpus else []
    shift = f"$((SLURM_ARRAY_TASK_ID + {first}))" if first else '"$SLURM_ARRAY_TASK_ID"'
    command = [sys.executable, "-m", "harness.study", "task", str(study.path.resolve())]
    options = ["--results", str(results), "--list", str(listing)]
    lines = [
        "#!/bin/bash",
        _MARK,
        f"# Study {study.name}, tasks {first} to {first + count - 1}. Each goes on where it was when it is requeued;",
        "# submitting this again runs what is left. Add what your site asks for, such as a partition and a time.",
        f"#SBATCH --job-name={study.name}",
        f"#SBATCH --array=0-{count - 1}",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:TERM@60",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={logs}/%A_%a.log",
        f"#SBATCH --cpus-per-task={task.cpus}",
        *gpus,
        "",
        f"cd {shlex.quote(os.getcwd())} || exit 2",
        "export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}",
        # Takes the place of the shell, so that SLURM's signal reaches it.
        f"exec {shlex.join(command)} {shift} {shlex.join(options)}",
        "",
    ]
    return "\n".join(lines)
