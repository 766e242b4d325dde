"""How long a step, a Hessian and a pass over the validation images take: plain path against faster ones.

    python -m benchmarks.steps --out steps.json

Images are random bytes at the size of CIFAR-10, the network has the published size. Variants take turns, so that a
machine's moods fall on all alike; times are medians over the turns. Writes a JSON with machine and versions and prints
a table.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness.hessian import RecordedHessian, exact_hessian
from harness.images import Augmentation, Split, draw_epoch
from harness.search import compute_as, supernet_class
from harness.settings import ComputeConfig, resolve
from harness.stepping import PlainSteps, RecordedSteps
from optimizers.base import Batch, Optimizer
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from spaces.search_space import get_space

AUGMENTATION = Augmentation(4, True)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to compute.

    Attributes:
        method: name of the method.
        compute: the device's settings.
    """

    method: str
    compute: ComputeConfig

    def __str__(self) -> str:
        ways = [word for word in ("capture", "fuse") if getattr(self.compute, word)]
        return f"{self.method} {' + '.join(ways) or 'plain'} {self.compute.precision}"


class Bench:
    """Splits and optimizers of one size.

    Args:
        device: cpu or cuda.
        channels: width of the network.
        cells: its depth.
        batch_size: images in a batch.
        space: 1, 2 or 3.
    """

    def __init__(self, device: str, channels: int, cells: int, batch_size: int, space: int) -> None:
        self.device, self.batch_size, self.space = torch.device(device), batch_size, space
        self.scale = {"network.channels": channels, "network.cells": cells}
        self.splits = [self._split(seed) for seed in (1, 2)]

    def _split(self, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (25_000, 3, 32, 32), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, 10, (25_000,), generator=generator)
        return Split(images.to(self.device), labels.to(self.device), (0.5,) * 3, (0.25,) * 3)

    def optimizer(self, variant: Variant) -> Optimizer:
        """A fresh one at its method's preset."""
        method = get_method(variant.method)
        config, _ = resolve(method, self.scale, {}, None)
        on_gpu = self.device.type == "cuda"
        supernet = supernet_class(on_gpu and variant.compute.fuse)(get_space(self.space), config.network)
        steps = -(-25_000 // self.batch_size)
        return method.optimizer_class(
            supernet, config.method, epochs=config.epochs, steps=steps, randomness=Randomness(0), device=self.device
        )

    def steps(self, variant: Variant) -> Callable[[int], float]:
        """A function that makes so many steps and gives seconds a step, its first few set aside."""
        compute_as(variant.compute)
        optimizer = self.optimizer(variant)
        optimizer.begin_epoch(0)
        draws = [
            draw_epoch(25_000, self.batch_size, Randomness(0).generator(purpose, 0), AUGMENTATION).to(self.device)
            for purpose in ("training", "validation")
        ]
        recorded = variant.compute.capture and self.device.type == "cuda" and optimizer.capturable
        maker = (RecordedSteps if recorded else PlainSteps)(optimizer, *self.splits)

        def run(count: int) -> float:
            compute_as(variant.compute)
            marks: list[float] = []

            def stopped() -> bool:
                if len(marks) in (3, 3 + count):
                    self.wait()
                marks.append(time.perf_counter())
                return len(marks) > 3 + count

            maker.epoch(draws[0], draws[1], stopped)
            return (marks[3 + count] - marks[3]) / count

        run(1)
        return run

    def hessian(self, variant: Variant) -> Callable[[], float]:
        """A function that takes a Hessian of 40 images and gives its seconds."""
        compute_as(variant.compute)
        optimizer = self.optimizer(variant)
        draws = draw_epoch(25_000, 40, Randomness(0).generator("hessian", 0), AUGMENTATION).to(self.device)
        batch = Batch(*self.splits[1].batch(draws, 0))
        recorded = RecordedHessian(
            lambda: optimizer.architecture_loss(batch, update_statistics=False),
            optimizer.alphas,
            self.device,
            shift_invariant=True,
        )

        def plain() -> torch.Tensor:
            loss = optimizer.architecture_loss(batch, update_statistics=False)
            return exact_hessian(loss, optimizer.alphas, shift_invariant=True)

        take = recorded if variant.compute.capture and self.device.type == "cuda" else plain
        for _ in range(2):
            take()
        return lambda: self.timed(take)

    def timed(self, function: Callable[[], Any]) -> float:
        """Seconds of a call."""
        self.wait()
        started = time.perf_counter()
        function()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        """Until the device has done all it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Measure, print and write."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    bench = Bench(options.device, options.channels, options.cells, options.batch_size, options.space)
    on_gpu = bench.device.type == "cuda"
    ways = [(False, False), (True, False), (True, True)] if on_gpu else [(False, False)]
    variants = [
        Variant(method, ComputeConfig(capture=capture, fuse=fuse, precision=precision))
        for method in options.methods.split(",")
        for precision in (("float32", "tf32") if on_gpu else ("float32",))
        for capture, fuse in ways
    ]
    results: dict[str, Any] = {"step": {}, "hessian": {}, "peak_gib": {}}
    runs = {}
    for variant in variants:
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        runs[variant] = bench.steps(variant)
        if on_gpu:
            results["peak_gib"][str(variant)] = (torch.cuda.max_memory_allocated() - before) / 2**30
    times: dict[Variant, list[float]] = {variant: [] for variant in variants}
    for _ in range(options.turns):
        for variant, run in runs.items():
            times[variant].append(run(options.steps))
    results["step"] = {str(variant): statistics.median(times[variant]) for variant in variants}
    for variant in [v for v in variants if v.method == "darts" and not v.compute.fuse]:
        take = bench.hessian(variant)
        results["hessian"][str(variant)] = statistics.median(take() for _ in range(options.turns))
    results["conditions"] = {
        **{key: value for key, value in vars(options).items() if key != "out"},
        "machine": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    for kind in ("step", "hessian", "peak_gib"):
        for name, value in results[kind].items():
            unit = "GiB" if kind == "peak_gib" else "ms"
            print(f"{kind:9}{name:48}{value * (1 if unit == 'GiB' else 1000):10.2f} {unit}", flush=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=Path("steps.json"))
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--methods", default="darts,sdarts_rs,sdarts_adv")
    add("--space", type=int, default=1)
    add("--channels", type=int, default=16)
    add("--cells", type=int, default=9)
    add("--batch-size", type=int, default=96)
    add("--steps", type=int, default=30, help="steps of a turn")
    add("--turns", type=int, default=3)
    add("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
