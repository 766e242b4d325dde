"""Results of a long computation, appended one by one, so that one that was killed goes on where it was.

A journal is a file of JSON lines beside the result that it is for: first the conditions, then one line for each part.
Once all parts are there, `finish` writes the result as a whole and removes the journal.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from harness.records.files import (
    UnreadableFileError,
    parse_json,
    read_regular,
    remove_temporary_files,
    write_atomically,
)
from harness.records.lock import HeldError, locked
from harness.records.run_folder import MOST_BYTES, RunFolderError

Part = dict[str, Any]


class ResultError(RunFolderError):
    """A result that cannot be computed or used as asked; the message is one line for the user."""


class Journal:
    """An open journal, held by its lock.

    Attributes:
        parts: what is there, in the order in which it was appended.
    """

    def __init__(self, result: Path, file: BinaryIO, conditions: Mapping[str, Any]) -> None:
        self.result, self._file = result, file
        self.parts: list[Part] = []
        entries, whole = _whole_lines(file)
        if entries and entries[0] == json.loads(json.dumps(conditions)):
            self.parts = entries[1:]
            file.truncate(whole)
        else:
            file.truncate(0)
            self._write(conditions)

    def append(self, part: Part) -> None:
        """Add a part and wait until it is on disk."""
        self._write(part)
        self.parts.append(part)

    def finish(self, content: Mapping[str, Any]) -> None:
        """Write the result, after which nothing is left of the journal."""
        write_atomically(self.result, (json.dumps(content, allow_nan=False) + "\n").encode())
        _path(self.result).unlink()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write((json.dumps(line, allow_nan=False) + "\n").encode())
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def journal(result: Path, conditions: Mapping[str, Any]) -> Iterator[Journal]:
    """The journal of a result; one under other conditions, or a torn last line, is dropped.

    Raises:
        ResultError: another process is at it.
        OSError: the file cannot be written.
    """
    if linked := next((path for path in (result.parent, _path(result)) if path.is_symlink()), None):
        raise ResultError(f"{linked}: is a link, which is not written through; move it away")
    result.parent.mkdir(exist_ok=True)
    try:
        with (
            locked(result.with_name(f".{result.stem}.lock"), remove=True),
            _path(result).open("a+b") as file,
        ):
            remove_temporary_files(result.parent, of=result.name)
            yield Journal(result, file, conditions)
    except HeldError:
        raise ResultError(f"{result}: another process is computing this; wait for it or stop it") from None


def is_there(result: Path, conditions: Mapping[str, Any]) -> bool:
    """Whether a result has been computed under these conditions.

    Raises:
        ResultError: it has been under others.
    """
    try:
        content = parse_json(read_regular(result, MOST_BYTES["object"]))
    except FileNotFoundError:
        return False
    except UnreadableFileError as error:
        raise ResultError(f"{result}: {error}; move it away") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ResultError(f"{result}: expected a result as JSON; move it away")
    for key, wanted in conditions.items():
        if content.get(key) != wanted:
            raise ResultError(
                f"{result}: was computed with {key} = {content.get(key)}, asked for is {wanted}; move it away"
            )
    return True


def _path(result: Path) -> Path:
    return result.with_suffix(".parts.jsonl")


def _whole_lines(file: BinaryIO) -> tuple[list[Part], int]:
    """The lines that are whole, and how many bytes they take."""
    file.seek(0)
    lines: list[Part] = []
    whole = 0
    for text in file.read().split(b"\n")[:-1]:
        try:
            lines.append(parse_json(text))
        except ValueError:
            break
        whole += len(text) + 1
    return lines, whole
