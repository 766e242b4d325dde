"""The run folder: everything one seed of a search recorded, and the only place that knows its layout.

    RESULTS/<bench>/<space>/<optimizer>[@NAME]/seed<i>/
        config.json     what was asked for: bench, space, optimizer, name, seed, epochs, settings, table
        env.json        what it ran on: versions, machine, command, source revision
        epochs.jsonl    one line for each epoch 0..N, appended and never rewritten; each ends with a checksum
                        (`harness.records.chain`), which reading verifies and leaves out
        checkpoint.pt   the state to resume from; opaque here
        checkpoints/    epoch<e>.pt, the same of the epochs that were to be kept
        landscape/      epoch<e>.json, accuracy around the alphas (`harness.landscape`)
        correlation/    epoch<e>.json, supernet against table (`harness.correlate`)

`<space>` is `space1`, `space2` or `space3` for the spaces that have a number, and the name of any other. Only regular
files up to a size are read (`MOST_BYTES`). Neither torch nor any module outside `harness.records` is imported here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from harness.records.chain import CHECK, check_after, check_of, start
from harness.records.files import (
    UnreadableFileError,
    open_own,
    parse_json,
    read_regular,
    remove_temporary_files,
    sync_folder,
    write_atomically,
)
from harness.records.lock import HeldError, locked

CONFIG = "config.json"
ENVIRONMENT = "env.json"
EPOCHS = "epochs.jsonl"
CHECKPOINT = "checkpoint.pt"
KEPT = "checkpoints"
LANDSCAPE = "landscape"
CORRELATION = "correlation"
MOST_BYTES = {"object": 256 * 2**20, "lines": 2**30}
"""Bytes that a file of one JSON object may have, and a file of lines; a larger one is refused."""
REPEATS = "repeats.jsonl"
"""What tells the folder of a black-box method (`harness.records.repeats`) from a run's."""
#: folders of a results folder that hold what was drawn or computed from its runs
WRITTEN = ("figures", "statistics", "studies")
_SEED = re.compile(r"seed(\d+)")
_OF_EPOCH = re.compile(r"epoch(0|[1-9]\d*)\.(pt|json)")

Line = dict[str, Any]
SpaceLabel: TypeAlias = "int | str"
"""What records call a search space: 1, 2 or 3 for those of NAS-Bench-1Shot1, a name such as `darts` for any other."""


class RunFolderError(Exception):
    """A run folder that cannot be used as asked; the message is one line for the user."""


class RunFolderHeldError(RunFolderError):
    """Another process is writing into the run folder."""


@dataclass(frozen=True)
class RecordedLines:
    """What a run's file of lines holds.

    Attributes:
        lines: the whole lines, epoch 0 first, without their checksums.
        checks: the checksum of each, None where it was recorded without.
        size: bytes of the file that they take.
    """

    lines: list[Line]
    checks: list[str | None]
    size: int

    @property
    def unchecked(self) -> int:
        """How many lines no checksum vouches for: those after the last checksum."""
        return next((back for back, check in enumerate(reversed(self.checks)) if check is not None), len(self.checks))


