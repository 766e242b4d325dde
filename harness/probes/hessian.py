"""Curvature of the validation loss with respect to the alphas (section 4; SmoothDARTS `optimizers/analyze.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.probes.base import Probe, State
from optimizers.base import Optimizer
from optimizers.steps import Batch
from spaces.base import Pass
from spaces.mixture import Mixture


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


class HessianProbe(Probe):
    """The spectrum of the Hessian of the validation loss by the alphas, on the epoch's last validation batch."""

    name = "hessian"
    phase = "hessian"

    def due(self, state: State) -> bool:
        """At the epochs of the settings, and where a companion watches the largest eigenvalue; never without alphas."""
        return bool(state.optimizer.alphas) and (state.hessian_due or "lambda_max" in state.wanted)

    def nothing(self, state: State) -> dict[str, float | None]:
        """The fields of `Spectrum`, all None."""
        return dict.fromkeys(field.name for field in dataclasses.fields(Spectrum))

    def measure(self, state: State) -> dict[str, float | None]:
        """The fields of `Spectrum`; None where the Hessian is not finite."""
        hessian = loss_hessian(state.optimizer, state.last)
        if not torch.isfinite(hessian).all():
            return self.nothing(state)
        return dataclasses.asdict(spectrum(hessian, state.optimizer.config.alphas.weight_decay))


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


def loss_hessian(optimizer: Optimizer, batch: Batch) -> Tensor:
    """Second derivatives of a method's validation loss by its alphas, exact up to rounding; statistics stay.

    Where the method declares the task's plain loss, and the network knows that loss's exact curvature by the mixture's
    coefficients, they follow from that at a fraction of the cost; otherwise they are taken row by row.

    Returns:
        `[m, m]`, symmetric, the alphas flattened and in order.
    """
    offered = optimizer.task.loss_name in optimizer.supernet.abilities.curvature_of
    if not (offered and optimizer.plain_loss) or optimizer.skips_operations:
        loss = optimizer.architecture_loss(batch, update_statistics=False)
        return exact_hessian(loss, optimizer.alphas, shift_invariant=optimizer.shift_invariant)
    alphas, mixture = optimizer.alphas, optimizer.mixture("hessian")
    entries = torch.cat([row.flatten() for row in mixture.rows])
    jacobian = torch.stack([_flat_gradient(entry, alphas, again=True) for entry in entries])
    kept, rebuilt = _independent(alphas, optimizer.shift_invariant)
    curvature = optimizer.supernet.curvature(
        optimizer.weights, mixture, batch.inputs, batch.targets, mixture.along(jacobian[:, kept].T)
    )
    # The mixture is no linear function of the alphas: its own second derivative, pulled by the loss's first one.
    pull = torch.cat([slope.flatten() for slope in curvature.gradient]) @ entries
    by_mixture = exact_hessian(pull, alphas, shift_invariant=optimizer.shift_invariant)
    return (rebuilt @ curvature.hessian @ rebuilt.T).to(by_mixture.dtype) + by_mixture


def _independent(alphas: Sequence[Tensor], shift_invariant: bool) -> tuple[list[int], Tensor]:
    """Entries whose columns of the Jacobian are computed, and `[m, kept]` that makes all columns of these."""
    ends = _group_ends(alphas) if shift_invariant else {}
    entries = sum(alpha.numel() for alpha in alphas)
    kept = [index for index in range(entries) if index not in ends]
    rebuilt = torch.zeros((entries, len(kept)), dtype=torch.float64, device=alphas[0].device)
    for column, index in enumerate(kept):
        rebuilt[index, column] = 1
        end = next((end for end, first in ends.items() if first <= index < end), None)
        if end is not None:
            rebuilt[end, column] = -1
    return kept, rebuilt


def _flat_gradient(value: Tensor, alphas: Sequence[Tensor], *, again: bool = False) -> Tensor:
    """Gradient of a number, `[m]`: a first one that can be differentiated, or one of its entries' own."""
    if not value.requires_grad:
        return torch.cat([torch.zeros_like(alpha).flatten() for alpha in alphas])
    parts = torch.autograd.grad(
        value, alphas, create_graph=not again, retain_graph=True, materialize_grads=True, allow_unused=True
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


def mixture_hessian(optimizer: Optimizer, mixture: Mixture, batch: Batch) -> Tensor:
    """Second derivatives `[m, m]` of a batch's task loss by a mixture's coefficients, batch norm in training mode.

    The loss is the task's, whatever a method's own is; coefficients of zero count, too.
    """
    supernet, weights = optimizer.supernet, optimizer.weights
    if optimizer.task.loss_name in supernet.abilities.curvature_of:
        coefficients = sum(row.numel() for row in mixture.rows)
        along = mixture.along(torch.eye(coefficients, dtype=optimizer.dtype, device=optimizer.device))
        return supernet.curvature(weights, mixture, batch.inputs, batch.targets, along).hessian
    leaves = [row.detach().requires_grad_() for row in mixture.rows]
    how = Pass(training=True, update_statistics=False, twice_differentiable=True, noise=batch.noise)
    outputs = supernet(weights.frozen(), mixture.with_rows(leaves), batch.inputs, how)
    return exact_hessian(optimizer.task.loss(outputs, batch.targets), leaves)
