"""ENAS (Pham et al. 2018; SmoothDARTS `optimizers/enas`): a controller learns which cells do well at shared weights.

An epoch trains the weights of one cell a batch, each proposed by the controller as it stands. Then the controller is
trained by REINFORCE at fixed weights: a proposal's reward is its accuracy on a validation batch, in percent, and
what lies above the moving average of rewards makes it more likely. The cell chosen is the best of 1000 proposals.

The published code takes rewards from 5,000 held-out training images and chooses on CIFAR-10's test images; here both
use the validation split of all other methods. Its learning rate is a saw-tooth; here it is the cosine of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from optimizers.config import OptimizerConfig
from optimizers.controller import Controller, ControllerConfig, draw_with
from optimizers.randomness import Randomness
from optimizers.registry import register_preset
from optimizers.sampling import SamplingConfig, SamplingOptimizer
from optimizers.steps import Batch
from spaces.base import Architecture, Network


@dataclass(frozen=True)
class EnasConfig(SamplingConfig):
    """All settings of ENAS."""

    controller: ControllerConfig = field(default_factory=ControllerConfig)


class Enas(SamplingOptimizer):
    """Architectures come from a controller that learns.

    Attributes:
        controller: the policy, and how well it has done so far.
    """

    config_class: ClassVar[type[OptimizerConfig]] = EnasConfig
    config: EnasConfig

    def __init__(self, supernet: Network, config: EnasConfig, *, randomness: Randomness, **named: Any) -> None:
        generator = randomness.generator("controller weights")
        self.controller = Controller(supernet.space, config.controller, generator)
        super().__init__(supernet, config, randomness=randomness, **named)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> list[Architecture]:
        """Proposals of the controller as it is."""
        return self.controller.propose(count, draw_with(generator)).architectures

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Train the controller, then choose, on the validation batches that follow."""
        batches, weights = list(validation()), self.supernet.fold(self.weights)
        self.train_controller(weights, batches)
        self.choose(weights, batches, start=self.config.controller.steps)

    def train_controller(self, weights: Any, batches: Sequence[Batch]) -> None:
        """REINFORCE at fixed weights, one proposal on one batch a step (`enas_child.py`)."""
        choose = draw_with(self.randomness.generator("controller", self.epoch))
        for step in range(self.config.controller.steps):
            proposal = self.controller.propose(1, choose)
            accuracy = self.score(weights, proposal.architectures, [batches[step % len(batches)]], 1)[0]
            self.controller.reinforce(proposal, 100 * accuracy)

    def state_dict(self) -> dict[str, Any]:
        """The state of any sampling search, and the controller's."""
        return {**super().state_dict(), "controller": self.controller.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        super().load_state_dict(saved)
        self.controller.load_state_dict(saved["controller"])


register_preset(
    "enas",
    Enas,
    {
        "data.batch_size": 64,  # enas.py, --batch_size; also a reward's images
        "weights.gradient_clip": 0.25,  # enas.py, --grad_clip
        "weights.weight_decay": 1e-4,  # enas_child.py
        "selection.batches": 1,  # enas.py, 1000 samples on the next batch each
        "validation.refresh_statistics": False,  # no forward pass comes between choosing and measuring
    },
    "ENAS, an LSTM controller trained by REINFORCE (Pham et al. 2018)",
)
