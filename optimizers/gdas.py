"""GDAS (Dong & Yang 2019): one sampled operation in each block of each cell.

Every forward pass draws Gumbel noise anew for every cell. A block evaluates only the operation that wins, with
coefficient 1, while its gradient is that of a softmax at a temperature which falls over the search (straight through,
section 3.2); the parents' and the output's coefficients stay soft. An operation that did not win costs nothing
and learns nothing in that pass. Validation accuracy and Hessian are of sampled mixtures, too.

A perturbation moves what the weight step multiplies: the coefficients sampled for each cell, the one-hot ones included,
so that an operation which it lifts above zero is evaluated. The attack evaluates all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import torch
from torch import Tensor

from optimizers.config import OptimizerConfig, Range
from optimizers.darts import Darts, clipped
from optimizers.registry import register
from optimizers.steps import Batch, Purpose, StepIndex, at_step
from spaces.mixture import Mixture


@dataclass(frozen=True)
class GumbelConfig:
    """How operations are sampled (SmoothDARTS `optimizers/gdas`)."""

    temperature_start: Annotated[float, Range(0, 1e6, low_open=True)] = 10.0
    """Temperature of the first epoch (`train_search.py:60`)."""

    temperature_end: Annotated[float, Range(0, 1e6, low_open=True)] = 1.0
    """Temperature after the last epoch; every epoch it falls by the same amount (`train_search.py:61,128,201`)."""

    gradient_clip: Annotated[float, Range(0, 1e12, low_open=True)] = 5.0
    """Largest norm of the alphas' gradient, before Adam adds its weight decay (`architect.py:27`)."""


@dataclass(frozen=True)
class GdasConfig(OptimizerConfig):
    """Settings of GDAS; the common ones are those of DARTS (`train_search.py:36-57`)."""

    gumbel: GumbelConfig = field(default_factory=GumbelConfig)
    """How operations are sampled."""


@register("gdas", "GDAS, one sampled operation in each block (Dong & Yang 2019)")
class Gdas(Darts):
    """Mixtures sampled for each cell of each forward pass.

    Attributes:
        gumbel: purpose -> noise of the epoch's steps, a tensor `[steps, cells, *shape]` for each row, with the cells of
            its kind.
    """

    config_class = GdasConfig
    per_cell = True
    samples_mixtures = True

    config: GdasConfig
    gumbel: dict[Purpose, list[Tensor]]

    @property
    def skips_operations(self) -> bool:
        return True

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        unrolled: list[Purpose] = ["unrolled", "unrolled_plus", "unrolled_minus"]
        purposes: list[Purpose] = ["architecture", "weights", *(unrolled if self.config.alphas.unrolled else [])]
        self.gumbel = {purpose: self.draw_gumbel(purpose, epoch, passes=self.steps) for purpose in purposes}

    def draw_gumbel(self, purpose: Purpose, *key: int, passes: int = 1) -> list[Tensor]:
        """Gumbel noise for so many passes, `[passes, cells, *shape]` for each row."""
        generator = self.randomness.generator(f"gumbel {purpose}", *key)
        layout = self.supernet.space.layout
        shapes = [(passes, self.supernet.cells_of(row.group), *row.shape) for row in layout]
        draws = [torch.empty(shape, dtype=self.dtype).exponential_(generator=generator) for shape in shapes]
        return [-draw.log().to(self.device) for draw in draws]

    def temperature(self, purpose: Purpose) -> float:
        """The temperature of the epoch; the validation score is at the next epoch's (`train_search.py:201`)."""
        epoch = self.epochs_begun if purpose == "evaluation" else self.epoch
        config = self.config.gumbel
        return config.temperature_start + (config.temperature_end - config.temperature_start) * epoch / self.epochs

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        """One sample for each cell (`model_search.py:97-100`)."""
        if purpose in ("hessian", "evaluation"):
            noise = [draw[0] for draw in self.draw_gumbel(purpose, self.epochs_begun, int(index))]
        else:
            noise = at_step(self.gumbel[purpose], index)
        temperature = self.temperature(purpose)
        layout = self.supernet.space.layout
        soft = [((alpha + n) / temperature).softmax(dim=-1) for alpha, n in zip(self.alphas, noise, strict=True)]
        rows = (
            _straight_through(values) if row.kind == "operation" else values
            for row, values in zip(layout, soft, strict=True)
        )
        return Mixture(layout, tuple(rows))

    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> list[Tensor]:
        """The gradient of DARTS through the sample, clipped: a low temperature makes it large."""
        gradients = super().architecture_gradient(index, training, validation)
        return clipped(gradients, self.config.gumbel.gradient_clip)


def _straight_through(soft: Tensor) -> Tensor:
    """One-hot at the largest entry of each row, with the gradient of the soft rows; the others are exactly zero."""
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
    return hard - soft.detach() + soft
