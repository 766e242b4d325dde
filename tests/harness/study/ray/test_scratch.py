"""Scratch of attempts on a node, and the sweeping of what dead ones left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.study.ray.scratch import scratch, scratch_root, sweep

HOLDING = """
import sys
from pathlib import Path
from harness.study.ray.scratch import scratch
with scratch(Path(sys.argv[1])) as path:
    (path / "epochs.jsonl").write_text("line")
    print(path, flush=True)
    sys.stdin.read()
"""


def test_an_attempt_leaves_nothing_behind(tmp_path: Path) -> None:
    with scratch(tmp_path) as path:
        (path / "checkpoint.pt").write_bytes(b"x")
        assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_scratch_of_a_killed_attempt_is_swept_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        assert sweep(tmp_path) == []
        assert (path / "epochs.jsonl").exists()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert sweep(tmp_path) == [path]
    assert list(tmp_path.iterdir()) == []


def test_the_root_is_the_users_own_and_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = scratch_root()
    assert root == scratch_root()
    assert root.stat().st_mode & 0o077 == 0
    root.rmdir()
    (tmp_path / "elsewhere").mkdir()
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="expected a folder of this user's"):
        scratch_root()
