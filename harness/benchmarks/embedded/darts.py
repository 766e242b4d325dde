"""The searches of the paper with DARTS cells: in full on three data sets, and in S2 and S4 at the size of a laptop.

No table knows these spaces, so that nothing judges by default: errors are null, and what a search comes to is seen in
the share of parameter-free operations, which is counted. `--judge train` trains what is derived from scratch.
"""

from __future__ import annotations

from typing import Any

from harness.benchmarks.benchmark import Benchmark
from harness.benchmarks.embedded.cifar import CIFAR10, CIFAR100
from harness.data.registry import ImageSource, get_dataset

PUBLISHED: dict[str, Any] = {
    "epochs": 50,
    "data.batch_size": 64,
    "data.validation_batches": "fresh",
    "hessian.every": 10,
}
"""The published search (SmoothDARTS `sota/cnn/train_search.py`) where it differs from that of NAS-Bench-1Shot1; its
network's defaults are 16 channels and 8 cells on all data sets. The exact Hessian by 224 alphas takes longer than an
epoch, so that it is taken every tenth."""

SMALL: dict[str, Any] = {
    **PUBLISHED,
    "epochs": 25,
    "network.channels": 4,
    "network.cells": 3,
    "data.images": 2000,
    "data.shrink": 4,
    "data.padding": 1,
    "data.batch_size": 140,
    "alphas.learning_rate": 0.0156,
    "hessian.every": 25,
    "selection.samples": 100,
    "controller.steps": 30,
}
"""Scale of s2-small and s4-small, by rule: the smallest network with every kind of cell and images of 8 pixels, whose
maps are 2 x 2 after the second reduction; then as many epochs as leave SDARTS-ADV, the slowest of the paper's three,
about five minutes on one core. 2,000 images make 15 steps an epoch, the last of 40 images as on CIFAR-10, whose Hessian
is taken; 25 epochs are 375 steps. Alphas move at 3e-4 * 19,550 / 375 = .0156, so that they can travel as far as in the
full search."""

SCALED_DOWN = "supernet and images scaled down"


def _full(name: str, summary: str, source: ImageSource) -> Benchmark:
    return Benchmark(name, f"{summary}, DARTS cells, 16 channels, 8 cells: the paper's searches", source, PUBLISHED)


def _small(space: str) -> Benchmark:
    summary = f"CIFAR-10 at a quarter of its size, 2,000 + 2,000 images, {space.upper()} with 4 channels, 3 cells"
    return Benchmark(f"{space}-small", f"{summary}: minutes a seed", CIFAR10, SMALL, scaling=SCALED_DOWN)


DARTS = _full("darts", "CIFAR-10", CIFAR10)
DARTS_CIFAR100 = _full("darts-cifar100", "CIFAR-100", CIFAR100)
DARTS_SVHN = _full("darts-svhn", "SVHN", ImageSource(get_dataset("svhn")))
S2_SMALL, S4_SMALL = _small("s2"), _small("s4")
