"""The supernet with everything between its convolutions in a few kernels, for a CUDA device.

A cell's convolutions are the library's. Batch norm, ReLU, pooling, weighting and sums, which read and write maps and
compute next to nothing, are Triton kernels that read each map once (`spaces.nb101.fast.kernels`). A cell is one
function of its input's projections and its coefficients, with its own derivative; there is no second one. Numbers
differ from the plain supernet's by rounding alone. Forward pass and derivative mirror each other line by line, hence
the module's length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from spaces.base import Pass, Weights
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.fast import kernels
from spaces.nb101.supernet import (
    BATCHNORM_EPSILON,
    FoldedWeights,
    Supernet,
    SupernetLayers,
    convolution_backward,
    refuse_second_derivative,
)

ELEMENTS = 2048
"""Entries of a tile: pixels times channels."""


_TERMS = 5
"""How many inputs the kernels of a weighted sum take: a projection and four blocks below."""


class FusedSupernet(Supernet):
    """The same function of weights, mixture and images; arguments and errors are the parent's.

    Passes that skip operations or drop paths, are to be differentiated twice or have partial channels are the parent's.
    """

    def fold(self, weights: Weights) -> FoldedWeights:
        """As the parent's, with what the kernels need of it: an attack makes many passes at the same weights."""
        folded = super().fold(weights)
        norms = {name: _folded_norm(*convolution) for name, convolution in folded.convolutions.items()}
        return _FusedFolded(folded.convolutions, folded.classifier, norms)

    def _layers(self, weights: Weights | FoldedWeights, how: Pass) -> SupernetLayers:
        layers = SupernetLayers if how.twice_differentiable else _FusedLayers
        return layers(weights, self.config, how.training, how.update_statistics)

    def _cell(
        self,
        layers: SupernetLayers,
        index: int,
        mixture: Coefficients,
        counting: Sequence[Sequence[int]],
        state: Tensor,
        path_factors: Tensor | None,
    ) -> Tensor:
        if not (isinstance(layers, _FusedLayers) and self._is_whole(counting, path_factors)):
            return super()._cell(layers, index, mixture, counting, state, path_factors)
        name = f"cell{index}"
        projections = layers(f"{name}.projections", state) if index else state
        norms = [
            layers.norm(f"{name}.block{block}.{kind}")
            for block in range(self.space.blocks)
            for kind in ("conv3x3", "conv1x1")
        ]
        plan = _Plan(self.space.blocks, tuple(self.space.choosing_nodes), layers.training, norms)
        tensors = [tensor for norm in norms for tensor in (norm.kernel, norm.scale, norm.shift)]
        out: Tensor = _Cell.apply(
            plan, projections, mixture.operations, mixture.output, len(mixture.inputs), *mixture.inputs, *tensors
        )
        return out


@dataclass
class _Norm:
    """A convolution and the batch norm behind it.

    Attributes:
        kernel: the convolution's.
        scale: batch norm's, `[channels]`.
        shift: batch norm's, `[channels]`.
        mean: running mean.
        variance: running variance.
        stored: `[4, channels]`, factor, shift, mean and 1 / deviation, where batch norm is at its stored statistics.
        momentum: 0 where the running statistics are left alone.
    """

    kernel: Tensor
    scale: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    stored: Tensor | None
    momentum: float


@dataclass(frozen=True)
class _FusedFolded(FoldedWeights):
    """Folded weights, and the convolutions as the kernels want them, by name."""

    norms: dict[str, _Norm]


def _folded_norm(kernel: Tensor, bias: Tensor) -> _Norm:
    """A convolution that batch norm is folded into: what is left behind it is a shift."""
    ones = torch.ones_like(bias)
    stored = torch.stack([ones, bias, torch.zeros_like(bias), ones])
    return _Norm(kernel, ones, bias, bias, ones, stored, 0.0)


@dataclass
class _Plan:
    """What a cell is, its tensors aside.

    Attributes:
        blocks: number of blocks.
        choosing: nodes whose parents have coefficients.
        training: whether batch norm takes the batch's statistics.
        norms: 3x3 and 1x1 convolution of each block, in turn.
    """

    blocks: int
    choosing: tuple[int, ...]
    training: bool
    norms: list[_Norm]


