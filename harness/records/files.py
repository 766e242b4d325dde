"""Files that are read only where they are what they should be, and written as a whole or not at all.

A reader, or a crash, never sees half of a file. A folder that came from somewhere else may hold a pipe that never ends,
a device, a link to itself or a file larger than memory in the place of a record: `read_regular` refuses each in one
line and waits for none. What we write ourselves is never written through a link.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")

_ABANDONED_SECONDS = 3600.0
"""A temporary file that nobody has written to for so long is that of a killed process."""


class UnreadableFileError(Exception):
    """A file that is not what is read; the message says what is wrong with it, without its name."""


def read_regular(path: Path, most: int, follow_links: bool = True) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        most: bytes that it may have.
        follow_links: read what a link leads to; otherwise a link is refused.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableFileError: it is a pipe, a device, a folder, a link that is not followed or leads to itself, or it is
            larger than `most`.
        OSError: it cannot be read.
    """
    if not follow_links and path.is_symlink():
        raise UnreadableFileError("is a link; expected the file itself")
    # Without waiting, since a pipe opens only once somebody writes to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
    if _leads_to_itself(path):
        raise UnreadableFileError("is a link that leads to itself")
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        # A socket, or the end of a pipe that nobody reads.
        if error.errno != errno.ENXIO:
            raise
        raise UnreadableFileError("is a special file; expected a regular file") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError(f"is {_kind(status.st_mode)}; expected a regular file")
        if status.st_size > most:
            raise UnreadableFileError(f"has {status.st_size:,} bytes; expected at most {most:,}")
        with open(descriptor, "rb", closefd=False) as file:
            # No more than it had then, though it may grow while it is read.
            return file.read(status.st_size)
    finally:
        os.close(descriptor)


def parse_json(text: bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is not JSON in UTF-8 without a byte-order mark, is nested too deeply, or has a whole number of
            too many digits.
    """
    try:
        return json.loads(text.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


def open_own(path: Path, mode: str) -> io.FileIO:
    """A file of ours, unbuffered, in a binary mode of `open`; what a link in its place leads to is left alone.

    Raises:
        OSError: it is a link, or it cannot be opened.
    """
    return io.FileIO(path, mode, opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666))


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
    # Another process of the same number may have left one, or a link may lie there, which must not be written through.
    temporary.unlink(missing_ok=True)
    _remove_abandoned(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk, without which a rename, or a new file, may be lost with the power.

    Some systems and file systems know no such thing; there it does nothing.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporary_files(folder: Path, of: str | None = None) -> None:
    """Remove what writers left in a folder that were killed in `replaced_atomically`; nobody may be writing there.

    Args:
        folder: the folder; a link to one is left alone.
        of: the file that they wrote; None for all files.
    """
    for path in _temporary_files(folder, of):
        path.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove what killed writers of a file left beside it long ago, where no lock says that nobody is writing."""
    oldest = time.time() - _ABANDONED_SECONDS
    for temporary in _temporary_files(path.parent, path.name):
        with contextlib.suppress(OSError):
            if temporary.lstat().st_mtime < oldest:
                temporary.unlink()


def _temporary_files(folder: Path, of: str | None) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    named = [(path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir()]
    return [path for path, match in named if match and of in (None, match[1]) and (path.is_symlink() or path.is_file())]


def _leads_to_itself(path: Path) -> bool:
    """Whether following the links of a path never ends."""
    try:
        path.stat()
    except (OSError, RuntimeError) as error:
        return isinstance(error, RuntimeError) or error.errno == errno.ELOOP
    return False


def _kind(mode: int) -> str:
    """What a file is that is not a regular one, in words."""
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a special file")
