"""Files are written as a whole, are on disk under their names then, and leave nothing of killed writers behind."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from harness.records.files import (
    UnreadableFileError,
    parse_json,
    read_regular,
    remove_temporary_files,
    replaced_atomically,
    sync_folder,
    write_atomically,
)
from harness.records.journal import journal
from harness.records.run_folder import RunFolder


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is waited for and renamed, in order."""
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def waited(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", waited)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


def test_a_file_is_on_disk_before_its_name_and_the_name_afterwards(waits: list[str], tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"content")
    assert waits == ["file", "rename", "folder"]


def test_the_name_of_a_new_file_of_lines_is_waited_for_once(waits: list[str], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create({"seed": 0}, {})
    waits.clear()
    folder.append({"epoch": 0})
    folder.append({"epoch": 1})
    assert waits == ["file", "folder", "file"]


def test_a_folder_that_cannot_be_waited_for_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_folder(tmp_path / "missing")

    def refuse(descriptor: int) -> None:
        raise OSError("not of this file system")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)


def test_what_a_killed_writer_left_long_ago_is_removed_by_the_next(tmp_path: Path) -> None:
    long_ago, fresh, other = (tmp_path / name for name in (".file.1.tmp", ".file.2.tmp", ".other.1.tmp"))
    for path in (long_ago, fresh, other):
        path.write_bytes(b"half")
    for path in (long_ago, other):
        os.utime(path, (time.time() - 7200,) * 2)
    write_atomically(tmp_path / "file", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.2.tmp", ".other.1.tmp", "file"]


def test_where_a_lock_says_that_nobody_writes_all_of_it_is_removed(tmp_path: Path) -> None:
    result = tmp_path / "landscape" / "epoch1.json"
    result.parent.mkdir()
    left, other = (result.parent / f".epoch{epoch}.json.1.tmp" for epoch in (1, 2))
    for path in (left, other):
        path.write_bytes(b"half")
    with journal(result, {}):
        assert not left.exists()
        assert other.exists()
    remove_temporary_files(result.parent)
    assert not other.exists()


def test_a_link_in_the_place_of_a_temporary_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(tmp_path / "victim")
    with replaced_atomically(tmp_path / "file") as file:
        file.write(b"whole")
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert (tmp_path / "file").read_bytes() == b"whole"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_pipe, "is a pipe; expected a regular file"),
        (lambda path: path.mkdir(), "is a folder; expected a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device; expected a regular file"),
        (lambda path: path.symlink_to(path.name), "is a link that leads to itself"),
        (lambda path: path.write_bytes(bytes(101)), "has 101 bytes; expected at most 100"),
    ],
)
def test_what_is_no_regular_file_of_the_right_size_is_refused_and_nothing_stays_open(
    make: Any, message: str, tmp_path: Path
) -> None:
    make(tmp_path / "file")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    with pytest.raises(UnreadableFileError, match=message):
        read_regular(tmp_path / "file", 100)
    assert before in (0, len(os.listdir("/proc/self/fd")) if before else 0)


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf{}", '"x"'.encode("utf-16"), b"[" * 100_000, b"9" * 5000, b"\xff"])
def test_json_is_utf_8_without_a_mark_and_of_bounded_depth_and_digits(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
