"""Files that are written as a whole or not at all, so that a reader, or a crash, never sees half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, or a crash, sees the old content or the new one.

    Raises:
        OSError: the file cannot be written.
    """
    with replaced_atomically(path) as file:
        file.write(data)


@contextlib.contextmanager
def replaced_atomically(path: Path, make_folder: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; otherwise nothing of it stays.

    Args:
        path: the file to replace, which need not exist.
        make_folder: make the folder that the file goes into, where there is none. A run folder must not come back
            half empty after it was moved away, so that this is for other files only.

    Raises:
        OSError: the folder cannot be made or the file cannot be written.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
