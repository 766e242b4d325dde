"""Searches on digits in this process, put together from their parts, so that a test can choose each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.benchmarks.registry import get_benchmark
from harness.data.images import Augmentation, halve
from harness.records.run_folder import RunFolder
from harness.search.loop import Assignment, Search
from harness.search.settings import resolve
from harness.search.setup import build_optimizer, build_steps
from harness.tasks.classification import ImageExamples
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from spaces.base import InputShape
from spaces.registry import get_space
from tests.support.judging import TableOf

EPOCHS = 4

SMALL = {
    "network.channels": "2",
    "data.images": "24",
    "data.batch_size": "10",
    "hessian.every": "2",
}

STOPPING: dict[str, Any] = {
    "early_stopping__window": 1,
    "early_stopping__look_back": 2,
    "early_stopping__start_epoch": 1,
    "early_stopping__ratio": 0.01,
    "hessian__every": 0,
}
"""At such a ratio the first eigenvalues that count, of epochs 1 and 3, stop the search."""


def search_on_digits(
    path: Path,
    optimizer: str,
    overrides: Mapping[str, str],
    *,
    space: int = 1,
    seed: int = 0,
    epochs: int = EPOCHS,
    scale: str = "tiny",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Search:
    """A search that records into a folder of its own, before its first epoch.

    Args:
        path: the folder.
        optimizer: the method.
        overrides: settings by dotted key.
        space: number of the space.
        seed: the seed.
        epochs: length.
        scale: what its lines say of its size.
        device: where it runs.
        dtype: floating-point type of images, weights and alphas.
    """
    bench, method = get_benchmark("digits"), get_method(optimizer)
    config, _ = resolve(method, get_space(space), bench.settings, overrides, epochs)
    arrays = bench.images()
    augmentation = Augmentation(config.data.padding, config.data.flip, config.data.cutout)
    training, validation = (
        ImageExamples(split, augmentation, config.data.batch_size)
        for split in halve(arrays, device, dtype, limit=config.data.images or None)
    )
    folder = RunFolder(path)
    folder.create({"epochs": epochs, "seed": seed}, {})
    shape = InputShape(arrays.train_images.shape[1], arrays.classes)
    built = build_optimizer(method, get_space(space), config, shape, training, Randomness(seed))
    steps = build_steps(built, training, validation, config.compute)
    assignment = Assignment("digits", space, config, seed, scale)
    return Search(assignment, folder, built, steps, training, validation, TableOf(bench.table(space)))


def small_search(path: Path, optimizer: str = "sdarts_adv", seed: int = 0, **settings: Any) -> Search:
    """A search of four epochs and three steps each; settings are given as `section__field=value`."""
    return search_on_digits(path, optimizer, {**SMALL, **dotted(settings)}, seed=seed)


def dotted(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings by dotted key, as the command line has them, from `section__field`."""
    return {key.replace("__", "."): str(value) for key, value in settings.items()}
