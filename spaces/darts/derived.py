"""The network of one genotype, to be trained from scratch (SmoothDARTS `sota/cnn/model.py`, `model_imagenet.py`).

It stacks the two cells as the search network does, with affine batch norms, and has weights for the kept operations
only. For small images the stem is a 3x3 convolution; for ImageNet three of stride 2 come before the first cell. While
it trains, an auxiliary head may classify the map at two thirds of the depth. Drop-path multiplies the output of each
operation but an identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import EVALUATION, InputShape, Network, NetworkConfig, Pass, Space, Weights
from spaces.darts.genotype import EDGES_PER_NODE, Genotype
from spaces.darts.layers import (
    Block,
    Layers,
    Source,
    check_sides,
    convolution_block,
    initial_weights,
    noise_of,
    operation_blocks,
    reduction_block,
)
from spaces.darts.operations import (
    INPUTS,
    NODES,
    NOISE,
    SKIP,
    groups_of_cells,
    operation_parameters,
    reductions,
    stride,
    widths,
)
from spaces.mixture import Mixture

HEAD_CHANNELS = (128, 768)
"""Widths of the auxiliary head's two convolutions."""

BATCHNORM_MOMENTUM = 0.1


@dataclass(frozen=True)
class DerivedConfig(NetworkConfig):
    """Size of a derived network; the defaults are those of the paper's evaluation on CIFAR-10."""

    channels: int = 36
    """Width C of the first cells' nodes; doubles at each of the two reduction cells. 36 on CIFAR-10; 16 for S1 to S4 on
    CIFAR-100 and SVHN; 48 on ImageNet."""

    cells: int = 20
    """Number of cells: 20 on CIFAR-10; 8 for S1 to S4 on CIFAR-100 and SVHN; 14 on ImageNet."""

    stem: Literal["small", "imagenet"] = "small"
    """What reads the images: `small`, a 3x3 convolution to 3 C channels; `imagenet`, three 3x3 convolutions of stride 2
    to C channels, after which the first cell halves its first input."""

    auxiliary: bool = False
    """Whether an auxiliary head helps in training. It needs images of 32 pixels, with the `imagenet` stem of 224."""

    @property
    def scale(self) -> str:
        """The size in words."""
        return f"{self.channels} channels, {self.cells} cells"


class Logits(NamedTuple):
    """What a derived network gives for a batch.

    Attributes:
        logits: `[batch, classes]`.
        auxiliary: `[batch, classes]` of the auxiliary head; None where there is none, and in evaluation.
    """

    logits: Tensor
    auxiliary: Tensor | None


def parameter_count(genotype: Genotype, config: DerivedConfig, shape: InputShape) -> int:
    """The number of weights of a derived network, by formula; running statistics do not count.

    Args:
        genotype: its cells.
        config: its size; an auxiliary head counts if it has one.
        shape: channels of the images, and number of classes.
    """
    channels, classes = config.channels, shape.outputs
    if config.stem == "small":
        total = 9 * shape.channels * 3 * channels + 2 * 3 * channels
        before, last = 3 * channels, 3 * channels
    else:
        half = channels // 2
        total = 9 * (shape.channels * half + half * channels + channels * channels) + 2 * (half + 2 * channels)
        before, last = channels, channels
    for group, width in zip(groups_of_cells(config.cells), widths(config.cells, channels), strict=True):
        total += width * (before + last) + 4 * width
        for operation, source in genotype.cell(group):
            total += operation_parameters(operation, width, stride(group, source))
        before, last = last, NODES * width
    total += last * classes + classes
    if config.auxiliary:
        first, second = HEAD_CHANNELS
        head = NODES * widths(config.cells, channels)[reductions(config.cells)[1]]
        total += head * first + 2 * first + first * second * 4 + second * classes + classes
        if config.stem == "small":
            total += 2 * second
    return total


