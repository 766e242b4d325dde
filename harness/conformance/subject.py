"""A method on a tiny network: how the checks build it, run it, and look at what has moved."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from unittest import mock

import torch
from torch import Tensor

from harness.conformance.watching import WatchedSupernet
from harness.search.settings import SearchConfig, resolve
from optimizers.base import Batch, Optimizer, StepResult, set_rate
from optimizers.randomness import Randomness
from optimizers.registry import Method
from spaces.nb101.space import get_space

EPOCHS = 6
STEPS = 2
SIZE = 8
IMAGES = 6

SCALE: dict[str, object] = {
    "network.channels": 4,
    "network.cells": 2,
    "network.batchnorm_momentum": 0.997,
    "alphas.warm_start_epochs": 0,
    "perturbation.steps": 2,
    "selection.samples": 6,
    "selection.finalists": 2,
    "controller.steps": 3,
}
"""Settings of the tiny search; a section that a method does not have is passed over."""


@dataclass(frozen=True)
class Subject:
    """A method to be judged.

    Attributes:
        method: the method, as the registry knows it or would.
        settings: further settings, by dotted key; they have the last word.
    """

    method: Method
    settings: Mapping[str, object] = field(default_factory=dict)

    def config(self) -> SearchConfig:
        """All settings."""
        parts = int(str({**self.method.settings, **self.settings}.get("network.partial_channels", 1)))
        scale = {**SCALE, "network.channels": max(4, parts)}
        return resolve(self.method, scale, self.settings, EPOCHS)[0]

    def optimizer(
        self,
        seed: int = 0,
        *,
        space: int = 1,
        epochs: int = EPOCHS,
        steps: int = STEPS,
        randomness: Randomness | None = None,
    ) -> Optimizer:
        """A fresh optimizer in single precision, as a search has."""
        config = self.config()
        return self.method.optimizer_class(
            WatchedSupernet(get_space(space), config.network, 1, 10),
            config.method,
            epochs=epochs,
            steps=steps,
            randomness=randomness or Randomness(seed),
        )

    @property
    def relaxes(self) -> bool:
        """Whether the method relaxes."""
        return self.method.optimizer_class.relaxes

    @property
    def kind(self) -> str:
        """The perturbation that the method carries, `none` for none."""
        return str(self.config().method.perturbation.kind)

    def perturbed(self, kind: str) -> Subject:
        """The method with this perturbation, or with its own if it has one."""
        if self.kind != "none":
            return self
        return self.with_settings({"perturbation.kind": kind})

    def variants(self, *kinds: str) -> list[Subject]:
        """The method as it is, and where it relaxes without a perturbation, with each of these."""
        carried = [self.perturbed(kind) for kind in kinds] if self.relaxes and self.kind == "none" else []
        return [self, *carried]

    def with_settings(self, settings: Mapping[str, object]) -> Subject:
        """The method with some settings changed, by dotted key."""
        return replace(self, settings={**self.settings, **settings})


@functools.lru_cache(maxsize=64)
def batch(number: int, size: int = IMAGES, brightness: float = 0.0) -> Batch:
    """Random images of 8x8 pixels and labels; the same for the same number."""
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(size, 1, SIZE, SIZE, generator=generator) + brightness
    return Batch(images, torch.randint(10, (size,), generator=generator))


def batches(epoch: int, step: int, steps: int = STEPS) -> tuple[Batch, Batch]:
    """The training and the validation batch of a step; as in a search, an epoch's last ones are smaller."""
    size = IMAGES - 2 if step == steps - 1 else IMAGES
    return batch(100 * epoch + step, size), batch(10_000 + 100 * epoch + step, size)


def validation() -> list[Batch]:
    """A validation split."""
    return [batch(20_000), batch(20_001)]


def train(optimizer: Optimizer, epochs: Iterable[int]) -> None:
    """Whole epochs, as `harness.search` runs them."""
    for epoch in epochs:
        optimizer.begin_epoch(epoch)
        for step in range(optimizer.steps):
            optimizer.step(step, *batches(epoch, step, optimizer.steps))
        optimizer.end_epoch(validation)


@contextlib.contextmanager
def without_alpha_step(optimizer: Optimizer) -> Iterator[None]:
    """A block in which `step` takes the weight step alone."""
    with _stopped(optimizer.alpha_optimizer), mock.patch.object(optimizer, "architecture_step", _no_alpha_step):
        yield


@contextlib.contextmanager
def without_weight_step(optimizer: Optimizer) -> Iterator[None]:
    """A block in which `step` takes the alpha step alone."""
    with stopped_weights(optimizer), mock.patch.object(optimizer, "weight_step", _no_weight_step):
        yield


@contextlib.contextmanager
def stopped_weights(optimizer: Optimizer) -> Iterator[None]:
    """A block in which weight steps are taken, but at a rate of zero, and SGD moves nothing whatever its rate."""
    groups = optimizer.weight_optimizer.param_groups
    rates = [float(group["lr"]) for group in groups]
    try:
        for group in groups:
            set_rate(group, 0.0)
        with _stopped(optimizer.weight_optimizer):
            yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            set_rate(group, rate)


def _stopped(optimizer: torch.optim.Optimizer) -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(optimizer, "step", return_value=None)


def _no_alpha_step(training: Batch, validation: Batch) -> None:
    pass


def _no_weight_step(index: int, training: Batch) -> StepResult:
    return StepResult(torch.zeros(()), torch.zeros((), dtype=torch.int64))


State = dict[str, Tensor]


def state(optimizer: Optimizer) -> State:
    """Copies of the alphas, the weights and batch norm's running statistics, by name."""
    tensors = {f"alphas[{index}]": alpha for index, alpha in enumerate(optimizer.alphas)}
    tensors |= {f"weights {name}": tensor for name, tensor in optimizer.weights.parameters.items()}
    tensors |= {f"statistics {name}": tensor for name, tensor in optimizer.weights.buffers.items()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def moved(before: State, after: State, *kinds: str) -> list[str]:
    """Names of what differs by as much as a bit: of the kinds `alphas`, `weights` and `statistics`, or of all."""
    return [name for name in before if name.startswith(kinds or "") and not torch.equal(before[name], after[name])]


def named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more


def rows_equal(left: Sequence[Tensor], right: Sequence[Tensor]) -> bool:
    """Whether two mixtures are the same to the bit."""
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
