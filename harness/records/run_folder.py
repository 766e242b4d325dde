"""The run folder: everything one seed of a search recorded, and the only place that knows its layout.

    RESULTS/<bench>/<space>/<optimizer>[@NAME]/seed<i>/
        config.json     what was asked for: bench, space, optimizer, name, seed, epochs, settings, table
        env.json        what it ran on: versions, machine, command, source revision
        epochs.jsonl    one line for each epoch 0..N, appended and never rewritten
        checkpoint.pt   the state to resume from; opaque here
        checkpoints/    epoch<e>.pt, the same of the epochs that were to be kept
        landscape/      epoch<e>.json, accuracy around the alphas (`harness.landscape`)
        correlation/    epoch<e>.json, supernet against table (`harness.correlate`)

`<space>` is `space1`, `space2` or `space3` for the spaces that have a number, and the name of any other. Neither torch
nor any module outside `harness.records` is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from harness.records.files import write_atomically
from harness.records.lock import HeldError, locked

CONFIG = "config.json"
ENVIRONMENT = "env.json"
EPOCHS = "epochs.jsonl"
CHECKPOINT = "checkpoint.pt"
KEPT = "checkpoints"
LANDSCAPE = "landscape"
CORRELATION = "correlation"
#: folders of a results folder that hold what was drawn or computed from its runs
WRITTEN = ("figures", "statistics")
_SEED = re.compile(r"seed(\d+)")
_OF_EPOCH = re.compile(r"epoch(0|[1-9]\d*)\.(pt|json)")

Line = dict[str, Any]
SpaceLabel: TypeAlias = "int | str"
"""What records call a search space: 1, 2 or 3 for those of NAS-Bench-1Shot1, a name such as `darts` for any other."""


class RunFolderError(Exception):
    """A run folder that cannot be used as asked; the message is one line for the user."""


@dataclass(frozen=True)
class RunFolder:
    """One seed's folder.

    Attributes:
        path: the folder; it need not exist yet.
    """

    path: Path

    @property
    def checkpoint(self) -> Path:
        """Where the state to resume from lies."""
        return self.path / CHECKPOINT

    def kept(self, epoch: int) -> Path:
        """Where the checkpoint of an epoch that is to be kept lies."""
        return self.path / KEPT / f"epoch{epoch}.pt"

    def kept_epochs(self) -> list[int]:
        """The epochs whose checkpoints were kept, ascending."""
        return self._of_epochs(KEPT)

    def result(self, kind: str, epoch: int) -> Path:
        """Where what was computed from an epoch's checkpoint lies; `kind` is `LANDSCAPE` or `CORRELATION`."""
        return self.path / kind / f"epoch{epoch}.json"

    def results(self, kind: str) -> dict[int, dict[str, Any]]:
        """What was computed from checkpoints: epoch -> content, ascending.

        Raises:
            RunFolderError: a file is not a JSON object.
        """
        return {epoch: _read_object(self.result(kind, epoch)) for epoch in self._of_epochs(kind)}

    def config(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            RunFolderError: the file is missing or is not a JSON object.
        """
        return _read_object(self.path / CONFIG)

    def environment(self) -> dict[str, Any]:
        """What it ran on; same errors as `config`."""
        return _read_object(self.path / ENVIRONMENT)

    def epochs(self) -> list[Line]:
        """The recorded lines, epoch 0 first; a torn last line is left out.

        Raises:
            RunFolderError: a line before the last is not JSON, or an epoch is missing or repeated.
        """
        lines, _ = self._read_lines()
        return lines

    def is_finished(self) -> bool:
        """Whether the last line is that of the last epoch asked for."""
        lines = self.epochs()
        return bool(lines) and bool(lines[-1]["epoch"] == _integer(self, "epochs"))

    def heal(self) -> list[Line]:
        """Cut a torn last line off the file, and give the lines that remain."""
        lines, whole = self._read_lines()
        log = self.path / EPOCHS
        if log.exists() and log.stat().st_size != whole:
            with log.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())
        return lines

    def append(self, line: Line) -> None:
        """Add one line and wait until it is on disk; a failed write leaves no part of the line behind.

        Raises:
            ValueError: the line holds a number that JSON cannot carry (NaN, infinity); record None instead. Or the
                file ends in a torn line, which this one would be glued to; `heal` comes first.
            OSError: the file cannot be written.
        """
        data = (json.dumps(line, allow_nan=False) + "\n").encode()
        with (self.path / EPOCHS).open("a+b", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if before:
                file.seek(before - 1)
                if file.read(1) != b"\n":
                    raise ValueError(f"{self.path / EPOCHS} ends in a torn line; heal the folder before appending")
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(before)
                raise

    def create(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Make the folder and write what was asked for and what it runs on."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / ENVIRONMENT, json.dumps(environment, indent=1).encode())
        write_atomically(self.path / CONFIG, json.dumps(config, indent=1).encode())

    @contextlib.contextmanager
    def locked(self, patience: float = 5.0) -> Iterator[None]:
        """Hold the folder for one writer.

        Args:
            patience: seconds to wait for a writer that is about to stop, as one does whose parent was killed.

        Raises:
            RunFolderError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path / ".lock", patience):
                yield
        except HeldError:
            raise RunFolderError(f"{self.path}: another process is running this seed; wait for it or stop it") from None

    def _of_epochs(self, folder: str) -> list[int]:
        here = self.path / folder
        names = (_OF_EPOCH.fullmatch(path.name) for path in here.iterdir()) if here.is_dir() else ()
        return sorted(int(name[1]) for name in names if name)

    def _read_lines(self) -> tuple[list[Line], int]:
        """Whole lines, and how many bytes of the file they take."""
        log = self.path / EPOCHS
        if not log.exists():
            return [], 0
        *complete, _ = log.read_bytes().split(b"\n")
        lines: list[Line] = []
        for number, text in enumerate(complete):
            try:
                line = json.loads(text)
                epoch = line["epoch"]
            except (ValueError, TypeError, KeyError):
                raise RunFolderError(
                    f"{log}:{number + 1}: not the line of an epoch; move the folder away and run the seed again"
                ) from None
            if epoch != number:
                raise RunFolderError(f"{log}:{number + 1}: expected epoch {number}, got {epoch}; move the folder away")
            lines.append(line)
        return lines, sum(len(text) + 1 for text in complete)