class DerivedNetwork:
    """The network of a genotype: a function of weights and images.

    Args:
        genotype: its cells.
        config: its size.
        shape: channels of the images, and number of classes.

    Attributes:
        groups: the kind of each cell.
        paths: operations in each cell, whose outputs drop-path multiplies.

    Raises:
        ValueError: fewer than three cells, or an odd number of channels with the `imagenet` stem.
    """

    paths = EDGES_PER_NODE * NODES

    def __init__(self, genotype: Genotype, config: DerivedConfig, shape: InputShape) -> None:
        if config.channels < 1 or (config.stem == "imagenet" and config.channels % 2):
            raise ValueError(f"{config.stem} stem: expected a positive, even number of channels, got {config.channels}")
        self.genotype = genotype
        self.config = config
        self.shape = shape
        self.groups = groups_of_cells(config.cells)
        self._noisy = any(operation == NOISE for group in self.groups for operation, _ in genotype.cell(group))

    @cached_property
    def widths(self) -> list[int]:
        """Channels C of each cell's nodes; the cell's output has 4 C."""
        return widths(self.config.cells, self.config.channels)

    def blocks(self) -> Iterator[Block]:
        """Every block, in the order of the data; the auxiliary head's last."""
        channels = self.config.channels
        if self.config.stem == "small":
            yield convolution_block("stem", self.shape.channels, 3 * channels, 3)
            incoming = [3 * channels] * 2
        else:
            yield convolution_block("stem0", self.shape.channels, channels // 2, 3)
            yield convolution_block("stem1", channels // 2, channels, 3)
            yield convolution_block("stem2", channels, channels, 3)
            incoming = [channels] * 2
        for cell, (group, width) in enumerate(zip(self.groups, self.widths, strict=True)):
            name = f"cell{cell}"
            preprocessing = reduction_block if self._halves_first_input(cell) else convolution_block
            yield preprocessing(f"{name}.input0", incoming[0], width)
            yield convolution_block(f"{name}.input1", incoming[1], width)
            for place, (operation, source) in enumerate(self.genotype.cell(group)):
                step = stride(group, source)
                yield from operation_blocks(f"{name}.operation{place}", operation, width, step, search=False)
            incoming = [incoming[1], NODES * width]
        if self.config.auxiliary:
            first, second = HEAD_CHANNELS
            yield convolution_block("auxiliary.first", NODES * self.widths[self._head], first)
            # The published head for ImageNet has no second batch norm (`model_imagenet.py`).
            normalised = second if self.config.stem == "small" else 0
            yield Block("auxiliary.second", (("convolution", (second, first, 2, 2)),), normalised)

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Fresh weights on the CPU, drawn as torch draws those of `Conv2d` and `Linear`."""
        dense = {"classifier": (self.shape.outputs, NODES * self.widths[-1])}
        if self.config.auxiliary:
            dense["auxiliary.classifier"] = (self.shape.outputs, HEAD_CHANNELS[1])
        return initial_weights(self.blocks(), dense, generator, dtype)

    def __call__(self, weights: Weights, images: Tensor, how: Pass = EVALUATION) -> Logits:
        """Logits of a batch.

        Args:
            weights: the weights.
            images: `[batch, channels, height, width]`, normalised.
            how: the way of the pass; `path_factors` is `[cells, 8, batch]`, and an identity ignores its entries.

        Raises:
            ValueError: images of a size that the network cannot read.
        """
        self._check_images(images)
        noise = noise_of(how, self.config.cells * self.paths, images.device) if self._noisy else None
        layers = Layers(weights, BATCHNORM_MOMENTUM, how, noise)
        before, state = self._stem(layers, images)
        auxiliary = None
        for cell in range(self.config.cells):
            before, state = state, self._cell(layers, cell, before, state)
            if cell == self._head and self.config.auxiliary and how.training:
                auxiliary = self._auxiliary(layers, state)
        return Logits(layers.dense("classifier", state.mean(dim=(2, 3))), auxiliary)

    @property
    def _head(self) -> int:
        """The cell whose output the auxiliary head reads."""
        return reductions(self.config.cells)[1]

    def _halves_first_input(self, cell: int) -> bool:
        """Whether the output of the last cell but one is twice as large as that of the last."""
        if cell == 0:
            return self.config.stem == "imagenet"
        return cell - 1 in reductions(self.config.cells)

    def _check_images(self, images: Tensor) -> None:
        small = self.config.stem == "small"
        check_sides(images, 4 if small else 32)
        needed = 32 if small else 224
        if self.config.auxiliary and tuple(images.shape[-2:]) != (needed, needed):
            raise ValueError(
                f"auxiliary head: expected images of {needed} x {needed} pixels, got {images.shape[-2]} x "
                f"{images.shape[-1]}; train without it (auxiliary = false)"
            )

    def _stem(self, layers: Layers, images: Tensor) -> tuple[Tensor, Tensor]:
        """The two inputs of the first cell."""
        if self.config.stem == "small":
            # An image of one channel has no layout of its own, so the stem's map sets it for all that follows.
            state = layers.block("stem", images).contiguous(memory_format=torch.channels_last)
            return state, state
        state = layers.block("stem0", images, 2).contiguous(memory_format=torch.channels_last)
        before = layers.block("stem1", F.relu(state), 2)
        return before, layers.block("stem2", F.relu(before), 2)

    def _cell(self, layers: Layers, cell: int, before: Tensor, state: Tensor) -> Tensor:
        name, group = f"cell{cell}", self.groups[cell]
        preprocess = layers.halved if self._halves_first_input(cell) else layers.block
        inputs = (preprocess(f"{name}.input0", F.relu(before)), layers.block(f"{name}.input1", F.relu(state)))
        sources = [Source(entering) for entering in inputs]
        factors = layers.how.path_factors
        edges = list(enumerate(self.genotype.cell(group)))
        for node in range(NODES):
            outputs = []
            for place, (operation, source) in edges[EDGES_PER_NODE * node : EDGES_PER_NODE * (node + 1)]:
                step = stride(group, source)
                number = cell * self.paths + place
                output = layers.operation(f"{name}.operation{place}", operation, sources[source], step, number)
                if output is None:
                    output = torch.zeros_like(sources[source].state[:, :, ::step, ::step])
                identity = operation == SKIP and step == 1
                if factors is not None and not identity:
                    output = output * factors[cell, place].view(-1, 1, 1, 1)
                outputs.append(output)
            sources.append(Source(outputs[0] + outputs[1]))
        return torch.cat([source.state for source in sources[INPUTS:]], dim=1)

    def _auxiliary(self, layers: Layers, state: Tensor) -> Tensor:
        small = self.config.stem == "small"
        state = F.avg_pool2d(F.relu(state), 5, 3 if small else 2)
        state = F.relu(layers.block("auxiliary.first", state))
        # 2 x 2 pixels and no padding: one pixel remains.
        state = F.conv2d(state, layers.weights.parameters["auxiliary.second.convolution.weight"])
        if small:
            state = layers.normalised("auxiliary.second", state)
        return layers.dense("auxiliary.classifier", F.relu(state).flatten(1))


class GenotypeNetwork(Network):
    """The network of a genotype as a judge trains it, called with a mixture that is the genotype's own.

    Args:
        space: of the genotype.
        genotype: its cells.
        config: its size.
        shape: channels of the images, and number of classes.

    Raises:
        ValueError: fewer than three cells.
    """

    def __init__(self, space: Space[Any], genotype: Genotype, config: DerivedConfig, shape: InputShape) -> None:
        self._derived = DerivedNetwork(genotype, config, shape)
        self.space, self.config, self.shape = space, config, shape
        self.groups, self.paths = self._derived.groups, self._derived.paths

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Fresh weights on the CPU."""
        return self._derived.initial_weights(generator, dtype)

    def after_stem(self, weights: Any, mixture: Mixture, stem: Tensor, how: Pass = EVALUATION) -> Any:
        """Logits `[batch, classes]` of images; in training with an auxiliary head also the head's (`Logits`)."""
        outputs = self._derived(weights, stem, how)
        return outputs.logits if outputs.auxiliary is None else outputs
