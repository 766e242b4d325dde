"""The supernet's score and loss on the validation split, batch norm in evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from harness.probes.base import Probe, State
from spaces.base import Outputs


class ValidationProbe(Probe):
    """Score and loss at the search's own mixture, as its method evaluates."""

    name = "validation"
    phase = "validation"

    def measure(self, state: State) -> dict[str, float | None]:
        """`supernet_valid_<score>`, such as `supernet_valid_accuracy`, and `supernet_valid_loss`."""
        optimizer = state.optimizer
        weights = optimizer.evaluation_weights(state.last, refresh=state.config.validation.refresh_statistics)
        score, loss = validate(state, lambda *batch: optimizer.evaluate(weights, *batch))
        finite = loss if math.isfinite(loss) else None
        return {f"supernet_valid_{optimizer.task.score.name}": score, "supernet_valid_loss": finite}


def validate(state: State, outputs_of: Callable[[int, Tensor], Outputs]) -> tuple[float, float]:
    """Score and mean loss over the validation split.

    Args:
        state: the search.
        outputs_of: the network's outputs from the number and the inputs of a batch.
    """
    task, device = state.optimizer.task, state.last.targets.device
    total_score = torch.zeros((), dtype=torch.float64, device=device)
    total_loss = torch.zeros((), dtype=torch.float64, device=device)
    with torch.no_grad():
        for index, batch in enumerate(state.batches(state.evaluation_size)):
            outputs = outputs_of(index, batch.inputs)
            total_score += task.total_score(outputs, batch.targets)
            total_loss += task.total_loss(outputs, batch.targets)
    return float(total_score) / state.validation_count, float(total_loss) / state.validation_count
