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
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from optimizers.config import HessianPenaltyConfig

if TYPE_CHECKING:
    from optimizers.base import Batch, Optimizer


class HessianPenalty:
    """What the alpha step adds to the validation loss; composes with any method that has alphas.

    Args:
        config: how strong, in how many directions, how far.
    """

    def __init__(self, config: HessianPenaltyConfig) -> None:
        self.config = config

    def draw(
        self, shapes: Sequence[tuple[int, ...]], steps: int, generator: torch.Generator, dtype: torch.dtype
    ) -> list[Tensor]:
        """Directions for all steps of an epoch: one CPU tensor `[steps, directions, *shape]` of +1 and -1 a shape."""
        size = (steps, self.config.directions)
        return [torch.randint(2, (*size, *shape), generator=generator).to(dtype) * 2 - 1 for shape in shapes]

    def gradient(self, optimizer: Optimizer, validation: Batch, directions: Sequence[Tensor]) -> Sequence[Tensor]:
        """That of the penalty, for each alpha.

        Args:
            directions: those drawn for the optimizer's present step, a tensor `[directions, *shape]` for each alpha.
        """
        penalty = self.config.coefficient * self.curvature(optimizer, validation, directions)
        return torch.autograd.grad(penalty, optimizer.alphas, materialize_grads=True)

    def curvature(self, optimizer: Optimizer, validation: Batch, directions: Sequence[Tensor]) -> Tensor:
        """The mean of the squared differences, 0-dimensional, differentiable in the alphas.

        Its forward passes leave the running statistics alone.
        """
        step = self.config.step
        squares: list[Tensor] = []
        for direction in zip(*(part.unbind() for part in directions), strict=True):
            above, below = (_gradient(optimizer, validation, direction, distance) for distance in (step, -step))
            squares += [(((a - b) / (2 * step)) ** 2).sum() for a, b in zip(above, below, strict=True)]
        return torch.stack(squares).sum() / len(directions[0])


def _gradient(
    optimizer: Optimizer, validation: Batch, direction: Sequence[Tensor], distance: float
) -> tuple[Tensor, ...]:
    """That of the validation loss some way along a direction, itself differentiable in the alphas."""
    moved = [alpha + distance * part for alpha, part in zip(optimizer.alphas, direction, strict=True)]
    with _at(optimizer, moved):
        mixture = optimizer.mixture("architecture", optimizer.index)
    weights = optimizer.weights.frozen()
    loss = optimizer.loss(weights, mixture, validation, update_statistics=False, twice_differentiable=True)
    return torch.autograd.grad(loss, moved, create_graph=True)


@contextlib.contextmanager
def _at(optimizer: Optimizer, alphas: list[Tensor]) -> Iterator[None]:
    """Within it, the optimizer's mixtures are those of other alphas."""
    kept, optimizer.alphas = optimizer.alphas, alphas
    try:
        yield
    finally:
        optimizer.alphas = kept