@dataclass(frozen=True)
class RunFolder:
    """One seed's folder.

    Attributes:
        lines_file: the name of the file of lines.
        counted_by: the entry by which its lines are counted from 0.
        line_of: what a line is of, in words.
        path: the folder; it need not exist yet.
    """

    lines_file: ClassVar[str] = EPOCHS
    counted_by: ClassVar[str] = "epoch"
    line_of: ClassVar[str] = "an epoch"

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

    def computed(self, kind: str, epoch: int) -> dict[str, Any]:
        """What was computed from an epoch's checkpoint, as it lies there; `harness.records.results` reads it by name.

        Raises:
            RunFolderError: the file is missing or is not a JSON object.
        """
        return _read_object(self.result(kind, epoch))

    def computed_epochs(self, kind: str) -> list[int]:
        """The epochs of whose checkpoints something was computed, ascending."""
        return self._of_epochs(kind)

    def config(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            RunFolderError: the file is missing or is not a JSON object.
        """
        return _read_object(self.path / CONFIG)

    def environment(self) -> dict[str, Any]:
        """What it ran on; same errors as `config`."""
        return _read_object(self.path / ENVIRONMENT)

    def starts(self) -> list[dict[str, Any]]:
        """What each start of the run ran on, the first one first.

        Raises:
            RunFolderError: the file is missing, or does not hold a list of objects as `starts`.
        """
        starts = self.environment().get("starts")
        if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
            raise RunFolderError(f"{self.path / ENVIRONMENT}: expected starts as a list of objects; move the file away")
        return starts

    def epochs(self) -> list[Line]:
        """The recorded lines, epoch 0 first; a torn last line is left out.

        Raises:
            RunFolderError: a line before the last is not JSON or does not match its checksum, or an epoch is missing
                or repeated.
        """
        return self.recorded().lines

    def recorded(self) -> RecordedLines:
        """The recorded lines with their checksums; same errors as `epochs`."""
        recorded = self._parsed_lines()
        if any(check is not None for check in recorded.checks):
            self._verify(recorded)
        return recorded

    def is_finished(self) -> bool:
        """Whether the last line is that of the last epoch asked for."""
        lines = self.epochs()
        return bool(lines) and bool(lines[-1]["epoch"] == _integer(self, "epochs"))

    def heal(self) -> list[Line]:
        """Cut a torn last line off the file, and give the lines that remain."""
        recorded = self.recorded()
        log = self.path / self.lines_file
        if log.exists() and log.stat().st_size != recorded.size:
            with open_own(log, "r+b") as file:
                file.truncate(recorded.size)
                os.fsync(file.fileno())
        return recorded.lines

    def check_after(self, lines: Sequence[Line]) -> str:
        """The checksum of the last of some lines, the first of which is that of epoch 0, or what stands before it."""
        return check_after(start(self.config()), lines)

    def append(self, line: Line) -> str:
        """Add one line with its checksum and wait until it is on disk; a failed write leaves no part of it behind.

        Returns:
            the checksum.

        Raises:
            ValueError: the line holds a number that JSON cannot carry (NaN, infinity); record None instead. Or the
                file ends in a torn line, which this one would be glued to; `heal` comes first.
            OSError: the file cannot be written.
        """
        # As a reader has it: lists for tuples, texts for keys.
        line = json.loads(json.dumps(line, allow_nan=False))
        check = check_of(self._last_check(), line)
        data = (json.dumps({**_unchecked(line), CHECK: check}, allow_nan=False) + "\n").encode()
        with open_own(self.path / self.lines_file, "a+b") as file:
            before = file.seek(0, os.SEEK_END)
            if before:
                file.seek(before - 1)
                if file.read(1) != b"\n":
                    raise ValueError(f"{file.name} ends in a torn line; heal the folder before appending")
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(before)
                raise
        if not before:
            sync_folder(self.path)
        return check

    def create(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Make the folder and write what was asked for and what it runs on."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / ENVIRONMENT, json.dumps(environment, indent=1).encode())
        write_atomically(self.path / CONFIG, json.dumps(config, indent=1).encode())

    @contextlib.contextmanager
    def locked(self, patience: float = 5.0) -> Iterator[None]:
        """Hold the folder for one writer, which first removes what killed ones left half written.

        Args:
            patience: seconds to wait for a writer that is about to stop, as one does whose parent was killed.

        Raises:
            RunFolderError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.path / ".lock", patience):
                for folder in (self.path, self.path / KEPT):
                    remove_temporary_files(folder)
                yield
        except HeldError:
            raise RunFolderHeldError(
                f"{self.path}: another process is running this seed; wait for it or stop it"
            ) from None

    def _of_epochs(self, folder: str) -> list[int]:
        here = self.path / folder
        names = (_OF_EPOCH.fullmatch(path.name) for path in here.iterdir()) if here.is_dir() else ()
        return sorted(int(name[1]) for name in names if name)

    def _last_check(self) -> str:
        """The checksum that the next line is chained to."""
        *_, last, _ = [b"", *self._content().split(b"\n")]
        try:
            check = parse_json(last)[CHECK]
        except (ValueError, TypeError, KeyError):
            check = None
        # The lines before are verified where they are read, which is before a search goes on.
        return check if isinstance(check, str) else self.check_after(self._parsed_lines().lines)

    def _content(self) -> bytes:
        """The file of lines; empty where there is none."""
        log = self.path / self.lines_file
        try:
            return read_regular(log, MOST_BYTES["lines"])
        except FileNotFoundError:
            return b""
        except UnreadableFileError as error:
            raise RunFolderError(f"{log}: {error}; move the folder away") from None

    def _parsed_lines(self) -> RecordedLines:
        """The whole lines, whatever their checksums say."""
        log = self.path / self.lines_file
        *complete, _ = self._content().split(b"\n")
        lines: list[Line] = []
        checks: list[str | None] = []
        for number, text in enumerate(complete):
            try:
                line = parse_json(text)
                count, check = line[self.counted_by], line.get(CHECK)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise RunFolderError(
                    f"{log}:{number + 1}: not the line of {self.line_of}; move the folder away and run the seed again"
                ) from None
            if count != number:
                raise RunFolderError(
                    f"{log}:{number + 1}: expected {self.counted_by} {number}, got {count!r}; move the folder away"
                )
            lines.append(_unchecked(line))
            checks.append(None if check is None else str(check))
        return RecordedLines(lines, checks, sum(len(text) + 1 for text in complete))

    def _verify(self, recorded: RecordedLines) -> None:
        """Refuse lines that do not match their checksums."""
        log = self.path / self.lines_file
        previous, vouched = start(self.config()), True
        for number, (line, check) in enumerate(zip(recorded.lines, recorded.checks, strict=True), 1):
            if check is None and number > 1 and recorded.checks[number - 2] is not None:
                raise RunFolderError(f"{log}:{number}: lacks the checksum that the line before has; {_CHANGED}")
            try:
                previous = check_of(previous, line)
            except ValueError:
                raise RunFolderError(f"{log}:{number}: holds a number that is none; {_CHANGED}") from None
            if check is not None and check != previous:
                where = "it" if vouched and number > 1 else "it, a line before it, or the run in config.json"
                raise RunFolderError(f"{log}:{number}: does not match its checksum: {where} was changed; {_CHANGED}")
            vouched = check is not None


