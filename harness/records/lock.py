"""A lock that keeps a second process away from a folder or a result, and that falls with the process that holds it.

The `filelock` package does the locking, on POSIX by `flock` and on Windows by its own means; PyTorch needs it anyway.
It goes on waiting after a signal and never follows a link. What is locked is an empty file that is there for nothing
else, since some systems do not let the holder itself write to a locked file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


class HeldError(Exception):
    """Another process, or another part of this one, holds the lock."""


@contextlib.contextmanager
def locked(path: Path, patience: float = 0.0, remove: bool = False) -> Iterator[None]:
    """Hold a lock for as long as the block runs.

    Args:
        path: the lock's own file, which is made where there is none and stays empty; its folder must exist.
        patience: seconds to wait for whoever holds it.
        remove: remove the file at the end, while the lock is still held.

    Raises:
        HeldError: somebody else holds it, and went on holding it.
        OSError: the file cannot be made.
    """
    # Imported here, since reading records needs no lock.
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise HeldError(f"{path}: held by another process") from None
    try:
        yield
    finally:
        if remove:
            # Windows keeps a file that is open.
            with contextlib.suppress(OSError):
                path.unlink()
        lock.release()


def is_held(path: Path) -> bool:
    """Whether somebody else holds a lock; nobody does where its file is not there, or may not be written.

    Raises:
        OSError: the file cannot be looked into.
    """
    if not path.exists() or not os.access(path, os.W_OK):
        return False
    try:
        with locked(path):
            return False
    except HeldError:
        return True
