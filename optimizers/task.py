"""The contract of a task: what a network's outputs are worth.

Image classification is one (`harness.tasks.classification`). Methods, companions and probes ask the task for losses and
scores, and know neither labels nor logits nor accuracy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from spaces.base import Outputs


@dataclass(frozen=True)
class Score:
    """How a task tells good from bad.

    Attributes:
        name: what epoch lines call it, such as `accuracy`: they hold `train_<name>` and `supernet_valid_<name>`.
        unit: `fraction`, or what it is counted in.
        higher_is_better: its direction.
    """

    name: str
    unit: str
    higher_is_better: bool


class Task(ABC):
    """Says what outputs are worth.

    Attributes:
        name: what results call it.
        loss_name: the loss's name, by which a network says whether it knows its exact curvature.
        score: what is recorded beside the loss.
    """

    name: str
    loss_name: str
    score: Score

    @abstractmethod
    def loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """Mean loss of a batch, 0-dimensional, differentiable."""

    @abstractmethod
    def total_loss(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """Sum of the examples' losses, 0-dimensional."""

    @abstractmethod
    def total_score(self, outputs: Outputs, targets: Tensor) -> Tensor:
        """Sum of the examples' scores, 0-dimensional; divided by the number of examples it is the score."""

    def carried(self, outputs: Outputs) -> object:
        """The state that a network hands on to the next batch (`Batch.carry`); None where it has none."""
        return None
