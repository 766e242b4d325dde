"""The supernet with a cell as one function that has its own derivative, for a CPU.

On a CPU a third of a step goes into reading and writing maps between the convolutions: a product for every coefficient,
its two derivatives, sums of gradients, copies. Here a cell adds into maps that exist, scales kernels in place of maps,
and takes a coefficient's derivative as an inner product. There is no second derivative. Numbers differ from the plain
supernet's by rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from threading import Barrier
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.mixture import Mixture
from spaces.supernet import BATCHNORM_EPSILON, CONVOLUTIONS, FoldedWeights, Supernet, SupernetLayers, Weights


class DirectSupernet(Supernet):
    """The same function of weights, mixture and images; arguments and errors are the parent's.

    Passes that skip operations or drop paths, are to be differentiated twice or have partial channels are the parent's.
    """

    def _layers(
        self, weights: Weights | FoldedWeights, training: bool, update_statistics: bool, plain: bool
    ) -> SupernetLayers:
        layers = SupernetLayers if plain else _DirectLayers
        return layers(weights, self.config, training, update_statistics)

    def _cell(
        self,
        layers: SupernetLayers,
        name: str,
        mixture: Mixture,
        counting: Sequence[Sequence[int]],
        projections: Tensor,
        path_factors: Tensor | None,
    ) -> Tensor:
        fits = self.config.partial_channels == 1 and all(len(operations) == 3 for operations in counting)
        if not (isinstance(layers, _DirectLayers) and fits and path_factors is None):
            return super()._cell(layers, name, mixture, counting, projections, path_factors)
        convolutions = [
            layers.convolution(f"{name}.block{block}.{kind}")
            for block in range(self.space.blocks)
            for kind in CONVOLUTIONS.values()
        ]
        tensors = [tensor for one in convolutions for tensor in (one.kernel, one.scale, one.shift)]
        arguments = [projections, *mixture.rows, *tensors]
        differentiable = torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in arguments)
        # At stored statistics images do not know of each other, and two threads on a half each are faster than both on
        # every operation in turn.
        folded = isinstance(layers.weights, FoldedWeights)
        parts = min(torch.get_num_threads(), len(projections)) if folded else 1
        choosing = tuple(self.space.choosing_nodes)
        plan = _Plan(self.space.blocks, choosing, layers.training, convolutions, differentiable, parts)
        found: Tensor = _Cell.apply(plan, *arguments)
        return found


class _DirectLayers(SupernetLayers):
    """Layers whose cells are one function."""

    def convolution(self, name: str) -> _Convolution:
        """The convolution of a name, and its batch norm."""
        if isinstance(self.weights, FoldedWeights):
            kernel, bias = self.weights.convolutions[name]
            return _Convolution(kernel, None, bias, None, None, 0.0)
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

    def __call__(self, state: Tensor, training: bool) -> _Activation:
        padding = self.kernel.shape[-1] // 2
        if self.scale is None:
            return _Activation(None, None, None, F.conv2d(state, self.kernel, self.shift, padding=padding).relu_())
        found = F.conv2d(state, self.kernel, padding=padding)
        out, mean, deviation = torch.native_batch_norm(
            found, self.scale, self.shift, self.mean, self.variance, training, self.momentum, BATCHNORM_EPSILON
        )
        return _Activation(found, mean, deviation, out.relu_())

    def backward(
        self, gradient: Tensor, factor: float, state: Tensor, activation: _Activation, training: bool, wanted: _Wanted
    ) -> tuple[Tensor, list[Tensor | None]]:
        """From the gradient of `factor` times its activation, that of its input and of kernel, scale and shift.

        The factor multiplies a small tensor, batch norm's scale or the kernel, rather than a map.
        """
        masked = torch.ops.aten.threshold_backward(gradient, activation.out, 0)
        kernel, to_scale, to_shift = self.kernel.detach(), None, None
        if self.scale is None:
            kernel = kernel * factor
        else:
            masked, to_scale, to_shift = torch.ops.aten.native_batch_norm_backward(
                masked,
                activation.found,
                self.scale.detach() * factor,
                self.mean,
                self.variance,
                activation.mean,
                activation.deviation,
                training,
                BATCHNORM_EPSILON,
                [True, wanted.weights, wanted.weights],
            )
            if wanted.weights:
                to_scale, to_shift = to_scale.mul_(factor), to_shift.mul_(factor)
        padding = kernel.shape[-1] // 2
        to_state, to_kernel, _ = torch.ops.aten.convolution_backward(
            masked, state, kernel, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1,
            [True, wanted.weights, False],
        )  # fmt: skip
        return to_state, [to_kernel, to_scale, to_shift]


@dataclass
class _Activation:
    """What a convolution block gave: the convolution's map, the batch's mean and 1 / deviation, and after the ReLU."""

    found: Tensor | None
    mean: Tensor | None
    deviation: Tensor | None
    out: Tensor


@dataclass
class _Wanted:
    """Which gradients a cell is asked for: those of its input's projections, of the mixture, of the weights."""

    projections: bool
    mixture: bool
    weights: bool


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
class _Plan:
    """What a cell is, its tensors aside.

    Attributes:
        blocks: number of blocks.
        choosing: nodes whose parents have coefficients.
        training: whether batch norm takes the batch's statistics.
        convolutions: 3x3 and 1x1 convolution of each block, in turn.
        differentiable: whether a gradient may be asked for.
        parts: how many parts of the batch are computed at once, each by a thread of its own.
    """

    blocks: int
    choosing: tuple[int, ...]
    training: bool
    convolutions: list[_Convolution]
    differentiable: bool
    parts: int

    def of_block(self, block: int) -> list[_Convolution]:
        """Both convolutions of a block."""
        return self.convolutions[2 * block : 2 * block + 2]


