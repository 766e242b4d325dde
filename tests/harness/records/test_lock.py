"""A lock is held by one, waits as long as asked, and touches no file but its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.records.lock import HeldError, locked


def test_a_lock_is_held_by_one_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with locked(path), pytest.raises(HeldError, match="held by another process"), locked(path):
        pass
    with locked(path):
        pass


def test_a_block_that_fails_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with pytest.raises(KeyError), locked(path, remove=True):
        raise KeyError
    assert not path.exists()
    with locked(path):
        pass


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("content")
    (tmp_path / ".lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"), locked(tmp_path / ".lock"):
        pass
    assert target.read_text() == "content"
