"""Training of stand-alone networks: the recipe, the images and what is measured.

The network is NAS-Bench-101's at a chosen size, the training its RMSProp with a cosine to zero
(google-research/nasbench, `nasbench/lib/evaluate.py` and `config.py`). Weights are drawn by (cell, repeat, layer), the
order of the images by (repeat, epoch), so that what is measured for a cell does not depend on what was trained before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.data.arrays import ImageArrays
    from harness.tabulation.networks import CellNetworks
    from spaces.nb101.cell import Cell

MULTIPLY_ADDS_A_SECOND = 1e9
"""Speed of the nominal processor whose time is recorded as `training_time`."""


@dataclass(frozen=True)
class Recipe:
    """How every cell is trained; the defaults are those of the embedded digits table.

    Raises:
        UserError: a number is out of its range.
    """

    channels: int = 8
    """Width of the stem and the first stack (NAS-Bench-101: 128)."""

    stacks: int = 3
    """Stacks, with 2x2 max-pooling between them."""

    modules: int = 1
    """Cells in a stack (NAS-Bench-101: 3)."""

    epochs: int = 12
    """Passes over the training split (NAS-Bench-101: 4, 12, 36, 108)."""

    batch_size: int = 60
    """Images in a step; a remainder is left out of an epoch (NAS-Bench-101: 256)."""

    learning_rate: float = 0.1
    """First learning rate; falls to 0 along a cosine, step by step (NAS-Bench-101: 0.1 times 2 shards)."""

    momentum: float = 0.9
    """RMSProp's momentum."""

    decay: float = 0.9
    """RMSProp's moving average of squared gradients."""

    epsilon: float = 1.0
    """Added to that average inside the square root, as TensorFlow does."""

    weight_decay: float = 1e-4
    """Half the squared norm of all trainable variables enters the loss with this factor."""

    batchnorm_momentum: float = 0.1
    """Share of a batch in the running statistics (NAS-Bench-101: .003, over far more steps)."""

    def __post_init__(self) -> None:
        counts = ("channels", "stacks", "modules", "epochs", "batch_size")
        ranges = [(name, getattr(self, name) >= 1, "1 or more") for name in counts]
        ranges += [
            ("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0"),
            ("momentum", 0 <= self.momentum < 1, "a number from 0 to below 1"),
            ("decay", 0 <= self.decay < 1, "a number from 0 to below 1"),
            ("epsilon", 0 <= self.epsilon < math.inf, "0 or a number above"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or a number above"),
            ("batchnorm_momentum", 0 < self.batchnorm_momentum <= 1, "a number above 0, at most 1"),
        ]
        for name, holds, expected in ranges:
            if not holds:
                raise UserError(f"{name.replace('_', ' ')}: expected {expected}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Splits:
    """Normalised images on the CPU: name ('train', 'validation', 'test') -> images `[n, c, h, w]`, labels `[n]`."""

    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    classes: int

    @classmethod
    def of(cls, arrays: ImageArrays) -> Splits:
        """Training split = first half of the training images, validation split = the other; and the test images."""
        import torch

        half = len(arrays.train_images) // 2
        parts = {
            "train": (arrays.train_images[:half], arrays.train_labels[:half]),
            "validation": (arrays.train_images[half:], arrays.train_labels[half:]),
            "test": (arrays.test_images, arrays.test_labels),
        }
        mean = torch.as_tensor(arrays.mean, dtype=torch.float32).view(1, -1, 1, 1)
        std = torch.as_tensor(arrays.std, dtype=torch.float32).view(1, -1, 1, 1)
        images = {name: (torch.as_tensor(x).float() / 255 - mean) / std for name, (x, _) in parts.items()}
        return cls(images, {name: torch.as_tensor(y) for name, (_, y) in parts.items()}, arrays.classes)

    def to(self, device: str) -> Splits:
        """The same on a device."""
        images = {name: tensor.to(device) for name, tensor in self.images.items()}
        return Splits(images, {name: tensor.to(device) for name, tensor in self.labels.items()}, self.classes)


def check_width(recipe: Recipe, cells: Sequence[Cell]) -> None:
    """Refuse networks in which a vertex that feeds the output would have no channel.

    Raises:
        UserError: more vertices feed the output of a cell than there are channels.
    """
    widest = max(len([vertex for vertex in cell.parents[-1] if vertex]) for cell in cells)
    if recipe.channels < widest:
        raise UserError(
            f"channels: expected at least {widest}, as many as vertices feed an output, got {recipe.channels}"
        )


def train_cells(
    cells: Sequence[Cell],
    repeat: int,
    recipe: Recipe,
    splits: Splits,
    augmented: Callable[[int], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """Train cells of one graph together, on the device of the images, and measure each.

    Args:
        cells: of one graph.
        repeat: number of the training, which decides weights and order of images.
        recipe: how to train.
        splits: images; the training split is taken as it is by default.
        augmented: gives the training images of an epoch, in the order of the split.

    Returns:
        for each cell its `hash`, `matrix`, `ops`, `trainable_parameters`, `train_accuracy`, `validation_accuracy`,
        `test_accuracy` (fractions) and `training_time` (seconds, computed: see `nominal_training_time`).
    """
    import torch
    import torch.nn.functional as F

    from harness.tabulation.networks import CellNetworks, NetworkScale, trainable_parameters
    from optimizers.randomness import keyed_generator

    scale = NetworkScale(recipe.channels, recipe.stacks, recipe.modules)
    images, labels = splits.images["train"], splits.labels["train"]
    networks = CellNetworks(
        cells,
        scale,
        images.shape[1],
        splits.classes,
        [_drawer(cell, repeat) for cell in cells],
        recipe.batchnorm_momentum,
        images.device,
    )
    parameters = list(networks.parameters.values())
    optimizer = TensorFlowRMSProp(parameters, recipe)
    steps = len(images) // recipe.batch_size
    total = steps * recipe.epochs
    for epoch in range(recipe.epochs):
        if augmented is not None:
            images = augmented(epoch)
        order = torch.randperm(len(images), generator=keyed_generator("order", repeat, epoch)).to(images.device)
        for step in range(steps):
            batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            logits = networks(images[batch], training=True)
            targets = labels[batch].repeat(len(cells))
            loss = F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum") / recipe.batch_size
            gradients = torch.autograd.grad(loss, parameters)
            fraction = (epoch * steps + step) / total
            optimizer.step(gradients, recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction)))
    accuracies = {name: _accuracy(networks, splits.images[name], splits.labels[name]) for name in splits.images}
    return [
        {
            "hash": cell.hash,
            "matrix": cell.matrix.tolist(),
            "ops": list(cell.ops),
            "trainable_parameters": trainable_parameters(cell, scale, images.shape[1], splits.classes),
            **{f"{name}_accuracy": accuracies[name][index] for name in accuracies},
            "training_time": nominal_training_time(cell, recipe, splits),
        }
        for index, cell in enumerate(cells)
    ]


def nominal_training_time(cell: Cell, recipe: Recipe, splits: Splits) -> float:
    """Seconds that a cell's training takes a nominal processor: it does not depend on the clock or the company.

    A step is counted as three forward passes, one of them the forward pass and two the backward pass.
    """
    from harness.tabulation.networks import NetworkScale, multiply_adds

    scale = NetworkScale(recipe.channels, recipe.stacks, recipe.modules)
    images = splits.images["train"]
    cost = multiply_adds(cell, scale, images.shape[1], images.shape[2], splits.classes)
    seen = recipe.epochs * (len(images) // recipe.batch_size) * recipe.batch_size
    return 3 * cost * seen / MULTIPLY_ADDS_A_SECOND


class TensorFlowRMSProp:
    """RMSProp as TensorFlow 1 computes it: epsilon inside the root, averages starting at one.

    The parameters become views of one vector, so that a step is a dozen operations whatever their number.
    """

    def __init__(self, parameters: Sequence[Tensor], recipe: Recipe) -> None:
        import torch

        self.recipe = recipe
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        sizes = [parameter.numel() for parameter in parameters]
        for parameter, values in zip(parameters, torch.split(self.values, sizes), strict=True):
            parameter.data = values.view_as(parameter)
        self.squares, self.moments = torch.ones_like(self.values), torch.zeros_like(self.values)

    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Move the parameters."""
        import torch

        recipe = self.recipe
        with torch.no_grad():
            gradient = torch.cat([part.flatten() for part in gradients])
            gradient.add_(self.values, alpha=recipe.weight_decay)
            self.squares.mul_(recipe.decay).addcmul_(gradient, gradient, value=1 - recipe.decay)
            roots = (self.squares + recipe.epsilon).sqrt_()
            self.moments.mul_(recipe.momentum).addcdiv_(gradient, roots, value=learning_rate)
            self.values.sub_(self.moments)


def _accuracy(networks: CellNetworks, images: Tensor, labels: Tensor, batch_size: int = 200) -> list[float]:
    import torch

    with torch.no_grad():
        correct = [
            (
                networks(images[start : start + batch_size], training=False).argmax(dim=-1)
                == labels[start : start + batch_size]
            ).sum(dim=1)
            for start in range(0, len(images), batch_size)
        ]
    return [int(count) / len(images) for count in torch.stack(correct).sum(dim=0)]


def _drawer(cell: Cell, repeat: int) -> Callable[[str, tuple[int, ...], int], Tensor]:
    import torch

    from optimizers.randomness import keyed_generator

    def draw(name: str, shape: tuple[int, ...], fan_in: int) -> Tensor:
        return torch.randn(shape, generator=keyed_generator(cell.hash, repeat, name)) / math.sqrt(fan_in)

    return draw
