"""NASP (Yao et al. 2020b): the alphas move by the gradient at a discrete point.

A proximal step makes the operations' alphas one-hot at each row's largest (binarises them) before every forward pass;
the gradient at that point moves the alphas themselves, which stay in [0, 1]. Parents' and output's alphas are not
binarised (SmoothDARTS `optimizers/nasp/model_search.py:60`).

That code multiplies the softmax of the one-hot row, (.576, .212, .212), so that all operations run; the paper's
single path is a setting. A perturbation moves what the weight step multiplies, so whichever of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from optimizers.config import OptimizerConfig
from optimizers.darts import Darts
from optimizers.registry import register
from optimizers.steps import Batch, Purpose, StepIndex, StepResult
from spaces.mixture import Mixture


@dataclass(frozen=True)
class BinarisationConfig:
    """What is multiplied of the binarised alphas (SmoothDARTS `optimizers/nasp`)."""

    softmax_one_hot: bool = True
    """Whether a softmax is taken of the one-hot rows, as published (`model_search.py` inherits the forward pass of
    DARTS). Otherwise the picked operation counts 1, and the others are neither evaluated nor trained."""


@dataclass(frozen=True)
class NaspConfig(OptimizerConfig):
    """Settings of NASP; the common ones are those of DARTS (`train_search.py:37-57`)."""

    nasp: BinarisationConfig = field(default_factory=BinarisationConfig)
    """What is multiplied."""


PRESET: dict[str, object] = {
    "alphas.initial_mean": 0.5  # optimizers/nasp/model_search.py:24-36
}


@register("nasp", "NASP, gradients at binarised alphas (Yao et al. 2020b)", PRESET)
class Nasp(Darts):
    """Forward passes at binarised alphas, those of validation and Hessian included."""

    config_class = NaspConfig
    config: NaspConfig

    @property
    def shift_invariant(self) -> bool:
        return self.config.nasp.softmax_one_hot

    @property
    def skips_operations(self) -> bool:
        return not self.config.nasp.softmax_one_hot

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        """The softmax at the binarised point, whose gradient is taken for that at the alphas (`model_search.py:58`)."""
        layout = self.supernet.space.layout
        rows = (
            self.binarised(alpha) if row.kind == "operation" else alpha.softmax(dim=-1)
            for row, alpha in zip(layout, self.alphas, strict=True)
        )
        return Mixture(layout, tuple(rows))

    def binarised(self, alpha: Tensor) -> Tensor:
        """One-hot at the largest entry of each row, with the gradient at the alphas themselves; softmaxed perhaps."""
        one_hot = torch.zeros_like(alpha).scatter(-1, alpha.argmax(dim=-1, keepdim=True), 1.0)
        point = one_hot + (alpha - alpha.detach())
        return point.softmax(dim=-1) if self.config.nasp.softmax_one_hot else point

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        """The two steps, then all alphas back into [0, 1] (`train_search.py:254`)."""
        result = super().step(index, training, validation)
        with torch.no_grad():
            for alpha in self.alphas:
                alpha.clamp_(0, 1)
        return result
