"""Whether damage to a TFRecord is noticed: `python -m benchmarks.damage FILE`.

Flips one bit, or cuts the file, 1,000 times over: in turn in the length of a record, in its checksum, in the content
and in its checksum, of records drawn at random. Each time an index is to be made of what is left of the file from a
little before the damaged record on, which is what reading the whole would come to.
"""

from __future__ import annotations

import argparse
import random
import re
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.cli import run_command
from harness.errors import UserError
from harness.tables.compression import decompressed
from harness.tables.indexing import build_index

TRIES = 1000
#: Whole records before the damaged one.
BEFORE = 20
KINDS = ("length", "checksum of the length", "content", "checksum of the content", "cut")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how often damage was noticed with the right record's number, by kind.

    Returns:
        0 if always, and nothing was left behind; else 1.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.damage", description=__doc__)
    parser.add_argument("file", metavar="FILE", type=Path, help="a TFRecord, plain, .xz or .gz")
    options = parser.parse_args(arguments)
    with options.file.open("rb") as file:
        content = decompressed(file).read()
    starts = record_starts(content)
    generator = random.Random(0)
    tried: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(TRIES):
            kind = KINDS[attempt % len(KINDS)]
            tried[kind] += 1
            noticed[kind] += _is_noticed(Path(folder), content, starts, kind, generator)
    for kind in KINDS:
        print(f"{kind}: {noticed[kind]} of {tried[kind]} noticed, with the record's number and nothing left behind")
    return 0 if noticed == tried else 1


def record_starts(content: bytes) -> list[int]:
    """Where each record of a TFRecord starts, and where the last one ends."""
    starts = [0]
    while starts[-1] < len(content):
        starts.append(starts[-1] + 16 + struct.unpack_from("<Q", content, starts[-1])[0])
    return starts


def damaged(content: bytes, kind: str, start: int, end: int, generator: random.Random) -> bytes:
    """A TFRecord with one bit of the record from `start` to `end` flipped, in the part that is named, or cut there."""
    low, high = {
        "length": (start, start + 8),
        "checksum of the length": (start + 8, start + 12),
        "content": (start + 12, end - 4),
        "checksum of the content": (end - 4, end),
        "cut": (start + 1, end),
    }[kind]
    place = generator.randrange(low, high)
    if kind == "cut":
        return content[:place]
    flipped = bytearray(content)
    flipped[place] ^= 1 << generator.randrange(8)
    return bytes(flipped)


def _is_noticed(folder: Path, content: bytes, starts: list[int], kind: str, generator: random.Random) -> bool:
    number = generator.randrange(len(starts) - 1)
    first = max(0, number - BEFORE)
    last = min(len(starts) - 1, number + BEFORE)
    offset = starts[first]
    start, end = starts[number] - offset, starts[number + 1] - offset
    source = folder / "damaged.tfrecord"
    source.write_bytes(damaged(content[offset : starts[last]], kind, start, end, generator))
    try:
        build_index(source, folder / "damaged.index")
    except UserError as error:
        expected = rf"record {number - first + 1} at byte {start}: "
        return bool(re.search(expected, str(error))) and list(folder.iterdir()) == [source]
    return False


if __name__ == "__main__":
    sys.exit(run_command(main))
