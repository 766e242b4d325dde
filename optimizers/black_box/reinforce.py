"""REINFORCE on independent categorical distributions (Williams 1992), as tabular benchmarks have it.

A logit for each value of each variable, 0 at first. An architecture is drawn value by value; then the logits follow the
gradient of its log-probability, times its reward less a baseline. The reward is the validation accuracy, the baseline
its exponential moving average, corrected for its start, which has the new reward in it already. The defaults are those
of NAS-Bench-1Shot1 (`optimizers/reinforce/run_reinforce.py`): plain ascent at a rate of .1, momentum .9.
NAS-Bench-201's code (D-X-Y/AutoDL-Projects, `exps/NATS-algos/reinforce.py`) ascends with Adam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from optimizers.black_box.base import BlackBox, BlackBoxConfig, Proposal
from optimizers.black_box.registry import register_black_box
from spaces.base import Architecture, Space
from spaces.ranges import Range

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Of Adam (Kingma & Ba 2015)."""


@dataclass(frozen=True)
class ReinforceConfig(BlackBoxConfig):
    """Settings of REINFORCE."""

    learning_rate: Annotated[float, Range(0, 100, low_open=True)] = 0.1
    """Size of a step of the logits."""

    momentum: Annotated[float, Range(0, 1, high_open=True)] = 0.9
    """Share of the baseline that the next reward leaves in place."""

    ascent: Literal["plain", "adam"] = "plain"
    """How logits follow the gradient: scaled by the rate alone, or by Adam."""


@register_black_box("reinforce", "REINFORCE on independent categorical distributions (Williams 1992)")
class Reinforce(BlackBox[ReinforceConfig]):
    """Policy gradient with a moving baseline.

    Attributes:
        logits: one list for each variable, a number for each of its values.
    """

    config_class = ReinforceConfig

    def __init__(self, space: Space[Any], config: ReinforceConfig, seed: int) -> None:
        super().__init__(space, config, seed)
        self.logits = [[0.0] * len(variable.values) for variable in space.variables()]
        self._moments = [[[0.0] * len(row) for row in self.logits] for _ in BETAS]
        self._average = self._weight = 0.0
        self._told = 0

    def propose(self) -> Architecture:
        """An architecture drawn from the present distributions."""
        values = [
            self.random.choices(range(len(probabilities)), weights=probabilities)[0]
            for probabilities in map(_softmax, self.logits)
        ]
        return self.space.of_values(values)

    def observe(self, proposal: Proposal, valid_error: float) -> None:
        """A step along the advantage times the gradient of the log-probability at the present logits."""
        reward, kept = 1 - valid_error, self.config.momentum
        self._average = kept * self._average + (1 - kept) * reward
        self._weight = kept * self._weight + (1 - kept)
        advantage = reward - self._average / self._weight
        self._told += 1
        for row, (logits, value) in enumerate(
            zip(self.logits, self.space.values_of(proposal.architecture), strict=True)
        ):
            for place, probability in enumerate(_softmax(logits)):
                logits[place] += self._step(row, place, advantage * ((place == value) - probability))

    def _step(self, row: int, place: int, gradient: float) -> float:
        """How far one logit moves."""
        if self.config.ascent == "plain":
            return self.config.learning_rate * gradient
        first, second = (
            self._moment(moments[row], place, beta, gradient**power)
            for moments, beta, power in zip(self._moments, BETAS, (1, 2), strict=True)
        )
        return self.config.learning_rate * first / (math.sqrt(second) + EPSILON)

    def _moment(self, moments: list[float], place: int, beta: float, value: float) -> float:
        """A moving average, moved on and corrected for its start."""
        moments[place] = beta * moments[place] + (1 - beta) * value
        return moments[place] / (1 - beta**self._told)


def _softmax(logits: list[float]) -> list[float]:
    largest = max(logits)
    weights = [math.exp(logit - largest) for logit in logits]
    total = sum(weights)
    return [weight / total for weight in weights]
