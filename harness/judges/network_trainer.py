"""Training one architecture of any space: the space's own network, with the architecture's operations alone.

A space that says nothing more is trained at the architecture's 0/1 mixture, where operations times zero are skipped and
get no gradient: what is left is the stand-alone network, at the size of the search's supernet. A space whose networks
are trained otherwise after a search (`Space.derived_network`) gives its own.

Weights are drawn by (architecture, repeat), the order of the images, their augmentation and dropped paths by
(architecture, repeat, epoch), on the CPU, so that a training does not depend on what was trained before. One that is
stopped begins anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.datasets import ImageArrays
from harness.data.images import Augmentation, Split, draw_epoch, halve, shrunk
from harness.errors import UserError
from harness.judges.recipe import FURTHER, TrainRecipe
from harness.judges.train import Errors
from optimizers.randomness import keyed_generator
from spaces.base import Architecture, DerivedSize, InputShape, Network, NetworkConfig, Pass, Space, Weights
from spaces.mixture import Mixture

NO_AUGMENTATION = Augmentation(padding=0, flip=False)

EVALUATION_BATCH = 200


class NetworkTrainer:
    """Trains architectures of a space on a benchmark's images, by stochastic gradient descent with a cosine to zero."""

    def __init__(
        self,
        space: Space[Any],
        config: NetworkConfig,
        recipe: TrainRecipe,
        arrays: ImageArrays,
        augmentation: Augmentation | None = None,
        device: str = "cpu",
    ) -> None:
        """Put the images on the device.

        Args:
            space: whose architectures are trained.
            config: settings of its network.
            recipe: of the training.
            arrays: the images.
            augmentation: how those that are trained on are varied, if the recipe says that they are.
            device: where networks are trained.

        Raises:
            UserError: the recipe takes more images than there are, or larger batches.
        """
        self.space, self.config, self.recipe, self.device = space, config, recipe, device
        self._images_sha256 = images_sha256(arrays)
        self.splits = image_splits(_shrunk(arrays, recipe.shrink), recipe, device)
        self.shape = InputShape(arrays.train_images.shape[1], arrays.classes)
        varied = (augmentation if recipe.augment else None) or NO_AUGMENTATION
        self.augmentation = dataclasses.replace(varied, cutout=recipe.cutout or varied.cutout)

    def identity(self) -> Mapping[str, Any]:
        """The space, its network, the recipe and the images."""
        return {
            "trainer": "network of the space, SGD",
            "space": self.space.name,
            "network": dataclasses.asdict(self.config),
            **recipe_identity(self.recipe, self.augmentation),
            "images_sha256": self._images_sha256,
        }

    def train(self, architecture: Architecture, repeat: int) -> Errors:
        """Train the network of an architecture, and measure it.

        Raises:
            UserError: the space cannot build the network at these settings.
        """
        network, mixture = self._network(architecture)
        key = (architecture.key, repeat)
        weights = network.initial_weights(keyed_generator(*key, "weights"), torch.float32).to(torch.device(self.device))
        self._descend(network, weights, mixture, key)
        held_out = not self.recipe.everything
        return Errors(
            test=self._error(network, weights, mixture, self.splits["test"]),
            validation=self._error(network, weights, mixture, self.splits["validation"]) if held_out else None,
        )

    def _network(self, architecture: Architecture) -> tuple[Network, Mixture]:
        recipe = self.recipe
        size = DerivedSize(recipe.channels, recipe.cells, auxiliary=recipe.auxiliary_weight > 0)
        try:
            network = self.space.derived_network(architecture, self.config, self.shape, size)
            network = network or self._supernet(size)
        except ValueError as error:
            raise UserError(f"{self.space.name}: no network to train at these settings: {error}") from None
        mixture = self.space.mixture_of(architecture, torch.float32).map(lambda row: row.to(self.device))
        return network, mixture

    def _supernet(self, size: DerivedSize) -> Network:
        """The network that trains an architecture where the space has none of its own for that."""
        if size.auxiliary:
            raise ValueError("its networks have no auxiliary head, which train.auxiliary_weight is for")
        sizes = {name: value for name, value in dataclasses.asdict(size).items() if value}
        if unknown := set(sizes) - {field.name for field in dataclasses.fields(self.config)}:
            raise ValueError(f"its networks have no setting {', '.join(sorted(unknown))}")
        return self.space.network(dataclasses.replace(self.config, **sizes), self.shape)

    def _descend(self, network: Network, weights: Weights, mixture: Mixture, key: tuple[str, int]) -> None:
        """Train weights in place; parameters of operations that do not count get no gradient and stay."""
        recipe, images = self.recipe, self.splits["train"]
        parameters = list(weights.parameters.values())
        optimizer = torch.optim.SGD(
            parameters, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        steps = images.n // recipe.batch_size
        for epoch in range(recipe.epochs):
            draws = draw_epoch(
                images.n, recipe.batch_size, keyed_generator(*key, "images", epoch), self.augmentation
            ).to(self.device)
            dropping = keyed_generator(*key, "drop path", epoch)
            for step in range(steps):
                inputs, targets = images.batch(draws, step)
                for group in optimizer.param_groups:
                    group["lr"] = self._rate(epoch, step, steps)
                factors = self._path_factors(network, epoch, dropping)
                how = Pass(training=True, skip_zeros=True, path_factors=factors, noise=draws.noise[step])
                optimizer.zero_grad()
                self._loss(network(weights, mixture, inputs, how), targets).backward()  # type: ignore[no-untyped-call]
                if recipe.gradient_clip:
                    torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
                optimizer.step()

    def _rate(self, epoch: int, step: int, steps: int) -> float:
        """The learning rate of a step, on the cosine from the first one to 0."""
        recipe = self.recipe
        passed = epoch + 1 if recipe.rate_by_epoch else epoch + step / steps
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * passed / recipe.epochs))

    def _path_factors(self, network: Network, epoch: int, generator: torch.Generator) -> Tensor | None:
        """What the output of each operation is multiplied with, `[cells, paths, batch]`; None for ones."""
        dropped = self.recipe.drop_path * epoch / self.recipe.epochs
        if not dropped:
            return None
        shape = (len(network.groups), network.paths, self.recipe.batch_size)
        return ((torch.rand(shape, generator=generator) >= dropped) / (1 - dropped)).to(self.device)

    def _loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Cross-entropy, and that of the auxiliary head where there is one."""
        if isinstance(outputs, Tensor):
            return F.cross_entropy(outputs, targets)
        logits, auxiliary = outputs
        return F.cross_entropy(logits, targets) + self.recipe.auxiliary_weight * F.cross_entropy(auxiliary, targets)

    def _error(self, network: Network, weights: Weights, mixture: Mixture, split: Split) -> float:
        """Fraction of a split that the network gets wrong, batch norm as stored."""
        frozen, how = weights.frozen(), Pass(skip_zeros=True)
        wrong = 0
        with torch.no_grad():
            for inputs, targets in split.plain_batches(EVALUATION_BATCH):
                predictions: Tensor = network(frozen, mixture, inputs, how).argmax(dim=1)
                wrong += int((predictions != targets).sum())
        return wrong / split.n


def image_splits(arrays: ImageArrays, recipe: TrainRecipe, device: str = "cpu") -> dict[str, Split]:
    """The images that a recipe trains and measures on: `train` and `validation`, the halves as in a search, and `test`.

    Raises:
        UserError: the recipe takes more images than there are, or its batch is larger than the training split.
    """
    train, validation = halve(arrays, device)
    test = Split(
        torch.from_numpy(np.require(arrays.test_images, requirements=["C", "W"])).to(device),
        torch.from_numpy(np.require(arrays.test_labels, requirements=["C", "W"])).to(device),
        arrays.mean,
        arrays.std,
    )
    if recipe.everything:
        images, labels = torch.cat([train.images, validation.images]), torch.cat([train.labels, validation.labels])
        train = Split(images, labels, arrays.mean, arrays.std)
    splits = {
        name: Split(split.images[:count], split.labels[:count], arrays.mean, arrays.std)
        for name, split, count in _limited(recipe, train, validation, test)
    }
    if recipe.batch_size > splits["train"].n:
        raise UserError(
            f"train.batch_size: expected at most the {splits['train'].n} training images, got {recipe.batch_size}"
        )
    return splits


def _shrunk(arrays: ImageArrays, factor: int) -> ImageArrays:
    """The images of a data set, each pixel the mean of a square of so many by so many."""
    return dataclasses.replace(
        arrays, train_images=shrunk(arrays.train_images, factor), test_images=shrunk(arrays.test_images, factor)
    )


def _limited(recipe: TrainRecipe, train: Split, validation: Split, test: Split) -> Iterator[tuple[str, Split, int]]:
    """Each split with its name and how many of its images the recipe takes."""
    for name, setting, split in (
        ("train", "training_images", train),
        ("validation", "validation_images", validation),
        ("test", "test_images", test),
    ):
        count = getattr(recipe, setting) or split.n
        if count > split.n:
            raise UserError(f"train.{setting}: expected at most the {split.n} images that there are, got {count}")
        yield name, split, count


def images_sha256(arrays: ImageArrays) -> str:
    """SHA-256 of a data set's images, labels and normalisation."""
    digest = hashlib.sha256()
    for array in (arrays.train_images, arrays.train_labels, arrays.test_images, arrays.test_labels):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(repr((arrays.classes, *map(float, arrays.mean), *map(float, arrays.std))).encode())
    return digest.hexdigest()


def recipe_identity(recipe: TrainRecipe, augmentation: Augmentation) -> dict[str, Any]:
    """What of a recipe decides a training; the number of repeats does not, nor do later settings at their defaults."""
    settings = dataclasses.asdict(recipe)
    for name in ("repeats", *FURTHER):
        del settings[name]
    settings |= recipe.further
    return {"recipe": settings, "augmentation": dataclasses.asdict(augmentation)}
