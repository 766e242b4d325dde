"""How long a search will take: a few of its own steps and one Hessian, timed here and now on its own settings.

What is timed is thrown away. Where the images are not there yet, random ones of the data set's number and size take
their place, which cost the same.
"""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records.run_folder import RunFolder

if TYPE_CHECKING:
    from harness.data.arrays import ImageArrays
    from harness.data.registry import DataSet
    from harness.search.loop import Search
    from harness.search.settings import SearchConfig
    from optimizers.registry import Method
    from spaces.registry import AnySpace

TIMED = 3
"""Steps that are timed at the most, after one that warms up."""

PATIENCE = 5.0
"""Seconds of steps after which no further one is timed."""


@dataclass(frozen=True)
class Estimate:
    """What a seed takes that runs alone.

    Attributes:
        steps: training steps of all epochs.
        step_seconds: of one of them.
        hessians: how often the Hessian is measured.
        hessian_seconds: of one measurement.
        scores_samples: whether the method also scores sampled architectures after every epoch, which is not timed.
    """

    steps: int
    step_seconds: float
    hessians: int
    hessian_seconds: float
    scores_samples: bool

    def __str__(self) -> str:
        """In words."""
        whole = self.steps * self.step_seconds + self.hessians * self.hessian_seconds
        parts = [f"{self.steps:,} steps of {self.step_seconds:.2g} s"]
        if self.hessians:
            parts.append(f"{self.hessians} Hessians of {self.hessian_seconds:.2g} s")
        besides = "scoring sampled architectures and validation" if self.scores_samples else "validation"
        return (
            f"a seed alone takes about {_in_words(whole)} here, by what was just timed: {' and '.join(parts)}; "
            f"{besides} comes on top, and seeds side by side slow each other"
        )


def estimate(
    record: Mapping[str, Any],
    images: ImageArrays,
    space: AnySpace,
    method: Method,
    config: SearchConfig,
    device: str,
) -> Estimate:
    """Time a search's steps and Hessian; records nothing.

    Args:
        record: what `config.json` would hold of bench, space, scale and threads.
        images: the images, or `random_images`.
        space: the space.
        method: the method.
        config: all settings.
        device: cpu or cuda.

    Raises:
        UserError: the search cannot fit into memory.
    """
    from harness.judges.none import NoJudge
    from harness.search.setup import build

    with tempfile.TemporaryDirectory() as folder:
        search = build(RunFolder(Path(folder)), {**record, "seed": 0}, images, method, space, config, NoJudge(), device)
        every = config.hessian.every if search.optimizer.alphas else 0
        hessian = _seconds_of_hessian(search) if every else 0.0
        step = _seconds_of_step(search)
    return Estimate(
        config.epochs * search.optimizer.steps,
        step,
        1 + math.ceil(config.epochs / every) if every else 0,
        hessian,
        not method.optimizer_class.has_alphas,
    )


def random_images(dataset: DataSet) -> ImageArrays | None:
    """Images of noise, as many and as large as a data set has for training; None where it does not say."""
    import numpy as np

    from harness.data.arrays import ImageArrays

    if dataset.extent is None or dataset.mean is None or dataset.std is None or dataset.classes is None:
        return None
    count, side = dataset.extent
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, len(dataset.mean), side, side), dtype=np.uint8)
    labels = generator.integers(0, dataset.classes, count)
    return ImageArrays(images, labels, images[:1], labels[:1], dataset.classes, dataset.name, dataset.mean, dataset.std)


def _seconds_of_step(search: Search) -> float:
    """Seconds of a step, in the median of the first few of an epoch; the first counts only where it is the only one."""
    import torch

    times: list[float] = []

    def enough() -> bool:
        if search.training.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        return len(times) > TIMED + 1 or times[-1] - times[0] > PATIENCE

    search.optimizer.begin_epoch(0)
    training, validation = (
        split.draw(torch.Generator().manual_seed(0)) for split in (search.training, search.validation)
    )
    # An epoch that was not given up ends after its last step, at which nobody asked.
    if search.steps.epoch(training, validation, enough) is not None:
        enough()
    durations = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median(durations[1:] or durations)


def _seconds_of_hessian(search: Search) -> float:
    from harness.search.measuring import curvature

    seconds: dict[str, float] = {}
    curvature(replace(search.state(0), hessian_due=True), seconds)
    return sum(seconds.values())


def _in_words(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}" if seconds >= 10 * length else f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
