"""A parcel: JSON and some files as one string of bytes, which is all that travels between nodes besides text.

8 bytes, the length of what follows | {"content": ..., "files": [[name, size], ...]} as JSON | the files
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from harness.records.run_folder import CHECKPOINT, CONFIG, ENVIRONMENT, EPOCHS

_LENGTH = 8
_NAMES = re.compile(r"checkpoints/epoch(0|[1-9]\d{0,8})\.pt|job\d{6,9}\.json")
_PLAIN = (CONFIG, ENVIRONMENT, EPOCHS, CHECKPOINT)


class ParcelError(ValueError):
    """Bytes that are no parcel, or hold a file that has no business in one."""


def packed(content: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> bytes:
    """A parcel of some content that JSON holds, and of files by name."""
    files = files or {}
    head = {"content": dict(content), "files": [[name, len(data)] for name, data in files.items()]}
    text = json.dumps(head, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(_LENGTH, "big"), text, *files.values()])


def unpacked(parcel: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Content and files of a parcel.

    Raises:
        ParcelError: it is none, or names a file that is not one of a run folder or of a table's work folder.
    """
    end = _LENGTH + int.from_bytes(parcel[:_LENGTH], "big")
    try:
        head = json.loads(parcel[_LENGTH:end])
        content, sizes = dict(head["content"]), [(str(name), int(size)) for name, size in head["files"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ParcelError("not a parcel") from None
    files = {}
    for name, size in sizes:
        if name not in _PLAIN and not _NAMES.fullmatch(name):
            raise ParcelError(f"holds a file called {name[:60]!r}, which no attempt writes")
        if size < 0 or end + size > len(parcel):
            raise ParcelError("is torn")
        files[name] = bytes(parcel[end : end + size])
        end += size
    return content, files
