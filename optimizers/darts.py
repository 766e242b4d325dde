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

# The regularised DARTS that section 5.5 and figure 3 compare with (appendix 7.1): settings that any method can carry.

register_preset(
    "hessian_reg",
    Darts,
    {"hessian_penalty.coefficient": 0.3},  # ours, see docs/methods.md
    "DARTS with a penalty on a finite difference of the Hessian (Chen & Hsieh 2020, section 4)",
    companions=False,
)

register_preset(
    "darts_es",
    Darts,
    {"early_stopping.enabled": True},  # RobustDARTS src/search/args.py:61-64 has the other settings
    "DARTS, stopped early where the Hessian's largest eigenvalue grows (Zela et al. 2020a)",
    companions=False,
)

register_preset(
    "r_darts_l2",
    Darts,
    {"weights.weight_decay": 9e-4},  # of the grid, the best by validation error in RobustDARTS's search logs
    "DARTS with more weight decay (Zela et al. 2020a)",
    companions=False,
    grid=("weights.weight_decay", (3e-4, 9e-4, 27e-4, 81e-4, 243e-4)),  # RobustDARTS scripts/start_search.sh:5
)

register_preset(
    "r_darts_dp",
    Darts,
    {"drop_path.probability": 0.2},  # RobustDARTS src/search/args.py:49
    "DARTS with scheduled drop-path (Zela et al. 2020a)",
    companions=False,
    grid=("drop_path.probability", (0.0, 0.2, 0.4, 0.6)),  # RobustDARTS scripts/start_search.sh:6
)
