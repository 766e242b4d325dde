"""The supernet with a cell as one function that has its own derivative, for a CPU.

On a CPU a third of a step goes into reading and writing maps between the convolutions: a product for every coefficient,
its two derivatives, sums of gradients, copies. Here a cell adds into maps that exist, scales kernels in place of maps,
and takes a coefficient's derivative as an inner product. There is no second derivative. Numbers differ from the plain
supernet's by rounding alone. Forward pass and derivative mirror each other line by line, hence the module's length.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Barrier
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import Loss, Pass, Weights
from spaces.mixture import Layout, Mixture
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.supernet import (
    BATCHNORM_EPSILON,
    CONVOLUTIONS,
    FoldedWeights,
    Supernet,
    SupernetLayers,
    convolution_backward,
    refuse_second_derivative,
)


class DirectSupernet(Supernet):
    """The same function of weights, mixture and images; arguments and errors are the parent's.

    Passes that skip operations or drop paths, are to be differentiated twice or have partial channels are the parent's.
    """

    def loss_of_mixture(
        self, weights: FoldedWeights, inputs: Tensor, targets: Tensor, loss: Loss
    ) -> Callable[[Mixture], Tensor]:
        """As the parent's; each thread takes a part of the batch.

        At stored statistics images do not know of each other, and two threads that go through the network on a half
        each are faster than two that share every operation.
        """
        threads = torch.get_num_threads()
        if threads == 1 or len(targets) < threads:
            return super().loss_of_mixture(weights, inputs, targets, loss)
        pool = _pool(threads)
        parts = list(zip(inputs.chunk(threads), targets.chunk(threads), strict=True))
        plain = super().loss_of_mixture
        losses = list(pool.map(lambda part: plain(weights, part[0], part[1], loss), parts))
        shares = [len(part) / len(targets) for _, part in parts]

        def mean(mixture: Mixture) -> Tensor:
            value: Tensor = _InParts.apply(pool, losses, shares, torch.is_grad_enabled(), mixture.layout, *mixture.rows)
            return value

        return mean

    def _layers(self, weights: Weights | FoldedWeights, how: Pass) -> SupernetLayers:
        layers = SupernetLayers if how.twice_differentiable else _DirectLayers
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
        if not (isinstance(layers, _DirectLayers) and self._is_whole(counting, path_factors)):
            return super()._cell(layers, index, mixture, counting, state, path_factors)
        names = [
            f"cell{index}.block{block}.{kind}" for block in range(self.space.blocks) for kind in CONVOLUTIONS.values()
        ]
        names += [f"cell{index}.projections"] if index else []
        convolutions = [layers.convolution(name) for name in names]
        tensors = [
            tensor
            for convolution in convolutions
            for tensor in (convolution.kernel, convolution.scale, convolution.shift)
        ]
        arguments = [state, *mixture.rows, *tensors]
        differentiable = torch.is_grad_enabled() and any(
            argument is not None and argument.requires_grad for argument in arguments
        )
        choosing = tuple(self.space.choosing_nodes)
        plan = _Plan(self.space.blocks, choosing, layers.training, convolutions, differentiable)
        out: Tensor = _Cell.apply(plan, *arguments)
        return out


class _DirectLayers(SupernetLayers):
    """Layers whose cells are one function."""

    def convolution(self, name: str) -> _Convolution:
        """The convolution of a name, and its batch norm."""
        if isinstance(self.weights, FoldedWeights):
            kernel, bias = self.weights.convolutions[name]
            return _Convolution(kernel.detach(), None, bias.detach(), None, None, 0.0)
        parameters, buffers = self.weights.parameters, self.weights.buffers
        stored = self.update_statistics or not self.training
        return _Convolution(
            parameters[f"{name}.weight"],
            parameters[f"{name}.scale"],
            parameters[f"{name}.shift"],
            buffers[f"{name}.mean"] if stored else None,
            buffers[f"{name}.variance"] if stored else None,
            self.config.batchnorm_momentum,
        )


@dataclass
class _Convolution:
    """A convolution and the batch norm behind it.

    Attributes:
        kernel: the convolution's.
        scale: batch norm's; None where it is folded in.
        shift: batch norm's, or the folded convolution's bias.
        mean: running mean; None where it is left alone.
        variance: running variance, likewise.
        momentum: batch norm's.
    """

    kernel: Tensor
    scale: Tensor | None
    shift: Tensor
    mean: Tensor | None
    variance: Tensor | None
    momentum: float

    def kept(self, training: bool) -> list[Tensor | None]:
        """What the derivative reads."""
        return [self.kernel, self.scale, *([] if training else [self.mean, self.variance])]

    def __call__(self, state: Tensor, training: bool) -> _Activation:
        padding = self.kernel.shape[-1] // 2
        if self.scale is None:
            return _Activation(None, None, None, F.conv2d(state, self.kernel, self.shift, padding=padding).relu_())
        convolved = F.conv2d(state, self.kernel, padding=padding)
        out, mean, deviation = torch.native_batch_norm(
            convolved, self.scale, self.shift, self.mean, self.variance, training, self.momentum, BATCHNORM_EPSILON
        )
        return _Activation(convolved, mean, deviation, out.relu_())

    def backward(
        self, masked: Tensor, factor: float, activation: _Activation, training: bool, weights: bool
    ) -> _Behind:
        """From the gradient of `factor` times an activation, that of the convolution's map.

        The factor multiplies batch norm's scale or the kernel rather than a map.

        Args:
            masked: the gradient, zero where the ReLU was.
            activation: what the call gave.
            training: whether batch norm took the batch's statistics.
            weights: whether the gradients of scale and shift are wanted.
        """
        kernel = self.kernel.detach()
        if self.scale is None:
            return _Behind(masked, kernel if factor == 1 else kernel * factor, None, None)
        masked, to_scale, to_shift = torch.ops.aten.native_batch_norm_backward(
            masked,
            activation.convolved,
            self.scale.detach() * factor,
            self.mean,
            self.variance,
            activation.mean,
            activation.deviation,
            training,
            BATCHNORM_EPSILON,
            [True, weights, weights],
        )
        if weights:
            to_scale, to_shift = to_scale.mul_(factor), to_shift.mul_(factor)
        return _Behind(masked, kernel, to_scale, to_shift)


@dataclass
class _Behind:
    """The gradient of a convolution's map, the kernel to take it on through, and the gradients of scale and shift."""

    gradient: Tensor
    kernel: Tensor
    to_scale: Tensor | None
    to_shift: Tensor | None

    def through(self, state: Tensor, weights: bool, wanted: bool = True) -> tuple[Tensor, Tensor]:
        """The gradients of what enters the convolution, if wanted, and of its kernel, if those of weights are."""
        return convolution_backward(self.gradient, state, self.kernel, weights, wanted)