@dataclass
class _Block:
    """What a block's gradient needs: its input, the pooled map and where it came from, both activations, its output."""

    total: Tensor
    pooled: Tensor
    places: Tensor | None
    activations: list[_Activation]
    state: Tensor


class _Cell(torch.autograd.Function):
    """A cell's output `[batch, n C, height, width]` from its input's projections `[batch, 2 n C, height, width]`."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, projections: Tensor, *rest: Tensor) -> Tensor:
        rows = _Rows.of(plan, rest)
        through = projections.narrow(1, projections.shape[1] // 2, projections.shape[1] // 2)
        out = torch.mul(through, rows.output[0])
        pieces = zip(projections.chunk(plan.parts), out.chunk(plan.parts), strict=True)
        saved = _in_parts([partial(_forwards, plan, rows, *piece) for piece in pieces])
        if plan.differentiable:
            ctx.save_for_backward(projections)
            ctx.plan, ctx.rows, ctx.saved, ctx.tensors = plan, rows, saved, len(rest) - len(plan.choosing) - 2
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        plan: _Plan = ctx.plan
        (projections,) = ctx.saved_tensors
        at = 4 + len(plan.choosing)
        wanted = _Wanted(ctx.needs_input_grad[1], any(ctx.needs_input_grad[2:at]), any(ctx.needs_input_grad[at:]))
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        to_projections = torch.empty_like(projections) if wanted.projections else None
        places = [None] * plan.parts if to_projections is None else to_projections.chunk(plan.parts)
        pieces = zip(ctx.saved, projections.chunk(plan.parts), gradient.chunk(plan.parts), places, strict=True)
        found = _in_parts([partial(_backwards, plan, ctx.rows, wanted, *piece) for piece in pieces])
        summed = [None if parts[0] is None else sum(parts[1:], parts[0]) for parts in zip(*found, strict=True)]
        return None, to_projections, *summed


def _forwards(plan: _Plan, rows: _Rows, projections: Tensor, out: Tensor) -> list[_Block]:
    """Add the weighted blocks to an output that has the weighted edge from the input; what a gradient needs."""
    images, channels, *pixels = projections.shape
    width = channels // (2 * plan.blocks)
    shape = (images, width, *pixels)
    saved: list[_Block] = []
    for block, coefficients in enumerate(rows.operations):
        own = projections.narrow(1, block * width, width)
        total = _weighted_sum([own, *(one.state for one in saved)], rows.inputs.get(block + 1), shape)
        pooled, places = _pooled(total, plan.differentiable)
        activations = [convolution(total, plan.training) for convolution in plan.of_block(block)]
        state = _weighted_sum([pooled, *(one.out for one in activations)], coefficients, shape)
        saved.append(_Block(total, pooled, places, activations, state))
        out.narrow(1, block * width, width).add_(state, alpha=rows.output[block + 1])
    return saved


def _backwards(
    plan: _Plan,
    rows: _Rows,
    wanted: _Wanted,
    saved: list[_Block],
    projections: Tensor,
    gradient: Tensor,
    to_projections: Tensor | None,
) -> list[Tensor | None]:
    """Gradients of the mixture's rows and of all weights; that of the projections is written where it belongs."""
    half = projections.shape[1] // 2
    width = half // plan.blocks
    through = projections.narrow(1, half, half)
    edge, *shares = rows.output
    if to_projections is not None:
        torch.mul(gradient, edge, out=to_projections.narrow(1, half, half))
    parts = torch.split(gradient, width, dim=1)
    to_states = [torch.mul(part, share) for part, share in zip(parts, shares, strict=True)]
    states = [one.state for one in saved]
    to_output = _inner_products(wanted, [(gradient, through), *zip(parts, states, strict=True)])
    to_operations: list[Tensor | None] = []
    to_choices: list[Tensor | None] = []
    to_tensors: list[Tensor | None] = []
    for block in reversed(range(plan.blocks)):
        one, to_state = saved[block], to_states.pop()
        terms = [one.pooled, *(activation.out for activation in one.activations)]
        to_operations.insert(0, _inner_products(wanted, [(to_state, term) for term in terms]))
        to_total, of_block = _block_backward(plan, block, one, to_state, rows.operations[block], wanted)
        to_tensors = of_block + to_tensors
        weights = rows.inputs.get(block + 1)
        if to_total is None:
            # Nothing that is asked for lies before the first block of a cell whose projections are constant.
            continue
        own = projections.narrow(1, block * width, width)
        if weights is not None:
            to_choices.insert(0, _inner_products(wanted, [(to_total, term) for term in [own, *states[:block]]]))
        own_weight, *below_weights = weights or [1.0] * (block + 1)
        if to_projections is not None:
            torch.mul(to_total, own_weight, out=to_projections.narrow(1, block * width, width))
        for below, weight in zip(to_states, below_weights, strict=True):
            below.add_(to_total, alpha=weight)
    by_block = [row for row in to_operations if row is not None]
    return [torch.stack(by_block) if by_block else None, to_output, *to_choices, *to_tensors]


