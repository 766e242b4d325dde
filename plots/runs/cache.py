"""What was read of runs, kept between commands: a run whose files are as they were is not read and verified again.

Run folders stay the truth. A copy of what their lines hold, as columns, lies in the user's cache folder,
`$HARNESS_CACHE`, or `one-shot-nas-harness` in `$XDG_CACHE_HOME` or `~/.cache`; `HARNESS_CACHE=` with nothing behind it
keeps none. It lies there and not beside the results, so that nothing is written into a results folder, one that cannot
be written to is served as well, and one that came from somebody else brings no copy, which would be believed in place
of its lines.

A copy counts only if `config.json` and `epochs.jsonl` have the modification time, change time, size and file number
that they had when they were read; if the code that reads runs is the same; and if the file of the copy has its own
SHA-256. The change time cannot be set back, so that lines that were edited and given their old date are read, too.
Files that changed within the last `SETTLING` nanoseconds are read each time, since another change might leave no trace
in a clock that ticks. Whatever else is wrong with a copy, it is passed over, and a folder that cannot be written to
means no copies. Runs that cannot be used are never kept.

The runs of one method, neighbours in a folder, share a file in numpy's own format, without pickled objects. Parquet
would need an extra package, which takes longer to import than all copies of a thousand runs to read.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records.config import read_config
from harness.records.files import read_regular
from harness.records.run_folder import CONFIG, EPOCHS, RunFolder
from plots.runs.columns import Columns
from plots.runs.reading import Entry, read_entry
from plots.runs.records import Run

VARIABLE = "HARNESS_CACHE"
SETTLING = 2_000_000_000
LONGEST_UNUSED = 90 * 86_400
"""Seconds after which a file of copies that no command read or wrote is removed."""
MOST_BYTES = 2**30
_DIGEST = hashlib.sha256().digest_size

Stamp = tuple["tuple[int, int, int, int] | None", ...]
"""Modification time, change time, size and number of each of some files; None for one that is not there."""


def stamp_of(folder: RunFolder, names: Iterable[str] = (CONFIG, EPOCHS)) -> Stamp:
    """What tells whether files of a run are as they were. Opens none of them."""
    return tuple(_file_stamp(folder.path / name) for name in names)


def default_folder() -> Path | None:
    """Where copies are kept; None for nowhere."""
    if (asked := os.environ.get(VARIABLE)) is not None:
        return Path(asked).absolute() if asked else None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "one-shot-nas-harness" if os.path.isabs(home) else None


@dataclass(frozen=True)
class Copy:
    """What was read of one run, and of which files.

    Attributes:
        stamp: of the files.
        columns: what they hold.
    """

    stamp: Stamp
    columns: Columns


class Cache:
    """Copies of runs, read when the first run of a method is asked for and written by `save`.

    Args:
        folder: where they are kept; None for nowhere, so that every run is read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder if folder is not None and _is_ours(folder) else None
        self._copies: dict[Path, dict[str, Copy]] = {}
        self._homes: dict[Path, Path] = {}
        self._news: set[Path] = set()

    def read(self, folder: RunFolder) -> Entry:
        """One run with its configuration, as `plots.runs.reading.read_entry` gives it, and with the same errors."""
        if self._folder is None:
            return read_entry(folder)
        home = self._home(folder)
        copies = self._copies_of(home)
        stamp = stamp_of(folder)
        copy = copies.get(folder.path.name)
        if copy is not None and copy.stamp == stamp:
            config = read_config(folder)
            if stamp_of(folder) == stamp:
                return Entry(Run(folder.path, config.seed, config.epochs, copy.columns), config)
        entry = read_entry(folder)
        if stamp_of(folder) == stamp and _is_settled(stamp):
            copies[folder.path.name] = Copy(stamp, entry.run.columns)
            self._news.add(home)
        return entry

    def save(self) -> None:
        """Write what is new, where that is possible."""
        if self._folder is None or not self._news:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for home in sorted(self._news):
                there = {name: copy for name, copy in self._copies[home].items() if (home / name).is_dir()}
                _replace(self._file(home), _packed(home, there))
            _remove_unused(self._folder)
        self._news.clear()

    def _home(self, folder: RunFolder) -> Path:
        """The folder that a run lies in, without links."""
        parent = folder.path.parent
        if parent not in self._homes:
            self._homes[parent] = parent.resolve()
        return self._homes[parent]

    def _copies_of(self, home: Path) -> dict[str, Copy]:
        if home not in self._copies:
            self._copies[home] = _read(self._file(home), home)
        return self._copies[home]

    def _file(self, home: Path) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(os.fsencode(home)).hexdigest()[:32]}.runs"


