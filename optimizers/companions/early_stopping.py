"""Early stopping where curvature grows (DARTS-ES, Zela et al. 2020a, section 4.3; SmoothDARTS appendix 7.1).

The largest eigenvalue of the Hessian of the validation loss is watched, as the search records it. Its local mean over
`window` measurements is compared with the one `look_back` measurements earlier; once it is more than `ratio` times
that, the search stops. It returns the architecture that the earlier mean is centred on, so with the defaults that of 6
epochs before (RobustDARTS `src/utils.py:31-140`).

The published code watches the largest algebraic eigenvalue, too, but of the Hessian plus the alphas' weight decay of
1e-3 times the identity (`src/search/analyze.py:174`); here it is that of the plain Hessian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from optimizers.companions.base import Companion, Host, Stop
from optimizers.companions.registry import register_companion
from optimizers.config import EarlyStoppingConfig


@register_companion
class EarlyStopping(Companion):
    """Watches curvature, and takes the alphas back to those of an earlier epoch where it grows.

    Attributes:
        measured: epoch -> largest eigenvalue, in order.
    """

    name = "early_stopping"
    config_class = EarlyStoppingConfig
    joins = "alphas"
    config: EarlyStoppingConfig

    def __init__(self, config: EarlyStoppingConfig, epochs: int) -> None:
        super().__init__(config, epochs)
        self.measured: dict[int, float] = {}
        self._alphas: dict[int, list[Tensor]] = {}

    @classmethod
    def joins_with(cls, config: EarlyStoppingConfig) -> bool:
        """Whether the eigenvalue is watched at all."""
        return config.enabled

    def wants(self, epoch: int) -> frozenset[str]:
        """The largest eigenvalue, until the search stops; not after the last epoch, as published."""
        due = self.stop is None and epoch % self.config.every == 0 and epoch < self.epochs
        return frozenset({"lambda_max"}) if due else frozenset()

    def observe(self, search: Host, epoch: int, measured: Mapping[str, float]) -> None:
        """Take note of a measurement, and if the search stops now, take the alphas back to the earlier ones.

        Args:
            search: the search.
            epoch: epochs trained so far.
            measured: the largest eigenvalue as `lambda_max`, infinite where the Hessian is not finite.
        """
        self.measured[epoch] = measured["lambda_max"]
        self._alphas[epoch] = [alpha.detach().clone() for alpha in search.alphas]
        centre = self.config.look_back + self.config.window // 2
        epochs = list(self.measured)
        for forgotten in epochs[: -centre - 1]:
            self._alphas.pop(forgotten, None)
        if len(epochs) < self.config.look_back + self.config.window:
            return
        returned = epochs[-centre - 1]
        now, before = self._local_mean(0), self._local_mean(self.config.look_back)
        # Where the earlier mean is not positive, no growth can be told from it.
        if returned < self.config.start_epoch or before <= 0 or now <= self.config.ratio * before:
            return
        self.stop = Stop(epoch, returned)
        with torch.no_grad():
            for alpha, earlier in zip(search.alphas, self._alphas[returned], strict=True):
                alpha.copy_(earlier)

    def _local_mean(self, back: int) -> float:
        """Mean eigenvalue over the window that ends so many measurements ago."""
        values = list(self.measured.values())
        end = len(values) - back
        return sum(values[end - self.config.window : end]) / self.config.window

    def state_dict(self) -> dict[str, Any]:
        """Everything that survives an epoch."""
        return {
            "measured": dict(self.measured),
            "alphas": dict(self._alphas),
            "stop": None if self.stop is None else asdict(self.stop),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.measured = dict(state["measured"])
        self._alphas = dict(state["alphas"])
        self.stop = None if state["stop"] is None else Stop(**state["stop"])
