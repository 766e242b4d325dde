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
mixture that could be projected, and one with an evaluation of its own says so (`Optimizer.projects`). All five are None
then.
"""

from __future__ import annotations

import math

import torch

from harness.probes.base import Probe, State
from harness.probes.hessian import mixture_hessian, spectrum
from harness.probes.validation import validate
from optimizers.base import Optimizer
from optimizers.weight_training import folded_weights
from spaces.base import Pass
from spaces.mixture import Mixture

FIELDS = ("projection_loss", "projection_accuracy", "mixture_distance", "mixture_spectral_norm", "entropy")


class ProjectionProbe(Probe):
    """Loss and accuracy at the derived architecture's mixture, its distance, the curvature there, and the entropy."""

    name = "projection"
    phase = "projection"

    def measure(self, state: State) -> dict[str, float | None]:
        """The entries `FIELDS`, with the task's score for accuracy; None where there is none, or it is not finite."""
        optimizer = state.optimizer
        of_score = f"projection_{optimizer.task.score.name}"
        names = (of_score if name == "projection_accuracy" else name for name in FIELDS)
        measured: dict[str, float | None] = dict.fromkeys(names)
        if not (optimizer.alphas and optimizer.projects):
            return measured
        present, projected = present_mixture(optimizer), projected_mixture(optimizer)
        refresh = state.config.validation.refresh_statistics
        weights = folded_weights(optimizer, projected, state.last if refresh else None)
        how = Pass(skip_zeros=True)
        score, loss = validate(state, lambda _, inputs: optimizer.supernet(weights, projected, inputs, how))
        numbers = {
            "projection_loss": loss,
            of_score: score,
            "mixture_distance": squared_distance(present, projected),
            "entropy": mean_entropy(present),
        }
        if (
            state.hessian_due
            and state.config.hessian.mixture
            and not (optimizer.samples_mixtures or optimizer.per_cell)
        ):
            hessian = mixture_hessian(optimizer, present, state.last)
            if torch.isfinite(hessian).all():
                numbers["mixture_spectral_norm"] = spectrum(hessian, weight_decay=0.0).spectral_norm
        return measured | {name: value for name, value in numbers.items() if math.isfinite(value)}


def present_mixture(optimizer: Optimizer) -> Mixture:
    """The mixture that a search has come to: what it multiplies, or where it samples, the probabilities."""
    with torch.no_grad():
        return optimizer.relax() if optimizer.samples_mixtures else optimizer.mixture("hessian")


def projected_mixture(optimizer: Optimizer) -> Mixture:
    """The 0/1 mixture of the cell that the search would return now."""
    mixture = optimizer.supernet.space.mixture_of(optimizer.derive(), optimizer.dtype)
    return mixture.map(lambda row: row.to(optimizer.device))


def squared_distance(mixture: Mixture, other: Mixture) -> float:
    """Over all coefficients; where `mixture` has coefficients for each cell, the mean over the cells of a kind."""
    differences = [row.double() - theirs.double() for row, theirs in zip(mixture.rows, other.rows, strict=True)]
    cells = [len(difference) if mixture.per_cell else 1 for difference in differences]
    return sum(float(part.square().sum()) / count for part, count in zip(differences, cells, strict=True))


def mean_entropy(mixture: Mixture) -> float:
    """Mean over the rows of entropy / log(length): 1 for a uniform mixture, 0 for a 0/1 one.

    Rows that do not add up to one, as a method of gates has them, are taken as shares.
    """
    rows = [row.double() / row.double().sum(dim=-1, keepdim=True) for row in mixture.rows]
    shares = [-torch.special.xlogy(row, row).sum(dim=-1).flatten() / math.log(row.shape[-1]) for row in rows]
    return float(torch.cat(shares).mean())
