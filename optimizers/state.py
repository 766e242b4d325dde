"""What of a search survives an epoch, as a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    Nothing is changed before all tensors are known to be of the types and shapes of this search, and finite.

    Raises:
        KeyError: a part is missing.
        ValueError: a tensor is of another type or shape, or not finite.
    """
    _check_tensors(search, saved)
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


def first_not_finite(search: Stateful) -> str | None:
    """The name of a weight, a statistic or an alpha that holds NaN or an infinity; None where none does.

    It waits for the device once, and a second time where there is one to name.
    """
    named = {
        **{f"weights {name}": tensor for name, tensor in search.weights.parameters.items()},
        **{f"statistics {name}": tensor for name, tensor in search.weights.buffers.items()},
        **{f"alphas {number}": tensor for number, tensor in enumerate(search.alphas)},
    }
    return _first_not_finite(named)


def _check_tensors(search: Stateful, saved: dict[str, Any]) -> None:
    """Refuse tensors that are not those of this search."""
    alphas = saved["alphas"]
    if len(alphas) != len(search.alphas):
        raise ValueError(f"expected {len(search.alphas)} alphas, got {len(alphas)}")
    pairs = {f"alphas {number}": (ours, alphas[number]) for number, ours in enumerate(search.alphas)}
    for part, tensors in (("parameters", search.weights.parameters), ("buffers", search.weights.buffers)):
        pairs |= {f"{part} {name}": (ours, saved[part][name]) for name, ours in tensors.items()}
    for name, gradient in saved.get("gradients", {}).items():
        if name in search.weights.parameters:
            pairs[f"gradients {name}"] = (search.weights.parameters[name], gradient)
    for group, theirs in zip(
        search.weight_optimizer.param_groups, saved["weight_optimizer"]["param_groups"], strict=True
    ):
        for ours, number in zip(group["params"], theirs["params"], strict=True):
            momentum = saved["weight_optimizer"]["state"].get(number, {}).get("momentum_buffer")
            if momentum is not None:
                pairs[f"momentum {number}"] = (ours, momentum)
    for name, (ours, theirs) in pairs.items():
        _check_like(name, ours, theirs)
    if name := _first_not_finite({name: theirs for name, (_, theirs) in pairs.items()}):
        raise ValueError(f"{name} is not finite")


def _check_like(name: str, ours: Tensor, theirs: object) -> None:
    if not isinstance(theirs, Tensor):
        raise ValueError(f"expected {name} as a tensor, got {type(theirs).__name__}")
    if theirs.dtype != ours.dtype or theirs.shape != ours.shape:
        raise ValueError(f"expected {name} as {ours.dtype} {list(ours.shape)}, got {theirs.dtype} {list(theirs.shape)}")


def _first_not_finite(named: Mapping[str, Tensor]) -> str | None:
    if not named:
        return None
    finite = torch.stack([tensor.isfinite().all() for tensor in named.values()])
    if bool(finite.all()):
        return None
    return list(named)[int((~finite).nonzero()[0])]
