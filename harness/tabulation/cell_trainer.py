"""The train judge's trainer of NAS-Bench-101 cells: the networks and the training that tables are measured with.

At the recipe that a table was measured with, on the same images, it gives that table's numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from harness.data.datasets import ImageArrays
from harness.data.images import Augmentation, Split, draw_epoch
from harness.errors import UserError
from harness.judges.network_trainer import NO_AUGMENTATION, image_splits, images_sha256, recipe_identity
from harness.judges.recipe import TrainRecipe
from harness.judges.train import Errors
from harness.tables.space_table import cell_of
from harness.tabulation.training import Recipe, Splits, check_width, train_cells
from optimizers.randomness import keyed_generator
from spaces.nb101.space import SearchSpace

if TYPE_CHECKING:
    from torch import Tensor

    from spaces.base import Architecture
    from spaces.nb101.cell import Cell

STACKS = 3


class CellTrainer:
    """Trains NAS-Bench-101's stand-alone network of a cell, by its RMSProp with a cosine to zero."""

    def __init__(
        self,
        channels: int,
        cells: int,
        recipe: TrainRecipe,
        arrays: ImageArrays,
        augmentation: Augmentation | None = None,
        device: str = "cpu",
    ) -> None:
        """Put the images on the device.

        Args:
            channels: of the stem and the first of the three stacks.
            cells: in all, a multiple of three.
            recipe: of the training.
            arrays: the images.
            augmentation: how those that are trained on are varied, if the recipe says that they are.
            device: where networks are trained.

        Raises:
            UserError: the cells cannot be stacked three times, or the recipe takes more images than there are.
        """
        if cells < 1 or cells % STACKS:
            raise UserError(
                f"network.cells: training from scratch takes {STACKS} stacks of cells, as NAS-Bench-101 does; expected "
                f"a multiple of {STACKS}, got {cells}"
            )
        if further := recipe.further:
            raise UserError(f"train.{next(iter(further))}: NAS-Bench-1Shot1's cells are trained without such a setting")
        self._train_recipe, self._device = recipe, device
        self.recipe = Recipe(
            channels=channels,
            stacks=STACKS,
            modules=cells // STACKS,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            batchnorm_momentum=recipe.batchnorm_momentum,
        )
        splits = image_splits(arrays, recipe, device)
        self._training = splits["train"]
        self._splits = Splits(
            {name: next(iter(split.plain_batches(split.n)))[0] for name, split in splits.items()},
            {name: split.labels for name, split in splits.items()},
            arrays.classes,
        )
        self._augmentation = (augmentation if recipe.augment else None) or NO_AUGMENTATION
        self._images_sha256 = images_sha256(arrays)

    @classmethod
    def of_space(cls, space: Any, network: Any, *given: Any) -> CellTrainer | None:
        """The trainer of a space of cells, given settings of its supernet; None for any other space."""
        return cls(network.channels, network.cells, *given) if isinstance(space, SearchSpace) else None

    def identity(self) -> Mapping[str, Any]:
        """The network, the recipe and the images, alike for the three spaces: they share cells."""
        return {
            "trainer": "NAS-Bench-101 cell, RMSProp",
            "network": dataclasses.asdict(self.recipe),
            **recipe_identity(self._train_recipe, self._augmentation),
            "images_sha256": self._images_sha256,
        }

    def train(self, architecture: Architecture | Cell, repeat: int) -> Errors:
        """Train the network of a cell, and measure it.

        Raises:
            UserError: more vertices feed the cell's output than the network has channels.
        """
        cell = cell_of(architecture)
        check_width(self.recipe, [cell])
        plain = self._augmentation == NO_AUGMENTATION
        varied = None if plain else _varied(self._training, cell, repeat, self._augmentation)
        (measured,) = train_cells([cell], repeat, self.recipe, self._splits, varied)
        return Errors(test=1 - measured["test_accuracy"], validation=1 - measured["validation_accuracy"])


def _varied(split: Split, cell: Cell, repeat: int, augmentation: Augmentation) -> Callable[[int], Tensor]:
    """Gives the training images of an epoch, in their order and augmented by draws of that epoch."""

    def images(epoch: int) -> Tensor:
        generator = keyed_generator(cell.hash, repeat, "augmentation", epoch)
        draws = draw_epoch(split.n, split.n, generator, augmentation).to(split.device)
        return split.at(draws, draws.permutation.argsort())[0]

    return images
