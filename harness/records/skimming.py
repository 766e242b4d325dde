"""Lines verified without their alphas being read, for those who look at thousands of runs and at no alphas.

Two thirds of a line are alphas, and most of the time that reading takes is spent on turning their digits into numbers
and back into digits, since checksums are over canonical JSON (`harness.records.chain`). As `RunFolder.append` writes
them, their digits are canonical but for blanks. So they are put into the content that is hashed as they stand. Where
the checksum matches, the content is what was written, to the letter; where anything is unusual, nothing is said here,
and `RunFolder.epochs` decides.
"""

from __future__ import annotations

import hashlib
import re

from harness.records.chain import CHECK, DIGITS, canonical, start
from harness.records.files import UnreadableFileError, parse_json, read_regular
from harness.records.run_folder import EPOCHS, MOST_BYTES, Line, RunFolder

ALPHAS = "alphas"
_KEY = b'"alphas":'
_RECORDED_ALPHAS = re.compile(rb', "alphas": (\[[][0-9eE+\-., ]*\])')


def epochs_without_alphas(folder: RunFolder) -> list[Line]:
    """The recorded lines as `RunFolder.epochs` gives them, except that `alphas` may be True, which says there are some.

    Raises:
        RunFolderError: as `RunFolder.epochs`.
        OSError: a file cannot be read.
    """
    lines = _skimmed(folder)
    return folder.epochs() if lines is None else lines


def _skimmed(folder: RunFolder) -> list[Line] | None:
    """The lines, all of them verified; None where that takes a closer look."""
    try:
        *complete, _ = read_regular(folder.path / EPOCHS, MOST_BYTES["lines"]).split(b"\n")
    except (FileNotFoundError, UnreadableFileError):
        return None
    previous = start(folder.config())
    lines: list[Line] = []
    for number, text in enumerate(complete):
        try:
            read = _verified(text, previous)
        except (ValueError, TypeError, AttributeError):
            return None
        if read is None or read[0].get("epoch") != number:
            return None
        line, previous = read
        lines.append(line)
    return lines


def _verified(text: bytes, previous: str) -> tuple[Line, str] | None:
    """A line and its checksum, which matches; None where it does not, or where there is none.

    Args:
        text: the line.
        previous: the checksum of the line before.

    Raises:
        ValueError: it is not JSON, or holds a number that JSON cannot carry.
        TypeError, AttributeError: it is no object.
    """
    match = _RECORDED_ALPHAS.search(text)
    if match is None:
        return None
    line = parse_json(text[: match.start()] + text[match.end() :])
    check = line.pop(CHECK, None)
    if ALPHAS in line:
        return None
    recorded = match[1].replace(b", ", b",")
    line[ALPHAS] = recorded != b"[]"
    # A quotation mark within a text has a backslash before it, so that this is where the entry stands.
    before, *after = canonical(line).split(_KEY)
    if len(after) != 1:
        return None
    content = before + _KEY + recorded + after[0].removeprefix(b"true").removeprefix(b"false")
    if hashlib.sha256(previous.encode() + content).hexdigest()[:DIGITS] != check:
        return None
    return line, check