def run_path(results: Path, bench: str, space: SpaceLabel, method: str, seed: int) -> Path:
    """Where a seed's folder lies; `method` is the optimizer, with `@NAME` where settings differ from its preset."""
    return results / bench / space_folder(space) / method / f"seed{seed}"


def space_folder(space: SpaceLabel) -> str:
    """What folders and files of a space are called: `space1` for a number, and a name as it is."""
    return f"space{space}" if isinstance(space, int) else space


def space_name(space: SpaceLabel) -> str:
    """A space in a sentence or a title: `space 1` for a number, and a name as it is."""
    return f"space {space}" if isinstance(space, int) else space


def space_names(spaces: Sequence[SpaceLabel]) -> str:
    """Several spaces in a sentence: `spaces 1, 2, toy`, or names alone where none has a number."""
    numbered = [space for space in spaces if isinstance(space, int)]
    if len(spaces) == 1:
        return space_name(spaces[0])
    listed = ", ".join(map(str, sorted(spaces, key=space_order)))
    return f"spaces {listed}" if numbered else listed


def space_order(space: SpaceLabel) -> tuple[int, int, str]:
    """Sorts spaces: those with a number first, by number, then the others by name."""
    return (0, space, "") if isinstance(space, int) else (1, 0, space)


def find_runs(results: Path) -> list[RunFolder]:
    """All run folders at or below a folder, in the order of their paths, seeds by number.

    Raises:
        RunFolderError: the folder does not exist or holds no run, or a run's config.json is not one.
    """
    _refuse_other_than_folder(results)
    found = [RunFolder(path.parent) for path in results.rglob(CONFIG) if (path.parent / EPOCHS).exists()]
    if not found:
        raise RunFolderError(f"{results}: no finished or running search here; make one with `python -m harness.run`")
    return sorted(found, key=lambda run: (run.path.parent, _integer(run, "seed"), run.path))


def find_folders(results: Path) -> tuple[list[RunFolder], list[Path]]:
    """All that may be run folders at or below a folder, whole or not, and the topmost folders that hold none.

    Unlike `find_runs` it opens no file, so that one bad folder hides no other. A run folder is one that holds any of a
    run's files or is called like one. Hidden folders and those that our commands write into are passed over.

    Raises:
        RunFolderError: the folder does not exist.
    """
    _refuse_other_than_folder(results)
    runs: list[Path] = []
    others: list[Path] = []
    for name, folders, files in os.walk(results, onerror=lambda error: others.append(Path(error.filename))):
        path = Path(name)
        if {CONFIG, EPOCHS, CHECKPOINT} & set(files) or _SEED.fullmatch(path.name):
            runs.append(path)
        elif files:
            others.append(path)
        folders[:] = [folder for folder in folders if not folder.startswith(".") and folder not in WRITTEN]
    homes = {results, *(parent for run in runs for parent in run.parents)}
    foreign = {_topmost(path, homes) for path in others if path not in homes} - set(runs)
    return [RunFolder(path) for path in sorted(runs, key=_by_number)], sorted(foreign)


def _refuse_other_than_folder(results: Path) -> None:
    if results.is_dir():
        return
    if results.exists():
        raise RunFolderError(f"{results}: is a file; expected the folder given to `harness.run --results`")
    raise RunFolderError(f"{results}: no such folder; expected the one given to `harness.run --results`")


def _topmost(path: Path, homes: set[Path]) -> Path:
    """The folder above, or the folder itself, that lies directly in one of `homes`."""
    return path if path.parent in homes else _topmost(path.parent, homes)


def _by_number(path: Path) -> tuple[Path, int, Path]:
    named = _SEED.fullmatch(path.name)
    return path.parent, int(named[1]) if named else -1, path


def _integer(run: RunFolder, key: str) -> int:
    """A whole number that every configuration has."""
    value = run.config().get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RunFolderError(f"{run.path / CONFIG}: expected a whole number as {key}, got {value!r}")
    return value


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunFolderError(f"{path}: missing; expected a run folder written by `python -m harness.run`") from None
    except ValueError:
        raise RunFolderError(f"{path}: not JSON; move the folder away and run the seed again") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{path}: expected a JSON object")
    return content
