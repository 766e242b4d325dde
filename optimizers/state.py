"""What of a search survives an epoch, as a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from optimizers.companions.base import Companion
from spaces.base import Weights


class Stateful(Protocol):
    """A search as far as its checkpoint goes."""

    weights: Weights
    alphas: list[Tensor]
    weight_optimizer: torch.optim.SGD
    companions: Sequence[Companion]


def of_search(search: Stateful) -> dict[str, Any]:
    """Weights, statistics, alphas, the state of SGD, and that of companions under their names."""
    parameters = search.weights.parameters
    return {
        "parameters": {name: tensor.detach() for name, tensor in parameters.items()},
        "buffers": dict(search.weights.buffers),
        "gradients": {name: tensor.grad for name, tensor in parameters.items() if tensor.grad is not None},
        "alphas": [alpha.detach() for alpha in search.alphas],
        "weight_optimizer": search.weight_optimizer.state_dict(),
        "companions": {companion.name: companion.state_dict() for companion in search.companions},
    }


def restore(search: Stateful, saved: dict[str, Any]) -> None:
    """Continue from what `of_search` gave, now or in the first versions, which knew early stopping alone.

    Raises:
        KeyError: a part is missing.
        RuntimeError: a tensor has another shape.
    """
    with torch.no_grad():
        for name, tensor in search.weights.parameters.items():
            tensor.copy_(saved["parameters"][name])
            # There is a gradient only where those of warm-start epochs pile up.
            kept = saved.get("gradients", {}).get(name)
            tensor.grad = None if kept is None else kept.to(tensor)
        for name, tensor in search.weights.buffers.items():
            tensor.copy_(saved["buffers"][name])
        for alpha, earlier in zip(search.alphas, saved["alphas"], strict=True):
            alpha.copy_(earlier)
    search.weight_optimizer.load_state_dict(saved["weight_optimizer"])
    first_version = {name: saved[name] for name in ("early_stopping",) if name in saved}
    states = saved.get("companions", first_version)
    for companion in search.companions:
        if companion.name in states:
            companion.load_state_dict(states[companion.name])
