"""What an attempt's process does, on whichever engine: the seed or the unit that its task's content describes.

The content is what JSON holds, so that it travels as text; torch is imported only in here, in the process that is
forked for the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.launch.pool import Link
from harness.records.run_folder import Line
from harness.study.task import SEARCH, TABLE


@dataclass(frozen=True)
class Assignment:
    """What an attempt's process is given.

    Attributes:
        kind: `SEARCH` or `TABLE`.
        content: of the task; JSON holds all of it.
        path: where it writes: the task's own path, or scratch of the attempt.
        until: the epoch at whose end a search pauses; None to go on to its last.
    """

    kind: str
    content: dict[str, Any]
    path: str
    until: int | None = None


def perform(assignment: Assignment, link: Link) -> None:
    """Do what a task asks for, or until the link says stop; tells the link every line, or every job of a table.

    Raises:
        UserError, RunFolderError: it cannot be done as asked.
        OSError: something cannot be written.
    """
    {SEARCH: _search, TABLE: _unit}[assignment.kind](assignment, link)


def _search(assignment: Assignment, link: Link) -> None:
    from harness.launch.seed import Seed, run_seed

    seed = Seed.from_json({**assignment.content, "path": assignment.path})
    run_seed(seed, link if assignment.until is None else _Pausing(link, assignment.until))


def _unit(assignment: Assignment, link: Link) -> None:
    from harness.tabulation.units import measure_unit

    measure_unit(assignment.content, Path(assignment.path), link.tell, link.stopped)


class _Pausing(Link):
    """A link that says stop once an epoch is recorded."""

    def __init__(self, link: Link, until: int) -> None:
        self._link, self._until, self._reached = link, until, False

    def tell(self, content: Line) -> None:
        self._link.tell(content)
        self._reached = content["epoch"] >= self._until

    def stopped(self) -> bool:
        return self._reached or self._link.stopped()
