"""Our index against the official API, on the same file and in the same run: `python -m harness.crosscheck FILE`.

Compares every number of a sample of cells, then what loading and asking costs. Where NAS-Bench-1Shot1's
`nasbench_analysis` can be imported, its search spaces are compared with ours too. Each side runs in processes of its
own, so that its memory is its own.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.tables.compression import decompressed
from harness.tables.index import IndexInfo
from harness.tables.indexing import build_index
from harness.tables.official import check_importable, load, metrics, official_api
from harness.tables.query import Table
from spaces.nb101.cell import Cell
from spaces.nb101.reachability import is_enumerated
from spaces.nb101.space import get_space

#: Queries that are timed, each of another cell, as a search asks.
TIMED = 10_000


@dataclass(frozen=True)
class Cost:
    """What one side takes.

    Attributes:
        load_seconds: until the first question can be asked.
        megabytes: resident memory that loading adds.
        by_hash, by_cell: seconds of the processor a query, of a hash and of a matrix and operations not seen before.
    """

    load_seconds: float
    megabytes: float
    by_hash: float
    by_cell: float


def crosscheck(file: Path, count: int, seed: int) -> int:
    """Compare, and print what was found.

    Args:
        file: a TFRecord of NAS-Bench-101 records.
        count: cells whose numbers are compared.
        seed: of the sample of cells.

    Returns:
        0 if everything is equal, else 1.

    Raises:
        UserError: the file cannot be read, or the official API is not installed.
    """
    check_importable()
    if not file.is_file():
        raise UserError(f"{file}: no such file; give a TFRecord of NAS-Bench-101 records")
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "table.index"
        info: IndexInfo
        info, seconds = apart(_build, file, index)
        print(f"table: {info.label} ({info.kind}), {info.cells:,} cells, {info.records:,} records")
        print(f"index made once in {seconds:.1f} s, {index.stat().st_size / 1e6:.0f} MB")
        ours: Cost = apart(_cost_of_index, index, seed)
        source = _unpacked(file, Path(folder))
        theirs: Cost
        theirs, compared, differences = apart(official_side, source, index, count, seed)
    print(f"answers: {compared:,} numbers of {min(count, info.cells):,} cells compared, {len(differences)} differences")
    for difference in differences[:10]:
        print(f"  {difference}")
    _print_costs(ours, theirs)
    problems: list[str] = []
    if importlib.util.find_spec("nasbench_analysis") is None:
        print("search spaces: not compared, nasbench_analysis cannot be imported (see environment.yml)")
    else:
        problems = apart(compare_spaces)
        print("search spaces: " + ("; ".join(problems) or "graphs and enumerated cells equal nasbench_analysis's"))
    return 1 if differences or problems else 0


def _print_costs(ours: Cost, theirs: Cost) -> None:
    print(f"{'':26}{'index':>14}{'official API':>16}{'ratio':>10}")
    for name, our_figure, their_figure, unit in (
        ("opening", 1e3 * ours.load_seconds, 1e3 * theirs.load_seconds, "ms"),
        ("memory", ours.megabytes, theirs.megabytes, "MB"),
        ("query by hash", 1e6 * ours.by_hash, 1e6 * theirs.by_hash, "us"),
        ("query of an unseen cell", 1e6 * ours.by_cell, 1e6 * theirs.by_cell, "us"),
    ):
        print(f"{name:26}{our_figure:>11,.1f} {unit}{their_figure:>13,.1f} {unit}{their_figure / our_figure:>10,.1f}")


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _build(source: Path, index: Path) -> Any:
    started = time.perf_counter()
    return build_index(source, index), time.perf_counter() - started


def _cost_of_index(path: Path, seed: int) -> Cost:
    hashes = _timed_hashes(Table.open(path).hashes(), seed)
    before = _resident()
    started = time.perf_counter()
    table = Table.open(path)
    table.query(hashes[0])
    load = time.perf_counter() - started
    memory = max(_resident() - before, 0.1)
    parts = [(cell.matrix.tolist(), list(cell.ops)) for cell in map(table.cell, hashes)]
    return Cost(
        load,
        memory,
        _fastest(lambda: [table.query(hash_) for hash_ in hashes]) / len(hashes),
        _fastest(lambda: [table.query(Cell(matrix, ops)) for matrix, ops in parts]) / len(hashes),
    )


def _timed_hashes(hashes: Sequence[str], seed: int) -> list[str]:
    return random.Random(seed).sample(hashes, min(TIMED, len(hashes)))


def official_side(source: Path, index: Path, count: int, seed: int) -> tuple[Cost, int, list[str]]:
    """What the official API costs, how many numbers were compared, and which differ."""
    api = official_api()
    before = _resident()
    started = time.perf_counter()
    nasbench = load(str(source))
    seconds, memory = time.perf_counter() - started, _resident() - before
    sample = random.Random(seed)
    table = Table.open(index)
    everything = table.hashes()
    compared, differences = 0, []
    if sorted(nasbench.hash_iterator()) != everything:
        differences.append("the cells are not the same")
    else:
        for hash_ in sample.sample(everything, min(count, len(everything))):
            numbers, different = _compare(table, hash_, *nasbench.get_metrics_from_hash(hash_))
            compared += numbers
            differences.extend(different)
    hashes = _timed_hashes(sorted(set(everything).intersection(nasbench.hash_iterator())), seed)
    parts = [(cell.matrix.tolist(), list(cell.ops)) for cell in map(table.cell, hashes)]
    by_hash = _fastest(lambda: [nasbench.get_metrics_from_hash(hash_) for hash_ in hashes])
    epochs = table.info.epoch_budgets[-1]
    by_cell = _fastest(lambda: [nasbench.query(api.ModelSpec(matrix, ops), epochs) for matrix, ops in parts])
    return Cost(seconds, memory, by_hash / len(hashes), by_cell / len(hashes)), compared, differences


def _compare(table: Table, hash_: str, fixed: Any, computed: Any) -> tuple[int, list[str]]:
    """Every number that both sides have of a cell: how many there are, and which differ."""
    compared, differences = 0, []
    cell = table.cell(hash_)
    api = importlib.import_module("nasbench.api")
    spec = api.ModelSpec(fixed["module_adjacency"], fixed["module_operations"])
    if cell.matrix.tolist() != spec.matrix.tolist() or list(cell.ops) != spec.ops:
        differences.append(f"{hash_}: another matrix or other operations")
    if sorted(computed) != [epochs for epochs in table.info.epoch_budgets if epochs in computed]:
        differences.append(f"{hash_}: budgets {sorted(computed)}, ours {table.info.epoch_budgets}")
    for epochs, runs in computed.items():
        for moment in ("halfway", "final"):
            theirs = metrics(hash_, epochs, fixed, runs, moment)
            ours = table.query(hash_, epochs, halfway=moment == "halfway")
            # The accuracies of each run, the means of two of them and of the time, and the parameters.
            compared += 3 * len(runs) + 4
            if ours != theirs:
                differences.append(f"{hash_}, {epochs} epochs, {moment}: {ours} and {theirs}")
    return compared, differences


def compare_spaces() -> list[str]:
    """What differs between `nasbench_analysis`'s search spaces and ours, in words."""
    specification = importlib.util.find_spec("nasbench_analysis")
    assert specification is not None
    (home,) = {str(Path(place).parent) for place in specification.submodule_search_locations or ()}
    # It brings a package `optimizers` of its own, and uses names that NumPy dropped.
    sys.path.insert(0, home)
    setattr(np, "int", int)  # noqa: B010
    official_api()
    problems = []
    for number in (1, 2, 3):
        module = importlib.import_module(f"nasbench_analysis.search_spaces.search_space_{number}")
        published, space = getattr(module, f"SearchSpace{number}")(), get_space(number)
        theirs = {np.asarray(matrix).astype(int).tobytes() for matrix in published.generate_with_loose_ends()}
        ours = {_upscaled(space.matrix(parents)).tobytes() for parents in space.parent_choices()}
        if ours != theirs:
            problems.append(f"space {number}: {len(ours ^ theirs)} graphs differ")
        with contextlib.redirect_stdout(None):
            specs = list(published.generate_search_space_without_loose_ends())
        hashes = {Cell(np.asarray(matrix).astype(int), ops).hash for matrix, ops, _ in specs}
        expected = {cell.hash for cell in space.cells() if is_enumerated(space, cell.matrix)}
        if hashes != expected:
            problems.append(f"space {number}: {len(hashes ^ expected)} cells of the published enumeration differ")
    return problems


def _upscaled(matrix: Any) -> Any:
    """A matrix of seven vertices, the last of which is the output, as integers."""
    if len(matrix) == 7:
        return matrix.astype(int)
    return np.insert(np.insert(matrix, len(matrix) - 1, 0, axis=1), len(matrix) - 1, 0, axis=0).astype(int)


def _unpacked(file: Path, folder: Path) -> Path:
    """The file, or a copy without compression, which is what the official API reads."""
    with file.open("rb") as stream:
        content = decompressed(stream)
        if content is stream:
            return file
        with (folder / "unpacked.tfrecord").open("wb") as out:
            shutil.copyfileobj(content, out)
    return folder / "unpacked.tfrecord"


def _fastest(act: Callable[[], object], times: int = 3) -> float:
    """Seconds of the processor, which other processes disturb less than the clock's."""
    durations = []
    for _ in range(times):
        started = time.process_time()
        act()
        durations.append(time.process_time() - started)
    return min(durations)


def _resident() -> float:
    """Megabytes, by Linux's own count; 0 where there is none."""
    status = Path("/proc/self/status")
    return int(status.read_text().split("VmRSS:")[1].split()[0]) / 1000 if status.exists() else 0.0
