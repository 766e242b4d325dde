"""What a step is given and gives, and how it picks its share of what was drawn for an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

Purpose = Literal["architecture", "weights", "hessian", "evaluation", "unrolled", "unrolled_plus", "unrolled_minus"]
"""What a forward pass is for: the alpha step, the weight step, the recorded Hessian, the validation score; the last
three are the training losses of a second-order alpha step."""

StepIndex: TypeAlias = "int | Tensor"
"""A step within an epoch, from 0. In a step captured in a CUDA graph it is a tensor, int64 `[1]` on the device, since
one recording serves every step; `at_step` picks from what was drawn for an epoch with either."""


@dataclass(frozen=True)
class Batch:
    """Examples.

    Attributes:
        inputs: what the network reads: images `[batch, channels, height, width]`, normalised, or a text's symbols.
        targets: what it should give: labels `[batch]`, int64, or the next symbols.
        carry: a state that the network brings from the batch before; None where it has none. Only the network and the
            task look into it.
        noise: 0-dimensional int64, the key of what the network itself draws in training passes of this batch; None
            where nothing was drawn for it. All passes of a batch see the same noise.
    """

    inputs: Tensor
    targets: Tensor
    carry: Any = None
    noise: Tensor | None = None


@dataclass(frozen=True)
class StepResult:
    """What one weight step saw, as 0-dimensional tensors on the device, without a history.

    Attributes:
        loss: mean loss of the training batch.
        score: sum of the examples' scores, which for images is the number of those that were classified right.
    """

    loss: Tensor
    score: Tensor


def check_declarations(kind: type, hooks_of: Mapping[str, Sequence[str]]) -> None:
    """Check that a class which overrides a hook says in its own body whether a declaration about it still holds.

    Args:
        kind: the class.
        hooks_of: declaration, a class attribute -> the hooks that it speaks of.

    Raises:
        TypeError: it overrides one and does not say.
    """
    for flag, hooks in hooks_of.items():
        if flag not in vars(kind) and (own := [hook for hook in hooks if hook in vars(kind)]):
            raise TypeError(f"{kind.__name__} overrides {own[0]}; say in its body whether {flag} = True or False")


def at_step(draws: Iterable[Tensor], index: StepIndex) -> list[Tensor]:
    """What was drawn for one step of an epoch: from each tensor `[steps, *shape]` its entry, of that shape."""
    if isinstance(index, Tensor):
        return [draw.index_select(0, index).squeeze(0) for draw in draws]
    return [draw[index] for draw in draws]


def placed(buffers: list[Tensor], draws: list[Tensor], device: torch.device) -> list[Tensor]:
    """What was drawn for an epoch, on the device: where that of the last epoch lay, which a captured step reads.

    Args:
        buffers: what this function gave for the last epoch; empty at first.
        draws: CPU tensors, of the same shapes in every epoch whose steps one recording serves.
        device: where steps read them.
    """
    if [buffer.shape for buffer in buffers] != [draw.shape for draw in draws]:
        return [draw.to(device) for draw in draws]
    return [buffer.copy_(draw) for buffer, draw in zip(buffers, draws, strict=True)]
