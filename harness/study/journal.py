"""The study's journal: every attempt, and every decision that no run folder shows.

It is a file of JSON lines beside the results, only ever added to, by the one process that runs the study. An attempt
is a line `ended` with all there is to say of it; the lines `started` and `began` before it are there for the attempt
that a killed study process leaves open, which the next one closes as lost. A torn last line is dropped.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import UserError
from harness.records.files import UnreadableFileError, open_own, parse_json, read_regular
from harness.records.run_folder import MOST_BYTES
from harness.study.engine import Attempt

STUDY_DIED = "the study process died"


@dataclass
class History:
    """What a journal says of one task.

    Attributes:
        attempts: the number of its newest attempt.
        failures: attempts that failed, since it was last asked for anew.
        losses: attempts in a row that were lost before they recorded anything.
        ending: how the newest attempt ended; None where it is open, or there was none.
        reason: why, in a line.
        pruned: the rung at which it was pruned; None where it was not.
        device_seconds: what its attempts took of devices.
        open: the newest attempt's `started` and `began` lines, where nothing closed it.
    """

    attempts: int = 0
    failures: int = 0
    losses: int = 0
    ending: str | None = None
    reason: str = ""
    pruned: int | None = None
    device_seconds: float = 0.0
    open: dict[str, Any] | None = None


def read_history(paths: Sequence[Path]) -> dict[str, History]:
    """What some journals say, by task; those that are not there say nothing.

    Raises:
        UserError: the file is damaged before its last line.
    """
    history: dict[str, History] = {}
    for line in itertools.chain.from_iterable(map(read_lines, paths)):
        if isinstance(line.get("task"), str):
            _take_in(history.setdefault(line["task"], History()), line)
    return history


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal, in their order.

    Raises:
        UserError: the file is damaged before its last line.
    """
    try:
        *whole, _ = read_regular(path, MOST_BYTES["lines"]).split(b"\n")
    except FileNotFoundError:
        return
    except UnreadableFileError as error:
        raise UserError(f"{path}: {error}; move it away") from None
    for number, text in enumerate(whole, 1):
        try:
            line = parse_json(text)
        except ValueError:
            line = None
        if not isinstance(line, dict):
            raise UserError(f"{path}:{number}: not a line of a journal; mend or move the file away")
        yield line


class StudyJournal:
    """An open journal; the study's lock keeps other writers away.

    Args:
        path: the file, which is made where there is none.
        engine: the engine's name, which lines carry.
    """

    def __init__(self, path: Path, engine: str) -> None:
        self.path, self.engine = path, engine
        self._file = open_own(path, "a+b")
        self._drop_torn_line()

    def __enter__(self) -> StudyJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, event: str, **content: Any) -> None:
        """Add a line with the time and wait until it is on disk."""
        data = json.dumps({"event": event, "time": now_text(), **content}, allow_nan=False).encode() + b"\n"
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])
        os.fsync(self._file.fileno())

    def opened(self, study: str) -> None:
        """A run of the study begins, of a file with this SHA-256."""
        self.write("opened", study=study, engine=self.engine, host=platform.node(), process=os.getpid())

    def started(self, attempt: Attempt) -> None:
        """An attempt was handed to the engine."""
        self.write("started", task=attempt.key, attempt=attempt.number, engine=self.engine)

    def began(self, attempt: Attempt, node: str, kind: str) -> None:
        """Its process runs."""
        self.write("began", task=attempt.key, attempt=attempt.number, node=node, kind=kind)

    def ended(self, task: str, attempt: int, **content: Any) -> None:
        """It is over: start, node, kind, ending, reason, epoch, seconds, device_seconds."""
        self.write("ended", task=task, attempt=attempt, engine=self.engine, **content)

    def _drop_torn_line(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        while end:
            block = min(end, 1 << 16)
            self._file.seek(end - block)
            if (place := self._file.read(block).rfind(b"\n")) >= 0:
                self._file.truncate(end - block + place + 1)
                return
            end -= block
        self._file.truncate(0)


def now_text() -> str:
    """The time, to a tenth of a second, in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _take_in(history: History, line: Mapping[str, Any]) -> None:
    event = line.get("event")
    if event == "started":
        history.attempts, history.ending, history.open = int(line["attempt"]), None, dict(line)
    elif event == "began" and history.open is not None:
        history.open |= {key: line.get(key) for key in ("node", "kind")}
    elif event == "ended":
        history.attempts = max(history.attempts, int(line["attempt"]))
        history.ending, history.reason, history.open = str(line.get("ending")), str(line.get("reason") or ""), None
        history.failures = int(line.get("failures") or 0)
        history.losses = int(line.get("losses") or 0)
        history.device_seconds += float(line.get("device_seconds") or 0)
    elif event == "pruned":
        history.pruned = int(line["rung"])
    elif event == "retried":
        history.failures = history.losses = 0
        history.ending = history.pruned = None
