"""Cell-trainings a second of `harness.tabulate` and of training one cell at a time: `python -m benchmarks.tabulate`.

One at a time is the network out of torch's layers (`tests/plain_network.py`) with torch's RMSProp, the same batches and
the same measurement at the end, in the faster of two layouts. It is given the cores in both ways: one training whose
layers use all of them, and as many trainings of one thread as there are cores. The ways take turns, round by round, on
the same cells; every way is warmed up first. A round's rates are printed, then the medians over the rounds.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
import torch.nn.functional as F

from harness.benchmarks.registry import get_benchmark
from harness.cli import positive_integer
from harness.tabulation.jobs import Job, plan_jobs
from harness.tabulation.networks import NetworkScale
from harness.tabulation.training import Recipe, Splits, train_cells
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space
from tests.support.plain_network import PlainNetwork

RECIPE = Recipe()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line a round and the medians."""
    options = _parser().parse_args(arguments)
    jobs = plan_jobs(get_space(options.space).cells(), 1)
    layout = "channels last" if _is_channels_last_faster(jobs[0].cells[0]) else "contiguous"
    print(f"space {options.space}, {options.cores} cores; one at a time in the layout: {layout}", flush=True)
    channels_last = layout == "channels last"
    with _pool(1, options.cores) as whole, _pool(options.cores, 1) as apart:
        ways: dict[str, Callable[[Sequence[Job]], float]] = {
            "one at a time, a training on all cores": partial(_rate_one_by_one, whole, 1, channels_last),
            "one at a time, a training on each core": partial(_rate_one_by_one, apart, 2, channels_last),
            "together, a job on each core": partial(_rate_together, apart),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(options.rounds + 1):
            chosen = random.Random(number).sample(jobs, 2 * options.cores)
            for way, measured in ways.items():
                rate = measured(chosen)
                if number:  # round 0 warms up
                    rates[way].append(rate)
                    print(f"round {number}: {rate:6.2f} a second, {way}", flush=True)
    *alone, together = rates.values()
    ratios = [ours / max(others) for ours, *others in zip(together, *alone, strict=True)]
    for way, found in rates.items():
        print(f"median: {statistics.median(found):6.2f} cell-trainings a second, {way}")
    print(f"together against the faster of the others, median of the rounds: {statistics.median(ratios):.2f}")


def train_alone(cell: Cell, repeat: int, splits: Splits, channels_last: bool) -> list[float]:
    """Train one cell's network as one would by hand; accuracies on the training, validation and test images."""
    torch.manual_seed(repeat)
    scale = NetworkScale(RECIPE.channels, RECIPE.stacks, RECIPE.modules)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = {name: tensor.contiguous(memory_format=layout) for name, tensor in splits.images.items()}
    labels, count, size = splits.labels, len(images["train"]), RECIPE.batch_size
    network = PlainNetwork(cell, scale, images["train"].shape[1], splits.classes).to(memory_format=layout)
    optimizer = torch.optim.RMSprop(
        network.parameters(),
        RECIPE.learning_rate,
        alpha=RECIPE.decay,
        eps=math.sqrt(RECIPE.epsilon),
        weight_decay=RECIPE.weight_decay,
        momentum=RECIPE.momentum,
        foreach=True,
    )
    steps = count // size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, RECIPE.epochs * steps)
    for _ in range(RECIPE.epochs):
        for batch in torch.randperm(count)[: steps * size].split(size):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images["train"][batch]), labels["train"][batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        return [float((network(images[name]).argmax(1) == labels[name]).float().mean()) for name in images]


def _is_channels_last_faster(cell: Cell) -> bool:
    splits = Splits.of(get_benchmark("digits").images())
    torch.set_num_threads(1)
    seconds = []
    for channels_last in (False, True):
        train_alone(cell, 0, splits, channels_last)
        started = time.perf_counter()
        train_alone(cell, 0, splits, channels_last)
        seconds.append(time.perf_counter() - started)
    return seconds[1] < seconds[0]


def _rate_one_by_one(pool: ProcessPoolExecutor, of_each: int, channels_last: bool, jobs: Sequence[Job]) -> float:
    """Of some cells of each job, evenly spread over it."""
    cells = [job.cells[len(job.cells) * index // of_each] for job in jobs for index in range(of_each)]
    return _rate(pool, [partial(_train_alone_here, cell, channels_last) for cell in cells], len(cells))


def _rate_together(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> float:
    return _rate(pool, [partial(_train_job_here, job) for job in jobs], sum(len(job.cells) for job in jobs))


def _rate(pool: ProcessPoolExecutor, work: Sequence[Callable[[], object]], trainings: int) -> float:
    started = time.perf_counter()
    for future in [pool.submit(part) for part in work]:
        future.result()
    return trainings / (time.perf_counter() - started)


def _pool(processes: int, threads: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start, (threads,))


_splits: Splits


def _start(threads: int) -> None:
    global _splits
    torch.set_num_threads(threads)
    _splits = Splits.of(get_benchmark("digits").images())


def _train_alone_here(cell: Cell, channels_last: bool) -> list[float]:
    return train_alone(cell, 0, _splits, channels_last)


def _train_job_here(job: Job) -> int:
    return len(train_cells(job.cells, job.repeat, RECIPE, _splits))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabulate", description=__doc__.splitlines()[0])
    parser.add_argument("--space", type=int, choices=(1, 2, 3), default=2, help="whose cells (default: 2)")
    parser.add_argument("--rounds", type=positive_integer, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--cores", type=positive_integer, default=os.cpu_count() or 1, metavar="N", help="default: all")
    return parser


if __name__ == "__main__":
    main()
