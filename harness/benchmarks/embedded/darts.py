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

EVALUATION: dict[str, Any] = {
    "epochs": 600,
    "batch_size": 96,
    "learning_rate": 0.025,
    "rate_by_epoch": True,
    "momentum": 0.9,
    "weight_decay": 3e-4,
    "gradient_clip": 5.0,
    "augment": True,
    "cutout": 16,
    "auxiliary_weight": 0.4,
    "drop_path": 0.2,
    "everything": True,
}
"""The published evaluation of a cell (SmoothDARTS `sota/cnn/train.py`, with the flags of its README), for a GPU and
days: all training images, and the test error after the last epoch. Batches are full ones: of 50,000 images 80 stay out
of an epoch, which the published code has in a smaller batch."""

LARGE = {"channels": 36, "cells": 20}
"""Size of the network that is evaluated on CIFAR-10."""

MEDIUM = {"channels": 16, "cells": 8}
"""Size of the network that is evaluated on CIFAR-100 and SVHN, for S1 to S4 (RobustDARTS, appendix C)."""

SHORT: dict[str, Any] = {
    "channels": 8,
    "cells": 5,
    "shrink": 4,
    "training_images": 2000,
    "validation_images": 5000,
    "test_images": 10000,
    "epochs": 12,
    "batch_size": 64,
    "learning_rate": 0.05,
    "weight_decay": 3e-4,
    "gradient_clip": 5.0,
    "augment": True,
}
"""A training of a cell that takes a fraction of a minute on one core. `python -m benchmarks.short_training` measures
how far its order of cells is that of trainings four times as long."""


def _full(name: str, summary: str, source: ImageSource, size: dict[str, int]) -> Benchmark:
    summary = f"{summary}, DARTS cells, 16 channels, 8 cells: the paper's searches"
    return Benchmark(name, summary, source, PUBLISHED, recipe={**EVALUATION, **size})


def _small(space: str) -> Benchmark:
    summary = f"CIFAR-10 at a quarter of its size, 2,000 + 2,000 images, {space.upper()} with 4 channels, 3 cells"
    return Benchmark(f"{space}-small", f"{summary}: minutes a seed", CIFAR10, SMALL, scaling=SCALED_DOWN, recipe=SHORT)


DARTS = _full("darts", "CIFAR-10", CIFAR10, LARGE)
DARTS_CIFAR100 = _full("darts-cifar100", "CIFAR-100", CIFAR100, MEDIUM)
DARTS_SVHN = _full("darts-svhn", "SVHN", ImageSource(get_dataset("svhn")), MEDIUM)
S2_SMALL, S4_SMALL = _small("s2"), _small("s4")