def _block_backward(
    plan: _Plan, block: int, one: _Block, to_state: Tensor, coefficients: list[float], wanted: _Wanted
) -> tuple[Tensor | None, list[Tensor | None]]:
    """From the gradient of a block's output, that of its input and of the tensors of its convolutions."""
    if not (wanted.projections or wanted.weights or block):
        return None, [None] * 6
    wide, narrow = (
        convolution.backward(to_state, factor, one.total, activation, plan.training, wanted)
        for convolution, activation, factor in zip(plan.of_block(block), one.activations, coefficients[1:], strict=True)
    )
    pooled = torch.ops.aten.max_pool2d_with_indices_backward(
        to_state, one.total, [3, 3], [1, 1], [1, 1], [1, 1], False, one.places
    )
    return wide[0].add_(narrow[0]).add_(pooled, alpha=coefficients[0]), wide[1] + narrow[1]


def _pooled(state: Tensor, differentiable: bool) -> tuple[Tensor, Tensor | None]:
    """Max-pooling 3x3 and where each pixel came from, or, several times faster, without."""
    if differentiable:
        return F.max_pool2d(state, 3, 1, 1, return_indices=True)
    rows = state.clone()
    torch.maximum(rows[..., 1:], state[..., :-1], out=rows[..., 1:])
    torch.maximum(rows[..., :-1], state[..., 1:], out=rows[..., :-1])
    found = rows.clone()
    torch.maximum(found[..., 1:, :], rows[..., :-1, :], out=found[..., 1:, :])
    torch.maximum(found[..., :-1, :], rows[..., 1:, :], out=found[..., :-1, :])
    return found, None


def _weighted_sum(terms: Sequence[Tensor], coefficients: Sequence[float] | None, shape: tuple[int, ...]) -> Tensor:
    """A new map, the sum of maps, each times its coefficient."""
    first, *others = terms
    total = torch.empty(shape, dtype=first.dtype, memory_format=torch.channels_last)
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


def _inner_products(wanted: _Wanted, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor | None:
    """Of pairs of maps, `[pairs]`, where the mixture's gradient is wanted."""
    return torch.stack([_inner(*pair) for pair in pairs]) if wanted.mixture else None


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Inner product of two maps, 0-dimensional."""
    if one.is_contiguous(memory_format=torch.channels_last) and other.is_contiguous(memory_format=torch.channels_last):
        return torch.dot(one.permute(0, 2, 3, 1).reshape(-1), other.permute(0, 2, 3, 1).reshape(-1))
    return (one * other).sum()


Result = TypeVar("Result")


def _in_parts(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What functions give, each called by a thread that computes alone."""
    if len(calls) == 1:
        return [calls[0]()]
    return list(_pool(len(calls)).map(_without_graph, calls))


def _without_graph(call: Callable[[], Result]) -> Result:
    # Whether gradients are recorded is a thread's own state, and a new thread records them.
    with torch.no_grad():
        return call()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(threads, "supernet", torch.set_num_threads, (1,))
    barrier = Barrier(threads)
    list(pool.map(lambda _: barrier.wait(), range(threads)))
    # Setting the number in a thread is also setting it for threads to come.
    torch.set_num_threads(threads)
    return pool
