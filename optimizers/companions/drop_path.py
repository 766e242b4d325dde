"""Scheduled drop-path (Zoph et al. 2018; R-DARTS(DP) of Zela et al. 2020a; SmoothDARTS appendix 7.1).

In the weight step each image loses each block's output, in each cell, with a probability that rises linearly over the
search; what stays is divided by the probability of staying. The published code (RobustDARTS) drops what a mixed
operation gives, all its candidates at once, image by image (`src/search/model_search.py:61`, `src/utils.py:367-373`).
In its cells that is an edge; in these spaces the mixed operations are in the choice blocks. It drops in the alpha step
as well, and for the Hessian; here, only what trains the weights does.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from optimizers.companions.base import Companion, Host
from optimizers.companions.registry import register_companion
from optimizers.config import DropPathConfig
from optimizers.steps import Batch, StepIndex, at_step, placed
from spaces.base import Pass


@register_companion
class DropPath(Companion):
    """Multiplies the output of each path of a cell in the weight step, image by image.

    Attributes:
        factors: those of the epoch, a tensor `[steps, cells, paths, batch]`.
    """

    name = "drop_path"
    config_class = DropPathConfig
    joins = "weights"
    config: DropPathConfig

    def __init__(self, config: DropPathConfig, epochs: int) -> None:
        super().__init__(config, epochs)
        self.factors: list[Tensor] = []

    @classmethod
    def joins_with(cls, config: DropPathConfig) -> bool:
        """Whether anything is ever dropped."""
        return config.probability > 0

    def probability(self, epoch: int) -> float:
        """The probability of being dropped in an epoch, counted from 0 (`src/search/train_search.py:112`)."""
        return self.config.probability * epoch / max(self.epochs - 1, 1)

    def draw(self, shape: tuple[int, ...], epoch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Factors of this shape on the CPU: 0 where dropped, otherwise 1 / (1 - probability)."""
        keep = 1 - self.probability(epoch)
        return (torch.rand(shape, generator=generator, dtype=torch.float64) < keep).to(dtype) / keep

    def begin(self, search: Host, epoch: int) -> None:
        """Draw the factors of all steps."""
        shape = (search.steps, len(search.supernet.groups), search.supernet.paths, search.batch_size)
        draws = self.draw(shape, epoch, search.randomness.generator("drop path", epoch), search.dtype)
        self.factors = placed(self.factors, [draws], search.device)

    def forward(self, how: Pass, index: StepIndex, training: Batch) -> Pass:
        """The pass with the step's factors."""
        (factors,) = at_step(self.factors, index)
        return replace(how, path_factors=factors[..., : len(training.targets)])
