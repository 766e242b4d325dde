"""Perturbation of a mixture within a ball: SDARTS-RS and SDARTS-ADV (equations 3 and 4).

The perturbed mixture is what the weight step multiplies; the alphas never see it. As in the published code
(SmoothDARTS `attacker/perturb.py`) the perturbed rows are clamped and renormalised, so that they stay on the simplex;
since that comes after the projection, an entry may end further than epsilon from where it was.

What is perturbed is the mixture that the weight step multiplies, whatever method it comes from: soft, binarised or
sampled. Each kind of cell has a ball of its own; where each cell has a mixture of its own, so has each cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optimizers.companions.base import Companion, Host
from optimizers.companions.registry import register_companion
from optimizers.config import PerturbationConfig
from optimizers.steps import Batch, StepIndex, at_step, placed
from spaces.mixture import Mixture, groups_of


@register_companion
class Perturbation(Companion):
    """Moves the mixture of the weight step.

    Attributes:
        noise: what was drawn for the epoch, a tensor `[steps, *shape]` for each row; where cells have mixtures of their
            own, `[steps, cells, *shape]` with the cells of the row's kind.
        radius: of the ball in this epoch, 0-dimensional float64 on the device, where a captured step reads it.
    """

    name = "perturbation"
    config_class = PerturbationConfig
    joins = "mixtures"
    zeroes_gradients = True
    config: PerturbationConfig
    radius: Tensor

    def __init__(self, config: PerturbationConfig, epochs: int) -> None:
        super().__init__(config, epochs)
        self.noise: list[Tensor] = []

    @classmethod
    def joins_with(cls, config: PerturbationConfig) -> bool:
        """Whether anything is perturbed."""
        return config.kind != "none"

    def begin(self, search: Host, epoch: int) -> None:
        """Set the radius, and draw the noise of all steps, each kind of cell by itself."""
        if not self.noise:
            self.radius = torch.zeros((), dtype=torch.float64, device=search.device)
        self.radius.fill_(self.epsilon(epoch))
        generator = search.randomness.generator("perturbation", epoch)
        layout = search.supernet.space.layout
        draws: dict[int, Tensor] = {}
        for group in groups_of(layout):
            indices = [index for index, row in enumerate(layout) if row.group == group]
            mixtures = (search.steps, search.supernet.cells_of(group)) if search.per_cell else (search.steps,)
            shapes = [layout[index].shape for index in indices]
            drawn = self.draw(shapes, math.prod(mixtures), generator, search.dtype)
            for index, draw in zip(indices, drawn, strict=True):
                draws[index] = draw.view(*mixtures, *draw.shape[1:])
        self.noise = placed(self.noise, [draws[index] for index in range(len(layout))], search.device)

    def mixture(self, search: Host, mixture: Mixture, index: StepIndex, training: Batch) -> Mixture:
        """The perturbed mixture."""
        loss = search.attack_loss(training) if self.config.kind == "adversarial" else None
        return self.apply(mixture, at_step(self.noise, index), self.radius, loss)

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
        start = [clip_to_simplex(row + epsilon * draw) for row, draw in zip(mixture.rows, noise, strict=True)]
        if self.config.kind != "adversarial":
            return mixture.with_rows(start)
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
            gradients = torch.autograd.grad(loss(mixture.with_rows(leaves)), leaves)
            moves = self._steepest(mixture, gradients)
            deltas = [row + size * move - point for point, row, move in zip(clean, rows, moves, strict=True)]
            deltas = self._project(mixture, deltas, epsilon)
            rows = [clip_to_simplex(point + delta) for point, delta in zip(clean, deltas, strict=True)]
        with torch.no_grad():
            loss_after = loss(mixture.with_rows(rows))
        failed = loss_before > loss_after
        return mixture.with_rows([torch.where(failed, point, row) for point, row in zip(clean, rows, strict=True)])

    def _steepest(self, mixture: Mixture, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The direction of steepest ascent, of length 1 in the ball's norm."""
        if self.config.norm == "linf":
            return [gradient.sign() for gradient in gradients]
        return _scaled(mixture, gradients, lambda length: 1 / length.clamp(min=1e-30))

    def _project(self, mixture: Mixture, deltas: Sequence[Tensor], epsilon: float | Tensor) -> list[Tensor]:
        """The nearest point of the ball."""
        if self.config.norm == "linf":
            limit = torch.as_tensor(epsilon, dtype=torch.float64, device=deltas[0].device)
            return [delta.clamp(-limit, limit) for delta in deltas]
        return _scaled(mixture, deltas, lambda length: (epsilon / length.clamp(min=1e-30)).clamp(max=1))


def _scaled(mixture: Mixture, rows: Sequence[Tensor], factor_of: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Tensors of a mixture's shapes, all that belong to one cell times a factor of their joint l2 norm.

    Args:
        mixture: says which rows belong together, and whether each cell has its own.
        rows: the tensors.
        factor_of: the factor from the norm, 0-dimensional, or `[cells]` where each cell has its own rows.
    """
    scaled = list(rows)
    cells = 1 if mixture.per_cell else 0
    for group in groups_of(mixture.layout):
        indices = mixture.indices(group)
        flat = torch.cat([rows[index].flatten(cells) for index in indices], dim=-1)
        factor = factor_of(torch.linalg.vector_norm(flat, dim=-1))
        for index in indices:
            shape = rows[index].shape
            scaled[index] = rows[index] * factor.view(*factor.shape, *(1 for _ in shape[factor.dim() :]))
    return scaled


def clip_to_simplex(row: Tensor) -> Tensor:
    """Clamp to [0, 1] and divide by the sum, along the last dimension (`attacker/perturb.py`, `clip`).

    Where nothing is left the largest entry becomes 1. This is the published code's map, not the Euclidean projection.
    """
    clamped = row.clamp(0, 1)
    total = clamped.sum(dim=-1, keepdim=True)
    empty = total == 0
    largest = torch.zeros_like(row).scatter(-1, row.argmax(dim=-1, keepdim=True), 1.0)
    return torch.where(empty, largest, clamped / torch.where(empty, 1.0, total))
