"""Where data sets and table indexes lie, and how a file gets there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

ENVIRONMENT_VARIABLE = "HARNESS_DATA"


def data_folder() -> Path:
    """The folder for data: the environment variable HARNESS_DATA, or `data` in the working directory."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data")


@contextlib.contextmanager
def replaced_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; otherwise nothing of it stays.

    `write_atomically` of the run folder does the same for content that fits in memory at once.

    Raises:
        OSError: the folder cannot be made or the file cannot be written.
    """
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
