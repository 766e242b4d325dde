"""What a search on a benchmark sees first, to the bit."""

from __future__ import annotations

import hashlib

import torch

from harness.benchmarks.registry import get_benchmark
from harness.data.images import Augmentation, draw_epoch, halve
from harness.search.settings import resolve
from optimizers.registry import get_method
from spaces.registry import get_space


def first_batches(bench: str) -> list[str]:
    """SHA-256 of the first batch of training and of validation images, drawn, varied and normalised."""
    benchmark = get_benchmark(bench)
    config, _ = resolve(get_method("darts"), get_space(1), benchmark.settings, {}, None)
    augmentation = Augmentation(config.data.padding, config.data.flip, config.data.cutout)
    digests = []
    for split in halve(benchmark.images(), "cpu", limit=config.data.images or None):
        draws = draw_epoch(split.n, config.data.batch_size, torch.Generator().manual_seed(7), augmentation)
        images, _ = split.batch(draws, 0)
        digests.append(hashlib.sha256(images.numpy().tobytes()).hexdigest())
    return digests
