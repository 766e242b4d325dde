"""The weight-sharing supernet of NAS-Bench-1Shot1 (SmoothDARTS `optimizers/darts/model_search.py`, `operations.py`).

A `Supernet` is a function of weights, mixture and images. It holds no weights and no alphas, and applies no softmax:
optimizers call it with whatever coefficients they want multiplied, at whatever weights they like.

Every cell multiplies all candidate operations: a choice block sums its weighted inputs (its own projection of the
cell's input, and the blocks below it), then its weighted operations; the cell's output is the weighted projection of
its input plus the concatenation of the weighted blocks. Cells do not differ in kind, and share one mixture unless one
is given for each. With partial channels (PC-DARTS) only the first k-th of a block's channels goes through the
operations, and the channels are shuffled afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.nb101.cell import CONV1X1, CONV3X3, OPERATIONS
from spaces.nb101.coefficients import Mixture
from spaces.nb101.space import SearchSpace

BATCHNORM_EPSILON = 1e-5

CONVOLUTIONS = {CONV3X3: "conv3x3", CONV1X1: "conv1x1"}
"""What a block's weights are called, for each operation that has some; the other is the max-pooling."""


@dataclass(frozen=True)
class SupernetConfig:
    """Size and quirks of a supernet."""

    channels: int = 16
    """Width of the stem and the first cells; doubles at one and at two thirds of the depth."""

    cells: int = 9
    """Number of cells."""

    batchnorm_momentum: float = 0.997
    """Share of the last batch in the running statistics. The published code took TensorFlow's decay .997 for torch's
    momentum (`operations.py:28`), so that they are almost those of the last batch; .003 is what was meant."""

    downsample_padding: int = 1
    """Padding of the 2x2 pooling between stages. 1 as published (`model_search.py:180`: maps of 32, 17, 9 pixels);
    0 as in NAS-Bench-101 (32, 16, 8)."""

    partial_channels: int = 1
    """k: the first k-th of a block's channels goes through the operations, the others pass by. 1 for all; PC-DARTS
    takes 4 (`optimizers/pc_darts/model_search.py`)."""


@dataclass(frozen=True)
class Weights:
    """What training moves.

    Attributes:
        parameters: name -> tensor; the leaves that the weight step trains.
        buffers: name -> running mean and variance of each batch norm, `<name>.mean` and `<name>.variance`.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def frozen(self) -> Weights:
        """The same memory without gradients: passes for alphas do not compute those of the weights."""
        return Weights({name: tensor.detach() for name, tensor in self.parameters.items()}, self.buffers)


@dataclass(frozen=True)
class FoldedWeights:
    """Weights for evaluation with stored statistics, batch norm folded into the convolutions; no gradient reaches them.

    Attributes:
        convolutions: name -> (weight, bias) of each convolution.
        classifier: weight and bias of the last layer.
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]
    classifier: tuple[Tensor, Tensor]


