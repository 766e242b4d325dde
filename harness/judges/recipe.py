"""How the train judge trains an architecture from scratch: a part of the benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.errors import UserError


@dataclass(frozen=True)
class TrainRecipe:
    """How an architecture is trained on its own, and on how many images; the defaults suit digits.

    Raises:
        UserError: a number is out of its range.
    """

    epochs: int = 12
    """Passes over the training split."""

    batch_size: int = 60
    """Images in a step; a remainder is left out of an epoch."""

    learning_rate: float = 0.1
    """First learning rate; falls to 0 along a cosine, step by step."""

    momentum: float = 0.9
    """Momentum of the weight step."""

    weight_decay: float = 1e-4
    """Half the squared norm of the weights enters the loss with this factor."""

    batchnorm_momentum: float = 0.1
    """Share of a batch in the running statistics, where the network lets a recipe set it."""

    repeats: int = 1
    """Trainings of each architecture, each with weights and an order of images of its own; the verdict is the mean."""

    training_images: int = 0
    """Images to train on, the first of the training split; 0 for all."""

    validation_images: int = 0
    """Images of the validation split, likewise."""

    test_images: int = 0
    """Images of the test set, likewise."""

    augment: bool = False
    """Whether training images are varied as those of the search are."""

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "repeats")
        limits = ("training_images", "validation_images", "test_images")
        ranges = [(name, getattr(self, name) >= 1, "1 or more") for name in counts]
        ranges += [(name, getattr(self, name) >= 0, "0 (all) or more") for name in limits]
        ranges += [
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or a number above"),
            ("batchnorm_momentum", 0 < self.batchnorm_momentum <= 1, "a number above 0, at most 1"),
        ]
        for name, holds, expected in ranges:
            if not holds:
                raise UserError(f"train.{name}: expected {expected}, got {getattr(self, name)}")
