"""Layers that the search network and the derived network have in common (SmoothDARTS `sota/cnn/operations.py`).

All weights come in blocks: convolutions without bias, then a batch norm. A `Block` says their names and shapes;
`Layers` applies blocks at given weights. A block `name` with a kernel `suffix` has the parameters `name.suffix.weight`,
`name.scale` and `name.shift` (the latter two where its batch norm is affine), and the buffers `name.mean` and
`name.variance`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import Pass, Weights
from spaces.darts.noise import KeyedNoise
from spaces.darts.operations import DILATED, MAX_POOL, NOISE, NONE, POOLINGS, SEPARABLE, SKIP

BATCHNORM_EPSILON = 1e-5

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Block:
    """Convolutions and a batch norm.

    Attributes:
        name: what its weights' names begin with.
        kernels: suffix and shape `[out, in / groups, side, side]` of each convolution.
        normalised: channels of its batch norm; 0 where it has none.
        affine: whether the batch norm has weights.
    """

    name: str
    kernels: tuple[tuple[str, Shape], ...]
    normalised: int
    affine: bool = True


def convolution_block(name: str, incoming: int, channels: int, side: int = 1, affine: bool = True) -> Block:
    """A convolution and a batch norm."""
    return Block(name, (("convolution", (channels, incoming, side, side)),), channels, affine)


def reduction_block(name: str, incoming: int, channels: int, affine: bool = True) -> Block:
    """Two 1x1 convolutions of stride 2 side by side, the second a pixel further, and a batch norm."""
    half = (channels // 2, incoming, 1, 1)
    return Block(name, (("even", half), ("odd", half)), channels, affine)


def operation_blocks(name: str, operation: str, channels: int, step: int, search: bool) -> Iterator[Block]:
    """The blocks of an operation.

    Args:
        name: of its place.
        operation: its label.
        channels: those that enter and leave it.
        step: its stride.
        search: whether it is one of a search network, in which no batch norm is affine and poolings have one too.
    """
    if operation in SEPARABLE:
        for half in ("first", "second"):
            yield _separable_block(f"{name}.{half}", channels, SEPARABLE[operation], not search)
    elif operation in DILATED:
        yield _separable_block(name, channels, DILATED[operation], not search)
    elif operation == SKIP and step == 2:
        yield reduction_block(name, channels, channels, not search)
    elif operation in POOLINGS and search:
        yield Block(name, (), channels, affine=False)


def _separable_block(name: str, channels: int, side: int, affine: bool) -> Block:
    kernels = (("depthwise", (channels, 1, side, side)), ("pointwise", (channels, channels, 1, 1)))
    return Block(name, kernels, channels, affine)


def initial_weights(
    blocks: Iterable[Block], dense: Mapping[str, tuple[int, int]], generator: torch.Generator, dtype: torch.dtype
) -> Weights:
    """Fresh weights on the CPU, drawn as torch draws those of `Conv2d` and `Linear`: uniform within 1 / sqrt(fan-in).

    Args:
        blocks: what to draw, in this order.
        dense: name -> (outputs, inputs) of the dense layers, drawn last.
        generator: for the draws.
        dtype: of the weights.
    """
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}
    for block in blocks:
        for suffix, shape in block.kernels:
            kernel = _uniform(shape, math.prod(shape[1:]), generator, dtype)
            parameters[f"{block.name}.{suffix}.weight"] = kernel.contiguous(memory_format=torch.channels_last)
        if block.normalised:
            if block.affine:
                parameters[f"{block.name}.scale"] = torch.ones(block.normalised, dtype=dtype)
                parameters[f"{block.name}.shift"] = torch.zeros(block.normalised, dtype=dtype)
            buffers[f"{block.name}.mean"] = torch.zeros(block.normalised, dtype=dtype)
            buffers[f"{block.name}.variance"] = torch.ones(block.normalised, dtype=dtype)
    for name, (outputs, inputs) in dense.items():
        parameters[f"{name}.weight"] = _uniform((outputs, inputs), inputs, generator, dtype)
        parameters[f"{name}.bias"] = _uniform((outputs,), inputs, generator, dtype)
    for tensor in parameters.values():
        tensor.requires_grad_()
    return Weights(parameters, buffers)


class Source:
    """A state of a cell, and what several edges from it need, computed once.

    Args:
        state: `[batch, channels, height, width]`.
    """

    def __init__(self, state: Tensor) -> None:
        self.state = state
        self._pooled: dict[tuple[str, int], Tensor] = {}

    @cached_property
    def rectified(self) -> Tensor:
        """The state after a ReLU, with which every convolution begins."""
        return F.relu(self.state)

    def pooled(self, operation: str, step: int) -> Tensor:
        """The state after a 3x3 pooling; the padding does not count in a mean."""
        if (operation, step) not in self._pooled:
            if operation == MAX_POOL:
                pooled = F.max_pool2d(self.state, 3, step, 1)
            else:
                pooled = F.avg_pool2d(self.state, 3, step, 1, count_include_pad=False)
            self._pooled[operation, step] = pooled
        return self._pooled[operation, step]


@dataclass(frozen=True)
class Layers:
    """Blocks and operations at given weights.

    Attributes:
        weights: the weights.
        momentum: share of the last batch in the running statistics.
        how: the way of the pass.
        noise: where `noise` operations and dropout get their maps from; None in a network without any.
        skip_dropout: share of the entries of an identity's output that are zeroed in training.
    """

    weights: Weights
    momentum: float
    how: Pass
    noise: KeyedNoise | None = None
    skip_dropout: float = 0.0

    def operation(self, name: str, operation: str, source: Source, step: int, place: int) -> Tensor | None:
        """What an operation gives, or None for `none`, which gives zeros.

        Args:
            name: of the operation's place.
            operation: its label.
            source: the state that it is applied to.
            step: its stride.
            place: number of the place, for what is drawn there.
        """
        if operation in SEPARABLE:
            padding = SEPARABLE[operation] // 2
            first = self.separable(f"{name}.first", source.rectified, step, padding)
            return self.separable(f"{name}.second", F.relu(first), 1, padding)
        if operation in DILATED:
            padding = DILATED[operation] // 2
            if step == 2:
                # A kernel with holes that moves by two pixels meets every other pixel only: a plain one on these is the
                # same, and several times faster on a CPU.
                return self.separable(name, source.rectified[:, :, ::2, ::2], 1, padding)
            return self.separable(name, source.rectified, 1, 2 * padding, dilation=2)
        if operation in POOLINGS:
            pooled = source.pooled(operation, step)
            return self.normalised(name, pooled) if f"{name}.mean" in self.weights.buffers else pooled
        if operation == SKIP:
            return self._identity(source.state, place) if step == 1 else self.halved(name, source.rectified)
        if operation == NOISE:
            return self._noise(source.state, step, place)
        if operation == NONE:
            return None
        raise ValueError(f"unknown operation {operation!r}")

    def convolved(self, name: str, state: Tensor, step: int = 1, suffix: str = "convolution") -> Tensor:
        """A block with one convolution whose padding keeps the map, apart from its stride; without its batch norm."""
        kernel = self._kernel(name, suffix)
        return F.conv2d(state, kernel, stride=step, padding=kernel.shape[-1] // 2)

    def block(self, name: str, state: Tensor, step: int = 1) -> Tensor:
        """A block with one convolution."""
        return self.normalised(name, self.convolved(name, state, step))

    def halved(self, name: str, rectified: Tensor) -> Tensor:
        """A `reduction_block`, of a map with even sides after its ReLU."""
        even = F.conv2d(rectified, self._kernel(name, "even"), stride=2)
        odd = F.conv2d(rectified[:, :, 1:, 1:], self._kernel(name, "odd"), stride=2)
        return self.normalised(name, torch.cat([even, odd], dim=1))

    def separable(self, name: str, rectified: Tensor, step: int, padding: int, dilation: int = 1) -> Tensor:
        """A depthwise convolution, a pointwise one and a batch norm, of a map after its ReLU."""
        depthwise = self._kernel(name, "depthwise")
        state = F.conv2d(
            rectified, depthwise, stride=step, padding=padding, dilation=dilation, groups=depthwise.shape[0]
        )
        return self.normalised(name, F.conv2d(state, self._kernel(name, "pointwise")))

    def normalised(self, name: str, state: Tensor) -> Tensor:
        """The batch norm of a block."""
        parameters, buffers = self.weights.parameters, self.weights.buffers
        stored = self.how.update_statistics or not self.how.training
        return F.batch_norm(
            state,
            buffers[f"{name}.mean"] if stored else None,
            buffers[f"{name}.variance"] if stored else None,
            parameters.get(f"{name}.scale"),
            parameters.get(f"{name}.shift"),
            self.how.training,
            self.momentum,
            BATCHNORM_EPSILON,
        )

    def dense(self, name: str, features: Tensor) -> Tensor:
        """A dense layer."""
        parameters = self.weights.parameters
        return F.linear(features, parameters[f"{name}.weight"], parameters[f"{name}.bias"])

    def _kernel(self, name: str, suffix: str) -> Tensor:
        return self.weights.parameters[f"{name}.{suffix}.weight"]

    def _identity(self, state: Tensor, place: int) -> Tensor:
        if not self.skip_dropout or not self.how.training or self.noise is None:
            return state
        keep = 1 - self.skip_dropout
        return state * self.noise.kept(place, state.shape, keep) / keep

    def _noise(self, state: Tensor, step: int, place: int) -> Tensor:
        if self.noise is None:
            raise ValueError("noise operations: expected a pass with a key of its noise, got none")
        batch, channels, height, width = state.shape
        shape = (batch, channels, -(-height // step), -(-width // step))
        return self.noise.maps(place, shape, state.dtype)


def noise_of(how: Pass, places: int, device: torch.device) -> KeyedNoise:
    """What is drawn at random in a pass; a pass for evaluation without a key has that of key 0.

    Raises:
        ValueError: a pass in training mode has no key.
    """
    if how.noise is not None:
        return KeyedNoise(how.noise.to(device), places)
    if how.training:
        raise ValueError("noise or dropout: expected a training pass with a key (`Pass.noise`), got none")
    return KeyedNoise(torch.zeros((), dtype=torch.int64, device=device), places)


def weighted_sum(terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The sum of maps, each times its coefficient: 0-dimensional, or one number an example `[batch, 1, 1, 1]`."""
    (coefficient, state), *others = terms
    total = coefficient * state
    for coefficient, state in others:
        total = torch.addcmul(total, coefficient, state)
    return total


def check_sides(images: Tensor, factor: int) -> None:
    """Refuse images whose maps cannot be halved as often as a network does.

    Raises:
        ValueError: a side is no multiple of `factor`.
    """
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"expected images whose sides are multiples of {factor} pixels, got {height} x {width}")


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return torch.rand(shape, generator=generator, dtype=torch.float64).mul_(2 * bound).sub_(bound).to(dtype)