class _FusedLayers(SupernetLayers):
    """Convolution blocks whose batch norm and ReLU are one pass over the map."""

    def __call__(self, name: str, state: Tensor) -> Tensor:
        norm = self.norm(name)
        padding = norm.kernel.shape[-1] // 2
        convolved = F.conv2d(state, norm.kernel, padding=padding)
        out: Tensor = _NormalisedRelu.apply(convolved, norm.scale, norm.shift, norm)
        return out

    def norm(self, name: str) -> _Norm:
        """The convolution of a name, and its batch norm."""
        if isinstance(self.weights, _FusedFolded):
            return self.weights.norms[name]
        if isinstance(self.weights, FoldedWeights):
            return _folded_norm(*self.weights.convolutions[name])
        parameters, buffers = self.weights.parameters, self.weights.buffers
        kernel, scale, shift = (parameters[f"{name}.{part}"] for part in ("weight", "scale", "shift"))
        mean, variance = buffers[f"{name}.mean"], buffers[f"{name}.variance"]
        stored: Tensor | None = None
        if not self.training:
            deviation = (variance + BATCHNORM_EPSILON).rsqrt()
            factor = scale.detach() * deviation
            stored = torch.stack([factor, shift.detach() - mean * factor, mean, deviation])
        moves = self.training and self.update_statistics
        return _Norm(kernel, scale, shift, mean, variance, stored, self.config.batchnorm_momentum if moves else 0.0)


class _NormalisedRelu(torch.autograd.Function):
    """ReLU of batch norm of a map."""

    @staticmethod
    def forward(ctx: Any, convolved: Tensor, scale: Tensor, shift: Tensor, norm: _Norm) -> Tensor:
        convolved = _channels_last(convolved)
        tiling = _Tiling(convolved)
        affine = _affine(tiling, [(convolved, norm)])[0]
        out = torch.empty_like(convolved)
        kernels.normalised_relu[tiling.grid](convolved, affine, out, tiling.pixels, tiling.channels, **tiling.tile)
        ctx.save_for_backward(convolved, affine)
        ctx.training = norm.stored is None
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        refuse_second_derivative()
        convolved, affine = ctx.saved_tensors
        gradient = _channels_last(gradient)
        tiling = _Tiling(convolved)
        sums = affine
        if ctx.training or ctx.needs_input_grad[1]:
            partial = tiling.partial(2)
            kernels.normalised_relu_sums[tiling.grid](
                convolved, affine, gradient, partial, tiling.pixels, tiling.channels, tiling.tiles, **tiling.tile
            )
            sums = tiling.totals(partial)
        out = torch.empty_like(convolved)
        kernels.normalised_relu_backward[tiling.grid](
            convolved, affine, gradient, sums, out, tiling.pixels, tiling.channels, TRAINING=ctx.training, **tiling.tile
        )
        return out, sums[1], sums[0], None


