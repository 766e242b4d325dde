"""Measure a table: train cells from scratch, all of a space or chosen ones, and write what was measured.

    python -m harness.tabulate --images digits --space 1 --repeats 3 --out data/digits_space1.index
    python -m harness.tabulate --images cifar10-jpeg.toml --cells chosen.jsonl --device cuda

Cells that share a graph are trained together, a job at a time; every job's measurements are one file of the work
folder, so that a run can be stopped at any moment and goes on where it was. Nothing in the table depends on the clock,
on which jobs ran before or on how often the run was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, TimeoutError, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.folder import data_folder
from harness.errors import OneLineParser, UserError, positive_integer, run_command
from harness.records.run_folder import write_atomically
from harness.tabulation.jobs import JOB_SIZE, Job, Scope, WorkFolder, plan_jobs, shuffled_units
from harness.tabulation.training import Recipe, Splits, train_cells

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from harness.benchmarks.registry import Benchmark
    from harness.tables.query import IndexInfo
    from spaces.nb101.cell import Cell

CUDA_JOBS = 9
"""Jobs that a GPU trains together: small networks fill it by the hundred only."""

CUDA_WORKERS = 4
"""Processes that keep one GPU busy while others are busy with Python."""


def measure(
    jobs: Sequence[Job],
    folder: WorkFolder,
    recipe: Recipe,
    splits: Splits,
    workers: int,
    device: str = "cpu",
    limit: float | None = None,
) -> bool:
    """Run the jobs that are not done, on some processes of one thread each, telling progress on stderr.

    However this ends, the workers end with it: by an error, by Ctrl-C, or because this process was killed.

    Args:
        jobs: all jobs of the table.
        folder: where measurements are kept.
        recipe: how cells are trained.
        splits: images, on the CPU.
        workers: number of processes.
        device: `cpu`, or `cuda`, which the processes share.
        limit: seconds after which it stops; jobs in hand are lost.

    Returns:
        whether all jobs are done.

    Raises:
        UserError: a worker was killed.
        OSError: a measurement cannot be written.
    """
    done = folder.done()
    waiting = shuffled_units([job for job in jobs if job.number not in done], CUDA_JOBS if device == "cuda" else 1)
    if not waiting:
        return True
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: workers read the end of the file when this process closes its end of the pipe, or dies.
    far_end, leash = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(
        min(workers, len(waiting)), context, _start_worker, (recipe, splits, folder.path, far_end, device)
    )
    progress = _Progress(sum(len(job.cells) for unit in waiting for job in unit))
    try:
        with _interrupts_kept_from_children():
            running = [executor.submit(_run_jobs, unit) for unit in waiting]
        for future in as_completed(running, timeout=limit):
            progress.add(future.result())
    except TimeoutError:
        return False
    except BrokenProcessPool:
        raise UserError(
            f"{folder.path}: a worker was killed, perhaps for want of memory; the same command goes on, "
            "with fewer --workers it takes less"
        ) from None
    finally:
        progress.close()
        executor.shutdown(wait=False, cancel_futures=True)
        leash.close()
        executor.shutdown()
        far_end.close()
    return True


class _Progress:
    """How many cell-trainings are done: a line that is rewritten on a terminal, one a minute elsewhere."""

    def __init__(self, trainings: int) -> None:
        self.trainings, self.finished = trainings, 0
        self.terminal = sys.stderr.isatty()
        self.started, self.shown = time.monotonic(), 0.0

    def add(self, count: int) -> None:
        self.finished += count
        elapsed = time.monotonic() - self.started
        if elapsed - self.shown > (0.5 if self.terminal else 60) or self.finished == self.trainings:
            self.shown, rate = elapsed, self.finished / elapsed
            left = (self.trainings - self.finished) / rate
            text = f"{self.finished}/{self.trainings} cell-trainings, {rate:.2f} a second, {left / 60:.0f} min left"
            print(
                f"\r{text}\033[K" if self.terminal else text,
                end="" if self.terminal else "\n",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Leave the line that is shown on a terminal."""
        if self.terminal and self.shown:
            print(file=sys.stderr)