class Supernet:
    """The supernet of a space.

    Args:
        space: the search space.
        config: size and quirks.
        image_channels: channels of the images.
        classes: number of classes.

    Raises:
        ValueError: the width is no multiple of `partial_channels`.
    """

    def __init__(
        self, space: SearchSpace, config: SupernetConfig | None = None, image_channels: int = 3, classes: int = 10
    ) -> None:
        self.space = space
        self.config = config or SupernetConfig()
        if self.config.partial_channels < 1 or self.config.channels % self.config.partial_channels:
            raise ValueError(
                f"expected channels to be a multiple of partial_channels, got {self.config.channels} and "
                f"{self.config.partial_channels}"
            )
        self.image_channels = image_channels
        self.classes = classes

    @property
    def widths(self) -> list[int]:
        """Width C of each cell; the cell's output has n * C channels."""
        cells, width = self.config.cells, self.config.channels
        return [width * 2 ** sum(index >= third for third in self.halvings) for index in range(cells)]

    @property
    def halvings(self) -> tuple[int, int]:
        """Cells before which maps are halved and widths doubled."""
        return self.config.cells // 3, 2 * self.config.cells // 3

    def convolutions(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        """Name and weight shape `[out, in, k, k]` of every convolution, in the order of the data.

        The projections of a cell's input, C channels for each block and then n * C for the edge from input to output,
        are one convolution `cell<i>.projections`; published weights split along its first dimension.
        """
        blocks = self.space.blocks
        yield "stem", (self.config.channels, self.image_channels, 3, 3)
        incoming = self.config.channels
        for index, width in enumerate(self.widths):
            yield f"cell{index}.projections", (2 * blocks * width, incoming, 1, 1)
            part = width // self.config.partial_channels
            for block in range(blocks):
                yield f"cell{index}.block{block}.conv3x3", (part, part, 3, 3)
                yield f"cell{index}.block{block}.conv1x1", (part, part, 1, 1)
            incoming = blocks * width
        yield "postprocess", (self.widths[-1], incoming, 1, 1)

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Fresh weights, drawn on the CPU as torch draws those of `Conv2d` and `Linear`.

        Uniform within 1 / sqrt(fan-in); batch norm starts at scale 1 and shift 0. `postprocess` has no affine batch
        norm.
        """
        parameters: dict[str, Tensor] = {}
        buffers: dict[str, Tensor] = {}
        for name, shape in self.convolutions():
            kernel = _uniform(shape, math.prod(shape[1:]), generator, dtype)
            # Maps and kernels are channels-last throughout: on a CPU pooling is several times faster so, and a kernel
            # in the other layout would be reordered at every call.
            parameters[f"{name}.weight"] = kernel.contiguous(memory_format=torch.channels_last)
            if name != "postprocess":
                parameters[f"{name}.scale"] = torch.ones(shape[0], dtype=dtype)
                parameters[f"{name}.shift"] = torch.zeros(shape[0], dtype=dtype)
            buffers[f"{name}.mean"] = torch.zeros(shape[0], dtype=dtype)
            buffers[f"{name}.variance"] = torch.ones(shape[0], dtype=dtype)
        width = self.widths[-1]
        parameters["classifier.weight"] = _uniform((self.classes, width), width, generator, dtype)
        parameters["classifier.bias"] = _uniform((self.classes,), width, generator, dtype)
        for tensor in parameters.values():
            tensor.requires_grad_()
        return Weights(parameters, buffers)

    def __call__(
        self,
        weights: Weights | FoldedWeights,
        mixture: Mixture | Sequence[Mixture],
        images: Tensor,
        *,
        training: bool = False,
        update_statistics: bool = True,
        skip_zeros: bool = False,
        path_factors: Tensor | None = None,
        twice_differentiable: bool = False,
    ) -> Tensor:
        """Logits `[batch, classes]`.

        Args:
            weights: the weights; folded ones only for evaluation.
            mixture: coefficients for all cells, or those of each: a list, or a mixture whose tensors have a first
                dimension of cells.
            images: `[batch, image_channels, height, width]`, normalised.
            training: normalise by the batch's statistics rather than the stored ones.
            update_statistics: in training, move the stored statistics towards the batch's.
            skip_zeros: do not evaluate operations whose coefficient is exactly zero. The logits stay the same; skipped
                operations keep their statistics, and neither their weights nor their coefficients get a gradient.
            path_factors: `[cells, blocks, batch]`, what each block's output is multiplied with, image by image
                (scheduled drop-path); None for ones.
            twice_differentiable: whether second derivatives will be asked for, which a faster supernet may not have.
        """
        return self.after_stem(
            weights,
            mixture,
            self.stem(
                weights,
                images,
                training=training,
                update_statistics=update_statistics,
                twice_differentiable=twice_differentiable,
            ),
            training=training,
            update_statistics=update_statistics,
            skip_zeros=skip_zeros,
            path_factors=path_factors,
            twice_differentiable=twice_differentiable,
        )

    def stem(
        self,
        weights: Weights | FoldedWeights,
        images: Tensor,
        *,
        training: bool = False,
        update_statistics: bool = True,
        twice_differentiable: bool = False,
    ) -> Tensor:
        """What no coefficient can change: the first cell's projections `[batch, 2 n C, height, width]`."""
        layers = self._layers(weights, training, update_statistics, twice_differentiable)
        # A single-channel image has no layout of its own, so it is the stem's map that sets it for all that follows.
        state = layers("stem", images).contiguous(memory_format=torch.channels_last)
        for halving in self.halvings:
            if halving == 0:
                state = self._halve(state)
        return layers("cell0.projections", state)

    def after_stem(
        self,
        weights: Weights | FoldedWeights,
        mixture: Mixture | Sequence[Mixture],
        stem: Tensor,
        *,
        training: bool = False,
        update_statistics: bool = True,
        skip_zeros: bool = False,
        path_factors: Tensor | None = None,
        twice_differentiable: bool = False,
    ) -> Tensor:
        """Logits `[batch, classes]` from what `stem` gave at the same weights."""
        layers = self._layers(weights, training, update_statistics, twice_differentiable)
        mixtures = mixture.of_cells(self.config.cells) if isinstance(mixture, Mixture) else mixture
        counting = _counting_operations(mixtures, skip_zeros)
        state = stem
        for index in range(self.config.cells):
            if index:
                for halving in self.halvings:
                    if index == halving:
                        state = self._halve(state)
            factors = None if path_factors is None else path_factors[index]
            state = self._cell(layers, index, mixtures[index], counting[index], state, factors)
        state = layers.postprocess(F.relu(state))
        return layers.classify(state.mean(dim=(2, 3)))

    def loss_of_mixture(self, weights: FoldedWeights, images: Tensor, labels: Tensor) -> Callable[[Mixture], Tensor]:
        """The cross-entropy of a batch as a function of the mixture alone, at stored statistics.

        What no coefficient can change is computed once. Every operation is evaluated.

        Args:
            weights: the weights, folded.
            images: `[batch, image_channels, height, width]`, normalised.
            labels: `[batch]`, int64.
        """
        with torch.no_grad():
            stem = self.stem(weights, images)
        return lambda mixture: F.cross_entropy(self.after_stem(weights, mixture, stem), labels)

    def fold(self, weights: Weights) -> FoldedWeights:
        """Fold the stored statistics into the convolutions; no gradient flows to the weights."""
        convolutions: dict[str, tuple[Tensor, Tensor]] = {}
        with torch.no_grad():
            for name, _ in self.convolutions():
                kernel = weights.parameters[f"{name}.weight"]
                factor = (weights.buffers[f"{name}.variance"] + BATCHNORM_EPSILON).rsqrt()
                shift = torch.zeros_like(factor)
                if name != "postprocess":
                    factor = factor * weights.parameters[f"{name}.scale"]
                    shift = weights.parameters[f"{name}.shift"]
                bias = shift - factor * weights.buffers[f"{name}.mean"]
                convolutions[name] = (kernel * factor.view(-1, 1, 1, 1), bias)
        classifier = (weights.parameters["classifier.weight"].detach(), weights.parameters["classifier.bias"].detach())
        return FoldedWeights(convolutions, classifier)

    def _layers(
        self, weights: Weights | FoldedWeights, training: bool, update_statistics: bool, plain: bool
    ) -> SupernetLayers:
        """The convolution blocks; a faster supernet has others, except where `plain` ones are asked for."""
        return SupernetLayers(weights, self.config, training, update_statistics)

    def _is_whole(self, counting: Sequence[Sequence[int]], path_factors: Tensor | None) -> bool:
        """Whether a pass is the common one, of all channels, operations and paths, which a faster supernet knows."""
        every = all(len(operations) == len(OPERATIONS) for operations in counting)
        return self.config.partial_channels == 1 and every and path_factors is None

    def _halve(self, state: Tensor) -> Tensor:
        return F.max_pool2d(state, 2, 2, self.config.downsample_padding)

    def _cell(
        self,
        layers: SupernetLayers,
        index: int,
        mixture: Mixture,
        counting: Sequence[Sequence[int]],
        state: Tensor,
        path_factors: Tensor | None,
    ) -> Tensor:
        """A cell's output from the map that enters it, or, of the first, from its projections."""
        name = f"cell{index}"
        projections = layers(f"{name}.projections", state) if index else state
        blocks = self.space.blocks
        width = projections.shape[1] // (2 * blocks)
        *own, through = torch.split(projections, [width] * blocks + [blocks * width], dim=1)
        inputs = dict(zip(self.space.choosing_nodes, mixture.inputs, strict=True))
        states: list[Tensor] = []
        for block, coefficients in enumerate(mixture.operations.unbind()):
            terms = [own[block], *states]
            if block + 1 in inputs:
                total = weighted_sum(inputs[block + 1].unbind(), terms)
            else:
                total = sum(terms[1:], terms[0])
            state = self._mixed(layers, f"{name}.block{block}", coefficients, counting[block], total)
            states.append(state if path_factors is None else state * path_factors[block].view(-1, 1, 1, 1))
        edge, *shares = mixture.output.unbind()
        merged = torch.cat([share * state for share, state in zip(shares, states, strict=True)], dim=1)
        return merged + edge * through

    def _mixed(
        self, layers: SupernetLayers, name: str, coefficients: Tensor, counting: Sequence[int], state: Tensor
    ) -> Tensor:
        """Weighted sum of the operations that count, on the first k-th of the channels."""
        parts = self.config.partial_channels
        if parts > 1:
            state, *passing = state.chunk(parts, dim=1)
            state = state.contiguous(memory_format=torch.channels_last)
        weights = coefficients.unbind()
        candidates = [
            layers(f"{name}.{CONVOLUTIONS[op]}", state) if op in CONVOLUTIONS else F.max_pool2d(state, 3, 1, 1)
            for op in (OPERATIONS[column] for column in counting)
        ]
        mixed = weighted_sum([weights[column] for column in counting], candidates)
        return mixed if parts == 1 else shuffled([mixed, *passing])


@dataclass
class SupernetLayers:
    """Convolution blocks at given weights: conv, batch norm, ReLU."""

    weights: Weights | FoldedWeights
    config: SupernetConfig
    training: bool
    update_statistics: bool

    def __call__(self, name: str, state: Tensor) -> Tensor:
        return F.relu_(self._normalised(name, state, self.config.batchnorm_momentum))

    def postprocess(self, state: Tensor) -> Tensor:
        # torch's default momentum here, also in the published code (model_search.py)
        return self._normalised("postprocess", state, 0.1)

    def classify(self, features: Tensor) -> Tensor:
        if isinstance(self.weights, FoldedWeights):
            return F.linear(features, *self.weights.classifier)
        parameters = self.weights.parameters
        return F.linear(features, parameters["classifier.weight"], parameters["classifier.bias"])

    def _normalised(self, name: str, state: Tensor, momentum: float) -> Tensor:
        if isinstance(self.weights, FoldedWeights):
            weight, bias = self.weights.convolutions[name]
            return F.conv2d(state, weight, bias, padding=weight.shape[-1] // 2)
        parameters, buffers = self.weights.parameters, self.weights.buffers
        weight = parameters[f"{name}.weight"]
        state = F.conv2d(state, weight, padding=weight.shape[-1] // 2)
        stored = self.update_statistics or not self.training
        return F.batch_norm(
            state,
            buffers[f"{name}.mean"] if stored else None,
            buffers[f"{name}.variance"] if stored else None,
            parameters.get(f"{name}.scale"),
            parameters.get(f"{name}.shift"),
            self.training,
            momentum,
            BATCHNORM_EPSILON,
        )


def _counting_operations(mixtures: Sequence[Mixture], skip_zeros: bool) -> list[list[list[int]]]:
    """For each cell and block the operations to evaluate; one at least, so that a block has an output."""
    every = list(range(len(OPERATIONS)))
    if not skip_zeros:
        return [[every] * len(mixture.operations) for mixture in mixtures]
    # One transfer from the device for all cells.
    counts = torch.stack([mixture.operations.detach() for mixture in mixtures]).ne(0).tolist()
    return [[[op for op in every if row[op]] or every[:1] for row in cell] for cell in counts]


def convolution_backward(
    gradient: Tensor, source: Tensor, kernel: Tensor, weights: bool, wanted: bool = True
) -> tuple[Tensor, Tensor]:
    """The gradients of what enters a convolution, if wanted, and of its kernel, if those of weights are."""
    padding = kernel.shape[-1] // 2
    to_source, to_kernel, _ = torch.ops.aten.convolution_backward(
        gradient, source, kernel, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, [wanted, weights, False]
    )
    return to_source, to_kernel


def refuse_second_derivative() -> None:
    """For the derivative of a function that has no second one, which would silently be wrong.

    Raises:
        RuntimeError: the derivative is to be differentiated itself.
    """
    if torch.is_grad_enabled():
        raise RuntimeError("second derivatives: expected a forward pass with twice_differentiable=True")


def shuffled(groups: Sequence[Tensor]) -> Tensor:
    """Channels of the groups in turn (`pc_darts/model_search.py`, `channel_shuffle`), channels-last as they were."""
    return torch.stack([group.permute(0, 2, 3, 1) for group in groups], dim=-1).flatten(-2).permute(0, 3, 1, 2)


def weighted_sum(coefficients: Sequence[Tensor], terms: Sequence[Tensor]) -> Tensor:
    """The sum of maps, each times its coefficient, 0-dimensional."""
    first, *others = zip(coefficients, terms, strict=True)
    total = first[0] * first[1]
    for coefficient, term in others:
        total = torch.addcmul(total, coefficient, term)
    return total


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return torch.rand(shape, generator=generator, dtype=torch.float64).mul_(2 * bound).sub_(bound).to(dtype)
