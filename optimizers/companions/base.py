"""The contract of a companion: something that joins any method by settings, and that no method knows of.

A perturbation of the mixture, a penalty on the Hessian, early stopping and drop-path are companions. Each has a section
of settings under its name, and is built where they switch it on. A search calls its hooks at fixed places:

    begin       at the start of an epoch, to set its schedule and to draw everything random for all steps at once
    mixture     what the weight step multiplies, after the method and the companions before it had their say
    gradient    which way the alphas should go
    forward     how the weight step's forward pass is made
    observe     what was measured after an epoch; a companion that `wants` a quantity has it measured
    state       what survives an epoch

Steps draw nothing; a companion that draws keeps its draws at the same place in every epoch (`optimizers.steps.placed`),
so that a step can be recorded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from optimizers.randomness import Randomness
from optimizers.steps import Batch, Purpose, StepIndex
from spaces.base import Network, Pass, Weights
from spaces.mixture import Mixture


class Host(Protocol):
    """What a companion may ask of the search that it has joined; `optimizers.base.Optimizer` is one."""

    supernet: Network
    weights: Weights
    alphas: list[Tensor]
    steps: int
    batch_size: int
    per_cell: ClassVar[bool]
    randomness: Randomness
    device: torch.device
    dtype: torch.dtype

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        """What one forward pass multiplies, differentiable in the alphas."""

    def loss(
        self, weights: Weights, mixture: Mixture, batch: Batch, *, update_statistics: bool = True, twice: bool = False
    ) -> Tensor:
        """Loss of a batch, batch norm in training mode; `twice`: to be differentiated twice."""

    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        """Training loss as a function of the mixture alone, batch norm at its stored statistics."""


@dataclass(frozen=True)
class Stop:
    """The end of a search before its time.

    Attributes:
        after: epochs that were trained.
        returned: the earlier epoch whose architecture the search returns.
    """

    after: int
    returned: int


class Companion(ABC):
    """Joins a search; every hook does nothing unless it is overridden.

    Args:
        config: its settings, of `config_class`.
        epochs: length of the search, for schedules.

    Attributes:
        stop: where this companion ended the search early, None as long as it has not.
    """

    name: ClassVar[str]
    """Its section of the settings."""

    config_class: ClassVar[type[Any]]
    """A frozen dataclass whose defaults leave it out."""

    joins: ClassVar[Literal["mixtures", "alphas", "weights"]]
    """What a method must have: mixtures that it relaxes, alphas, or no more than weights that it trains."""

    zeroes_gradients: ClassVar[bool] = False
    """Whether the published code zeroes the weights' gradients on this companion's account, so that those of warm-start
    epochs do not pile up."""

    def __init__(self, config: Any, epochs: int) -> None:
        self.config = config
        self.epochs = epochs
        self.stop: Stop | None = None

    @classmethod
    @abstractmethod
    def joins_with(cls, config: Any) -> bool:
        """Whether these settings switch it on."""

    def begin(self, search: Host, epoch: int) -> None:
        """Set the schedule of an epoch, counted from 0, and draw everything random in it."""

    def mixture(self, search: Host, mixture: Mixture, index: StepIndex, training: Batch) -> Mixture:
        """What the weight step multiplies in the place of a mixture without history."""
        return mixture

    def gradient(
        self, search: Host, gradients: Sequence[Tensor], index: StepIndex, validation: Batch
    ) -> Sequence[Tensor]:
        """The gradient that each alpha descends in the place of these."""
        return gradients

    def forward(self, how: Pass, index: StepIndex, training: Batch) -> Pass:
        """How the weight step's forward pass is made in the place of this way."""
        return how

    def wants(self, epoch: int) -> frozenset[str]:
        """Names of the quantities that it wants measured of the state after so many epochs."""
        return frozenset()

    def observe(self, search: Host, epoch: int, measured: Mapping[str, float]) -> None:
        """Take note of what was wanted, and perhaps set `stop`."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that survives an epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
