"""What was measured by training, kept on disk: each training is one file, so that none is done twice.

A folder is of one *identity*: everything that decides a measurement except the architecture and the repeat. It is named
by the identity's hash and holds it in `identity.json`. Files appear as a whole when a training is finished, carry a
checksum, and name what they are of; a file that is damaged, edited or another's copy counts as missing, and its
training is repeated. Processes that want the same training wait for the one that does it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from harness.records.files import write_atomically

IDENTITY = "identity.json"


@dataclass(frozen=True)
class Measurement:
    """What one training gave.

    Attributes:
        test_error: fraction of the test images that the trained network gets wrong.
        valid_error: fraction of the validation images; None where they were trained on.
        seconds: what the training took by the clock.
    """

    test_error: float
    valid_error: float | None
    seconds: float


class MeasurementCache:
    """The trainings of one identity.

    Attributes:
        folder: where they lie.
        sha256: of the identity.
    """

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        """Make the folder of an identity, or take the one that is there.

        Args:
            root: the folder of all identities.
            identity: JSON.

        Raises:
            OSError: the folder cannot be made or written.
        """
        self.sha256 = _sha256(identity)
        self.folder = root / self.sha256[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / IDENTITY).exists():
            write_atomically(self.folder / IDENTITY, json.dumps(identity, indent=1).encode())

    def read(self, key: str, repeat: int) -> Measurement | None:
        """A finished training of an architecture, or None where there is none that can be believed."""
        try:
            content = json.loads(self._file(key, repeat).read_bytes())
            checksum = content.pop("sha256")
        except (FileNotFoundError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return None
        measurement = content.get("measurement")
        if checksum != _sha256(content) or content != self._content(key, repeat, measurement):
            return None
        return Measurement(**measurement)

    def write(self, key: str, repeat: int, measurement: Measurement) -> None:
        """Keep a finished training.

        Raises:
            OSError: it cannot be written.
        """
        content = self._content(key, repeat, asdict(measurement))
        write_atomically(self._file(key, repeat), json.dumps({**content, "sha256": _sha256(content)}).encode())

    @contextlib.contextmanager
    def locked(self, key: str, repeat: int) -> Iterator[None]:
        """Within it no other process is within it for the same training; a process that dies lets go."""
        with FileLock(self._file(key, repeat).with_suffix(".lock")):
            yield

    def _content(self, key: str, repeat: int, measurement: Any) -> dict[str, Any]:
        return {"identity": self.sha256, "architecture": key, "repeat": repeat, "measurement": measurement}

    def _file(self, key: str, repeat: int) -> Path:
        # A key may hold any characters, and be longer than a file's name.
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}-{repeat}.json"


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
