"""How fast a table of NAS-Bench-101's size is indexed, opened and asked: `python -m benchmarks.table`.

The table is made up (`benchmarks/synthetic_table.py`) unless `--nasbench FILE` names another. Each figure is taken in a
process of its own, so that memory is that of the step alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.synthetic_table import BUDGETS, write_synthetic_table
from harness.cli import run_command
from harness.tables.indexing import build_index
from harness.tables.query import Table
from spaces.nb101.cell import Cell

LOOK_UPS = 100_000
UNSEEN = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line a figure."""
    options = _parser().parse_args(arguments)
    if options.step:
        _STEPS[options.step](options.folder, options.nasbench)
        return
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        source = options.nasbench or _made_up(folder, BUDGETS if options.full else (108,))
        for step in _STEPS:
            command = [sys.executable, "-m", "benchmarks.table", "--step", step]
            subprocess.run([*command, "--folder", folder, "--nasbench", source], check=True)


def _made_up(folder: Path, budgets: tuple[int, ...]) -> Path:
    """A synthetic table in a folder, the one that is there or a new one."""
    source = folder / f"synthetic{len(budgets)}.tfrecord"
    if not source.exists():
        started = time.perf_counter()
        records = write_synthetic_table(source, budgets)
        seconds, size = time.perf_counter() - started, source.stat().st_size / 1e9
        print(f"made up: {records:,} records, {size:.2f} GB in {seconds:.0f} s ({os.cpu_count()} cores)", flush=True)
    return source


def _index(folder: Path, source: Path) -> None:
    started = time.perf_counter()
    info = build_index(source, folder / "table.index")
    seconds = time.perf_counter() - started
    size = (folder / "table.index").stat().st_size / 1e6
    print(f"table: {info.label} ({info.kind}), {info.cells:,} cells, {info.records:,} records")
    print(f"index: {seconds:.1f} s, peak memory {_memory('VmHWM'):.0f} MB, file {size:.0f} MB")


def _open(folder: Path, source: Path) -> None:
    before = _memory("VmRSS")
    started = time.perf_counter()
    Table.open(folder / "table.index")
    milliseconds = 1000 * (time.perf_counter() - started)
    print(f"opening: {milliseconds:.2f} ms, {_memory('VmRSS'):.0f} MB resident ({before:.0f} MB before)")


def _ask(folder: Path, source: Path) -> None:
    table = Table.open(folder / "table.index")
    hashes = random.Random(0).choices(table.hashes(), k=LOOK_UPS)
    table = Table.open(folder / "table.index")
    _time(f"{LOOK_UPS:,} look-ups by hash", LOOK_UPS, lambda: [table.query(hash_) for hash_ in hashes])
    _time(f"{LOOK_UPS:,} mean errors in one call", LOOK_UPS, lambda: table.mean_errors(hashes))
    parts = [(cell.matrix, cell.ops) for cell in map(table.cell, hashes[:UNSEEN])]
    name = f"{UNSEEN:,} look-ups of unseen cells, their hashes computed"
    _time(name, UNSEEN, lambda: [table.query(Cell(matrix, ops)) for matrix, ops in parts])
    print(f"resident after all look-ups: {_memory('VmRSS'):.0f} MB, pages of the index shared by processes included")


def _time(name: str, count: int, act: Callable[[], object], times: int = 5) -> None:
    """Print the fastest of some tries, and the processor's time in it, which other processes disturb less."""
    tries = []
    for _ in range(times):
        started, used = time.perf_counter(), time.process_time()
        act()
        tries.append((time.perf_counter() - started, time.process_time() - used))
    wall, processor = min(wall for wall, _ in tries), min(processor for _, processor in tries)
    each = 1e6 / count
    print(f"{name}: {wall:.2f} s (processor {processor:.2f} s), {wall * each:.1f} ({processor * each:.1f}) us each")


def _memory(entry: str) -> float:
    """Megabytes, by Linux's own count."""
    return int(Path("/proc/self/status").read_text().split(f"{entry}:")[1].split()[0]) / 1000


_STEPS = {"index": _index, "open": _open, "ask": _ask}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("--nasbench", metavar="FILE", type=Path, help="a TFRecord to measure instead of a made-up one")
    parser.add_argument("--full", action="store_true", help="make up all four epoch budgets, 5.08 million records")
    parser.add_argument("--folder", type=Path, help="where files stay, for another run (0.6 or 2.4 GB)")
    parser.add_argument("--step", choices=_STEPS, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
