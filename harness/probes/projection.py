"""What the end of a search costs, measured after every epoch: the step from mixture to cell (section 4).

A search ends by putting the 0/1 mixture of the derived cell in the place of the mixture that it trained with. By
equation 5 the validation loss rises there by about C = (spectral norm of the Hessian) x (squared distance) at most, if
the gradient is zero and the Hessian the same all the way. That expansion runs over what the network multiplies, so that
the Hessian here is by the mixture's coefficients, and not by the alphas.

    projection_loss         the supernet's validation loss at the derived cell's 0/1 mixture
    projection_accuracy     its validation accuracy there
    mixture_distance        squared Euclidean distance between that mixture and the present one
    mixture_spectral_norm   of the Hessian of the validation loss by the present mixture's coefficients
    entropy                 of the present mixture's rows, each over the logarithm of its length, their mean: 0 to 1

Loss and accuracy are measured like the supernet's own: the same weights and images, batch norm's statistics refreshed
with the mixture that is measured (`validation.refresh_statistics`). With statistics of the trained mixture a 0/1 one
gives losses in the thousands, since its maps are of another scale altogether. The projection gap is `projection_loss -
supernet_valid_loss`; the bound is the product of norm and distance.

The present mixture is the one that the Hessian's forward pass multiplies; with NASP that is the softmax of its one-hot
rows. A method that samples its mixtures (GDAS) has no single one: distance and entropy are of `relax`, the
probabilities that it samples by, and there is no Hessian by the mixture. Where cells have mixtures of their own, the
distance is their mean, and there is no such Hessian either. A method without alphas (ENAS, random search) trains no
mixture that could be projected; one that overrides `derive` without `architecture` does not say which blocks its cell
takes, and one that overrides `evaluation_weights` is evaluated at weights of its own. All five are None then.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harness.probes.hessian import spectrum
from optimizers.base import Batch, Optimizer
from spaces.nb101.coefficients import Mixture, discrete_mixture
from spaces.nb101.curvature import mixture_curvature

FIELDS = ("projection_loss", "projection_accuracy", "mixture_distance", "mixture_spectral_norm", "entropy")

Score = Callable[[Mixture], tuple[float, float]]
"""Accuracy and mean loss of the supernet on the validation split with this mixture."""


def measure(optimizer: Optimizer, score: Score, hessian_batch: Batch | None) -> dict[str, float | None]:
    """The five fields of an epoch's line; None where there is nothing to measure, or it is not finite.

    Args:
        optimizer: the search, after an epoch.
        score: measures the supernet.
        hessian_batch: the batch that the Hessian by the mixture is taken on; None for no Hessian.
    """
    found: dict[str, float | None] = dict.fromkeys(FIELDS)
    if not (optimizer.alphas and _can_be_projected(optimizer)):
        return found
    present, projected = present_mixture(optimizer), projected_mixture(optimizer)
    accuracy, loss = score(projected)
    measured = {
        "projection_loss": loss,
        "projection_accuracy": accuracy,
        "mixture_distance": squared_distance(present, projected),
        "entropy": mean_entropy(present),
    }
    if hessian_batch is not None and not (optimizer.samples_mixtures or optimizer.per_cell):
        hessian = mixture_hessian(optimizer, present, hessian_batch)
        if torch.isfinite(hessian).all():
            measured["mixture_spectral_norm"] = spectrum(hessian, weight_decay=0.0).spectral_norm
    return found | {name: value for name, value in measured.items() if math.isfinite(value)}


def present_mixture(optimizer: Optimizer) -> Mixture:
    """The mixture that a search has come to: what it multiplies, or where it samples, the probabilities."""
    with torch.no_grad():
        return optimizer.relax() if optimizer.samples_mixtures else optimizer.mixture("hessian")


def projected_mixture(optimizer: Optimizer) -> Mixture:
    """The 0/1 mixture of the cell that the search would return now."""
    mixture = discrete_mixture(optimizer.supernet.space, *optimizer.architecture(), dtype=optimizer.dtype)
    return mixture.map(lambda row: row.to(optimizer.device))


def squared_distance(mixture: Mixture, other: Mixture) -> float:
    """Over all coefficients of a cell; where `mixture` has coefficients for each cell, the mean over the cells."""
    differences = [row.double() - theirs.double() for row, theirs in zip(mixture.rows, other.rows, strict=True)]
    cells = len(mixture.operations) if mixture.operations.dim() == 3 else 1
    return sum(float(difference.square().sum()) for difference in differences) / cells


def mean_entropy(mixture: Mixture) -> float:
    """Mean over the rows of entropy / log(length): 1 for a uniform mixture, 0 for a 0/1 one.

    Rows that do not add up to one, as a method of gates has them, are taken as shares.
    """
    rows = [row.double() / row.double().sum(dim=-1, keepdim=True) for row in mixture.rows]
    shares = [-torch.special.xlogy(row, row).sum(dim=-1).flatten() / math.log(row.shape[-1]) for row in rows]
    return float(torch.cat(shares).mean())


def mixture_hessian(optimizer: Optimizer, mixture: Mixture, batch: Batch) -> Tensor:
    """Second derivatives `[m, m]` of a batch's loss by the coefficients, batch norm in training mode.

    The loss is the common one, whatever a method's own is; coefficients of zero count, too.
    """
    coefficients = sum(row.numel() for row in mixture.rows)
    along = mixture.along(torch.eye(coefficients, dtype=optimizer.dtype, device=optimizer.device))
    curvature = mixture_curvature(optimizer.supernet, optimizer.weights, mixture, batch.images, batch.labels, along)
    return curvature.hessian


def _can_be_projected(optimizer: Optimizer) -> bool:
    """Whether `architecture` is what `derive` makes its cell of, and evaluation is that of the contract."""
    kind = type(optimizer)
    says_which = kind.derive is Optimizer.derive or kind.architecture is not Optimizer.architecture
    return says_which and kind.evaluation_weights is Optimizer.evaluation_weights
