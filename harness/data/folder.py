"""Where data sets and table indexes lie, and how a file gets there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.records import run_folder

ENVIRONMENT_VARIABLE = "HARNESS_DATA"


def data_folder() -> Path:
    """The folder for data: the environment variable HARNESS_DATA, or `data` in the working directory."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data")


@contextlib.contextmanager
def replaced_atomically(path: Path) -> Iterator[BinaryIO]:
    """`replaced_atomically` of the run folder, for a path whose folder may not be there yet.

    Raises:
        OSError: the folder cannot be made or the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with run_folder.replaced_atomically(path) as file:
        yield file