_CHANGED = "put the file back, or move the folder away and run the seed again"


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
    runs = [RunFolder(path.parent) for path in results.rglob(CONFIG) if (path.parent / EPOCHS).exists()]
    if not runs:
        raise RunFolderError(f"{results}: no finished or running search here; make one with `python -m harness.run`")
    return sorted(runs, key=lambda run: (run.path.parent, _integer(run, "seed"), run.path))


def find_folders(results: Path, only: Collection[Path] | None = None) -> tuple[list[RunFolder], list[Path]]:
    """All that may be run folders at or below a folder, whole or not, and the topmost folders that hold none.

    Unlike `find_runs` it opens no file, so that one bad folder hides no other. A run folder is one that holds any of a
    run's files or is called like one. Hidden folders, those that our commands write into, and those of black-box
    methods are passed over.

    Args:
        results: the folder.
        only: run folders below it, those of a study, say; then these alone, as far as they are there, and no other
            folder is looked into.

    Raises:
        RunFolderError: the folder does not exist.
    """
    _refuse_other_than_folder(results)
    if only is not None:
        return [RunFolder(path) for path in sorted(filter(Path.is_dir, only), key=_by_number)], []
    runs: list[Path] = []
    others: list[Path] = []
    for name, folders, files in os.walk(results, onerror=lambda error: others.append(Path(error.filename))):
        path = Path(name)
        if REPEATS in files:
            continue
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


def _unchecked(line: Line) -> Line:
    """A line without its checksum."""
    return {key: value for key, value in line.items() if key != CHECK}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_regular(path, MOST_BYTES["object"]))
    except FileNotFoundError:
        raise RunFolderError(f"{path}: missing; expected a run folder written by `python -m harness.run`") from None
    except UnreadableFileError as error:
        raise RunFolderError(f"{path}: {error}; move the folder away") from None
    except ValueError:
        raise RunFolderError(f"{path}: not JSON; move the folder away and run the seed again") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{path}: expected a JSON object")
    return content
