"""DARTS (Liu et al. 2019), first order, and SDARTS (Chen & Hsieh 2020), which perturbs it.

DARTS relaxes each choice by a softmax over alphas and alternates two steps: the alphas descend the validation loss at
the present weights, the weights descend the training loss at the present mixture. That is the base class as it stands.
SDARTS changes what the weight step multiplies: a mixture moved at random (RS) or towards a larger training loss (ADV).
"""

from __future__ import annotations

from optimizers.base import Optimizer
from optimizers.registry import register, register_preset


@register("darts", "first-order DARTS (Liu et al. 2019)")
class Darts(Optimizer):
    """Alphas descend the validation loss, weights the training loss (SmoothDARTS `optimizers/darts`)."""


register_preset(
    "sdarts_rs",
    Darts,
    {"perturbation.kind": "uniform"},
    "DARTS with random smoothing (Chen & Hsieh 2020, equation 3)",
)
register_preset(
    "sdarts_adv",
    Darts,
    {"perturbation.kind": "adversarial"},
    "DARTS with adversarial perturbation (Chen & Hsieh 2020, equation 4)",
)
