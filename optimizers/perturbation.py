"""Perturbation of a mixture within an l-infinity ball: SDARTS-RS and SDARTS-ADV (equations 3 and 4).

The perturbed mixture is what the weight step multiplies; the alphas never see it. As in the published code
(SmoothDARTS `attacker/perturb.py`) the perturbed rows are clamped and renormalised, so that they stay on the simplex;
since that comes after the projection, an entry may end further than epsilon from where it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optimizers.config import PerturbationConfig
from spaces.mixture import Mixture


class Perturbation:
    """Moves a mixture; composes with any method that has one.

    Args:
        config: kind, radius and schedule.
        epochs: length of the search, for the schedule.
    """

    def __init__(self, config: PerturbationConfig, epochs: int) -> None:
        self.config = config
        self.epochs = epochs

    @property
    def needs_loss(self) -> bool:
        """Whether `apply` evaluates the loss it is given."""
        return self.config.kind == "adversarial"

    def epsilon(self, epoch: int) -> float:
        """Radius in an epoch, counted from 0."""
        config = self.config
        intervals = max(self.epochs - 1, 1) if config.reach_end else self.epochs
        return config.epsilon_start + (config.epsilon_end - config.epsilon_start) * epoch / intervals

    def draw(
        self, shapes: Sequence[tuple[int, ...]], steps: int, generator: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        """Noise for all steps of an epoch, before it is scaled by epsilon.

        Returns:
            one CPU tensor `[steps, *shape]` for each shape: uniform in [-1, 1], or normal with that variance (1/3).
        """
        if self.config.kind == "gaussian":
            return [torch.randn((steps, *shape), generator=generator, dtype=dtype) / math.sqrt(3) for shape in shapes]
        return [torch.rand((steps, *shape), generator=generator, dtype=dtype) * 2 - 1 for shape in shapes]

    def apply(
        self, mixture: Mixture, noise: Sequence[Tensor], epsilon: float, loss: Callable[[Mixture], Tensor] | None = None
    ) -> Mixture:
        """The mixture that the weight step sees.

        Args:
            mixture: the clean point, on the simplex, detached.
            noise: one tensor for each row tensor, as `draw` gives.
            epsilon: radius of the ball.
            loss: training loss of a mixture at fixed weights; only the attack needs it.
        """
        if self.config.kind == "none":
            return mixture
        start = [clip_to_simplex(row + epsilon * draw) for row, draw in zip(mixture.rows, noise, strict=True)]
        if self.config.kind != "adversarial":
            return Mixture.from_rows(start)
        assert loss is not None
        return self._attack(mixture, start if self.config.random_start else mixture.rows, epsilon, loss)

    def _attack(
        self, mixture: Mixture, start: Sequence[Tensor], epsilon: float, loss: Callable[[Mixture], Tensor]
    ) -> Mixture:
        """Projected gradient ascent on the loss; the clean point is put back if the loss did not rise."""
        clean = mixture.rows
        with torch.no_grad():
            loss_before = loss(mixture)
        rows = list(start)
        size = 2 * epsilon / self.config.steps
        for _ in range(self.config.steps):
            leaves = [row.detach().requires_grad_() for row in rows]
            gradients = torch.autograd.grad(loss(Mixture.from_rows(leaves)), leaves)
            rows = [
                clip_to_simplex(point + (row + size * gradient.sign() - point).clamp(-epsilon, epsilon))
                for point, row, gradient in zip(clean, rows, gradients, strict=True)
            ]
        with torch.no_grad():
            loss_after = loss(Mixture.from_rows(rows))
        failed = loss_before > loss_after
        return Mixture.from_rows([torch.where(failed, point, row) for point, row in zip(clean, rows, strict=True)])


def clip_to_simplex(row: Tensor) -> Tensor:
    """Clamp to [0, 1] and divide by the sum, along the last dimension (`attacker/perturb.py`, `clip`).

    Where nothing is left the largest entry becomes 1. This is the published code's map, not the Euclidean projection.
    """
    clamped = row.clamp(0, 1)
    total = clamped.sum(dim=-1, keepdim=True)
    empty = total == 0
    largest = torch.zeros_like(row).scatter(-1, row.argmax(dim=-1, keepdim=True), 1.0)
    return torch.where(empty, largest, clamped / torch.where(empty, 1.0, total))
