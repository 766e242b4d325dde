"""The steps of an epoch: one after another, or each as one launch of a recorded step.

Both make the same steps from the same draws. `RecordedSteps` keeps everything that a step reads at fixed places, the
number of the step included, so that a CUDA graph of one step serves for all (`harness.search.capture`): it is copied
there before the epoch, and nothing waits for the device until its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.search.capture import GraphPool, Recorded
from harness.search.examples import Draws, Examples
from optimizers.base import Optimizer
from optimizers.steps import Batch, StepIndex


@dataclass(frozen=True)
class Totals:
    """What an epoch's weight steps saw.

    Attributes:
        loss: sum of the examples' losses, 0-dimensional float64 on the device.
        score: sum of the examples' scores, likewise.
        finite_steps: steps until the sum of the losses stopped being finite, likewise; all steps where it is.
    """

    loss: Tensor
    score: Tensor
    finite_steps: Tensor

    @classmethod
    def zero(cls, device: torch.device) -> Totals:
        """Nothing seen yet."""
        return cls(*(torch.zeros((), dtype=torch.float64, device=device) for _ in range(3)))


class Steps(Protocol):
    """Makes the steps of an epoch that the optimizer has begun."""

    def epoch(self, training: Draws, validation: Draws, stopped: Callable[[], bool]) -> Totals | None:
        """Make all steps.

        Args:
            training: what was drawn for the pass over the training split.
            validation: likewise for the validation split.
            stopped: asked before every step; once it says yes, the epoch is given up.

        Returns:
            what was seen, overwritten by the next epoch; None if stopped.
        """


class PlainSteps:
    """One step after another.

    Args:
        optimizer: makes the steps.
        training: the training split.
        validation: the validation split.
    """

    def __init__(self, optimizer: Optimizer, training: Examples, validation: Examples) -> None:
        self.optimizer, self.training, self.validation = optimizer, training, validation

    def epoch(self, training: Draws, validation: Draws, stopped: Callable[[], bool]) -> Totals | None:
        """Make all steps."""
        totals = Totals.zero(self.training.device)
        for index in range(self.optimizer.steps):
            if stopped():
                return None
            batches = self.training.batch(training, index), self.validation.batch(validation, index)
            _step(self.optimizer, index, *batches, totals)
        return totals


class RecordedSteps:
    """Each step a replay of one that was recorded; for optimizers that are `capturable`.

    Args:
        optimizer: makes the steps.
        training: the training split.
        validation: the validation split.
    """

    def __init__(self, optimizer: Optimizer, training: Examples, validation: Examples) -> None:
        self.optimizer, self.training, self.validation = optimizer, training, validation
        self._device = training.device
        self._totals = Totals.zero(self._device)
        self._index = torch.zeros(1, dtype=torch.int64, device=self._device)
        self._draws: tuple[Draws, Draws] | None = None
        self._recorded: dict[tuple[int, bool], Recorded[None]] = {}
        self._pool = GraphPool(self._device)

    def epoch(self, training: Draws, validation: Draws, stopped: Callable[[], bool]) -> Totals | None:
        """Make all steps."""
        if self._draws is None:
            self._draws = training, validation
        else:
            for buffer, draws in zip(self._draws, (training, validation), strict=True):
                buffer.overwrite(draws)
        for tensor in (self._totals.loss, self._totals.score, self._totals.finite_steps, self._index):
            tensor.zero_()
        for index in range(self.optimizer.steps):
            if stopped():
                return None
            self._step_of(min(training.batch_size, self.training.count - index * training.batch_size))()
        return self._totals

    def _step_of(self, size: int) -> Recorded[None]:
        """The recorded step on so many examples; alphas may rest in some epochs, which makes it another step."""
        key = size, self.optimizer.moves_alphas
        if key not in self._recorded:
            within = torch.arange(size, device=self._device)
            self._recorded[key] = Recorded(lambda: self._step(within), self._device, self._pool)
        return self._recorded[key]

    def _step(self, within: Tensor) -> None:
        assert self._draws is not None
        training, validation = self._draws
        places = self._index * training.batch_size + within
        batches = self.training.at(training, places), self.validation.at(validation, places)
        _step(self.optimizer, self._index, *batches, self._totals)
        self._index += 1


def _step(optimizer: Optimizer, index: StepIndex, training: Batch, validation: Batch, totals: Totals) -> None:
    result = optimizer.step(index, training, validation)
    totals.loss.add_(result.loss * len(training.targets))
    totals.score.add_(result.score)
    totals.finite_steps.add_(totals.loss.isfinite())
