"""Inside the process of an attempt on a node: what is new in its scratch is sent on, each line with its checkpoint.

The search waits while its files are read, so that a checkpoint and the lines beside it belong together.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.launch.pool import Link
from harness.records.files import parse_json
from harness.records.run_folder import CHECKPOINT, CONFIG, ENVIRONMENT, EPOCHS, KEPT, Line, RunFolder
from harness.study.ray.parcel import packed
from harness.study.standing import job_file
from harness.study.task import SEARCH
from harness.study.worker import Assignment, perform


@dataclass(frozen=True)
class Shipment:
    """What an attempt's process is given.

    Attributes:
        task: the task's key.
        attempt: the attempt's number.
        assignment: what to do, in the scratch.
        sync_seconds: seconds between two records; 0 to send every line at once.
    """

    task: str
    attempt: int
    assignment: Assignment
    sync_seconds: float = 0.0


def ship(shipment: Shipment, link: Link) -> None:
    """Do what a task asks for in the scratch, and tell the link a parcel of every record; errors as of `perform`."""
    shipping = Shipping(shipment, link)
    try:
        perform(shipment.assignment, shipping)
    finally:
        shipping.flush()


@dataclass
class _Seen:
    """What of the scratch was sent, or came from the keeper.

    Attributes:
        size: bytes of the file of lines.
        files: name -> what tells a new file from the one that was sent.
    """

    size: int = 0
    files: dict[str, tuple[int, int]] = field(default_factory=dict)


class Shipping(Link):
    """A link that sends what is new in the scratch.

    Args:
        shipment: whose scratch it is.
        link: to the process that has the keeper's ear.
    """

    def __init__(self, shipment: Shipment, link: Link) -> None:
        self._shipment, self._link = shipment, link
        self._scratch = Path(shipment.assignment.path)
        log = self._scratch / EPOCHS
        self._seen = _Seen(log.stat().st_size if log.exists() else 0)
        self._files_that_changed()
        self._is_search = shipment.assignment.kind == SEARCH
        self._sent = time.monotonic()
        self._started = False

    def tell(self, content: Line) -> None:
        """Send what a search recorded, where it is time to, or what a job of a table measured."""
        if not self._is_search:
            files = {job_file(self._scratch, number).name for number in content["jobs"]}
            self._send({"told": [content]}, {name: (self._scratch / name).read_bytes() for name in files})
        elif time.monotonic() - self._sent >= self._shipment.sync_seconds:
            self.flush()

    def stopped(self) -> bool:
        """Whether the attempt should end; where it is first asked, the search has started, which is sent."""
        if not self._started:
            self._started = True
            self.flush()
        return self._link.stopped()

    def flush(self) -> None:
        """Send what is new in the scratch of a search."""
        if not self._is_search or not (self._scratch / CONFIG).exists():
            return
        lines = self._new_lines()
        changed = self._files_that_changed()
        if not lines:
            # A checkpoint of an epoch that was made again stands in for no line.
            changed = [name for name in changed if name in (CONFIG, ENVIRONMENT)]
        if {CONFIG, ENVIRONMENT} & set(changed):
            changed = [*({*changed, CONFIG, ENVIRONMENT})]
        if lines or changed:
            self._send({"lines": lines}, {name: (self._scratch / name).read_bytes() for name in changed})
        self._sent = time.monotonic()

    def _send(self, content: dict[str, Any], files: dict[str, bytes]) -> None:
        whose = {"task": self._shipment.task, "attempt": self._shipment.attempt}
        self._link.tell(packed({**whose, **content}, files))

    def _new_lines(self) -> list[str]:
        """The whole lines that were added, as they are."""
        log = self._scratch / EPOCHS
        if not log.exists():
            return []
        with log.open("rb") as file:
            file.seek(self._seen.size)
            *whole, _ = file.read().split(b"\n")
        self._seen.size += sum(len(line) + 1 for line in whole)
        return [line.decode() for line in whole if parse_json(line)]

    def _files_that_changed(self) -> list[str]:
        """Names of files that were replaced since they were looked at."""
        kept = [f"{KEPT}/{path.name}" for path in map(RunFolder(self._scratch).kept, self._kept_epochs())]
        changed = []
        for name in (CONFIG, ENVIRONMENT, CHECKPOINT, *kept):
            path = self._scratch / name
            if path.exists():
                status = path.stat()
                now = status.st_ino, status.st_mtime_ns
                if self._seen.files.get(name) != now:
                    self._seen.files[name] = now
                    changed.append(name)
        return changed

    def _kept_epochs(self) -> list[int]:
        return RunFolder(self._scratch).kept_epochs()
