"""On which kind of machine each search began, which is the only one that it goes on on."""

from __future__ import annotations

from harness.records.run_folder import RunFolder, RunFolderError
from harness.study.ray.nodes import began_on
from harness.study.task import SEARCH, Task


class Kinds:
    """The kinds that searches began on, each read once until its task is forgotten.

    Args:
        mixed: whether searches may go on on any kind.
    """

    def __init__(self, mixed: bool) -> None:
        self._mixed = mixed
        self._known: dict[str, dict[str, str] | None] = {}

    def of(self, task: Task) -> dict[str, str] | None:
        """The kind of machine that a task must run on; None where it may run on any."""
        if task.kind != SEARCH or self._mixed:
            return None
        if task.key not in self._known:
            folder = RunFolder(task.path)
            try:
                self._known[task.key] = began_on(folder.starts()) if folder.epochs() else None
            except (RunFolderError, OSError):
                # The keeper says what is wrong with the folder.
                self._known[task.key] = None
        return self._known[task.key]

    def forget(self, task: Task) -> None:
        """Read a task's kind again, since it may have begun."""
        self._known.pop(task.key, None)
