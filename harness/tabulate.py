"""Measure a table: train every cell of a space from scratch, and write what was measured.

    python -m harness.tabulate --images digits --space 1 --repeats 3 --out data/digits_space1.index

The network is NAS-Bench-101's at a chosen size, the training its RMSProp with a cosine to zero
(google-research/nasbench, `nasbench/lib/evaluate.py` and `config.py`). Cells that share a graph are trained together,
a job at a time; every job's measurements are one file of the work folder, so that a run can be stopped at any moment
and goes on where it was. Weights are drawn by (cell, repeat), the order of the images by (repeat, epoch): what is
measured for a cell does not depend on which jobs ran before, and neither does anything in the table on the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, TimeoutError, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data_folder import data_folder
from harness.errors import OneLineParser, UserError, positive_integer, run_command
from harness.run_folder import write_atomically

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from torch import Tensor

    from harness.cell_networks import CellNetworks
    from harness.datasets import ImageArrays
    from harness.table import IndexInfo
    from spaces.cell import Cell

RECIPE = "recipe.json"

JOB_SIZE = 9
"""Cells trained together: 9 = 3 * 3 cells that differ in two vertices only keep the gathering of slices cheap."""

CUDA_JOBS = 9
"""Jobs that a GPU trains together: small networks fill it by the hundred only."""

CUDA_WORKERS = 4
"""Processes that keep one GPU busy while others are busy with Python."""

MULTIPLY_ADDS_A_SECOND = 1e9
"""Speed of the nominal processor whose time is recorded as `training_time`."""


@dataclass(frozen=True)
class Recipe:
    """How every cell is trained; the defaults are those of the embedded digits table.

    Raises:
        UserError: a number is out of its range.
    """

    channels: int = 8
    """Width of the stem and the first stack (NAS-Bench-101: 128)."""

    stacks: int = 3
    """Stacks, with 2x2 max-pooling between them."""

    modules: int = 1
    """Cells in a stack (NAS-Bench-101: 3)."""

    epochs: int = 12
    """Passes over the training split (NAS-Bench-101: 4, 12, 36, 108)."""

    batch_size: int = 60
    """Images in a step; a remainder is left out of an epoch (NAS-Bench-101: 256)."""

    learning_rate: float = 0.1
    """First learning rate; falls to 0 along a cosine, step by step (NAS-Bench-101: 0.1 times 2 shards)."""

    momentum: float = 0.9
    """RMSProp's momentum."""

    decay: float = 0.9
    """RMSProp's moving average of squared gradients."""

    epsilon: float = 1.0
    """Added to that average inside the square root, as TensorFlow does."""

    weight_decay: float = 1e-4
    """Half the squared norm of all trainable variables enters the loss with this factor."""

    batchnorm_momentum: float = 0.1
    """Share of a batch in the running statistics (NAS-Bench-101: .003, over far more steps)."""

    def __post_init__(self) -> None:
        counts = ("channels", "stacks", "modules", "epochs", "batch_size")
        ranges = [(name, getattr(self, name) >= 1, "1 or more") for name in counts]
        ranges += [
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1"),
            ("decay", 0 <= self.decay < 1, "a number from 0 to below 1"),
            ("epsilon", 0 <= self.epsilon < math.inf, "0 or a number above"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or a number above"),
            ("batchnorm_momentum", 0 < self.batchnorm_momentum <= 1, "a number above 0, at most 1"),
        ]
        for name, holds, expected in ranges:
            if not holds:
                raise UserError(f"{name.replace('_', ' ')}: expected {expected}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Job:
    """Cells of one graph whose repeat number `repeat` is trained together."""

    number: int
    repeat: int
    cells: tuple[Cell, ...] = field(repr=False)


def plan_jobs(cells: Sequence[Cell], repeats: int, size: int = JOB_SIZE) -> list[Job]:
    """Split cells into jobs: the first repeat of all cells, then the second, and so on.

    The plan depends on its arguments alone, never on what has been measured.
    """
    by_graph: dict[bytes, list[Cell]] = {}
    for cell in cells:
        by_graph.setdefault(bytes([len(cell.ops)]) + cell.matrix.tobytes(), []).append(cell)
    chunks: list[tuple[Cell, ...]] = []
    for group in by_graph.values():
        group.sort(key=lambda cell: cell.ops)
        parts = math.ceil(len(group) / size)
        bounds = [len(group) * part // parts for part in range(parts + 1)]
        chunks += [tuple(group[low:high]) for low, high in itertools.pairwise(bounds)]
    return [
        Job(repeat * len(chunks) + index, repeat, chunk)
        for repeat in range(repeats)
        for index, chunk in enumerate(chunks)
    ]


@dataclass(frozen=True)
class Splits:
    """Normalised images on the CPU: name ('train', 'validation', 'test') -> images `[n, c, h, w]`, labels `[n]`."""

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    classes: int

    @classmethod
    def of(cls, arrays: ImageArrays) -> Splits:
        """Training split = first half of the training images, validation split = the other; and the test images."""
        import torch

        half = len(arrays.train_images) // 2
        parts = {
            "train": (arrays.train_images[:half], arrays.train_labels[:half]),
            "validation": (arrays.train_images[half:], arrays.train_labels[half:]),
            "test": (arrays.test_images, arrays.test_labels),
        }
        mean = torch.as_tensor(arrays.mean, dtype=torch.float32).view(1, -1, 1, 1)
        std = torch.as_tensor(arrays.std, dtype=torch.float32).view(1, -1, 1, 1)
        images = {name: (torch.as_tensor(x).float() / 255 - mean) / std for name, (x, _) in parts.items()}
        return cls(images, {name: torch.as_tensor(y) for name, (_, y) in parts.items()}, arrays.classes)

    def to(self, device: str) -> Splits:
        """The same on a device."""
        images = {name: tensor.to(device) for name, tensor in self.images.items()}
        return Splits(images, {name: tensor.to(device) for name, tensor in self.labels.items()}, self.classes)


def train_cells(cells: Sequence[Cell], repeat: int, recipe: Recipe, splits: Splits) -> list[dict[str, Any]]:
    """Train cells of one graph together, on the device of the images, and measure each.

    Returns:
        for each cell its `hash`, `matrix`, `ops`, `trainable_parameters`, `train_accuracy`, `validation_accuracy`,
        `test_accuracy` (fractions) and `training_time` (seconds, computed: see `nominal_training_time`).
    """
    import torch
    import torch.nn.functional as F

    from harness.cell_networks import CellNetworks, NetworkScale, trainable_parameters
    from optimizers.randomness import keyed_generator

    scale = NetworkScale(recipe.channels, recipe.stacks, recipe.modules)
    images, labels = splits.images["train"], splits.labels["train"]
    networks = CellNetworks(
        cells,
        scale,
        images.shape[1],
        splits.classes,
        [_drawer(cell, repeat) for cell in cells],
        recipe.batchnorm_momentum,
        images.device,
    )
    parameters = list(networks.parameters.values())
    optimizer = TensorFlowRMSProp(parameters, recipe)
    steps = len(images) // recipe.batch_size
    total = steps * recipe.epochs
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=keyed_generator("order", repeat, epoch)).to(images.device)
        for step in range(steps):
            batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            logits = networks(images[batch], training=True)
            targets = labels[batch].repeat(len(cells))
            loss = F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum") / recipe.batch_size
            gradients = torch.autograd.grad(loss, parameters)
            fraction = (epoch * steps + step) / total
            optimizer.step(gradients, recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction)))
    accuracies = {name: _accuracy(networks, splits.images[name], splits.labels[name]) for name in splits.images}
    return [
        {
            "hash": cell.hash,
            "matrix": cell.matrix.tolist(),
            "ops": list(cell.ops),
            "trainable_parameters": trainable_parameters(cell, scale, images.shape[1], splits.classes),
            **{f"{name}_accuracy": accuracies[name][index] for name in accuracies},
            "training_time": nominal_training_time(cell, recipe, splits),
        }
        for index, cell in enumerate(cells)
    ]


