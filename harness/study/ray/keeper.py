"""The keeper: the one writer of a study's results where its nodes share no file system.

An attempt sends what it recorded, and the keeper writes it as a search on this machine would: the checkpoint first, the
line that it carries second. So it can be killed at any moment, as a search can. It takes a record only from the newest
attempt of its task, only as the next lines of the run, and only with the checksums that these lines have.

The keeper knows nothing of Ray; `remote.py` lets Ray call it. One thread calls it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import EXIT_USER_ERROR
from harness.launch.pool import Failure
from harness.records import seal
from harness.records.chain import CHECK, check_of, start
from harness.records.files import parse_json, read_regular, write_atomically
from harness.records.line import DIVERGED
from harness.records.run_folder import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    EPOCHS,
    KEPT,
    MOST_BYTES,
    Line,
    RunFolder,
    RunFolderError,
    RunFolderHeldError,
)
from harness.study.ray.parcel import ParcelError, packed, unpacked
from harness.study.standing import job_file
from harness.study.task import SEARCH

RECORDED = "recorded"
STALE = "stale"
STOP, END = "stop", "end"


class NotTheNextError(RunFolderError):
    """A record that does not go on from what is written."""


@dataclass
class _Open:
    """An attempt whose records are taken.

    Attributes:
        attempt: its number.
        kind: of its task.
        path: what it writes.
        jobs: of a unit of a table.
        release: lets go of the folder.
        lines: how many are written.
        check: the checksum of the last.
        stopping: whether it was told to end.
    """

    attempt: int
    kind: str
    path: Path
    jobs: frozenset[int]
    release: Callable[[], None]
    lines: int = 0
    check: str | None = None
    stopping: bool = False


@dataclass
class Keeper:
    """Writes what attempts send.

    Attributes:
        events: what the study has not fetched yet: number, and what JSON holds of an event.
    """

    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _count: int = 0
    _open: dict[str, _Open] = field(default_factory=dict)

    def open(self, order: Mapping[str, Any]) -> bytes | None:
        """Take a task's folder for an attempt, which becomes the newest of its task.

        Args:
            order: `task`, `attempt`, `kind`, `path`, `jobs`.

        Returns:
            a parcel of the folder's files for the attempt to begin with, or of the failure where it cannot be
            begun; None where another process holds the folder, which may be over in a moment.
        """
        if earlier := self._open.pop(order["task"], None):
            earlier.release()
        opened = _Open(order["attempt"], order["kind"], Path(order["path"]), frozenset(order["jobs"]), lambda: None)
        try:
            files = self._opened(opened)
        except RunFolderHeldError:
            return None
        except (RunFolderError, OSError) as error:
            opened.release()
            return packed({"failure": dataclasses.asdict(failure_of(error, opened.path))})
        self._open[order["task"]] = opened
        return packed({"lines": opened.lines}, files)

    def is_current(self, task: str, attempt: int) -> bool:
        """Whether an attempt is the newest of its task, and not over."""
        opened = self._open.get(task)
        return opened is not None and opened.attempt == attempt

    def record(self, parcel: bytes) -> str:
        """Write what an attempt sends.

        Returns:
            `RECORDED`, `STALE` where it is not the newest of its task, or a failure as JSON where it cannot be written.
        """
        try:
            content, files = unpacked(parcel)
        except ParcelError as error:
            return json.dumps(dataclasses.asdict(Failure(1, f"the keeper got bytes that are no record: {error}")))
        task, attempt = content.get("task"), content.get("attempt")
        opened = self._open.get(str(task))
        if opened is None or opened.attempt != attempt:
            return STALE
        try:
            if opened.kind == SEARCH:
                told = self._record_lines(opened, content, files)
            else:
                told = self._record_jobs(opened, content, files)
        except (RunFolderError, OSError, ValueError) as error:
            return json.dumps(dataclasses.asdict(failure_of(error, opened.path)))
        for line in told:
            self.say({"event": "told", "task": task, "attempt": attempt, "content": line})
        return RECORDED

    def say(self, event: Mapping[str, Any]) -> None:
        """Let the study know of something."""
        self._count += 1
        self.events.append((self._count, dict(event)))

    def fetch(self, after: int) -> list[tuple[int, dict[str, Any]]]:
        """The events after a number; those up to it are forgotten."""
        self.events = [event for event in self.events if event[0] > after]
        return self.events

    def stop(self, task: str, attempt: int) -> None:
        """Let an attempt know that it should end."""
        if self.is_current(task, attempt):
            self._open[task].stopping = True

    def order(self, task: str, attempt: int) -> str | None:
        """What an attempt is to do: `STOP`, `END` at once where it is not the newest any more, None to go on."""
        if not self.is_current(task, attempt):
            return END
        return STOP if self._open[task].stopping else None

    def close(self, task: str, attempt: int) -> None:
        """Take no record of an attempt any more, and let go of its folder."""
        if self.is_current(task, attempt):
            self._open.pop(task).release()

    def _opened(self, opened: _Open) -> dict[str, bytes]:
        """Lock a folder, mend it, and give its files."""
        if opened.kind != SEARCH:
            return {}
        folder, held = RunFolder(opened.path), contextlib.ExitStack()
        held.enter_context(folder.locked(patience=0.0))
        opened.release = held.close
        if not (opened.path / CONFIG).exists():
            if (opened.path / EPOCHS).exists():
                raise RunFolderError(f"{opened.path}: holds epochs but no {CONFIG}; move the folder away")
            return {}
        lines = folder.heal()
        opened.lines, opened.check = len(lines), folder.check_after(lines)
        files = {}
        for name in (CONFIG, ENVIRONMENT, EPOCHS, CHECKPOINT):
            most = MOST_BYTES["lines"] if name == EPOCHS else MOST_BYTES["object"]
            with contextlib.suppress(FileNotFoundError):
                files[name] = read_regular(opened.path / name, seal.MOST_BYTES if name == CHECKPOINT else most)
        return files

    def _record_lines(self, opened: _Open, content: Mapping[str, Any], files: Mapping[str, bytes]) -> list[Line]:
        """Write the next lines of a run with the checkpoint of the last; the lines, without their checksums."""
        folder = RunFolder(opened.path)
        lines = [parse_json(text.encode()) for text in content["lines"]]
        if CONFIG in files:
            _check_same_run(folder, files)
        identity = parse_json(files[CONFIG]) if CONFIG in files else folder.config()
        if not opened.lines:
            opened.check = start(identity)
        self._check_next(opened, lines)
        own = _epoch_of_checkpoint(lines)
        if CHECKPOINT in files:
            _check_checkpoint(folder.checkpoint, files[CHECKPOINT], identity, own)
        if CONFIG in files:
            write_atomically(opened.path / ENVIRONMENT, files[ENVIRONMENT])
            write_atomically(opened.path / CONFIG, files[CONFIG])
        for name, data in files.items():
            if name.startswith(f"{KEPT}/"):
                _write_kept(opened.path / name, data)
        # A checkpoint may be ahead by its own line, never by more.
        for line in lines:
            if line["epoch"] == own and CHECKPOINT in files:
                write_atomically(folder.checkpoint, files[CHECKPOINT])
            opened.check = folder.append(line)
            opened.lines += 1
        return [{key: value for key, value in line.items() if key != CHECK} for line in lines]

    def _check_next(self, opened: _Open, lines: Sequence[Line]) -> None:
        """Refuse lines that do not follow on what is written."""
        check, expected = opened.check, opened.lines
        for line in lines:
            if line.get("epoch") != expected:
                raise NotTheNextError(f"{opened.path}: expected epoch {expected}, got {line.get('epoch')!r}")
            check = check_of(check or "", line)
            if line.get(CHECK) != check:
                raise NotTheNextError(f"{opened.path}: epoch {expected} came with the checksum of other lines")
            expected += 1

    def _record_jobs(self, opened: _Open, content: Mapping[str, Any], files: Mapping[str, bytes]) -> list[Line]:
        """Write measurements of a table; what the attempt told of them."""
        own = {job_file(opened.path, number).name: number for number in opened.jobs}
        for name, data in files.items():
            if name not in own or not isinstance(parse_json(data), dict):
                raise NotTheNextError(f"{opened.path}: {name}: not the measurements of a job of this unit")
        for name, data in files.items():
            write_atomically(opened.path / name, data)
        return list(content["told"])


def failure_of(error: Exception, path: Path) -> Failure:
    """What it means that a record cannot be written: mended by the user, or by time."""
    if isinstance(error, OSError):
        passing = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EINTR, errno.EMFILE, errno.ENFILE)
        text = f"error: {error.filename or path}: {error.strerror}; what was recorded is kept"
        return Failure(EXIT_USER_ERROR, text, passing=passing)
    if isinstance(error, NotTheNextError) or not isinstance(error, RunFolderError):
        return Failure(1, f"the keeper got a record that does not fit: {error}")
    return Failure(EXIT_USER_ERROR, f"error: {error}", passing=isinstance(error, RunFolderHeldError))


def _epoch_of_checkpoint(lines: Sequence[Line]) -> int | None:
    """The epoch that the checkpoint beside some lines is of: the last, unless that says that the search diverged."""
    return max((line["epoch"] for line in lines if not line.get(DIVERGED)), default=None)


def _check_same_run(folder: RunFolder, files: Mapping[str, bytes]) -> None:
    """Refuse a record of another run than the folder's."""
    config, environment = (parse_json(files.get(name, b"")) for name in (CONFIG, ENVIRONMENT))
    if not isinstance(config, dict) or not isinstance(environment, dict):
        raise NotTheNextError(f"{folder.path}: expected {CONFIG} and {ENVIRONMENT} as JSON objects")
    if (folder.path / CONFIG).exists() and start(folder.config()) != start(config):
        raise NotTheNextError(f"{folder.path}: got the {CONFIG} of another run")


def _check_checkpoint(path: Path, data: bytes, config: Mapping[str, Any], epoch: int | None) -> None:
    """Refuse a checkpoint that was changed on its way, or is of another run or epoch."""
    _, sealed = seal.unsealed(data, path)
    expected = {**seal.run_names(config), "epoch": epoch}
    difference = "has no seal" if sealed is None else seal.difference(sealed, expected)
    if difference:
        raise NotTheNextError(f"{path}: got a checkpoint that {difference}")


def _write_kept(path: Path, data: bytes) -> None:
    if path.parent.is_symlink():
        raise RunFolderError(f"{path.parent}: is a link, which is not written into; move it away")
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, data)
