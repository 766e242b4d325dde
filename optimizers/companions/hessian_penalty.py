"""An explicit penalty on the Hessian in the alpha step (section 4, "Controlling spectral norm of Hessian is
non-trivial"; figure 3).

To the validation loss is added, at the present weights,

    coefficient * mean over directions v of | (grad L_val(A + h v) - grad L_val(A - h v)) / (2 h) |^2,

whose gradient goes through the gradients in it. A direction has entries of +1 and -1, drawn anew for every step, so
that the expectation is the squared Frobenius norm of the Hessian (up to the finite difference's error), at least the
square of its spectral norm. The finite difference and the random directions are the paper's; it leaves open what is
taken of the difference (here the square), the directions' distribution and number, the step h and the coefficient.

Cost: each direction takes two forward passes and their gradients, differentiated once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from optimizers.companions.base import Companion, Host
from optimizers.companions.registry import register_companion
from optimizers.config import HessianPenaltyConfig
from optimizers.steps import Batch, StepIndex, at_step, placed


@register_companion
class HessianPenalty(Companion):
    """Adds the gradient of the penalty to that of the validation loss.

    Attributes:
        directions: those of the epoch, a tensor `[steps, directions, *shape]` for each row shape.
    """

    name = "hessian_penalty"
    config_class = HessianPenaltyConfig
    joins = "alphas"
    config: HessianPenaltyConfig

    def __init__(self, config: HessianPenaltyConfig, epochs: int) -> None:
        super().__init__(config, epochs)
        self.directions: list[Tensor] = []

    @classmethod
    def joins_with(cls, config: HessianPenaltyConfig) -> bool:
        """Whether the penalty counts anything."""
        return config.coefficient > 0

    def draw(
        self, shapes: Sequence[tuple[int, ...]], steps: int, generator: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        """Directions for all steps of an epoch: one CPU tensor `[steps, directions, *shape]` of +1 and -1 a shape."""
        size = (steps, self.config.directions)
        return [torch.randint(2, (*size, *shape), generator=generator).to(dtype) * 2 - 1 for shape in shapes]

    def begin(self, search: Host, epoch: int) -> None:
        """Draw the directions of all steps."""
        generator = search.randomness.generator("hessian penalty", epoch)
        draws = self.draw(search.supernet.space.row_shapes, search.steps, generator, search.dtype)
        self.directions = placed(self.directions, draws, search.device)

    def gradient(
        self, search: Host, gradients: Sequence[Tensor], index: StepIndex, validation: Batch
    ) -> Sequence[Tensor]:
        """The gradient of validation loss and penalty for each alpha."""
        curvature = self.curvature(search, index, validation, at_step(self.directions, index))
        penalty = torch.autograd.grad(self.config.coefficient * curvature, search.alphas, materialize_grads=True)
        return [gradient + more for gradient, more in zip(gradients, penalty, strict=True)]

    def curvature(self, search: Host, index: StepIndex, validation: Batch, directions: Sequence[Tensor]) -> Tensor:
        """The mean of the squared differences, 0-dimensional, differentiable in the alphas.

        Its forward passes leave the running statistics alone.

        Args:
            search: the search.
            index: the step.
            validation: the batch of the validation loss.
            directions: a tensor `[directions, *shape]` for each alpha.
        """
        step = self.config.step
        squares: list[Tensor] = []
        for direction in zip(*(part.unbind() for part in directions), strict=True):
            above, below = (_gradient(search, index, validation, direction, distance) for distance in (step, -step))
            squares += [(((a - b) / (2 * step)) ** 2).sum() for a, b in zip(above, below, strict=True)]
        return torch.stack(squares).sum() / len(directions[0])


def _gradient(
    search: Host, index: StepIndex, validation: Batch, direction: Sequence[Tensor], distance: float
) -> tuple[Tensor, ...]:
    """Gradient of the validation loss some way along a direction, itself differentiable in the alphas."""
    moved = [alpha + distance * part for alpha, part in zip(search.alphas, direction, strict=True)]
    with _at(search, moved):
        mixture = search.mixture("architecture", index)
    weights = search.weights.frozen()
    loss = search.loss(weights, mixture, validation, update_statistics=False, twice=True)
    return torch.autograd.grad(loss, moved, create_graph=True)


@contextlib.contextmanager
def _at(search: Host, alphas: list[Tensor]) -> Iterator[None]:
    """Within it, the mixtures of a search are those of other alphas."""
    kept, search.alphas = search.alphas, alphas
    try:
        yield
    finally:
        search.alphas = kept
