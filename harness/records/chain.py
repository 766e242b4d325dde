"""The checksums of a run's lines, each of which depends on all lines before it and on whose lines they are.

A line of `epochs.jsonl` ends with an entry `check`, the first 16 hexadecimal digits of

    SHA-256(the check of the line before, then the line without `check` as canonical JSON).

What stands before the first line is the SHA-256 of the run's identity in `config.json`: bench, space, optimizer, name,
seed, settings and the table's SHA-256. So a changed digit, a line of another place, and another seed's file all show.
It is a guard against accidents and mix-ups; whoever means to deceive can compute it, too.

Lines from before there were checksums have none. They count as they are where the run goes on, so that the first line
with a checksum vouches for them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

CHECK = "check"
DIGITS = 16

#: made once, since thousands of runs have a hundred thousand lines
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_IDENTITY = ("bench", "space", "optimizer", "name", "seed", "settings")


def start(config: Mapping[str, Any]) -> str:
    """What stands before the first line: the SHA-256 of the identity of the run that a `config.json` is of."""
    table = config.get("table")
    identity = {key: config.get(key) for key in _IDENTITY}
    identity["table"] = table.get("sha256") if isinstance(table, dict) else None
    return sha256_of(identity)


def check_of(previous: str, line: Mapping[str, Any]) -> str:
    """The check of a line.

    Args:
        previous: the check of the line before, or `start`.
        line: the line as JSON gives it, with or without its own check.

    Raises:
        ValueError: it holds a number that JSON cannot carry.
    """
    content = canonical({key: value for key, value in line.items() if key != CHECK} if CHECK in line else line)
    return hashlib.sha256(previous.encode() + content).hexdigest()[:DIGITS]


def check_after(previous: str, lines: Iterable[Mapping[str, Any]]) -> str:
    """The check of the last of some lines, whether they were recorded with theirs or not."""
    for line in lines:
        previous = check_of(previous, line)
    return previous


def sha256_of(content: object) -> str:
    """SHA-256 of something as canonical JSON."""
    return hashlib.sha256(canonical(content)).hexdigest()


def canonical(content: object) -> bytes:
    """JSON that is the same for equal content: keys sorted, no spaces, no number that JSON lacks.

    Raises:
        ValueError: it holds such a number, or is nested too deeply.
    """
    try:
        return _CANONICAL.encode(content).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
