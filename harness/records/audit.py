"""Whether run folders are as they were written: their files, the checksums of their lines, their checkpoints' seals."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.records import results, seal
from harness.records.config import read_config
from harness.records.repeats import RepeatsFolder, read_repeats
from harness.records.run_folder import (
    CHECKPOINT,
    CORRELATION,
    ENVIRONMENT,
    LANDSCAPE,
    RecordedLines,
    RunFolder,
    RunFolderError,
)


@dataclass(frozen=True)
class Finding:
    """What an audit found of one run folder.

    Attributes:
        path: the folder.
        failure: what is wrong, in one line; empty where nothing is.
        unchecked: what no checksum vouches for, each in a few words; empty where all is verified.
    """

    path: Path
    failure: str
    unchecked: tuple[str, ...]

    @property
    def is_verified(self) -> bool:
        """Whether all that is there is known to be as it was written."""
        return not self.failure and not self.unchecked


def audit(folder: RunFolder) -> Finding:
    """Verify one run folder; whatever is wrong with it becomes a finding."""
    try:
        return Finding(folder.path, "", tuple(_verified(folder)))
    except RunFolderError as error:
        failure = str(error).removeprefix(str(folder.path)).lstrip(":/ ")
    except OSError as error:
        failure = f"{error.filename or folder.path}: {error.strerror}"
    return Finding(folder.path, failure, ())


def audit_repeats(folder: RepeatsFolder) -> Finding:
    """Verify the folder of a black-box method; whatever is wrong with it becomes a finding."""
    try:
        read_repeats(folder)
        folder.starts()
        unchecked = folder.recorded().unchecked
        return Finding(folder.path, "", (f"{unchecked} repeats",) if unchecked else ())
    except RunFolderError as error:
        failure = str(error).removeprefix(str(folder.path)).lstrip(":/ ")
    except OSError as error:
        failure = f"{error.filename or folder.path}: {error.strerror}"
    return Finding(folder.path, failure, ())


def _verified(folder: RunFolder) -> list[str]:
    """Verify all files of a run; gives what no checksum vouches for.

    Raises:
        RunFolderError: something is not as it was written.
        OSError: a file cannot be read.
    """
    read_config(folder)
    if os.path.lexists(folder.path / ENVIRONMENT):
        folder.starts()
    for kind in (LANDSCAPE, CORRELATION):
        results.all_of(folder, kind)
    recorded = folder.recorded()
    unchecked = []
    if recorded.unchecked:
        unchecked.append(f"{recorded.unchecked} of {len(recorded.lines)} lines")
    checkpoints = [folder.kept(epoch) for epoch in folder.kept_epochs()]
    if folder.checkpoint.exists() or folder.checkpoint.is_symlink():
        checkpoints.append(folder.checkpoint)
    for path in checkpoints:
        if not _verify_checkpoint(folder, path, recorded):
            unchecked.append(str(path.relative_to(folder.path)))
    return unchecked


def _verify_checkpoint(folder: RunFolder, path: Path, recorded: RecordedLines) -> bool:
    """Whether a checkpoint has a seal, which is then known to be of this run and these lines.

    Raises:
        RunFolderError: it was changed, or is of another run or of other lines.
    """
    _, names = seal.read_sealed(path)
    if names is None:
        return False
    if difference := seal.difference(names, seal.run_names(folder.config())):
        raise RunFolderError(f"{path}: {difference}")
    epoch = names.get("epoch")
    if not isinstance(epoch, int) or not 0 <= epoch <= len(recorded.lines):
        raise RunFolderError(f"{path}: is of epoch {epoch!r}, but {len(recorded.lines)} lines are recorded")
    if path.name != CHECKPOINT and path != folder.kept(epoch):
        raise RunFolderError(f"{path}: is of epoch {epoch}")
    if folder.check_after(recorded.lines[:epoch]) != names.get("lines"):
        raise RunFolderError(f"{path}: was written after other lines than those of epochs.jsonl")
    return True
