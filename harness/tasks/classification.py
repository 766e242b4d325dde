"""Image classification: images from a `Split`, the cross-entropy, and the share of images classified right."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.images import Augmentation, EpochDraws, Split, draw_epoch
from optimizers.steps import Batch
from optimizers.task import Score, Task


class Classification(Task):
    """Outputs are logits `[batch, classes]`, targets labels `[batch]`, int64."""

    name = "classification"
    loss_name = "cross_entropy"
    score = Score("accuracy", "fraction", higher_is_better=True)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return F.cross_entropy(outputs, targets)

    def total_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum of the images' cross-entropies."""
        return F.cross_entropy(outputs, targets, reduction="sum")

    def total_score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Number of images whose largest logit is that of their label, int64."""
        return (outputs.argmax(dim=1) == targets).sum()


class ImageExamples:
    """A split of labelled images as a search goes through it: drawn, augmented and normalised.

    Args:
        split: the images.
        augmentation: how they are varied.
        batch_size: images in a batch; the last of a pass is the remainder.
        fresh: whether `draw` takes every batch from all images anew.
    """

    def __init__(self, split: Split, augmentation: Augmentation, batch_size: int, fresh: bool = False) -> None:
        self.split, self.augmentation, self.batch_size, self.fresh = split, augmentation, batch_size, fresh

    @property
    def count(self) -> int:
        """Number of images."""
        return self.split.n

    @property
    def device(self) -> torch.device:
        """Where batches lie."""
        return self.split.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the images in batches."""
        return self.split.dtype

    def draw(self, generator: torch.Generator, passing: bool = False) -> EpochDraws:
        """Everything random in one pass, on the device; `passing`: over each image once, whatever `fresh` says."""
        draws = draw_epoch(
            self.split.n, self.batch_size, generator, self.augmentation, fresh=self.fresh and not passing
        )
        return draws.to(self.device)

    def batch(self, draws: EpochDraws, index: int) -> Batch:
        """The batch at a place of a pass, from 0."""
        return Batch(*self.split.batch(draws, index), noise=draws.noise[index])

    def at(self, draws: EpochDraws, places: Tensor) -> Batch:
        """The images at places of a pass that the device computes, int64 `[batch]`."""
        number = places[:1] // draws.batch_size
        return Batch(*self.split.at(draws, places), noise=draws.noise.index_select(0, number).squeeze(0))

    def batches(self, draws: EpochDraws, size: int) -> Iterator[Batch]:
        """One pass in batches of another size."""
        for batch in self.split.batches(dataclasses.replace(draws, batch_size=size)):
            yield Batch(*batch)

    def plain_batches(self, size: int) -> Iterator[Batch]:
        """All images in their order, not augmented."""
        for batch in self.split.plain_batches(size):
            yield Batch(*batch)
