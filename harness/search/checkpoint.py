"""The checkpoint of a search: what it holds, and how it is written and read."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.errors import UserError
from harness.records.files import write_atomically
from harness.records.run_folder import Line
from optimizers.base import Optimizer

FORMAT = 1

UNREADABLE = (pickle.UnpicklingError, EOFError, OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What reading a file raises that is no checkpoint, or one of another search."""


@dataclass(frozen=True)
class Checkpoint:
    """A search after an epoch.

    Attributes:
        epoch: epochs trained.
        line: the line of that epoch.
        state: the optimizer's `state_dict`.
    """

    epoch: int
    line: Line
    state: dict[str, Any]


def write(path: Path, epoch: int, line: Line, optimizer: Optimizer) -> None:
    """Replace a checkpoint as a whole.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()
    torch.save({"format": FORMAT, "epoch": epoch, "line": line, "optimizer": optimizer.state_dict()}, content)
    write_atomically(path, content.getvalue())


def load_into(optimizer: Optimizer, path: Path) -> tuple[int, Line]:
    """Put an optimizer into the state of a checkpoint.

    Returns:
        its epoch, and the line of that epoch.

    Raises:
        UserError: the file is no checkpoint, or one of another search.
        torch.OutOfMemoryError: it does not fit the device, which is no fault of the file's.
    """
    try:
        saved = torch.load(path, map_location=optimizer.device, weights_only=True)
        if saved["format"] != FORMAT:
            raise ValueError(f"format {saved['format']!r}")
        checkpoint = Checkpoint(int(saved["epoch"]), saved["line"], saved["optimizer"])
        optimizer.load_state_dict(checkpoint.state)
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise UserError(
            f"{path}: not a checkpoint of this configuration ({type(error).__name__}); move the folder away"
        ) from error
    return checkpoint.epoch, checkpoint.line
