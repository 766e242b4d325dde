"""Scheduled drop-path (Zoph et al. 2018; R-DARTS(DP) of Zela et al. 2020a; SmoothDARTS appendix 7.1).

In the weight step each image loses each block's output, in each cell, with a probability that rises linearly over the
search; what stays is divided by the probability of staying. The published code (RobustDARTS) drops what a mixed
operation gives, all its candidates at once, image by image (`src/search/model_search.py:61`, `src/utils.py:367-373`).
In its cells that is an edge; in these spaces the mixed operations are in the choice blocks. It drops in the alpha step
as well, and for the Hessian; here, only what trains the weights does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from optimizers.config import DropPathConfig


class DropPath:
    """What each block's output is multiplied with; composes with any method.

    Args:
        config: how much is dropped.
        epochs: length of the search, for the schedule.
    """

    def __init__(self, config: DropPathConfig, epochs: int) -> None:
        self.config = config
        self.epochs = epochs

    def probability(self, epoch: int) -> float:
        """That of being dropped in an epoch, counted from 0 (`src/search/train_search.py:112`)."""
        return self.config.probability * epoch / max(self.epochs - 1, 1)

    def draw(self, shape: tuple[int, ...], epoch: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
        """Factors of this shape on the CPU: 0 where dropped, otherwise 1 / (1 - probability)."""
        keep = 1 - self.probability(epoch)
        return (torch.rand(shape, generator=generator, dtype=torch.float64) < keep).to(dtype) / keep
