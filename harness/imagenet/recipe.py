"""How a transferred network is trained (SmoothDARTS `sota/cnn/train_imagenet.py`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.errors import UserError

FLAT_EPOCHS = 5
"""Epochs at the end in which the learning rate falls less steeply, and those of the warm-up at the start."""

WARMED_UP = 256
"""Batches of more images begin at a lower rate."""


@dataclass(frozen=True)
class ImagenetRecipe:
    """Settings of a training; the defaults are the published ones, for eight GPUs.

    Raises:
        UserError: a number is out of its range.
    """

    channels: int = 48
    """Width of the first cells' nodes."""

    cells: int = 14
    """Number of cells."""

    epochs: int = 250
    """Passes over the training images."""

    batch_size: int = 1024
    """Images in a step."""

    learning_rate: float = 0.5
    """Of SGD; falls linearly. With batches of more than 256 images the first five epochs run at fifths of it."""

    momentum: float = 0.9
    """Of SGD."""

    weight_decay: float = 3e-5
    """Of SGD."""

    gradient_clip: float = 5.0
    """Largest norm of the weights' gradient."""

    label_smoothing: float = 0.1
    """Part of a target that is spread over all classes."""

    auxiliary_weight: float = 0.4
    """Weight of the auxiliary head's loss, 0 for no head. The head takes images of 224 pixels."""

    side: int = 224
    """Height and width of the images that the network sees; a multiple of 32."""

    def __post_init__(self) -> None:
        for name in ("channels", "cells", "epochs", "batch_size", "side"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("learning_rate", "momentum", "weight_decay", "gradient_clip", "auxiliary_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name}: expected 0 or a number above, got {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"label_smoothing: expected a number from 0 to below 1, got {self.label_smoothing}")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0: linear, less steep in the last five (`adjust_lr`)."""
        slope = max(self.epochs - FLAT_EPOCHS, 1)
        left = self.epochs - epoch
        rate = self.learning_rate * (left - FLAT_EPOCHS if left > FLAT_EPOCHS else left / FLAT_EPOCHS) / slope
        if epoch < FLAT_EPOCHS and self.batch_size > WARMED_UP:
            return rate * (epoch + 1) / FLAT_EPOCHS
        return rate