@dataclass
class _Activation:
    """What a convolution block gave: the convolution's map, the batch's mean and 1 / deviation, and after the ReLU."""

    convolved: Tensor | None
    mean: Tensor | None
    deviation: Tensor | None
    out: Tensor


@dataclass
class _Wanted:
    """Which gradients a cell is asked for: those of what enters it, of the mixture, of the weights."""

    state: bool
    mixture: bool
    weights: bool


@dataclass
class _Plan:
    """What a cell is, its tensors aside.

    Attributes:
        blocks: number of blocks.
        choosing: nodes whose parents have coefficients.
        training: whether batch norm takes the batch's statistics.
        convolutions: 3x3 and 1x1 convolution of each block, in turn; then, but in the first cell, the projections.
        differentiable: whether a gradient may be asked for.
    """

    blocks: int
    choosing: tuple[int, ...]
    training: bool
    convolutions: list[_Convolution]
    differentiable: bool

    def of_block(self, block: int) -> list[_Convolution]:
        """Both convolutions of a block."""
        return self.convolutions[2 * block : 2 * block + 2]

    @property
    def projections(self) -> _Convolution | None:
        """What makes the projections; the first cell is given them."""
        return self.convolutions[-1] if len(self.convolutions) > 2 * self.blocks else None


@dataclass
class _Rows:
    """A cell's coefficients as numbers: of operations by block, of the output, and of a node's inputs by node."""

    operations: list[list[float]]
    output: list[float]
    inputs: dict[int, list[float]]

    @classmethod
    def of(cls, plan: _Plan, rows: Sequence[Tensor]) -> _Rows:
        """From a mixture's tensors, and whatever follows them."""
        operations, output, *rest = (row.tolist() for row in rows[: 2 + len(plan.choosing)])
        return cls(operations, output, dict(zip(plan.choosing, rest, strict=True)))