class _Cell(torch.autograd.Function):
    """A cell's output `[batch, n C, height, width]` from its input's projections `[batch, 2 n C, height, width]`."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: _Plan,
        projections: Tensor,
        operations: Tensor,
        output: Tensor,
        choices: int,
        *rest: Tensor,
    ) -> Tensor:
        inputs, tensors = rest[:choices], rest[choices:]
        projections = _channels_last(projections)
        operations, output = operations.contiguous(), output.contiguous()
        coefficients = dict(zip(plan.choosing, (row.contiguous() for row in inputs), strict=True))
        images, channels, height, width = projections.shape
        channels //= 2 * plan.blocks
        like = torch.empty(
            (images, channels, height, width),
            dtype=projections.dtype,
            device=projections.device,
            memory_format=torch.channels_last,
        )
        tiling = _Tiling(like)
        saved: list[_Block] = []
        for block in range(plan.blocks):
            own = projections.narrow(1, block * channels, channels)
            states = [below.state for below in saved]
            chosen = coefficients.get(block + 1)
            total = like if block == 0 else torch.empty_like(like)
            pointers = [own, *states, *[own] * (_TERMS - 1 - len(states))]
            kernels.weighted_sum[tiling.grid](
                *pointers,
                output if chosen is None else chosen,
                total,
                tiling.pixels,
                channels,
                projections.shape[1],
                TERMS=len(states) + 1,
                WEIGHTED=chosen is not None,
                **tiling.tile,
            )
            wide = _channels_last(F.conv2d(total, tensors[6 * block], padding=1))
            narrow = _channels_last(F.conv2d(total, tensors[6 * block + 3]))
            norms = plan.norms[2 * block : 2 * block + 2]
            affine = _affine(tiling, list(zip((wide, narrow), norms, strict=True)))
            state = torch.empty_like(like)
            which = torch.empty_like(like, dtype=torch.int8)
            kernels.mixed_operation[tiling.grid](
                total, wide, narrow, *affine, operations[block], state, which, tiling.pixels, channels, height, width,
                **tiling.tile,
            )  # fmt: skip
            saved.append(_Block(total, wide, narrow, affine, state, which))
        out = torch.empty(
            (images, plan.blocks * channels, height, width),
            dtype=like.dtype,
            device=like.device,
            memory_format=torch.channels_last,
        )
        for block, values in enumerate(saved):
            through = projections.narrow(1, (plan.blocks + block) * channels, channels)
            kernels.merged_output[tiling.grid](
                values.state, through, output, out.narrow(1, block * channels, channels), tiling.pixels, channels,
                projections.shape[1], out.shape[1], block, **tiling.tile,
            )  # fmt: skip
        ctx.save_for_backward(projections, operations, output, *coefficients.values(), *tensors)
        ctx.plan, ctx.saved, ctx.choices = plan, saved, choices
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        refuse_second_derivative()
        plan, saved, choices = ctx.plan, ctx.saved, ctx.choices
        projections, operations, output, *rest = ctx.saved_tensors
        coefficients, tensors = dict(zip(plan.choosing, rest[:choices], strict=True)), rest[choices:]
        moves_alphas, moves_weights = ctx.needs_input_grad[2], ctx.needs_input_grad[5 + choices]
        gradient = _channels_last(gradient)
        like = saved[0].state
        channels, height, width = like.shape[1:]
        tiling = _Tiling(like)
        to_projections = torch.empty_like(projections)
        to_states = [torch.empty_like(like) for _ in saved]
        merged = tiling.partial(2 * plan.blocks)
        for block, values in enumerate(saved):
            at = (plan.blocks + block) * channels
            kernels.merged_output_backward[tiling.grid](
                values.state, projections.narrow(1, at, channels), output,
                gradient.narrow(1, block * channels, channels), to_states[block],
                to_projections.narrow(1, at, channels), merged[2 * block :], tiling.pixels, channels,
                projections.shape[1], gradient.shape[1], block, tiling.tiles, SUMS=moves_alphas, **tiling.tile,
            )  # fmt: skip
        to_operations: list[Tensor] = []
        to_choices: list[Tensor | None] = []
        to_tensors: list[Tensor | None] = []
        for block in reversed(range(plan.blocks)):
            values = saved[block]
            partial = tiling.partial(7)
            kernels.mixed_operation_sums[tiling.grid](
                values.total, values.wide, values.narrow, *values.affine, operations[block], values.which,
                to_states[block], partial, tiling.pixels, channels, width, tiling.tiles, **tiling.tile,
            )  # fmt: skip
            sums = tiling.totals(partial)
            if moves_alphas:
                to_operations.insert(0, sums[:3].sum(dim=1))
            to_total, to_wide, to_narrow = (torch.empty_like(like) for _ in range(3))
            kernels.mixed_operation_backward[tiling.grid](
                values.wide, values.narrow, *values.affine, operations[block], values.which, to_states[block],
                sums, to_total, to_wide, to_narrow, tiling.pixels,
                channels, height, width, TRAINING=plan.training, **tiling.tile,
            )  # fmt: skip
            of_block: list[Tensor | None] = []
            for kernel, to_map, row in ((tensors[6 * block], to_wide, 3), (tensors[6 * block + 3], to_narrow, 5)):
                through, to_kernel = convolution_backward(to_map, values.total, kernel, moves_weights)
                to_total += through
                of_block += [to_kernel, sums[row + 1], sums[row]] if moves_weights else [None, None, None]
            to_tensors = of_block + to_tensors
            chosen = coefficients.get(block + 1)
            own, to_own = (whole.narrow(1, block * channels, channels) for whole in (projections, to_projections))
            terms = tiling.partial(block + 1)
            weighted = chosen is not None
            states = [below.state for below in saved[:block]]
            kernels.weighted_sum_backward[tiling.grid](
                own, *states, *[own] * (_TERMS - 1 - block), output if chosen is None else chosen, to_total,
                to_own, *to_states[:block], *[to_own] * (_TERMS - 1 - block), terms, tiling.pixels, channels,
                projections.shape[1], tiling.tiles, TERMS=block + 1, WEIGHTED=weighted,
                SUMS=weighted and moves_alphas, **tiling.tile,
            )  # fmt: skip
            if weighted:
                to_choices.insert(0, tiling.totals(terms).sum(dim=1) if moves_alphas else None)
        to_output = None
        if moves_alphas:
            edge, shares = tiling.totals(merged).view(plan.blocks, 2, channels).sum(dim=2).unbind(dim=1)
            to_output = torch.cat([edge.sum(dim=0, keepdim=True), shares])
        return (
            None,
            to_projections,
            torch.stack(to_operations) if moves_alphas else None,
            to_output,
            None,
            *to_choices,
            *to_tensors,
        )


@dataclass
class _Block:
    """What a block's gradient needs: its input, the convolutions' maps, their batch norms, its output, and which pixel
    won the pooling."""

    total: Tensor
    wide: Tensor
    narrow: Tensor
    affine: list[Tensor]
    state: Tensor
    which: Tensor


class _Tiling:
    """How kernels walk a channels-last map."""

    def __init__(self, like: Tensor) -> None:
        self.channels = like.shape[1]
        self.pixels = like.numel() // self.channels
        width = triton.next_power_of_2(self.channels)
        rows = max(1, ELEMENTS // width)
        self.tiles = -(-self.pixels // rows)
        self.grid = (self.tiles,)
        self.tile: dict[str, Any] = {"ROWS": rows, "WIDTH": width}
        self.like = like

    def partial(self, rows: int) -> Tensor:
        """Room for sums by tile, `[rows, tiles, channels]`."""
        return self.like.new_empty((rows, self.tiles, self.channels))

    def totals(self, partial: Tensor) -> Tensor:
        """Sums over tiles, `[rows, channels]`."""
        out = partial.new_empty((len(partial), self.channels))
        kernels.tile_totals[(self.channels, len(partial))](
            partial, out, self.channels, self.tiles, TILES=self.tiles_at_once
        )
        return out

    @property
    def tiles_at_once(self) -> int:
        """How many tiles' sums a program holds."""
        return min(1024, int(triton.next_power_of_2(self.tiles)))


