"""One way to compute, in a process of its own: told on standard input what to do, it answers how long that took.

    python -m benchmarks.worker '{"method": "darts", "batch_size": 32}'

A process for each way keeps their memory apart, and lets them take turns (`benchmarks.speed`). Answers are lines of
JSON. Images are random numbers at the size of CIFAR-10.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.data.arrays import ImageArrays
from harness.judges.none import NoJudge
from harness.probes.hessian import exact_hessian, loss_hessian
from harness.records.run_folder import RunFolder
from harness.search.loop import LARGE_BATCH
from harness.search.settings import resolve
from harness.search.setup import build
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from optimizers.steps import Batch
from spaces.registry import get_space

VALIDATION_IMAGES = 1000
WARM_UP = 2


@dataclass(frozen=True)
class Way:
    """What is computed, and how.

    Attributes:
        method: name of the method.
        space: 1, 2 or 3.
        channels: width of the network.
        cells: its depth.
        batch_size: images in a batch.
        device: cpu or cuda.
        threads: on a CPU.
        fast: whether the device's faster supernet, the tangents' Hessian and recorded steps are used; otherwise every
            operation is the library's, and the Hessian row by row.
        precision: of a GPU's arithmetic.
        steps: steps in an answer, of which it is the mean.
    """

    method: str = "darts"
    space: int = 1
    channels: int = 16
    cells: int = 9
    batch_size: int = 32
    device: str = "cpu"
    threads: int = 2
    fast: bool = True
    precision: str = "float32"
    steps: int = 1


class Worker:
    """A search on random images, and what can be timed of it."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.device = torch.device(way.device)
        images = max((WARM_UP + way.steps + 1) * way.batch_size, VALIDATION_IMAGES)
        method = get_method(way.method)
        settings = {
            "network.channels": way.channels,
            "network.cells": way.cells,
            "data.batch_size": way.batch_size,
            "compute.capture": way.fast,
            "compute.fuse": way.fast,
            "compute.precision": way.precision,
        }
        space = get_space(way.space)
        config, _ = resolve(method, space, settings, {}, None)
        record = {"bench": "speed", "space": way.space, "seed": 0, "scale": "", "threads": way.threads}
        # Nothing is recorded: the folder is there for the builder alone.
        search = build(RunFolder(Path()), record, random_images(images), method, space, config, NoJudge(), way.device)
        self.splits = [search.training, search.validation]
        self.optimizer, self.steps = search.optimizer, search.steps
        self.draws = [self._draws(purpose) for purpose in ("training", "validation")]
        self.optimizer.begin_epoch(0)

    def step(self) -> dict[str, float]:
        """Seconds of a step, the mean over some, the first few set aside."""
        marks: list[tuple[float, float]] = []

        def stopped() -> bool:
            if len(marks) in (WARM_UP, WARM_UP + self.way.steps):
                self._wait()
            marks.append((time.perf_counter(), time.process_time()))
            return len(marks) > WARM_UP + self.way.steps

        self.steps.epoch(self.draws[0], self.draws[1], stopped)
        first, last = marks[WARM_UP], marks[WARM_UP + self.way.steps]
        return {
            "seconds": (last[0] - first[0]) / self.way.steps,
            "cpu_seconds": (last[1] - first[1]) / self.way.steps,
        }

    def hessian(self) -> dict[str, float]:
        """Seconds of a Hessian on one batch."""
        batch = self._batch()
        if self.way.fast:
            return self._timed(lambda: loss_hessian(self.optimizer, batch))
        return self._timed(
            lambda: exact_hessian(
                self.optimizer.architecture_loss(batch, update_statistics=False),
                self.optimizer.alphas,
                shift_invariant=self.optimizer.shift_invariant,
            )
        )

    def validation(self) -> dict[str, float]:
        """Seconds of the supernet's validation on a thousand images, augmented."""
        size = LARGE_BATCH if self.device.type == "cuda" else self.way.batch_size

        def validate() -> None:
            folded = self.optimizer.evaluation_weights(self._batch(), refresh=True)
            with torch.no_grad():
                for index, batch in enumerate(self.splits[1].batches(self._draws("evaluation"), size)):
                    self.optimizer.evaluate(folded, index, batch.inputs)

        return self._timed(validate)

    def memory(self) -> dict[str, float]:
        """Peak memory in MiB: of the process, or on the GPU what tensors took."""
        if self.device.type == "cuda":
            return {"mib": torch.cuda.max_memory_allocated() / 2**20}
        return {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}

    def _batch(self) -> Batch:
        return self.splits[1].batch(self.draws[1], 0)

    def _timed(self, function: Callable[[], Any]) -> dict[str, float]:
        self._wait()
        started, cpu = time.perf_counter(), time.process_time()
        function()
        self._wait()
        return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _draws(self, purpose: str) -> Any:
        """What is random in one pass over the images."""
        return self.splits[0].draw(Randomness(0).generator(purpose, 0))


def random_images(half: int) -> ImageArrays:
    """Two halves of random images at the size of CIFAR-10."""
    draw = np.random.default_rng(1)
    pixels = draw.integers(0, 256, (2 * half, 3, 32, 32), dtype=np.uint8)
    labels = draw.integers(0, 10, 2 * half)
    return ImageArrays(pixels, labels, pixels[:0], labels[:0], 10, "random", (0.5,) * 3, (0.25,) * 3)


def main() -> None:
    """Answer until the input ends."""
    worker = Worker(Way(**json.loads(sys.argv[1])))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(getattr(worker, line.strip())()), flush=True)


if __name__ == "__main__":
    main()
