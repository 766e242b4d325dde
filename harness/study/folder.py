"""What a study keeps beside its results: its file by hash, its tasks, its journal and its lock.

RESULTS/studies/NAME/
    study-<12 digits of its SHA-256>.toml    the file, each version that was run
    tasks.json                               the tasks as they were planned last, for status
    journal.jsonl                            every attempt (`harness.study.journal`)
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import UserError
from harness.records.files import UnreadableFileError, parse_json, read_regular, write_atomically
from harness.records.lock import HeldError, is_held, locked
from harness.records.run_folder import MOST_BYTES
from harness.study.entries import StudyFile
from harness.study.journal import History, now_text, read_history, read_lines
from harness.study.task import Task

STUDIES = "studies"


@dataclass(frozen=True)
class StudyFolder:
    """Where a study keeps its own records.

    Attributes:
        results: the results folder.
        name: the study's.
    """

    results: Path
    name: str

    @property
    def path(self) -> Path:
        """The folder."""
        return self.results / STUDIES / self.name

    @property
    def own_journals(self) -> Path:
        """The folder of the journals that the tasks of an array write, each its own."""
        return self.path / "tasks"

    def histories(self) -> dict[str, History]:
        """What the journals say of each task, that of the study's runs first.

        Raises:
            UserError: a journal is damaged.
        """
        own = sorted(self.own_journals.glob("*.jsonl")) if self.own_journals.is_dir() else []
        return read_history([self.journal, *own])

    @property
    def journal(self) -> Path:
        """The journal of attempts."""
        return self.path / "journal.jsonl"

    def refuse_held(self) -> None:
        """Refuse a study that another process runs, before anything is planned; writes nothing.

        Raises:
            UserError: another process runs it.
        """
        if self.is_held():
            raise self._held()

    def is_held(self) -> bool:
        """Whether a process runs the study."""
        return is_held(self.path / ".lock")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study for one run.

        Raises:
            UserError: another process runs it; who is said. Or the results folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path / ".lock", patience=1.0):
                holder = {"host": platform.node(), "process": os.getpid(), "since": now_text()}
                write_atomically(self.path / ".holder.json", json.dumps(holder).encode())
                yield
        except HeldError:
            raise self._held() from None
        except PermissionError as error:
            raise UserError(
                f"{error.filename or self.path}: cannot be written ({error.strerror}); give another --results"
            ) from None

    def keep(self, study: StudyFile, tasks: Sequence[Task]) -> None:
        """Write down the study's file and its tasks."""
        copy = self.path / f"study-{study.sha256[:12]}.toml"
        if not copy.exists():
            write_atomically(copy, study.content)
        summary = {"study": study.sha256, "harness": __version__, "tasks": [_summary(task) for task in tasks]}
        write_atomically(self.path / "tasks.json", json.dumps(summary).encode())

    def tasks(self, study: StudyFile) -> list[Task] | None:
        """The tasks as they were planned for this file, without what a process is given; None where they were not."""
        try:
            found = parse_json(read_regular(self.path / "tasks.json", MOST_BYTES["object"]))
            if found["study"] != study.sha256:
                return None
            return [_from_summary(self.results, each) for each in found["tasks"]]
        except (OSError, UnreadableFileError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def first_sha256(self) -> str | None:
        """SHA-256 of the file that the study's first run was of; None where it never ran."""
        for line in read_lines(self.journal):
            if line.get("event") == "opened":
                return str(line.get("study"))
        return None

    def _held(self) -> UserError:
        by = ""
        with contextlib.suppress(OSError, UnreadableFileError, ValueError, LookupError, TypeError):
            holder = parse_json(read_regular(self.path / ".holder.json", MOST_BYTES["object"]))
            by = f" by process {holder['process']} on {holder['host']} since {holder['since']}"
        return UserError(f"{self.path}: the study is being run{by}; wait for it, or stop that process")


_SUMMARY = ("key", "kind", "epochs", "jobs", "group", "entry", "priority", "cpus", "gpus", "rungs", "race", "variant")


def _summary(task: Task) -> dict[str, Any]:
    """What of a task `status` needs, without its defaults."""
    kept = {name: getattr(task, name) for name in _SUMMARY}
    # A search lies where its key says.
    return {**kept, **({"path": str(task.path)} if task.jobs else {})}


def _from_summary(results: Path, summary: dict[str, Any]) -> Task:
    path = Path(summary.get("path") or results / summary["key"])
    lists = {name: tuple(summary[name]) for name in ("jobs", "group", "rungs", "race")}
    return Task(**{**summary, **lists, "path": path, "content": {}})
