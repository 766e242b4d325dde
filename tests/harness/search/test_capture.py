"""Recorded steps against plain ones; on a GPU they are replays of CUDA graphs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from harness.data.images import Augmentation, EpochDraws, Split
from harness.search.steps import PlainSteps, RecordedSteps, Totals
from harness.tasks.classification import ImageExamples
from optimizers.base import Optimizer
from optimizers.randomness import Randomness
from tests.support.building import small_optimizer

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]
METHODS = ["darts", "darts_2nd", "sdarts_rs", "sdarts_adv", "nasp", "pc_darts", "pc_darts_adv", "enas", "random_ws"]
METHODS += ["hessian_reg", "r_darts_dp"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", METHODS)
def test_recorded_steps_equal_plain_ones(name: str, device: str) -> None:
    """Three epochs of 3 batches, the last of them smaller; on a GPU the rate of SGD is in single precision."""
    plain, recorded = (trained(name, device, kind) for kind in (PlainSteps, RecordedSteps))
    tolerance = 0.0 if device == "cpu" else 1e-6
    for ours, expected in zip(recorded, plain, strict=True):
        assert torch.linalg.vector_norm(ours - expected) <= tolerance * torch.linalg.vector_norm(expected)


def test_recorded_steps_stop_when_told() -> None:
    optimizer = begun("darts", "cpu")
    training, validation = splits("cpu")
    steps = RecordedSteps(optimizer, training, validation)
    assert steps.epoch(draws(training, "training", 0), draws(validation, "validation", 0), lambda: True) is None


def trained(name: str, device: str, kind: type[PlainSteps] | type[RecordedSteps]) -> list[Tensor]:
    optimizer = begun(name, device)
    training, validation = splits(device)
    steps = kind(optimizer, training, validation)
    totals: Totals | None = None
    for epoch in range(3):
        optimizer.begin_epoch(epoch)
        totals = steps.epoch(draws(training, "training", epoch), draws(validation, "validation", epoch), lambda: False)
    assert totals is not None
    state = [*optimizer.weights.parameters.values(), *optimizer.alphas, *optimizer.weights.buffers.values()]
    return [tensor.detach() for tensor in (totals.loss, totals.score, *state)]


def begun(name: str, device: str) -> Optimizer:
    optimizer: Optimizer = small_optimizer(name, channels=4, steps=3, image_channels=3, device=device)
    optimizer.begin_epoch(0)
    return optimizer


def splits(device: str) -> tuple[ImageExamples, ImageExamples]:
    generator = torch.Generator().manual_seed(5)

    def split() -> ImageExamples:
        images = torch.randint(0, 256, (20, 3, 8, 8), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, 10, (20,), generator=generator)
        images, labels = images.to(device), labels.to(device)
        return ImageExamples(Split(images, labels, [0.5] * 3, [0.25] * 3, torch.float64), Augmentation(2, True), 8)

    return split(), split()


def draws(split: ImageExamples, purpose: str, epoch: int) -> EpochDraws:
    return split.draw(Randomness(0).generator(purpose, epoch))