@dataclass
class _Block:
    """What a block's gradient needs: its input, the pooled map and where it came from, both activations, its output."""

    total: Tensor
    pooled: Tensor
    places: Tensor | None
    activations: list[_Activation]
    state: Tensor


class _Cell(torch.autograd.Function):
    """A cell's output `[batch, n C, height, width]` from what enters it, or of the first from its projections."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, state: Tensor, *rest: Tensor) -> Tensor:
        rows = _Rows.of(plan, rest)
        made = plan.projections(state, plan.training) if plan.projections else _Activation(None, None, None, state)
        half = made.out.shape[1] // 2
        width = half // plan.blocks
        out = torch.mul(made.out.narrow(1, half, half), rows.output[0])
        saved: list[_Block] = []
        for block, coefficients in enumerate(rows.operations):
            own = made.out.narrow(1, block * width, width)
            total = _weighted_sum([own, *(below.state for below in saved)], rows.inputs.get(block + 1))
            pooled, places = _pooled(total, plan.differentiable)
            activations = [convolution(total, plan.training) for convolution in plan.of_block(block)]
            mixed = _weighted_sum([pooled, *(activation.out for activation in activations)], coefficients)
            saved.append(_Block(total, pooled, places, activations, mixed))
            out.narrow(1, block * width, width).add_(mixed, alpha=rows.output[block + 1])
        if plan.differentiable:
            # All that the derivative reads goes through autograd, which notices where it was changed in between.
            kept = [tensor for convolution in plan.convolutions for tensor in convolution.kept(plan.training)]
            ctx.save_for_backward(state, *kept)
            ctx.plan, ctx.rows, ctx.made, ctx.saved = plan, rows, made, saved
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        refuse_second_derivative()
        state, *_ = ctx.saved_tensors
        at = 4 + len(ctx.plan.choosing)
        needed = ctx.needs_input_grad
        wanted = _Wanted(needed[1], any(needed[2:at]), any(needed[at:]))
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return None, *_Backward(ctx.plan, ctx.rows, wanted, state, ctx.made, ctx.saved)(gradient)


class _Backward:
    """The gradients of a cell.

    Args:
        plan: the cell.
        rows: its coefficients.
        wanted: what is asked for.
        state: what entered it.
        made: its projections.
        saved: its blocks.
    """

    def __init__(
        self, plan: _Plan, rows: _Rows, wanted: _Wanted, state: Tensor, made: _Activation, saved: list[_Block]
    ) -> None:
        self.plan, self.rows, self.wanted, self.state, self.made, self.saved = plan, rows, wanted, state, made, saved
        self.width = made.out.shape[1] // (2 * plan.blocks)
        # Something that is asked for lies before the projections.
        self.before = wanted.state or (wanted.weights and plan.projections is not None)
        self.to_projections = torch.empty_like(made.out) if self.before else None

    def __call__(self, gradient: Tensor) -> list[Tensor | None]:
        """Of what entered, of the mixture's tensors, and of all weights."""
        plan, rows, width = self.plan, self.rows, self.width
        parts = torch.split(gradient, width, dim=1)
        states = [values.state for values in self.saved]
        half = plan.blocks * width
        pairs = [(gradient, self.made.out.narrow(1, half, half)), *zip(parts, states, strict=True)]
        to_output = self._inner_products(pairs)
        to_states = [torch.mul(part, share) for part, share in zip(parts, rows.output[1:], strict=True)]
        to_operations: list[Tensor | None] = []
        to_choices: list[Tensor | None] = []
        to_tensors: list[Tensor | None] = []
        self._to_projection(half, half, gradient, rows.output[0])
        for block in reversed(range(plan.blocks)):
            values, to_state = self.saved[block], to_states.pop()
            terms = [values.pooled, *(activation.out for activation in values.activations)]
            to_operations.insert(0, self._inner_products([(to_state, term) for term in terms]))
            if not (block or self.before or self.wanted.weights):
                to_tensors = [*[None] * 6, *to_tensors]
                continue
            to_total, of_block = self._block(block, values, to_state)
            to_tensors = of_block + to_tensors
            weights = rows.inputs.get(block + 1)
            if weights is not None:
                own = self.made.out.narrow(1, block * width, width)
                to_choices.insert(0, self._inner_products([(to_total, term) for term in [own, *states[:block]]]))
            own_weight, *below_weights = weights or [1.0] * (block + 1)
            self._to_projection(block * width, width, to_total, own_weight)
            for below, weight in zip(to_states, below_weights, strict=True):
                below.add_(to_total, alpha=weight)
        stacked = [row for row in to_operations if row is not None]
        to_entered, of_projections = self._projections()
        return [
            to_entered,
            torch.stack(stacked) if stacked else None,
            to_output,
            *to_choices,
            *to_tensors,
            *of_projections,
        ]

    def _block(self, block: int, values: _Block, to_state: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """From the gradient of a block's output, that of its input and of the tensors of its convolutions."""
        coefficients, weights = self.rows.operations[block], self.wanted.weights
        wide, narrow = (
            convolution.backward(
                torch.ops.aten.threshold_backward(to_state, activation.out, 0),
                factor,
                activation,
                self.plan.training,
                weights,
            )
            for convolution, activation, factor in zip(
                self.plan.of_block(block), values.activations, coefficients[1:], strict=True
            )
        )
        to_total, to_wide = wide.through(values.total, weights)
        # A 1x1 convolution is a product of matrices, which can add to what is there.
        _, to_narrow = narrow.through(values.total, weights, wanted=False) if weights else (None, None)
        pixels = to_total.permute(0, 2, 3, 1).view(-1, to_total.shape[1])
        pixels.addmm_(
            narrow.gradient.permute(0, 2, 3, 1).reshape(pixels.shape), narrow.kernel.view(pixels.shape[1], -1)
        )
        pooled = torch.ops.aten.max_pool2d_with_indices_backward(
            to_state, values.total, [3, 3], [1, 1], [1, 1], [1, 1], False, values.places
        )
        to_total.add_(pooled, alpha=coefficients[0])
        return to_total, [to_wide, wide.to_scale, wide.to_shift, to_narrow, narrow.to_scale, narrow.to_shift]

    def _to_projection(self, start: int, length: int, gradient: Tensor, factor: float) -> None:
        """Put the gradient of some channels of the projections where it belongs."""
        if self.to_projections is not None:
            torch.mul(gradient, factor, out=self.to_projections.narrow(1, start, length))

    def _projections(self) -> tuple[Tensor | None, list[Tensor | None]]:
        """The gradients of what entered, and of the projections' tensors."""
        convolution = self.plan.projections
        if convolution is None:
            return self.to_projections, []
        if self.to_projections is None:
            return None, [None] * 3
        # One pass over the whole map: over the channels of one block at a time it takes several times longer.
        masked = torch.ops.aten.threshold_backward.grad_input(
            self.to_projections, self.made.out, 0, grad_input=self.to_projections
        )
        weights = self.wanted.weights
        behind = convolution.backward(masked, 1.0, self.made, self.plan.training, weights)
        to_state, to_kernel = behind.through(self.state, weights, self.wanted.state)
        return to_state, [to_kernel, behind.to_scale, behind.to_shift]

    def _inner_products(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor | None:
        """Of pairs of maps, `[pairs]`, where the mixture's gradient is wanted."""
        return torch.stack([_inner(*pair) for pair in pairs]) if self.wanted.mixture else None


class _InParts(torch.autograd.Function):
    """A mean loss from those of parts of a batch, each computed, and differentiated at once, by a thread of its own."""

    @staticmethod
    def forward(
        ctx: Any,
        pool: ThreadPoolExecutor,
        losses: Sequence[Callable[[Mixture], Tensor]],
        shares: Sequence[float],
        differentiable: bool,
        layout: Layout,
        *rows: Tensor,
    ) -> Tensor:
        def loss_and_gradients(loss: Callable[[Mixture], Tensor]) -> list[Tensor]:
            # Whether gradients are recorded is a thread's own state.
            with torch.set_grad_enabled(differentiable):
                leaves = [row.detach().requires_grad_(differentiable) for row in rows]
                value = loss(Mixture(layout, tuple(leaves)))
            return [value.detach(), *(torch.autograd.grad(value, leaves) if differentiable else ())]

        parts = list(pool.map(loss_and_gradients, losses))
        total, *ctx.gradients = (
            sum(share * part for share, part in zip(shares, same, strict=True)) for same in zip(*parts, strict=True)
        )
        result: Tensor = total
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        refuse_second_derivative()
        return None, None, None, None, None, *(gradient * recorded for recorded in ctx.gradients)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each compute alone."""
    barrier = Barrier(threads)

    def alone() -> None:
        # A thread takes the common number when it first asks, so that asking comes before setting its own.
        torch.get_num_threads()
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(threads, "supernet")
    list(pool.map(lambda _: alone(), range(threads)))
    # What a thread sets is also the common number, for threads to come.
    torch.set_num_threads(threads)
    return pool


# A fork has no threads but the one that forked; where there are no forks there is nothing to do.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _pooled(state: Tensor, differentiable: bool) -> tuple[Tensor, Tensor | None]:
    """Max-pooling 3x3 and where each pixel came from, or, several times faster, without."""
    if differentiable:
        return F.max_pool2d(state, 3, 1, 1, return_indices=True)
    rows = state.clone()
    torch.maximum(rows[..., 1:], state[..., :-1], out=rows[..., 1:])
    torch.maximum(rows[..., :-1], state[..., 1:], out=rows[..., :-1])
    highest = rows.clone()
    torch.maximum(highest[..., 1:, :], rows[..., :-1, :], out=highest[..., 1:, :])
    torch.maximum(highest[..., :-1, :], rows[..., 1:, :], out=highest[..., :-1, :])
    return highest, None


def _weighted_sum(terms: Sequence[Tensor], coefficients: Sequence[float] | None) -> Tensor:
    """A new map, the sum of maps, each times its coefficient."""
    first, *others = terms
    total = torch.empty(first.shape, dtype=first.dtype, device=first.device, memory_format=torch.channels_last)
    if coefficients is None:
        if not others:
            return total.copy_(first)
        torch.add(first, others[0], out=total)
        for term in others[1:]:
            total.add_(term)
        return total
    torch.mul(first, coefficients[0], out=total)
    for term, coefficient in zip(others, coefficients[1:], strict=True):
        total.add_(term, alpha=coefficient)
    return total


def _inner(left: Tensor, right: Tensor) -> Tensor:
    """Inner product of two maps, 0-dimensional."""
    if left.is_contiguous(memory_format=torch.channels_last) and right.is_contiguous(memory_format=torch.channels_last):
        return torch.dot(left.permute(0, 2, 3, 1).reshape(-1), right.permute(0, 2, 3, 1).reshape(-1))
    return (left * right).sum()
