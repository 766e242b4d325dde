"""Files that other commands read or would write over: images, addresses, and what they did not write themselves."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from harness.data.decoding import EncodedImage, decode
from harness.data.download import download
from harness.tables.open import check_replaceable
from harness.tabulation.making import Tabulation, tabulate
from plots.judgement.findings import Question
from plots.report.writing import write_page
from tests.faults.case import Case


def cases() -> list[Case]:
    """Every fault of an image, an address or a file to write."""
    addresses = ("http://[", "http://host:port/x", "http://a b/x")
    return [
        Case("images", "a label of 10^9", "below 100,000, got 1000000000", _labelled(10**9)),
        Case("images", "a label of -1", "a label from 0", _labelled(-1)),
        Case("images", "a PNG of 13,000 x 13,000 pixels in a few bytes", "at most 2048 x 2048 pixels", _bomb),
        *(Case("download", f"the address `{url}`", "not an address", _downloaded(url)) for url in addresses),
        Case("own commands", "`report --out` over lines of a run", "is no report", _report),
        Case("own commands", "`prepare --out` over notes", "is no index", _prepare),
        Case("own commands", "`tabulate --out README.index` beside a README.md", "is no data card", _tabulate),
    ]


def _labelled(label: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        image = EncodedImage(_png(8), label, "row 0")
        decode([image], [image])

    return make


def _bomb(folder: Path) -> None:
    image = EncodedImage(_png(13_000), 0, "row 0")
    decode([image], [image])


def _png(side: int) -> bytes:
    """A black grey-scale image; of a large one the header alone is whole."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    content = zlib.compress(bytes(min(side, 64) * (side + 1)))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def _downloaded(url: str) -> Callable[[Path], None]:
    return lambda folder: download(url, folder / "file")


def _report(folder: Path) -> None:
    lines = folder / "epochs.jsonl"
    lines.write_text("{}\n")
    write_page(folder, lines, Question(), None)


def _prepare(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine, for long")
    check_replaceable(folder / "notes.txt")


def _tabulate(folder: Path) -> None:
    (folder / "README.md").write_text("# Mine")
    tabulate(Tabulation(out=folder / "README.index", work=folder / "work", first=1))
