"""One way to compute, in a process of its own: told on standard input what to do, it answers how long that took.

    python -m benchmarks.worker '{"method": "darts", "batch_size": 32}'

A process for each way keeps their memory apart, and lets them take turns (`benchmarks.speed`). Answers are lines of
JSON. Images are random numbers at the size of CIFAR-10.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from harness.data.images import Augmentation, EpochDraws, Split, draw_epoch
from harness.probes.hessian import exact_hessian, loss_hessian
from harness.search.loop import LARGE_BATCH, compute_as, supernet_class
from harness.search.settings import ComputeConfig, resolve
from harness.search.steps import PlainSteps, RecordedSteps
from optimizers.base import Batch, Optimizer
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from spaces.nb101.space import get_space

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
    """Splits and an optimizer, and what can be timed of them."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.device = torch.device(way.device)
        on_gpu = self.device.type == "cuda"
        torch.set_num_threads(way.threads)
        compute = ComputeConfig(capture=way.fast, fuse=way.fast, precision=way.precision)  # type: ignore[arg-type]
        compute_as(compute)
        method = get_method(way.method)
        config, _ = resolve(method, {"network.channels": way.channels, "network.cells": way.cells}, {}, None)
        supernet = supernet_class(on_gpu, compute.fuse)(get_space(way.space), config.network)
        images = max((WARM_UP + way.steps + 1) * way.batch_size, VALIDATION_IMAGES)
        self.splits = [self._split(seed, images) for seed in (1, 2)]
        self.optimizer: Optimizer = method.optimizer_class(
            supernet,
            config.method,
            epochs=config.epochs,
            steps=-(-images // way.batch_size),
            randomness=Randomness(0),
            device=self.device,
            batch_size=way.batch_size,
        )
        recorded = compute.capture and on_gpu and self.optimizer.capturable
        self.steps = (RecordedSteps if recorded else PlainSteps)(self.optimizer, *self.splits)
        self.draws = [self._draws(purpose, images) for purpose in ("training", "validation")]
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
            draws = dataclasses.replace(self._draws("evaluation", VALIDATION_IMAGES), batch_size=size)
            with torch.no_grad():
                for index, (images, _) in enumerate(self.splits[1].batches(draws)):
                    self.optimizer.evaluate(folded, index, images)

        return self._timed(validate)

    def memory(self) -> dict[str, float]:
        """Peak memory in MiB: of the process, or on the GPU what tensors took."""
        if self.device.type == "cuda":
            return {"mib": torch.cuda.max_memory_allocated() / 2**20}
        return {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10}

    def _batch(self) -> Batch:
        return Batch(*self.splits[1].batch(self.draws[1], 0))

    def _timed(self, function: Callable[[], Any]) -> dict[str, float]:
        self._wait()
        started, cpu = time.perf_counter(), time.process_time()
        function()
        self._wait()
        return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def _split(self, seed: int, images: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (images, 3, 32, 32), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, 10, (images,), generator=generator)
        return Split(pixels.to(self.device), labels.to(self.device), (0.5,) * 3, (0.25,) * 3)

    def _draws(self, purpose: str, images: int) -> EpochDraws:
        generator = Randomness(0).generator(purpose, 0)
        return draw_epoch(images, self.way.batch_size, generator, Augmentation(4, True)).to(self.device)


def main() -> None:
    """Answer until the input ends."""
    worker = Worker(Way(**json.loads(sys.argv[1])))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(getattr(worker, line.strip())()), flush=True)


if __name__ == "__main__":
    main()
