"""The supernet with its passes compiled, for a GPU.

What lies between two convolutions (batch norm, ReLU, pooling, weighting, sums) reads and writes maps and computes next
to nothing; compiled, it is a few kernels instead of dozens. Numbers change by rounding alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spaces.mixture import Mixture
from spaces.supernet import FoldedWeights, Supernet, Weights


class CompiledSupernet(Supernet):
    """The same function of weights, mixture and images; arguments and errors are the parent's."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._plain = super().__call__
        self._whole = torch.compile(super().__call__, dynamic=False, fullgraph=True)
        self._after_stem = torch.compile(super().after_stem, dynamic=False, fullgraph=True)

    def __call__(
        self,
        weights: Weights | FoldedWeights,
        mixture: Mixture | Sequence[Mixture],
        images: Tensor,
        *,
        training: bool = False,
        update_statistics: bool = True,
        skip_zeros: bool = False,
        twice_differentiable: bool = False,
    ) -> Tensor:
        """Logits `[batch, classes]`."""
        # A compiled pass has one derivative, and which operations are skipped is only known as it runs.
        call = self._plain if twice_differentiable or skip_zeros else self._whole
        return call(
            weights, mixture, images, training=training, update_statistics=update_statistics, skip_zeros=skip_zeros
        )
