"""Removing the run folders of a study that no result needs: those of searches that diverged, failed or were pruned."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from harness.study import attempts as states
from harness.study.entries import StudyFile
from harness.study.expansion import expand
from harness.study.folder import StudyFolder
from harness.study.journal import StudyJournal
from harness.study.running import SET_ASIDE
from harness.study.status import status_of
from harness.study.task import SEARCH, Task


def removable(study: StudyFile, results: Path, unfinished: bool = False) -> list[Task]:
    """The searches of a study whose folders may go; a finished one and one that runs never may.

    Args:
        study: the study.
        results: the results folder.
        unfinished: also those that would go on.
    """
    wanted = {*SET_ASIDE, states.PRUNED} | ({states.WAITING, states.PAUSED} if unfinished else set())
    home = results.resolve()
    return [
        each.task
        for each in status_of(study, results).progress
        if each.state in wanted
        and each.task.kind == SEARCH
        and each.task.path.is_dir()
        and not each.task.path.is_symlink()
        and home in each.task.path.resolve().parents
    ]


def clean(study: StudyFile, results: Path, yes: bool, unfinished: bool = False) -> Sequence[Path]:
    """Name the folders that would be removed, and remove them where that is asked for.

    A task whose folder is removed is run from its start the next time.

    Returns:
        the folders.

    Raises:
        UserError: the study is being run, or a folder holds another run.
        OSError: a folder cannot be removed.
    """
    folder = StudyFolder(results, study.name)
    folder.refuse_held()
    # Planned anew, which refuses a folder that holds another run.
    keys = {task.key for task in expand(study, results).tasks}
    tasks = [task for task in removable(study, results, unfinished) if task.key in keys]
    if not yes:
        return [task.path for task in tasks]
    with folder.locked(), StudyJournal(folder.journal, "clean") as journal:
        for task in tasks:
            shutil.rmtree(task.path)
            journal.write("retried", task=task.key, reason="its folder was removed")
    return [task.path for task in tasks]


def described(paths: Sequence[Path], yes: bool) -> str:
    """What was, or would be, removed."""
    if not paths:
        return "nothing to remove"
    if yes:
        return "\n".join(f"removed {path}" for path in paths)
    return "\n".join([*(f"would remove {path}" for path in paths), "nothing is removed without --yes"])
