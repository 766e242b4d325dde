"""Runs the jobs of a table on processes of its own, and tells how far they are.

Cells that share a graph are trained together, a job at a time; every job's measurements are one file of the work
folder, so that a run can be stopped at any moment and goes on where it was.
"""

from __future__ import annotations

import contextlib
import itertools
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

from harness.errors import UserError
from harness.tabulation.jobs import Job, WorkFolder, shuffled_units
from harness.tabulation.training import Recipe, Splits, train_cells

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

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
    progress = Progress(sum(len(job.cells) for unit in waiting for job in unit))
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


class Progress:
    """How many cell-trainings are done: a line that is rewritten on a terminal, one a minute elsewhere."""

    def __init__(self, trainings: int) -> None:
        self.trainings, self.finished = trainings, 0
        self.terminal = sys.stderr.isatty()
        self.started, self.shown = time.monotonic(), 0.0

    def add(self, count: int) -> None:
        """Tell of so many more trainings that are done."""
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
    measure_together(jobs, recipe, splits, folder, device)
    return sum(len(job.cells) for job in jobs)


def measure_together(jobs: Sequence[Job], recipe: Recipe, splits: Splits, folder: WorkFolder, device: str) -> float:
    """Train the cells of some jobs of one graph and one repeat together, and write each job's measurements.

    Returns:
        seconds by the clock of a core, or of a GPU.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    started = clock()
    cells = [cell for job in jobs for cell in job.cells]
    measured = iter(train_cells(cells, jobs[0].repeat, recipe, splits))
    seconds = clock() - started
    for job in jobs:
        share = seconds * len(job.cells) / len(cells)
        folder.write(job, list(itertools.islice(measured, len(job.cells))), share, device)
    return seconds
