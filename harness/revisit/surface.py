"""The landscape of the supernet's validation accuracy over the alphas (figure 1 of the paper).

A plane through the alphas A of an epoch: x along the gradient of the validation loss, y along a random direction
orthogonal to it, both of length 1 over all alphas together. The weights stay as they are, batch norm's statistics
included. Everything is measured as the epoch's recorded accuracy was, so that the centre is that accuracy.

The paper says no more than that, and the published code draws no landscape. Extent and number of points are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.errors import UserError
from harness.revisit.search import Measured, Revisited, ValidationPass
from spaces.mixture import Mixture


def check_suitable(then: Revisited) -> None:
    """Refuse a method whose accuracy is no function of alphas.

    Raises:
        UserError: it has no alphas, or draws a mixture anew in every pass.
    """
    name = then.record["optimizer"]
    if not then.search.optimizer.alphas:
        raise UserError(f"{then.folder.path}: {name} has no alphas, so that there is no landscape over them")
    if then.search.optimizer.samples_mixtures:
        raise UserError(
            f"{then.folder.path}: {name} samples its mixture anew in every pass, so that its accuracy is no function "
            "of the alphas; expected a method that relaxes them, such as darts"
        )


def coordinates(radius: float, points: int) -> list[float]:
    """Equally spaced from -radius to radius, exactly symmetric, with 0 in the middle of an odd number of points."""
    half = points // 2
    return [radius * step / half for step in range(-half, half + 1)]


class Surface:
    """A plane through the alphas of an epoch, and the supernet's validation accuracy on it.

    Args:
        then: the search after that epoch; its method is suitable.

    Attributes:
        alphas: the centre, copies.
        gradient_norm: length of the gradient of the validation loss over all alphas.
        x, y: the directions, in the alphas' shapes.

    Raises:
        UserError: the gradient is zero or not finite, so that it has no direction.
    """

    def __init__(self, then: Revisited) -> None:
        self.optimizer = then.search.optimizer
        self.validation = ValidationPass(then)
        self.alphas = [alpha.detach().clone() for alpha in self.optimizer.alphas]
        gradient = _flat(self.gradient())
        length = torch.linalg.vector_norm(gradient)
        self.gradient_norm = float(length)
        if not 0 < self.gradient_norm < float("inf"):
            raise UserError(
                f"{then.folder.path}: epoch {then.epoch}: the gradient of the validation loss has length "
                f"{self.gradient_norm}, so no direction; take another epoch"
            )
        generator = then.search.randomness.generator("landscape", then.epoch)
        along = gradient / length
        across = torch.randn(len(along), generator=generator, dtype=torch.float64).to(along)
        # Twice, since what is left of the first removal's rounding grows when the rest is small.
        for _ in range(2):
            across = across - (across @ along) * along
            across = across / torch.linalg.vector_norm(across)
        self.x, self.y = self._shaped(along), self._shaped(across)

    def gradient(self) -> list[Tensor]:
        """Gradient for each alpha of the validation loss, of the whole split, in evaluation mode, in float64.

        Every operation is evaluated, since one that is left out would have no gradient.
        """
        task, batch_size = self.optimizer.task, self.validation.search.validation.batch_size
        total = [torch.zeros_like(alpha, dtype=torch.float64) for alpha in self.alphas]
        for stem, targets in self.validation.stems(batch_size):
            mixture = self.optimizer.mixture("evaluation")
            outputs = self.validation.supernet.after_stem(self.validation.weights, mixture, stem)
            loss = task.total_loss(outputs, targets)
            for sum_, part in zip(total, torch.autograd.grad(loss, self.optimizer.alphas), strict=True):
                sum_ += part
        return [sum_ / self.validation.search.validation.count for sum_ in total]

    def row(self, x: Sequence[float], y: float) -> list[Measured]:
        """Accuracy and loss at the points (x, y) of one row."""
        return self.validation.measure([self._mixture(step, y) for step in x])

    @torch.no_grad()
    def _mixture(self, x: float, y: float) -> Mixture:
        """What the supernet multiplies at a point; the alphas are put back."""
        for alpha, centre, along, across in zip(self.optimizer.alphas, self.alphas, self.x, self.y, strict=True):
            alpha.copy_(centre + x * along + y * across)
        mixture = self.optimizer.mixture("evaluation")
        for alpha, centre in zip(self.optimizer.alphas, self.alphas, strict=True):
            alpha.copy_(centre)
        return mixture

    def _shaped(self, flat: Tensor) -> list[Tensor]:
        parts = torch.split(flat, [alpha.numel() for alpha in self.alphas])
        return [part.view_as(alpha) for part, alpha in zip(parts, self.alphas, strict=True)]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