def _affine(tiling: _Tiling, normalised: Sequence[tuple[Tensor, _Norm]]) -> list[Tensor]:
    """Batch norm of one or two maps of a shape, each `[4, channels]`; the running statistics move."""
    norms = [norm for _, norm in normalised]
    if norms[0].stored is not None:
        return [norm.stored for norm in norms if norm.stored is not None]
    pair = len(normalised) == 2
    partial = tiling.partial(4 if pair else 2)
    maps = [convolved for convolved, _ in normalised]
    kernels.tile_moments[tiling.grid](
        maps[0], maps[-1], partial, tiling.pixels, tiling.channels, tiling.channels, tiling.tiles, PAIR=pair,
        **tiling.tile,
    )  # fmt: skip
    out = [partial.new_empty((4, tiling.channels)) for _ in normalised]
    arguments = [
        (norm.scale, norm.shift, norm.mean, norm.variance, affine) for norm, affine in zip(norms, out, strict=True)
    ]
    kernels.normalisation[(tiling.channels,)](
        partial, *arguments[0], *arguments[-1], tiling.pixels, tiling.channels, tiling.tiles,
        MOMENTUM=norms[0].momentum, EPSILON=BATCHNORM_EPSILON, PAIR=pair, UPDATE=norms[0].momentum > 0,
        ROWS=tiling.tile["ROWS"], TILES=tiling.tiles_at_once,
    )  # fmt: skip
    return out


def _channels_last(state: Tensor) -> Tensor:
    return state.contiguous(memory_format=torch.channels_last)
