"""Perturbation of a mixture within a ball: SDARTS-RS and SDARTS-ADV (equations 3 and 4).

The perturbed mixture is what the weight step multiplies; the alphas never see it. As in the published code
(SmoothDARTS `attacker/perturb.py`) the perturbed rows are clamped and renormalised, so that they stay on the simplex;
since that comes after the projection, an entry may end further than epsilon from where it was.

What is perturbed is the mixture that the weight step multiplies, whatever method it comes from: soft, binarised or
sampled. Where each cell has a mixture of its own, each has a ball of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optimizers.config import PerturbationConfig
from spaces.nb101.coefficients import Mixture


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
            one CPU tensor `[steps, *shape]` for each shape: uniform in the unit ball, or normal with that variance, 1/3
            for l-infinity and 1 / (m + 2) for l2 with m entries in all.
        """
        if self.config.kind != "gaussian" and self.config.norm == "linf":
            return [torch.rand((steps, *shape), generator=generator, dtype=dtype) * 2 - 1 for shape in shapes]
        normal = [torch.randn((steps, *shape), generator=generator, dtype=dtype) for shape in shapes]
        entries = sum(math.prod(shape) for shape in shapes)
        if self.config.kind == "gaussian":
            variance = 1 / 3 if self.config.norm == "linf" else 1 / (entries + 2)
            return [draw * math.sqrt(variance) for draw in normal]
        # A direction, and a length whose m-th power is uniform.
        flat = torch.cat([draw.flatten(1) for draw in normal], dim=1)
        length = torch.rand(steps, generator=generator, dtype=dtype) ** (1 / entries)
        factor = length / torch.linalg.vector_norm(flat, dim=1)
        return [draw * factor.view(-1, *(1 for _ in shape)) for draw, shape in zip(normal, shapes, strict=True)]

    def apply(
        self,
        mixture: Mixture,
        noise: Sequence[Tensor],
        epsilon: float | Tensor,
        loss: Callable[[Mixture], Tensor] | None = None,
    ) -> Mixture:
        """The mixture that the weight step sees.

        Args:
            mixture: the clean point, on the simplex, detached.
            noise: one tensor for each row tensor, as `draw` gives.
            epsilon: radius of the ball; a 0-dimensional tensor on the device where the step is captured.
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
        self, mixture: Mixture, start: Sequence[Tensor], epsilon: float | Tensor, loss: Callable[[Mixture], Tensor]
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
            moves = self._steepest(gradients)
            deltas = [row + size * move - point for point, row, move in zip(clean, rows, moves, strict=True)]
            rows = [clip_to_simplex(p + delta) for p, delta in zip(clean, self._project(deltas, epsilon), strict=True)]
        with torch.no_grad():
            loss_after = loss(Mixture.from_rows(rows))
        failed = loss_before > loss_after
        return Mixture.from_rows([torch.where(failed, point, row) for point, row in zip(clean, rows, strict=True)])

    def _steepest(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The direction of steepest ascent, of length 1 in the ball's norm."""
        if self.config.norm == "linf":
            return [gradient.sign() for gradient in gradients]
        return _scaled(gradients, 1 / _length(gradients).clamp(min=1e-30))

    def _project(self, deltas: Sequence[Tensor], epsilon: float | Tensor) -> list[Tensor]:
        """The nearest point of the ball."""
        if self.config.norm == "linf":
            limit = torch.as_tensor(epsilon, dtype=torch.float64, device=deltas[0].device)
            return [delta.clamp(-limit, limit) for delta in deltas]
        return _scaled(deltas, (epsilon / _length(deltas).clamp(min=1e-30)).clamp(max=1))


def _length(rows: Sequence[Tensor]) -> Tensor:
    """Joint l2 norm of a mixture's tensors, 0-dimensional, or `[cells]` where each cell has its own."""
    first = rows[1].dim() - 1  # of the output's vector: 0, or 1 after the cells
    flat = torch.cat([row.flatten(first) for row in rows], dim=-1)
    norm: Tensor = torch.linalg.vector_norm(flat, dim=-1)
    return norm


def _scaled(rows: Sequence[Tensor], factor: Tensor) -> list[Tensor]:
    """All tensors of a mixture times one factor, or one for each cell."""
    return [row * factor.view(*factor.shape, *(1 for _ in row.shape[factor.dim() :])) for row in rows]


def clip_to_simplex(row: Tensor) -> Tensor:
    """Clamp to [0, 1] and divide by the sum, along the last dimension (`attacker/perturb.py`, `clip`).

    Where nothing is left the largest entry becomes 1. This is the published code's map, not the Euclidean projection.
    """
    clamped = row.clamp(0, 1)
    total = clamped.sum(dim=-1, keepdim=True)
    empty = total == 0
    largest = torch.zeros_like(row).scatter(-1, row.argmax(dim=-1, keepdim=True), 1.0)
    return torch.where(empty, largest, clamped / torch.where(empty, 1.0, total))