@contextlib.contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Hold Ctrl-C back; processes started meanwhile never hear of it, this one does at the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_table(
    folder: WorkFolder, jobs: Sequence[Job], recipe: Recipe, out: Path, label: str, scope: Scope
) -> IndexInfo:
    """Write what is measured so far as a TFRecord in the official format, and its index.

    Accuracies at half the budget are not measured; as for epoch 0, the record holds zeros there.

    Args:
        folder: the measurements.
        jobs: all jobs, in the order of the table.
        recipe: how cells were trained.
        out: path of the index; the TFRecord lies beside it, with the ending `.tfrecord`.
        label: what results call the table; if cells are missing, it goes on to say how many there are.
        scope: what they are missing from.
    """
    from harness.tables.query import build_index
    from harness.tables.tfrecord import Evaluation, Record, encode_record, write_tfrecord

    def records() -> Iterator[bytes]:
        for measured in folder.read(jobs):
            final = Evaluation(
                epoch=recipe.epochs,
                training_time=measured["training_time"],
                train_accuracy=measured["train_accuracy"],
                validation_accuracy=measured["validation_accuracy"],
                test_accuracy=measured["test_accuracy"],
            )
            record = Record(
                hash=measured["hash"],
                epochs=recipe.epochs,
                matrix=tuple(map(tuple, measured["matrix"])),
                ops=tuple(measured["ops"]),
                halfway=Evaluation(),
                final=final,
                trainable_parameters=measured["trainable_parameters"],
                total_time=measured["training_time"],
            )
            yield encode_record(record)

    source = out.with_suffix(".tfrecord")
    write_tfrecord(source, records())
    done = folder.done()
    measured = {cell.hash for job in jobs if job.number in done for cell in job.cells}
    if len(measured) < scope.cells:
        label = f"{label} ({len(measured):,} of {scope.cells:,} cells of {scope.name})"
    return build_index(source, out, label=label)


_worker: tuple[Recipe, Splits, WorkFolder, str]


def _start_worker(recipe: Recipe, splits: Splits, folder: Path, leash: Connection, device: str) -> None:
    import torch

    global _worker
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()
    torch.set_num_threads(1)
    _worker = (recipe, splits.to(device), WorkFolder(folder), device)


def _end_with(leash: Connection) -> None:
    """End this process as soon as the one that started it closes the leash or dies; a job in hand is lost."""
    leash.poll(None)
    os._exit(1)


