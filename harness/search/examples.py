"""What the loop asks of a split of examples, whatever they are (`harness.tasks`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from optimizers.steps import Batch


class Draws(Protocol):
    """Everything random in one pass over a split."""

    @property
    def batch_size(self) -> int:
        """Examples in a batch; the last of the pass is the remainder."""

    def __len__(self) -> int:
        """Number of batches, the remainder counted."""

    def overwrite(self, draws: Any) -> None:
        """Put other draws of the same kind here, where a recorded step reads them."""


class Examples(Protocol):
    """A split on the device.

    Attributes:
        batch_size: examples in a batch; the last of a pass is the remainder.
    """

    batch_size: int

    @property
    def count(self) -> int:
        """Number of examples."""

    @property
    def device(self) -> torch.device:
        """Where batches lie."""

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the batches."""

    def draw(self, generator: torch.Generator, passing: bool = False) -> Any:
        """Everything random in one pass, as `Draws` on the device; `passing`: every example once in any case."""

    def batch(self, draws: Any, index: int) -> Batch:
        """The batch at a place of a pass, from 0."""

    def at(self, draws: Any, places: Tensor) -> Batch:
        """The examples at places of a pass that the device computes, int64 `[batch]`."""

    def batches(self, draws: Any, size: int) -> Iterator[Batch]:
        """One pass in batches of another size."""

    def plain_batches(self, size: int) -> Iterator[Batch]:
        """All examples in their order, as they are."""
