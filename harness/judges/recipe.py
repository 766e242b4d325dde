"""How the train judge trains an architecture from scratch: a part of the benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from harness.errors import UserError

FURTHER = (
    "channels",
    "cells",
    "auxiliary_weight",
    "drop_path",
    "cutout",
    "gradient_clip",
    "rate_by_epoch",
    "everything",
    "shrink",
)
"""Settings that came later, of `harness.judges.network_trainer` alone. They are part of what a training is kept under
only where they differ from their defaults, so that what was trained before them is found."""


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

    channels: int = 0
    """Width of the network that is trained, 0 for that of the search's. This and all that follow have no meaning for
    the cells of NAS-Bench-1Shot1, which are trained as NAS-Bench-101's were."""

    cells: int = 0
    """Number of its cells, likewise."""

    auxiliary_weight: float = 0.0
    """Weight of an auxiliary head's loss beside the network's own; 0 for no such head."""

    drop_path: float = 0.0
    """Probability that an image loses the output of an operation; it rises linearly from 0, which it is in the first
    epoch, by this number over all epochs."""

    cutout: int = 0
    """Side of the square that is cut out of training images, 0 for none."""

    gradient_clip: float = 0.0
    """Largest norm of the weights' gradient, 0 for any."""

    rate_by_epoch: bool = False
    """Whether the learning rate changes between epochs only, epoch e from 0 at the cosine's value of e + 1, so that the
    first is skipped, as published; otherwise step by step."""

    everything: bool = False
    """Whether it is trained on validation images, too, as for a result on the test set; there is no validation error
    then."""

    shrink: int = 1
    """Factor by which images are shrunk first, in height and width."""

    @property
    def further(self) -> dict[str, int | float]:
        """The settings of `FURTHER` that differ from their defaults."""
        defaults = {each.name: each.default for each in fields(self)}
        return {name: getattr(self, name) for name in FURTHER if getattr(self, name) != defaults[name]}

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "repeats", "shrink")
        limits = ("training_images", "validation_images", "test_images")
        sizes = ("channels", "cells", "cutout")
        ranges = [(name, getattr(self, name) >= 1, "1 or more") for name in counts]
        ranges += [(name, getattr(self, name) >= 0, "0 (all) or more") for name in limits]
        ranges += [(name, getattr(self, name) >= 0, "0 or more") for name in sizes]
        ranges += [
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or a number above"),
            ("auxiliary_weight", 0 <= self.auxiliary_weight < math.inf, "0 or a number above"),
            ("gradient_clip", 0 <= self.gradient_clip < math.inf, "0 or a number above"),
            ("drop_path", 0 <= self.drop_path < 1, "a number from 0 to below 1"),
            ("batchnorm_momentum", 0 < self.batchnorm_momentum <= 1, "a number above 0, at most 1"),
        ]
        for name, holds, expected in ranges:
            if not holds:
                raise UserError(f"train.{name}: expected {expected}, got {getattr(self, name)}")
