"""The checkpoint of a search: what it holds, and how it is written and read.

A checkpoint says whose it is (`harness.records.seal`), and is believed only where it is as it was written and of the
run that reads it; nothing is loaded into the search before. Those of format 1 say neither.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.errors import UserError, printable
from harness.records import seal
from harness.records.chain import canonical
from harness.records.files import write_atomically
from harness.records.run_folder import Line, RunFolderError
from optimizers.base import Optimizer

UNREADABLE = (pickle.UnpicklingError, EOFError, OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What reading a file raises that is no checkpoint, or one of another search."""


@dataclass(frozen=True)
class Checkpoint:
    """A search after an epoch.

    Attributes:
        epoch: epochs trained.
        line: the line of that epoch, without its checksum.
        state: the optimizer's `state_dict`.
        lines: the check of the line before the epoch's; None where the checkpoint does not say, as in format 1.
    """

    epoch: int
    line: Line
    state: dict[str, Any]
    lines: str | None


def write(path: Path, epoch: int, line: Line, optimizer: Optimizer, names: Mapping[str, Any], lines: str) -> None:
    """Replace a checkpoint as a whole.

    Args:
        path: the file.
        epoch: epochs trained.
        line: the line of that epoch.
        optimizer: the search's method.
        names: whose it is, as `harness.records.seal.run_names` gives it.
        lines: the check of the line before.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()
    torch.save({"format": seal.FORMAT, "epoch": epoch, "line": line, "optimizer": optimizer.state_dict()}, content)
    write_atomically(path, seal.sealed(content.getvalue(), {**names, "epoch": epoch, "lines": lines}))


def read(path: Path, names: Mapping[str, Any], device: torch.device) -> Checkpoint:
    """A checkpoint of the run that is named; one of format 1 is read with a note on stderr of what it does not say.

    Raises:
        UserError: the file was changed, is no checkpoint, or is of another run; what differs is named.
        torch.OutOfMemoryError: it does not fit the device, which is no fault of the file's.
    """
    try:
        archive, sealed = seal.read_sealed(path)
    except RunFolderError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); move the folder away") from None
    if sealed and (difference := seal.difference(sealed, names)):
        raise UserError(f"{path}: {difference}; put this run's own back, or move the folder away")
    try:
        saved = torch.load(io.BytesIO(archive), map_location=device, weights_only=True)
        expected = seal.FORMAT if sealed else 1
        if saved["format"] != expected:
            raise ValueError(f"format {saved['format']!r}")
        epoch, line = saved["epoch"], dict(saved["line"])
        if type(epoch) is not int or epoch < 0 or line["epoch"] != epoch or (sealed and sealed["epoch"] != epoch):
            raise ValueError(f"it is of epoch {epoch!r} and of epoch {line['epoch']!r}")
        # Refuses numbers that no line holds.
        canonical(line)
        checkpoint = Checkpoint(epoch, line, saved["optimizer"], str(sealed["lines"]) if sealed else None)
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise UserError(_no_checkpoint(path, error)) from error
    if sealed is None:
        print(
            f"note: {printable(str(path))}: is of format 1, which says neither whose it is nor whether it is whole; "
            "its tensors' types, shapes and finiteness are checked, and its line where that is recorded",
            file=sys.stderr,
        )
    return checkpoint


def load_into(optimizer: Optimizer, checkpoint: Checkpoint, path: Path) -> None:
    """Put an optimizer into the state of a checkpoint.

    Raises:
        UserError: its tensors are not those of this search, or not finite.
        torch.OutOfMemoryError: they do not fit the device.
    """
    try:
        optimizer.load_state_dict(checkpoint.state)
    except torch.OutOfMemoryError:
        raise
    except UNREADABLE as error:
        raise UserError(_no_checkpoint(path, error)) from error


def _no_checkpoint(path: Path, error: Exception) -> str:
    said = str(error).partition("\n")[0] if type(error) is ValueError else ""
    reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{path}: not a checkpoint of this configuration ({reason}); move the folder away"
