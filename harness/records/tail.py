"""The last lines of a file of lines, without reading the rest: where a run stands, of ten thousand runs at once.

Nothing is verified here; whoever goes on with a run, or counts it, reads the whole of it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.records.files import parse_json
from harness.records.run_folder import EPOCHS, MOST_BYTES, Line

_BLOCK = 1 << 14


def last_line(run: Path) -> Line | None:
    """The last whole line of a run folder; None where there is none, or it is not the line of an epoch."""
    lines = last_lines(run / EPOCHS, 1)
    return lines[0] if lines else None


def last_lines(path: Path, count: int) -> list[Line]:
    """Up to so many of the last whole lines, in their order; those that are not JSON objects with an epoch left out.

    A file that is missing, or is no regular file, has none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return []
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES["lines"]:
            return []
        content, start = b"", status.st_size
        # A line more than asked for is read, so that the first of them is whole.
        while start and content.count(b"\n") <= count:
            size = min(start, max(_BLOCK, len(content)))
            start -= size
            file.seek(start)
            content = file.read(size) + content
    whole = content.split(b"\n")[:-1]
    return [line for text in whole[-count:] if (line := _line(text)) is not None]


def _line(text: bytes) -> Line | None:
    try:
        line = parse_json(text)
    except ValueError:
        return None
    epoch = line.get("epoch") if isinstance(line, dict) else None
    return line if isinstance(epoch, int) and not isinstance(epoch, bool) else None