def nominal_training_time(cell: Cell, recipe: Recipe, splits: Splits) -> float:
    """Seconds that a cell's training takes a nominal processor: it does not depend on the clock or the company.

    A step is counted as three forward passes, one of them the forward pass and two the backward pass.
    """
    from harness.cell_networks import NetworkScale, multiply_adds

    scale = NetworkScale(recipe.channels, recipe.stacks, recipe.modules)
    images = splits.images["train"]
    cost = multiply_adds(cell, scale, images.shape[1], images.shape[2], splits.classes)
    seen = recipe.epochs * (len(images) // recipe.batch_size) * recipe.batch_size
    return 3 * cost * seen / MULTIPLY_ADDS_A_SECOND


class TensorFlowRMSProp:
    """RMSProp as TensorFlow 1 computes it: epsilon inside the root, averages starting at one.

    The parameters become views of one vector, so that a step is a dozen operations whatever their number.
    """

    def __init__(self, parameters: Sequence[Tensor], recipe: Recipe) -> None:
        import torch

        self.recipe = recipe
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, values in zip(parameters, torch.split(self.values, sizes), strict=True):
            parameter.data = values.view_as(parameter)
        self.squares, self.moments = torch.ones_like(self.values), torch.zeros_like(self.values)

    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Move the parameters."""
        import torch

        recipe = self.recipe
        with torch.no_grad():
            gradient = torch.cat([part.flatten() for part in gradients])
            gradient.add_(self.values, alpha=recipe.weight_decay)
            self.squares.mul_(recipe.decay).addcmul_(gradient, gradient, value=1 - recipe.decay)
            roots = (self.squares + recipe.epsilon).sqrt_()
            self.moments.mul_(recipe.momentum).addcdiv_(gradient, roots, value=learning_rate)
            self.values.sub_(self.moments)


def _accuracy(networks: CellNetworks, images: Tensor, labels: Tensor, batch_size: int = 200) -> list[float]:
    import torch

    with torch.no_grad():
        correct = [
            (
                networks(images[start : start + batch_size], training=False).argmax(dim=-1)
                == labels[start : start + batch_size]
            ).sum(dim=1)
            for start in range(0, len(images), batch_size)
        ]
    return [int(count) / len(images) for count in torch.stack(correct).sum(dim=0)]


def _drawer(cell: Cell, repeat: int) -> Callable[[str, tuple[int, ...], int], Tensor]:
    import torch

    from optimizers.randomness import keyed_generator

    def draw(name: str, shape: tuple[int, ...], fan_in: int) -> Tensor:
        return torch.randn(shape, generator=keyed_generator(cell.hash, repeat, name)) / math.sqrt(fan_in)

    return draw


@dataclass(frozen=True)
class WorkFolder:
    """Where the measurements of a table collect, one file a job."""

    path: Path

    def claim(self, recipe: Recipe, images: str, cells: Sequence[Cell]) -> None:
        """Take the folder for a recipe, or check that it was taken for the same.

        Raises:
            UserError: it holds measurements of another recipe, other images or other cells.
            OSError: the folder cannot be made or written.
        """
        digest = hashlib.sha256("\n".join(cell.hash for cell in cells).encode()).hexdigest()
        wanted = {**dataclasses.asdict(recipe), "images": images, "cells": len(cells), "cells_sha256": digest}
        wanted["job_size"] = JOB_SIZE
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / RECIPE
        if not file.exists():
            write_atomically(file, json.dumps(wanted, indent=1).encode())
            return
        found = _read_json(file, "delete the folder, or give another as --work")
        if found != wanted:
            differing = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
            raise UserError(
                f"{self.path}: holds measurements made with other {', '.join(differing)}; give another --work folder"
            )

    def done(self) -> set[int]:
        """Numbers of the jobs that are measured."""
        return {int(file.stem.removeprefix("job")) for file in self.path.glob("job*.json")}

    def write(self, job: Job, measured: list[dict[str, Any]], seconds: float, device: str) -> None:
        """Keep one job's measurements, and what they took: seconds by the clock of a core, or of a GPU."""
        content = json.dumps({"repeat": job.repeat, "seconds": round(seconds, 3), "device": device, "cells": measured})
        write_atomically(self._file(job), content.encode())

    def read(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Measurements in the order of the jobs, each with its `repeat`; jobs not yet measured are left out.

        Raises:
            UserError: a file is damaged.
        """
        done = self.done()
        for job in jobs:
            if job.number in done:
                content = _read_json(self._file(job), "delete it, and the same command measures it again")
                for measured in content["cells"]:
                    yield {**measured, "repeat": content["repeat"]}

    def _file(self, job: Job) -> Path:
        return self.path / f"job{job.number:06d}.json"


def _read_json(file: Path, mending: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{file}: damaged; {mending}")
    return content


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
    waiting = _united([job for job in jobs if job.number not in done], CUDA_JOBS if device == "cuda" else 1)
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


def _united(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """Up to `size` jobs in a row that may be trained together: of one graph and one repeat."""
    units: list[list[Job]] = []
    for job in jobs:
        last = units[-1][-1] if units else None
        if last and len(units[-1]) < size and last.repeat == job.repeat and _same_graph(last, job):
            units[-1].append(job)
        else:
            units.append([job])
    return units


def _same_graph(one: Job, other: Job) -> bool:
    return bool(one.cells[0].matrix.tobytes() == other.cells[0].matrix.tobytes())


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


def write_table(folder: WorkFolder, jobs: Sequence[Job], recipe: Recipe, out: Path, label: str) -> IndexInfo:
    """Write what is measured so far as a TFRecord in the official format, and its index.

    Accuracies at half the budget are not measured; as for epoch 0, the record holds zeros there.

    Args:
        folder: the measurements.
        jobs: all jobs, in the order of the table.
        recipe: how cells were trained.
        out: path of the index; the TFRecord lies beside it, with the ending `.tfrecord`.
        label: what results call the table.
    """
    from harness.table import build_index
    from harness.tfrecord import Evaluation, Record, encode_record, write_tfrecord

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

    from harness.benchmarks import get_benchmark

    benchmark = get_benchmark(options.images)
    label = options.label or benchmark.name
    if "".join(filter(str.isalnum, label)).lower() in ("nb101", "nasbench101"):
        raise UserError(f"--label: what is measured here is not NAS-Bench-101, so expected another name, got {label!r}")
    out = options.out or data_folder() / f"{label}_space{options.space}.index"
    if out.suffix == ".tfrecord":
        raise UserError(f"--out: expected the path of the index, got {out}; the .tfrecord comes beside it")
    work = options.work or out.with_name(f"tabulate-{out.stem}")

    from spaces.search_space import get_space

    cells = get_space(options.space).enumerate()[: options.cells]
    widest = max(len([vertex for vertex in cell.parents[-1] if vertex]) for cell in cells)
    if recipe.channels < widest:
        raise UserError(
            f"channels: expected at least {widest}, as many as vertices feed an output, got {recipe.channels}"
        )
    arrays = benchmark.images()
    splits = Splits.of(arrays)
    if recipe.batch_size > len(splits.images["train"]):
        raise UserError(
            f"batch size: expected at most the {len(splits.images['train'])} training images, got {recipe.batch_size}"
        )
    jobs = plan_jobs(cells, options.repeats)
    folder = WorkFolder(work)
    folder.claim(recipe, arrays.name, cells)
    if not options.write_only:
        limit = None if options.stop_after is None else options.stop_after * 60
        workers = options.workers or (os.cpu_count() or 1 if options.device == "cpu" else CUDA_WORKERS)
        try:
            complete = measure(jobs, folder, recipe, splits, workers, options.device, limit)
        except KeyboardInterrupt:
            print(f"interrupted; {work} keeps what is measured, and the same command goes on", file=sys.stderr)
            return 130
        if not complete:
            print(f"stopped after {options.stop_after:g} minutes; the same command goes on", file=sys.stderr)
        if options.measure_only:
            print(f"{work}: {len(folder.done())} of {len(jobs)} jobs")
            return 0
    if not folder.done():
        raise UserError(f"{work}: nothing measured yet; run again without --write-only")
    info = write_table(folder, jobs, recipe, out, label)
    print(
        f"{out}: {info.cells} of {len(cells)} cells, {info.records} of {len(cells) * options.repeats} trainings, "
        f"{label}"
    )
    return 0


_RECIPE_NAMES = tuple(field.name for field in dataclasses.fields(Recipe))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.tabulate",
        description="Make a table by training every cell of a space from scratch. Stop it at any time; the same "
        "command goes on, and --write-only makes a table of what there is.",
    )
    add = parser.add_argument
    add("--images", default="digits", metavar="BENCH", help="benchmark whose images are used (default: digits)")
    add("--space", type=int, choices=(1, 2, 3), default=1, help="search space (default: 1)")
    add("--repeats", type=positive_integer, default=3, metavar="N", help="trainings of each cell (default: 3)")
    add("--cells", type=positive_integer, metavar="N", help="only the first N cells, for a trial")
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
    add("--stop-after", type=float, metavar="MINUTES", help="stop measuring then, and write the table of what there is")
    add("--label", metavar="NAME", help="what results call the table (default: the benchmark's name)")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--write-only", action="store_true", help="measure nothing more")
    parts.add_argument("--measure-only", action="store_true", help="write no table yet")
    for name, default in dataclasses.asdict(Recipe()).items():
        kind = int if isinstance(default, int) else float
        add(f"--{name.replace('_', '-')}", type=kind, default=default, metavar="X", help=f"recipe (default: {default})")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
