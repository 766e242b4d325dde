"""DARTS (Liu et al. 2019) and, by perturbation, SDARTS (Chen & Hsieh 2020).

DARTS relaxes each choice by a softmax over alphas and alternates two steps: the alphas descend the validation loss, the
weights descend the training loss at the present mixture. The first is taken at the present weights (first order) or at
those one step ahead (second order, `optimizers.unrolled`). That is the base class as it stands. SDARTS changes what the
weight step multiplies: a mixture moved at random (RS) or towards a larger training loss (ADV).
"""

from __future__ import annotations

from optimizers.base import Optimizer
from optimizers.registry import register, register_preset


@register("darts", "first-order DARTS (Liu et al. 2019)", perturbed="sdarts")
class Darts(Optimizer):
    """Alphas descend the validation loss, weights the training loss (SmoothDARTS `optimizers/darts`)."""


register_preset(
    "darts_2nd",
    Darts,
    {"alphas.unrolled": True},  # optimizers/darts/train_search.py, --unrolled
    "second-order DARTS (Liu et al. 2019, equation 7)",
)