def _packed(home: Path, copies: Mapping[str, Copy]) -> bytes:
    """The copies of one folder as bytes: SHA-256 of what follows, then arrays in numpy's format."""
    columns = [copy.columns for copy in copies.values()]
    arrays = [
        array for one in columns for array in (*one.entries.values(), *one.derived.values(), one.training_seconds)
    ]
    texts = "\n".join(text for one in columns for text in one.architectures).encode()
    index = {
        "code": code_digest(),
        "home": os.fsencode(home).hex(),
        "runs": [_described(name, copy) for name, copy in copies.items()],
    }
    file = io.BytesIO()
    np.savez(
        file,
        index=np.frombuffer(json.dumps(index).encode(), dtype=np.uint8),
        numbers=np.concatenate(arrays) if arrays else np.empty(0),
        places=np.concatenate([one.places for one in columns]) if columns else np.empty(0, np.int32),
        texts=np.frombuffer(texts, dtype=np.uint8),
    )
    return hashlib.sha256(file.getbuffer()).digest() + file.getvalue()


def _described(name: str, copy: Copy) -> dict[str, Any]:
    """What is not in the arrays."""
    columns = copy.columns
    return {
        "name": os.fsencode(name).hex(),
        "stamp": copy.stamp,
        "epochs": columns.epochs,
        "entries": list(columns.entries),
        "derived": list(columns.derived),
        "not_finite": columns.not_finite,
        "has_alphas": columns.has_alphas,
        "last": columns.last,
        "architectures": len(columns.architectures),
    }


def _read(path: Path, home: Path) -> dict[str, Copy]:
    """The copies of one folder; none where the file is not there, torn, damaged, foreign or of other code."""
    try:
        content = memoryview(read_regular(path, MOST_BYTES, follow_links=False))
        if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
            return {}
        with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as pack:
            index = json.loads(pack["index"].tobytes())
            if index["code"] != code_digest() or index["home"] != os.fsencode(home).hex():
                return {}
            copies = dict(_unpacked(index["runs"], pack["numbers"], pack["places"], pack["texts"].tobytes().decode()))
        if time.time() - path.stat().st_mtime > LONGEST_UNUSED / 10:
            os.utime(path)
        return copies
    except Exception:
        # Whatever is wrong with a copy, the runs themselves are there to be read.
        return {}


def _unpacked(
    runs: Iterable[Mapping[str, Any]], numbers: npt.NDArray[np.float64], places: npt.NDArray[np.int32], texts: str
) -> Iterator[tuple[str, Copy]]:
    """Name and copy of each run, in the order in which `_packed` wrote them."""
    numbers.setflags(write=False)
    places.setflags(write=False)
    all_texts = iter(texts.split("\n"))
    column, place = 0, 0
    for run in runs:
        epochs, names = run["epochs"], [*run["entries"], *run["derived"]]
        starts = list(accumulate([epochs] * (len(names) + 1), initial=column))
        arrays = [numbers[start : start + epochs] for start in starts[:-1]]
        column = starts[-1]
        yield (
            os.fsdecode(bytes.fromhex(run["name"])),
            Copy(
                stamp=tuple(None if one is None else tuple(one) for one in run["stamp"]),
                columns=Columns(
                    epochs=epochs,
                    entries=dict(zip(run["entries"], arrays, strict=False)),
                    derived=dict(zip(run["derived"], arrays[len(run["entries"]) :], strict=False)),
                    training_seconds=arrays[-1],
                    not_finite={entry: tuple(its) for entry, its in run["not_finite"].items()},
                    has_alphas=run["has_alphas"],
                    last=run["last"],
                    places=places[place : place + epochs],
                    architectures=tuple(next(all_texts) for _ in range(run["architectures"])),
                ),
            ),
        )
        place += epochs


@functools.cache
def code_digest() -> str:
    """SHA-256 of the code that reads runs: what another version read is not believed."""
    digest = hashlib.sha256(np.__version__.encode())
    for room in ("harness.records", "plots.runs"):
        for file in sorted(resources.files(room).iterdir(), key=lambda file: file.name):
            if file.name.endswith(".py"):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _is_settled(stamp: Stamp) -> bool:
    """Whether the files last changed so long ago that another change would show."""
    newest = max((max(one[0], one[1]) for one in stamp if one is not None), default=0)
    return None not in stamp and time.time_ns() - newest > SETTLING


def _is_ours(folder: Path) -> bool:
    """Whether a folder can be made, or is there and belongs to nobody else."""
    try:
        return folder.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole, without waiting for the disk: what a crash leaves lacks its SHA-256."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _remove_unused(folder: Path) -> None:
    """Remove files of copies that nothing read or wrote for long; of what else lies there nothing is touched."""
    oldest = time.time() - LONGEST_UNUSED
    for path in [*folder.glob("*.runs"), *folder.glob(".*.runs.*.tmp")]:
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _file_stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
