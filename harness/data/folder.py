"""Where data sets and table indexes lie, and how a file gets there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.records import files

ENVIRONMENT_VARIABLE = "HARNESS_DATA"


def data_folder() -> Path:
    """The folder for data: the environment variable HARNESS_DATA, or `data` in the working directory."""
    return Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data")


@contextlib.contextmanager
def replaced_atomically(path: Path) -> Iterator[BinaryIO]:
    """`harness.records.files.replaced_atomically` for a path whose folder may not be there yet.

    Raises:
        OSError: the folder cannot be made or the file cannot be written.
    """
    with files.replaced_atomically(path, make_folder=True) as file:
        yield file
