"""Curvature of the validation loss with respect to the alphas (section 4; SmoothDARTS `optimizers/analyze.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.capture import Recorded


@dataclass(frozen=True)
class Spectrum:
    """What is recorded of a Hessian.

    Attributes:
        lambda_max: largest eigenvalue.
        lambda_min: smallest eigenvalue.
        spectral_norm: largest absolute eigenvalue, the quantity of the paper's figure 5.
        trace: sum of the eigenvalues, what random smoothing penalises (equation 6).
        published_hessian_norm: what the published code logs under that name: the absolute value of the largest
            algebraic eigenvalue of the Hessian plus the alphas' weight decay (`train_search.py:311-322`). It is not a
            norm: where a negative eigenvalue dominates, the smaller positive one is reported.
    """

    lambda_max: float
    lambda_min: float
    spectral_norm: float
    trace: float
    published_hessian_norm: float


def exact_hessian(loss: Tensor, alphas: Sequence[Tensor], *, shift_invariant: bool = False) -> Tensor:
    """Second derivatives of a loss, row by row, exact up to rounding.

    Args:
        loss: 0-dimensional, with a graph to the alphas.
        alphas: tensors of m entries in all.
        shift_invariant: whether the loss stays the same when a constant is added to all entries along the last
            dimension of an alpha. The rows of each such group then add up to zero, and its last one is not computed
            but follows (7 of 24 in space 1).

    Returns:
        `[m, m]`, symmetric, the alphas flattened and in order.
    """
    gradient = _flat_gradient(loss, alphas)
    return _from_rows(
        lambda index: _flat_gradient(gradient[index], alphas, again=True), alphas, shift_invariant=shift_invariant
    )


class RecordedHessian:
    """`exact_hessian` as two recorded functions: the gradient, and one row (`harness.capture`).

    Args:
        loss: the loss at the present weights and alphas, with a graph to the alphas that has two derivatives; what it
            reads keeps its place.
        alphas: as there.
        device: where they lie.
        shift_invariant: as there.
    """

    def __init__(
        self, loss: Callable[[], Tensor], alphas: Sequence[Tensor], device: torch.device, *, shift_invariant: bool
    ) -> None:
        self._loss, self._alphas, self._shift_invariant = loss, alphas, shift_invariant
        self._set_up = False
        entries = sum(alpha.numel() for alpha in alphas)
        self._direction = torch.zeros(entries, dtype=alphas[0].dtype, device=device)
        self._gradient = Recorded(lambda: _flat_gradient(loss(), alphas), device, set_up=True)
        # A row reads what the recorded gradient left behind: it has memory of its own, and is recorded after it.
        self._row = Recorded(
            lambda: _flat_gradient(self._latest @ self._direction, alphas, again=True), device, set_up=True
        )
        self._latest = self._direction

    def __call__(self) -> Tensor:
        """`[m, m]`, symmetric."""
        if not self._set_up:
            self._set_up = True
            return exact_hessian(self._loss(), self._alphas, shift_invariant=self._shift_invariant)
        self._latest = self._gradient()
        return _from_rows(self._one_row, self._alphas, shift_invariant=self._shift_invariant)

    def _one_row(self, index: int) -> Tensor:
        self._direction.zero_()
        self._direction[index] = 1
        return self._row().clone()


def _flat_gradient(value: Tensor, alphas: Sequence[Tensor], *, again: bool = False) -> Tensor:
    """Gradient of a number, `[m]`: a first one that can be differentiated, or one of its entries' own."""
    parts = torch.autograd.grad(
        value, alphas, create_graph=not again, retain_graph=True, materialize_grads=again, allow_unused=again
    )
    return torch.cat([part.flatten() for part in parts])


def _from_rows(row: Callable[[int], Tensor], alphas: Sequence[Tensor], *, shift_invariant: bool) -> Tensor:
    group_ends = _group_ends(alphas) if shift_invariant else {}
    rows: list[Tensor] = []
    for index in range(sum(alpha.numel() for alpha in alphas)):
        if index in group_ends:
            rows.append(-torch.stack(rows[group_ends[index] :]).sum(dim=0))
        else:
            rows.append(row(index))
    hessian = torch.stack(rows)
    return (hessian + hessian.T) / 2


def _group_ends(alphas: Sequence[Tensor]) -> dict[int, int]:
    """Last entry of each group along the last dimension -> its first, both counted over the flattened alphas."""
    ends: dict[int, int] = {}
    start = 0
    for alpha in alphas:
        size = alpha.shape[-1]
        for _ in range(alpha.numel() // size):
            ends[start + size - 1] = start
            start += size
    return ends


def spectrum(hessian: Tensor, weight_decay: float) -> Spectrum:
    """Eigenvalues of a symmetric matrix, summed up.

    Args:
        hessian: `[m, m]`, without any weight decay on its diagonal.
        weight_decay: that of the alphas, which only the published number includes.
    """
    values = torch.linalg.eigvalsh(hessian.double().cpu())
    largest, smallest = float(values[-1]), float(values[0])
    return Spectrum(
        lambda_max=largest,
        lambda_min=smallest,
        spectral_norm=max(abs(largest), abs(smallest)),
        trace=float(values.sum()),
        published_hessian_norm=abs(largest + weight_decay),
    )
