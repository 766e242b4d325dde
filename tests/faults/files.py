"""Files that other commands read or would write over: images, addresses, and what they did not write themselves."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.data.decoding import EncodedImage, decode
from harness.data.download import download
from harness.tables.open import check_replaceable
from harness.tabulation.jobs import WorkFolder, plan_jobs
from harness.tabulation.making import Tabulation, tabulate
from plots.judgement.findings import Question
from plots.report.writing import write_page
from spaces.nb101.space import get_space
from tests.faults.case import Case

Change = Callable[[Path, Path], object]
"""Changes the file of a job, and may take that of another."""

_JOBS: list[tuple[str, Change, str]] = [
    ("another job's file copied over it", lambda ours, theirs: shutil.copy(theirs, ours), "holds other cells"),
    (
        "a cell removed",
        lambda ours, theirs: _edit(ours, lambda job: job["cells"].pop()),
        "changed since it was written",
    ),
    (
        "an accuracy edited",
        lambda ours, theirs: _edit(ours, lambda job: job["cells"][0].update(test_accuracy=0.99)),
        "changed since it was written",
    ),
    (
        "an accuracy of 2, its checksum taken off",
        lambda ours, theirs: _edit(ours, lambda job: (job.pop("sha256"), job["cells"][0].update(test_accuracy=2))),
        "expected test_accuracy from 0 to 1, got 2",
    ),
    (
        "cells swapped, its checksum taken off",
        lambda ours, theirs: _edit(ours, lambda job: (job.pop("sha256"), job["cells"].reverse())),
        "holds other cells",
    ),
    (
        "another repeat, its checksum taken off",
        lambda ours, theirs: _edit(ours, lambda job: (job.pop("sha256"), job.update(repeat=1))),
        "or another repeat of them",
    ),
    ("an empty object", lambda ours, theirs: ours.write_text("{}"), "damaged (no list of cells)"),
    ("a list", lambda ours, theirs: ours.write_text("[]"), "damaged"),
    ("nested 100,000 deep", lambda ours, theirs: ours.write_text("[" * 100_000), "damaged"),
    ("cut short", lambda ours, theirs: ours.write_bytes(ours.read_bytes()[:50]), "damaged"),
    ("a pipe", lambda ours, theirs: _pipe(ours), "is a pipe; expected a regular file"),
]


def cases() -> list[Case]:
    """Every fault of an image, an address or a file to write."""
    addresses = ("http://[", "http://host:port/x", "http://a b/x")
    return [
        Case("images", "a label of 10^9", "below 100,000, got 1000000000", _labelled(10**9)),
        Case("images", "a label of -1", "a label from 0", _labelled(-1)),
        Case("images", "a PNG of 13,000 x 13,000 pixels in a few bytes", "at most 2048 x 2048 pixels", _bomb),
        *(Case("download", f"the address `{url}`", "not an address", _downloaded(url)) for url in addresses),
        *(Case("jobs of a table", fault, words, _tampered(change)) for fault, change, words in _JOBS),
        Case("own commands", "`report --out` over a checkpoint", "is no report", _report_over_checkpoint),
        Case("own commands", "`report --out` over lines of a run", "is no report", _report),
        Case("own commands", "`prepare --out` over notes", "is no index", _prepare),
        Case("own commands", "`tabulate --out README.index` beside a README.md", "is no data card", _tabulate),
    ]


def _labelled(label: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        image = EncodedImage(png(8), label, "row 0")
        decode([image], [image])

    return make


def _bomb(folder: Path) -> None:
    image = EncodedImage(png(13_000), 0, "row 0")
    decode([image], [image])


def png(side: int) -> bytes:
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


def _report_over_checkpoint(folder: Path) -> None:
    checkpoint = folder / "checkpoint.pt"
    checkpoint.write_bytes(b"PK\x03\x04")
    write_page(folder, checkpoint, Question(), None)


def _tampered(change: Change) -> Callable[[Path], None]:
    """A table of two jobs is put together from its work folder after a file of it was changed."""

    def make(folder: Path) -> None:
        jobs = plan_jobs([*get_space(1).cells()[:3], *get_space(1).cells()[1000:1003]], 1, 3)
        assert len(jobs) > 1
        work = WorkFolder(folder)
        for job in jobs:
            accuracies = dict.fromkeys(("train_accuracy", "validation_accuracy", "test_accuracy"), 0.5)
            work.write(job, [{"hash": cell.hash, **accuracies} for cell in job.cells], 1.0, "cpu")
        (folder / "jobX.json").write_text("not a job's")
        large = max(jobs, key=lambda job: len(job.cells))
        other = next(job for job in jobs if job is not large)
        change(*(folder / f"job{job.number:06d}.json" for job in (large, other)))
        list(work.read(jobs))

    return make


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
