"""Scratch of attempts on a node: a folder each, which its attempt removes, or the next one where that was killed.

Scratch lies in a folder of the user's own below the system's folder for temporary files. A lock beside each says that
its attempt lives; it falls with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from harness.errors import UserError
from harness.records.lock import HeldError, locked

_BEGINNING = "attempt-"


def scratch_root() -> Path:
    """The folder that all scratch of this user lies in; made where it is not there.

    Raises:
        UserError: something of another user's, or a link, lies in its place.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    root = Path(tempfile.gettempdir()) / f"one-shot-nas-harness-{user}"
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    status = root.lstat()
    if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != user):
        raise UserError(f"{root}: expected a folder of this user's for scratch; remove it, or set TMPDIR")
    return root


@contextlib.contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """A new folder for an attempt, as long as the block runs."""
    path = root / f"{_BEGINNING}{uuid.uuid4().hex}"
    with locked(_lock_of(path), remove=True):
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def sweep(root: Path) -> list[Path]:
    """Remove the scratch of attempts that live no more, and give it."""
    swept = []
    for path in sorted(root.glob(f"{_BEGINNING}*")):
        if path.name.endswith(".lock"):
            continue
        with contextlib.suppress(HeldError, OSError), locked(_lock_of(path), remove=True):
            shutil.rmtree(path, ignore_errors=True)
            swept.append(path)
    return swept


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
