"""Disks that are full, files that may not grow, and two writers at once."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.download import download
from harness.records.journal import journal
from harness.records.lock import locked
from harness.records.run_folder import Line
from harness.search.loop import Search
from tests.faults.case import Case, Survival
from tests.support.seeds_here import asked, begun, folder_of, forked_command, lines_of, quiet, search

KIBIBYTE = 1024


def cases() -> list[Case | Survival]:
    """Every fault of a disk or of a second writer."""
    going_on = "one line; once there is room the same command goes on, and the run ends as one never stopped"
    return [
        *(
            Case("full disk", f"a search into {room} KiB (tmpfs)", "No space left on device", _on_full_disk(room))
            for room in (4, 40, 80)
        ),
        Survival("full disk", "room is made after it was full (tmpfs)", going_on, _room_is_made),
        *(
            Case(
                "files that may not grow",
                f"a search under a limit of {limit} KiB (RLIMIT_FSIZE)",
                "File too large",
                _limited(limit),
            )
            for limit in (1, 8)
        ),
        Survival("files that may not grow", "the limit falls in the middle of a line", going_on, _line_cut_by_limit),
        Case(
            "two writers", "a seed that another process is running", "another process is running this seed", _seed_held
        ),
        Case(
            "two writers", "a result that another process computes", "another process is computing this", _result_held
        ),
        Case(
            "two writers",
            "a file that another process downloads",
            "another process is downloading this file",
            _download_held,
        ),
    ]


def _on_full_disk(room: int) -> Callable[[Path], int]:
    def make(folder: Path) -> int:
        with _Disk(folder, room) as disk:
            return forked_command(lambda: _command(disk))

    return make


def _room_is_made(folder: Path) -> None:
    whole = begun(folder / "whole", recorded=None)
    with _Disk(folder / "disk", 40) as disk:
        assert forked_command(lambda: _command(disk)) == 2
        request = asked(disk, keep=[1])
        before = folder_of(request).epochs()
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        with quiet():
            search(request)
        assert lines_of(request) == lines_of(whole)
        assert folder_of(request).epochs()[: len(before)] == before


def _limited(limit: int) -> Callable[[Path], int]:
    def make(folder: Path) -> int:
        def work() -> int:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit * KIBIBYTE, resource.RLIM_INFINITY))
            return _command(folder)

        return forked_command(work)

    return make


def _line_cut_by_limit(folder: Path) -> None:
    whole = begun(folder / "whole", recorded=None)
    request = begun(folder / "cut", recorded=2)
    log = folder_of(request).path / "epochs.jsonl"
    size = log.stat().st_size

    def work() -> int:
        write = Search._write_checkpoint

        def limited(itself: Search, epoch: int, line: Line) -> None:
            write(itself, epoch, line)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))

        Search._write_checkpoint = limited  # type: ignore[method-assign,assignment]
        return _command(folder / "cut")

    assert forked_command(work) == 2
    assert log.stat().st_size == size
    with quiet():
        search(request)
    assert lines_of(request) == lines_of(whole)


def _command(results: Path) -> int:
    """A search as a command, whose notes do not count."""
    from harness.cli import run_command

    def work() -> None:
        with quiet():
            search(asked(results, keep=[1]))

    return run_command(work)


def _seed_held(folder: Path) -> None:
    request = begun(folder)
    with locked(folder_of(request).path / ".lock"), quiet():
        search(request)


def _result_held(folder: Path) -> None:
    result = folder / "landscape" / "epoch1.json"
    with journal(result, {}), journal(result, {}):
        pass


def _download_held(folder: Path) -> None:
    import fcntl

    with (folder / "file.part").open("ab+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        download("http://127.0.0.1:9/file", folder / "file")


class _Disk:
    """A small file system in memory; without the right to mount one, the test skips."""

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room = folder, room

    def __enter__(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        options = f"size={self.room}k"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder], capture_output=True, text=True, check=False
        )
        if mounted.returncode:
            pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
        return self.folder

    def __exit__(self, *exception: object) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)
