"""DARTS (Liu et al. 2019) and, by perturbation, SDARTS (Chen & Hsieh 2020).

DARTS relaxes each choice by a softmax over alphas and alternates two steps:

    the alphas descend the validation loss L_val(w, A) at the present weights w (first order), or at those one step
    ahead (second order, `optimizers.unrolled`);
    the weights descend the training loss L_train(w, A) at the present mixture.

SDARTS changes what the second step multiplies: a mixture moved at random (RS) or towards a larger training loss (ADV).
That is a companion (`optimizers.companions.perturbation`) which any method that relaxes can carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from optimizers.base import Optimizer
from optimizers.registry import register, register_preset
from optimizers.steps import Batch, StepIndex, StepResult
from optimizers.unrolled import unrolled_gradient
from optimizers.weight_training import train_on
from spaces.mixture import Mixture


@register("darts", "first-order DARTS (Liu et al. 2019)", perturbed="sdarts")
class Darts(Optimizer):
    """Alphas descend the validation loss, weights the training loss (SmoothDARTS `optimizers/darts`).

    Attributes:
        alpha_optimizer: Adam, which moves the alphas.
    """

    alpha_optimizer: torch.optim.Adam

    def start(self, *stage: int) -> None:
        """As any method, and with Adam at its start."""
        super().start(*stage)
        config = self.config.alphas
        self.alpha_optimizer = torch.optim.Adam(
            self.alphas,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            capturable=self.captured,
        )

    def relax(self) -> Mixture:
        """A softmax of every row of alphas."""
        return self.supernet.space.mixture([alpha.softmax(dim=-1) for alpha in self.alphas])

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        """Move the alphas on a validation batch, then the weights on a training batch."""
        if self.moves_alphas:
            self.architecture_step(index, training, validation)
        return self.weight_step(index, training)

    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        """One step of Adam on the alphas."""
        gradients = self.architecture_gradient(index, training, validation)
        for alpha, gradient in zip(self.alphas, gradients, strict=True):
            alpha.grad = gradient
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()

    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        """Gradient for each alpha, of the validation loss at the present weights or at those one step ahead, and of
        what companions add to it."""
        gradients: Sequence[Tensor]
        if self.config.alphas.unrolled:
            gradients = unrolled_gradient(self, index, training, validation)
        else:
            loss = self.loss(self.weights.frozen(), self.mixture("architecture", index), validation)
            gradients = torch.autograd.grad(loss, self.alphas)
        for companion in self.companions:
            gradients = companion.gradient(self, gradients, index, validation)
        return gradients

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        """One step of SGD on the weights."""
        mixture = self.weight_mixture(index, training)
        return train_on(self, mixture, index, training, pile_up=self.gradients_pile_up)

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        """What the weight step of this epoch's step `index` multiplies: the mixture, as companions leave it."""
        with torch.no_grad():
            mixture = self.mixture("weights", index)
        for companion in self.companions:
            mixture = companion.mixture(self, mixture, index, training)
        return mixture

    @property
    def gradients_pile_up(self) -> bool:
        """Whether this epoch's weight steps leave their gradients for the next one, as published for warm starts."""
        zeroed = self.moves_alphas or any(companion.zeroes_gradients for companion in self.companions)
        return self.config.weights.pile_up_gradients and not zeroed

    @property
    def capturable(self) -> bool:
        """As of any method, unless gradients pile up, or the step ahead is at the published rate of the host."""
        alphas = self.config.alphas
        piles_up = alphas.warm_start_epochs and self.config.weights.pile_up_gradients
        return super().capturable and not (piles_up or (alphas.unrolled and alphas.unrolled_published_rate))

    def state_dict(self) -> dict[str, Any]:
        """The state of any search, and Adam's."""
        return {**super().state_dict(), "alpha_optimizer": self.alpha_optimizer.state_dict()}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        super().load_state_dict(saved)
        self.alpha_optimizer.load_state_dict(saved["alpha_optimizer"])


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """Gradients, made shorter together where their joint norm exceeds the largest allowed."""
    norm = torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients]))
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    return [factor * gradient for gradient in gradients]


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
