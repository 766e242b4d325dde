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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import (
    EVALUATION,
    Abilities,
    Architecture,
    FasterNetworkUnavailable,
    InputShape,
    MixtureCurvature,
    Network,
    Pass,
    Weights,
)
from spaces.mixture import Mixture
from spaces.nb101.architecture import CellChoice
from spaces.nb101.cell import CONV1X1, CONV3X3, OPERATIONS
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.config import SupernetConfig

if TYPE_CHECKING:
    from spaces.nb101.space import SearchSpace

BATCHNORM_EPSILON = 1e-5

CONVOLUTIONS = {CONV3X3: "conv3x3", CONV1X1: "conv1x1"}
"""What a block's weights are called, for each operation that has some; the other is the max-pooling."""


@dataclass(frozen=True)
class FoldedWeights:
    """Weights for evaluation with stored statistics, batch norm folded into the convolutions; no gradient reaches them.

    Attributes:
        convolutions: name -> (weight, bias) of each convolution.
        classifier: weight and bias of the last layer.
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]
    classifier: tuple[Tensor, Tensor]


class Supernet(Network):
    """The supernet of a space, as plain as it can be written.

    Args:
        space: the search space.
        config: size and quirks.
        shape: channels of the images and number of classes.

    Raises:
        ValueError: the settings do not go together.
    """

    abilities = Abilities(recorded_steps=True, curvature_of=frozenset({"cross_entropy"}))

    def __init__(self, space: SearchSpace, config: SupernetConfig, shape: InputShape) -> None:
        config.check()
        self.space: SearchSpace = space
        self.config = config
        self.shape = shape
        self.groups = ("cell",) * config.cells
        self.paths = space.blocks

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
        yield "stem", (self.config.channels, self.shape.channels, 3, 3)
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
        parameters["classifier.weight"] = _uniform((self.shape.outputs, width), width, generator, dtype)
        parameters["classifier.bias"] = _uniform((self.shape.outputs,), width, generator, dtype)
        for tensor in parameters.values():
            tensor.requires_grad_()
        return Weights(parameters, buffers)

    def stem(self, weights: Weights | FoldedWeights, inputs: Tensor, how: Pass = EVALUATION) -> Tensor:
        """What no coefficient can change: the first cell's projections `[batch, 2 n C, height, width]`.

        Args:
            weights: the weights; folded ones only for evaluation.
            inputs: images `[batch, channels, height, width]`, normalised.
            how: the way of the pass.
        """
        layers = self._layers(weights, how)
        # A single-channel image has no layout of its own, so it is the stem's map that sets it for all that follows.
        state = layers("stem", inputs).contiguous(memory_format=torch.channels_last)
        for halving in self.halvings:
            if halving == 0:
                state = self._halve(state)
        return layers("cell0.projections", state)

    def after_stem(
        self, weights: Weights | FoldedWeights, mixture: Mixture, stem: Tensor, how: Pass = EVALUATION
    ) -> Tensor:
        """Logits `[batch, classes]` from what `stem` gave at the same weights."""
        layers = self._layers(weights, how)
        cells = [Coefficients.from_rows(rows) for rows in mixture.of_cells(self.groups)]
        counting = _counting_operations(cells, how.skip_zeros)
        state = stem
        for index, coefficients in enumerate(cells):
            if index:
                for halving in self.halvings:
                    if index == halving:
                        state = self._halve(state)
            factors = None if how.path_factors is None else how.path_factors[index]
            state = self._cell(layers, index, coefficients, counting[index], state, factors)
        state = layers.postprocess(F.relu(state))
        return layers.classify(state.mean(dim=(2, 3)))

    @torch.no_grad()
    def of_architecture(self, weights: FoldedWeights, architecture: Architecture, stem: Tensor) -> Tensor:
        """Logits `[batch, classes]` with nothing computed but what counts (`spaces.nb101.subnetwork`)."""
        from spaces.nb101.subnetwork import Subnetwork

        assert isinstance(architecture, CellChoice)
        return Subnetwork(self, architecture)(weights, stem)

    def curvature(
        self, weights: Weights, mixture: Mixture, inputs: Tensor, targets: Tensor, directions: Sequence[Tensor]
    ) -> MixtureCurvature:
        """Second derivatives of the cross-entropy (`spaces.nb101.curvature`)."""
        from spaces.nb101.curvature import mixture_curvature

        return mixture_curvature(self, weights, mixture, inputs, targets, directions)

    def faster(self, device: torch.device) -> Network | None:
        """The supernet whose cells are one function each: fused kernels on a GPU, fewer passes over maps on a CPU."""
        if device.type == "cpu":
            from spaces.nb101.fast.cpu import DirectSupernet

            return DirectSupernet(self.space, self.config, self.shape)
        try:
            from spaces.nb101.fast.gpu import FusedSupernet
        except ModuleNotFoundError as error:
            if error.name != "triton":
                raise
            raise FasterNetworkUnavailable(
                "expected Triton, which comes with torch for CUDA on Linux, and found none"
            ) from None
        return FusedSupernet(self.space, self.config, self.shape)

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

    def _layers(self, weights: Weights | FoldedWeights, how: Pass) -> SupernetLayers:
        """The convolution blocks; a faster supernet has others, except for passes to be differentiated twice."""
        return SupernetLayers(weights, self.config, how.training, how.update_statistics)

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
        mixture: Coefficients,
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


def _counting_operations(mixtures: Sequence[Coefficients], skip_zeros: bool) -> list[list[list[int]]]:
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
