"""The seal of a checkpoint: whose it is, and a SHA-256 over what it holds; read without torch.

A checkpoint is a zip archive as `torch.save` writes it. The seal is the archive's comment, which readers of zip files
pass over, as JSON:

    {"format": 2, "bench": ..., "space": ..., "method": ..., "seed": ..., "settings": SHA-256 of the settings,
     "threads": ..., "epoch": ..., "lines": the check of the line before the epoch's, "sha256": of the rest of the file}

The SHA-256 is of the archive and of the other entries of the seal. Checkpoints of format 1 have no seal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.records.chain import canonical, sha256_of
from harness.records.files import UnreadableFileError, parse_json, read_regular
from harness.records.run_folder import RunFolderError

FORMAT = 2

MOST_BYTES = 64 * 2**30
"""A checkpoint that is larger is not read."""

_END = b"PK\x05\x06"
_END_BYTES = 22
_IN_WORDS = {"settings": "other settings", "lines": "other lines before it"}


def run_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a seal says of the run that a `config.json` is of."""
    name = config.get("name")
    return {
        "bench": config.get("bench"),
        "space": config.get("space"),
        "method": f"{config.get('optimizer')}@{name}" if name else config.get("optimizer"),
        "seed": config.get("seed"),
        "settings": sha256_of(config.get("settings")),
        "threads": config.get("threads"),
    }


def sealed(archive: bytes, names: Mapping[str, Any]) -> bytes:
    """An archive with its seal.

    Args:
        archive: what `torch.save` wrote.
        names: the entries of the seal, but for format and SHA-256.
    """
    if archive[-_END_BYTES : -_END_BYTES + len(_END)] != _END:
        raise ValueError("expected a zip archive without a comment")
    entries = {"format": FORMAT, **names}
    comment = json.dumps({**entries, "sha256": _digest(archive, entries)}).encode()
    return archive[:-2] + len(comment).to_bytes(2, "little") + comment


def read_sealed(path: Path) -> tuple[bytes, dict[str, Any] | None]:
    """A checkpoint and its seal, once the file is known to be as it was written; None where it has no seal.

    Raises:
        RunFolderError: the file was changed, or is no regular file.
        OSError: it cannot be read.
    """
    try:
        content = read_regular(path, MOST_BYTES, follow_links=False)
    except UnreadableFileError as error:
        raise RunFolderError(f"{path}: {error}; move it away") from None
    return unsealed(content, path)


def unsealed(content: bytes, path: Path) -> tuple[bytes, dict[str, Any] | None]:
    """A checkpoint's bytes as the archive and its seal, once they are known to be as they were written.

    Args:
        content: the bytes; without a seal they are the archive.
        path: what messages name.

    Raises:
        RunFolderError: they were changed.
    """
    place = content.rfind(_END, max(0, len(content) - _END_BYTES - 0xFFFF))
    if place < 0:
        raise RunFolderError(f"{path}: not a checkpoint, or one that was cut short; move the folder away")
    comment = content[place + _END_BYTES :]
    if not comment:
        return content, None
    changed = RunFolderError(f"{path}: is not as it was written (its SHA-256 differs); move the folder away")
    try:
        seal = parse_json(comment)
    except ValueError:
        raise changed from None
    if not isinstance(seal, dict) or not isinstance(seal.get("sha256"), str):
        raise changed
    entries = {key: value for key, value in seal.items() if key != "sha256"}
    archive = content[: place + _END_BYTES - 2] + b"\0\0"
    if len(comment).to_bytes(2, "little") != content[place + _END_BYTES - 2 : place + _END_BYTES]:
        raise changed
    if _digest(archive, entries) != seal["sha256"]:
        raise changed
    if seal.get("format") != FORMAT:
        raise RunFolderError(
            f"{path}: expected format {FORMAT} or an earlier one, got {seal.get('format')!r}; "
            "use the version that wrote it"
        )
    return archive, entries


def difference(seal: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """In what a checkpoint is not the expected one, in words; None where it is in all that is expected."""
    for key, wanted in expected.items():
        if seal.get(key) != wanted:
            if key in _IN_WORDS:
                return f"is of a run with {_IN_WORDS[key]}"
            return f"is of {key} {seal.get(key)!r}, expected is {wanted!r}"
    return None


def _digest(archive: bytes, entries: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(archive)
    digest.update(canonical(entries))
    return digest.hexdigest()
