"""A method on a tiny network: how the checks build it, run it, and look at what has moved."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from harness.conformance.watching import WatchedNetwork
from harness.probes.hessian import loss_hessian, spectrum
from harness.search.settings import SearchConfig, default_config, resolve, setting_keys
from harness.tasks.classification import Classification
from optimizers.base import Optimizer
from optimizers.companions.base import Companion
from optimizers.companions.perturbation import Perturbation
from optimizers.companions.registry import joined
from optimizers.randomness import Randomness
from optimizers.registry import Method
from optimizers.steps import Batch, StepResult
from optimizers.weight_training import set_rate
from spaces.base import InputShape
from spaces.mixture import Mixture
from spaces.registry import AnySpace, get_space

EPOCHS = 6
STEPS = 2
SIZE = 8
IMAGES = 6
CLASSES = 10

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
"""Settings of the tiny search; one that a method or a space does not have is passed over. What a space says of its
smallest network (`NetworkConfig.tiny`) comes before."""

DEFAULT_SPACES = ("1", "2", "3")
"""Where a method is run if no space is named; all but one check look at it in the first of them."""


@dataclass(frozen=True)
class Subject:
    """A method to be judged.

    Attributes:
        method: the method, as the registry knows it or would.
        settings: further settings, by dotted key; they have the last word.
        space: the space to judge it in, one whose networks read images; None for the `DEFAULT_SPACES`.
    """

    method: Method
    settings: Mapping[str, object] = field(default_factory=dict)
    space: AnySpace | None = None

    @property
    def spaces(self) -> list[AnySpace]:
        """Where it is to run."""
        return [self.space] if self.space is not None else [get_space(name) for name in DEFAULT_SPACES]

    def config(self, space: AnySpace | None = None) -> SearchConfig:
        """All settings, in a space or else in the first."""
        space = space or self.spaces[0]
        parts = int(str({**self.method.settings, **self.settings}.get("network.partial_channels", 1)))
        known = setting_keys(default_config(self.method, space))
        tiny = {f"network.{name}": value for name, value in space.config_class.tiny.items()}
        scale = {**SCALE, **tiny}
        scale["network.channels"] = max(int(str(scale["network.channels"])), parts)
        scale = {key: value for key, value in scale.items() if key in known}
        return resolve(self.method, space, scale, self.settings, EPOCHS)[0]

    def optimizer(
        self,
        seed: int = 0,
        *,
        space: AnySpace | None = None,
        epochs: int = EPOCHS,
        steps: int = STEPS,
        randomness: Randomness | None = None,
        companions: bool = True,
    ) -> Optimizer:
        """A fresh optimizer in single precision, as a search has; with its companions, or as the bare method."""
        space = space or self.spaces[0]
        config = self.config(space)
        return self.method.optimizer_class(
            WatchedNetwork(space.network(config.network, InputShape(1, CLASSES))),
            config.method,
            task=Classification(),
            epochs=epochs,
            steps=steps,
            randomness=randomness or Randomness(seed),
            batch_size=IMAGES,
            companions=joined(config.companions, epochs, self.method.optimizer_class) if companions else [],
        )

    @property
    def relaxes(self) -> bool:
        """Whether the method relaxes."""
        return self.method.optimizer_class.relaxes

    @property
    def kind(self) -> str:
        """The perturbation that the method carries, `none` for none."""
        return str(self.config().companions[Perturbation.name].kind)

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


def watched(optimizer: Optimizer) -> WatchedNetwork:
    """The network of an optimizer that a `Subject` built."""
    network = optimizer.supernet
    assert isinstance(network, WatchedNetwork)
    return network


def perturbation_of(optimizer: Optimizer) -> Perturbation | None:
    """The perturbation that has joined a search, or None."""
    return next((each for each in optimizer.companions if isinstance(each, Perturbation)), None)


def weight_mixture(optimizer: Optimizer, index: int, training: Batch) -> Mixture | None:
    """What the hook `weight_mixture` gives; None for a method whose steps are written without it."""
    hook: Callable[[int, Batch], Mixture] | None = getattr(optimizer, "weight_mixture", None)
    return hook(index, training) if hook else None


@functools.lru_cache(maxsize=64)
def batch(number: int, size: int = IMAGES, brightness: float = 0.0) -> Batch:
    """Random images of 8x8 pixels and labels; the same for the same number."""
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(size, 1, SIZE, SIZE, generator=generator) + brightness
    return Batch(images, torch.randint(CLASSES, (size,), generator=generator), noise=torch.tensor(number))


def batches(epoch: int, step: int, steps: int = STEPS) -> tuple[Batch, Batch]:
    """The training and the validation batch of a step; as in a search, an epoch's last ones are smaller."""
    size = IMAGES - 2 if step == steps - 1 else IMAGES
    return batch(100 * epoch + step, size), batch(10_000 + 100 * epoch + step, size)


def validation() -> list[Batch]:
    """A validation split."""
    return [batch(20_000), batch(20_001)]


def train(optimizer: Optimizer, epochs: Iterable[int]) -> None:
    """Whole epochs, as `harness.search.loop` runs them; companions are shown what they want measured."""
    for epoch in epochs:
        optimizer.begin_epoch(epoch)
        for step in range(optimizer.steps):
            optimizer.step(step, *batches(epoch, step, optimizer.steps))
        optimizer.end_epoch(validation)
        for companion in optimizer.companions:
            _show(companion, optimizer, epoch + 1)


def _show(companion: Companion, optimizer: Optimizer, epoch: int) -> None:
    if wants := companion.wants(epoch):
        measured = asdict(spectrum(loss_hessian(optimizer, batch(60_000)), weight_decay=0.0))
        companion.observe(optimizer, epoch, {name: measured[name] for name in wants})


@contextlib.contextmanager
def without_alpha_step(optimizer: Optimizer) -> Iterator[None]:
    """A block in which `step` takes the weight step alone."""
    with contextlib.ExitStack() as stack:
        if hasattr(optimizer, "alpha_optimizer"):
            stack.enter_context(_stopped(optimizer.alpha_optimizer))
        if hasattr(optimizer, "architecture_step"):
            stack.enter_context(replaced(optimizer, "architecture_step", _no_alpha_step))
        yield


@contextlib.contextmanager
def without_weight_step(optimizer: Optimizer) -> Iterator[None]:
    """A block in which `step` takes the alpha step alone."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopped_weights(optimizer))
        if hasattr(optimizer, "weight_step"):
            stack.enter_context(replaced(optimizer, "weight_step", _no_weight_step))
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


def _stopped(optimizer: torch.optim.Optimizer) -> contextlib.AbstractContextManager[None]:
    return replaced(optimizer, "step", lambda *_: None)


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """A block in which an instance has another attribute of a name, in front of that of its class."""
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    own[name] = value
    try:
        yield
    finally:
        del own[name]
        own.update(before)


def _no_alpha_step(index: int, training: Batch, validation: Batch) -> None:
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


def leaves(value: object, name: str, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Numbers, text and tensors within an object, so many levels down, by the attribute that leads there."""
    if isinstance(value, (Tensor, bool, int, float, str)) or value is None:
        yield name, value
    elif depth:
        if isinstance(value, dict):
            parts = {f"{name}[{key!r}]": part for key, part in value.items()}
        elif isinstance(value, (list, tuple)):
            yield f"len({name})", len(value)
            parts = {f"{name}[{index}]": part for index, part in enumerate(value)}
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            parts = {f"{name}.{key}": part for key, part in vars(value).items()}
        else:
            return
        for key, part in parts.items():
            yield from leaves(part, key, depth - 1)