def _run_jobs(jobs: Sequence[Job]) -> int:
    recipe, splits, folder, device = _worker
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    cells = [cell for job in jobs for cell in job.cells]
    measured = iter(train_cells(cells, jobs[0].repeat, recipe, splits))
    seconds = clock() - started
    for job in jobs:
        share = seconds * len(job.cells) / len(cells)
        folder.write(job, list(itertools.islice(measured, len(job.cells))), share, device)
    return len(cells)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, then write the table.

    Returns:
        0, or 130 after Ctrl-C.

    Raises:
        UserError: an argument is out of its range, the work folder belongs to another recipe, the images cannot be
            loaded, or a worker was killed.
        OSError: a file cannot be written.
    """
    options = _parser().parse_args(arguments)
    recipe = Recipe(**{name: getattr(options, name) for name in _RECIPE_NAMES})

    from harness.benchmarks.registry import get_benchmark
    from harness.tabulation.data_card import Measurements, data_card

    benchmark = get_benchmark(options.images)
    cells, scope = _chosen_cells(options)
    label, out = _label_and_out(options, benchmark)
    work = options.work or out.with_name(f"tabulate-{out.stem}")
    _check_device(options.device)
    _check_width(recipe, cells)
    arrays = benchmark.images()
    splits = Splits.of(arrays)
    if recipe.batch_size > len(splits.images["train"]):
        raise UserError(
            f"batch size: expected at most the {len(splits.images['train'])} training images, got {recipe.batch_size}"
        )
    jobs = plan_jobs(cells, options.repeats, options.together)
    folder = WorkFolder(work)
    folder.claim(recipe, arrays.name, cells, options.together)
    if not options.write_only:
        workers = options.workers or (os.cpu_count() or 1 if options.device == "cpu" else CUDA_WORKERS)
        limit = None if options.stop_after is None else 60 * options.stop_after
        try:
            complete = measure(jobs, folder, recipe, splits, workers, options.device, limit)
        except KeyboardInterrupt:
            print(f"interrupted; {work} keeps what is measured, and the same command goes on", file=sys.stderr)
            return 130
        if not complete:
            print(
                f"stopped after {options.stop_after:g} minutes; {work} keeps what is measured, and the same command "
                "goes on",
                file=sys.stderr,
            )
    if options.measure_only:
        print(f"{work}: {len(folder.done())} of {len(jobs)} jobs")
        return 0
    if not folder.done():
        raise UserError(f"{work}: nothing measured yet; run again without --write-only, or with more time")
    info = write_table(folder, jobs, recipe, out, label, scope)
    command = _command_line(options, recipe)
    card = data_card(info, Measurements.of(folder, jobs), recipe, splits, arrays.name, scope, command)
    write_atomically(out.with_suffix(".md"), card.encode())
    print(
        f"{out}: {info.cells} of {len(cells)} cells, {info.records} of {len(cells) * options.repeats} trainings, "
        f"{info.label}"
    )
    return 0


def _chosen_cells(options: argparse.Namespace) -> tuple[list[Cell], Scope]:
    from harness.tabulation.cell_list import read_cells
    from spaces.nb101.space import get_space

    space = get_space(options.space)
    if options.cells is None:
        name, cells = f"space {options.space}", space.enumerate()
    else:
        name, cells = options.cells.name, read_cells(options.cells, space)
    return cells[: options.first], Scope(name, len(cells))


def _label_and_out(options: argparse.Namespace, benchmark: Benchmark) -> tuple[str, Path]:
    label = options.label or benchmark.name
    if "".join(filter(str.isalnum, label)).lower() in ("nb101", "nasbench101"):
        raise UserError(f"--label: what is measured here is not NAS-Bench-101, so expected another name, got {label!r}")
    of = f"space{options.space}" if options.cells is None else options.cells.stem
    out = options.out or data_folder() / f"{label}_{of}.index"
    if out.suffix == ".tfrecord":
        raise UserError(f"--out: expected the path of the index, got {out}; the .tfrecord comes beside it")
    return label, out


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: torch finds no CUDA device here; expected one, or --device cpu")


def _check_width(recipe: Recipe, cells: Sequence[Cell]) -> None:
    widest = max(len([vertex for vertex in cell.parents[-1] if vertex]) for cell in cells)
    if recipe.channels < widest:
        raise UserError(
            f"channels: expected at least {widest}, as many as vertices feed an output, got {recipe.channels}"
        )


def _command_line(options: argparse.Namespace, recipe: Recipe) -> str:
    """The command that measures the same table, without what does not matter to it."""
    chosen = {name: getattr(options, name) for name in ("images", "cells", "space", "repeats", "first", "label")}
    changed = {name: value for name, value in dataclasses.asdict(recipe).items() if value != getattr(Recipe(), name)}
    given = {name: value for name, value in {**chosen, **changed}.items() if value is not None}
    return " ".join(
        ["python -m harness.tabulate", *(f"--{name.replace('_', '-')} {value}" for name, value in given.items())]
    )


_RECIPE_NAMES = tuple(field.name for field in dataclasses.fields(Recipe))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.tabulate",
        description="Make a table by training cells from scratch, all of a space or those of a file. "
        "Stop it at any time; the same command goes on, and --write-only makes a table of what there is.",
    )
    add = parser.add_argument
    add(
        "--images",
        default="digits",
        metavar="BENCH",
        help="benchmark whose images are used, by name or .toml file (default: digits)",
    )
    add("--space", type=int, choices=(1, 2, 3), default=1, help="search space (default: 1)")
    add("--repeats", type=positive_integer, default=3, metavar="N", help="trainings of each cell (default: 3)")
    add(
        "--cells",
        type=Path,
        metavar="FILE",
        help="train these cells instead of a whole space: a line each, a hash of --space, or JSON with matrix and ops",
    )
    add("--first", type=positive_integer, metavar="N", help="only the first N cells, for a trial")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="the index to write (default: in the data folder); a .tfrecord beside it",
    )
    add("--work", type=Path, metavar="DIR", help="where measurements collect (default: beside the index)")
    add(
        "--workers",
        type=positive_integer,
        metavar="N",
        help=f"processes, of one thread each (default: one a core; {CUDA_WORKERS} that share a GPU)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where cells are trained (default: cpu)")
    add(
        "--together",
        type=positive_integer,
        default=JOB_SIZE,
        metavar="N",
        help=f"cells of a job, trained together; fewer take less memory (default: {JOB_SIZE})",
    )
    add(
        "--stop-after",
        type=_minutes,
        metavar="MINUTES",
        help="stop measuring then, and write the table of what there is",
    )
    add("--label", metavar="NAME", help="what results call the table (default: the benchmark's name)")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--write-only", action="store_true", help="measure nothing more")
    parts.add_argument("--measure-only", action="store_true", help="write no table yet")
    for name, default in dataclasses.asdict(Recipe()).items():
        kind = int if isinstance(default, int) else float
        add(f"--{name.replace('_', '-')}", type=kind, default=default, metavar="X", help=f"recipe (default: {default})")
    return parser


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of minutes above 0, got {text!r}")
    return minutes


if __name__ == "__main__":
    sys.exit(run_command(main))
