"""The stand-alone network of NAS-Bench-101, many of them trained at once.

A table's truth is the accuracy of a cell trained on its own. NAS-Bench-101 stacks the cell three times by three
(`nasbench/lib/model_builder.py`): a 3x3 stem, then three stacks of modules; before the second and third the maps are
halved and the channels doubled; global mean and a dense layer end it. `CellNetworks` holds networks of cells that share
their graph but not their operations, each with weights of its own, and evaluates them together. Each network still
computes what it would compute alone.

Feature maps are `[networks, channels, height, width, batch]`, the batch innermost: a convolution is a batched matrix
product with rows of thousands of numbers, a shift of the map is a move of whole runs, and a network, a channel or an
image row is a contiguous block. With the few channels of a small network that is several times faster than a grouped
convolution. The convolutions and the batch norm of that layout are here with the network, which nothing else uses them
without; hence the length of this module.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.nb101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell

BATCHNORM_EPSILON = 1e-5

DENSE_PIXELS = 16
"""Maps up to this size are convolved as one matrix product."""


@dataclass(frozen=True)
class NetworkScale:
    """Size of a stand-alone network; the defaults are NAS-Bench-101's (`nasbench/lib/config.py`).

    Attributes:
        channels: width of the stem and of the first stack; doubles with each further stack.
        stacks: number of stacks, with 2x2 max-pooling before all but the first.
        modules: cells in a stack.
    """

    channels: int = 128
    stacks: int = 3
    modules: int = 3


def vertex_channels(cell: Cell, in_channels: int, out_channels: int) -> list[int]:
    """Output channels of each vertex of a module (nasbench `model_builder.py`, `compute_vertex_channels`).

    The vertices that feed the output share its channels evenly, the first of them taking the remainder one each; the
    input vertex does not count. Going backwards every other vertex is as wide as its widest successor.

    Returns:
        one number a vertex; the input has `in_channels`, the output `out_channels`.
    """
    last = len(cell.ops) - 1
    channels = [0] * (last + 1)
    channels[0], channels[last] = in_channels, out_channels
    feeding = [vertex for vertex in cell.parents[last] if vertex != 0]
    for position, vertex in enumerate(feeding):
        share, remainder = divmod(out_channels, len(feeding))
        channels[vertex] = share + (position < remainder)
    for vertex in range(last - 1, 0, -1):
        if vertex not in feeding:
            channels[vertex] = max(channels[child] for child in np.flatnonzero(cell.matrix[vertex]))
    return channels


def layer_shapes(cell: Cell, scale: NetworkScale, image_channels: int, classes: int) -> list[tuple[int, int, int, int]]:
    """Every convolution of a cell's network as (inputs, outputs, kernel, stack), the dense layer as kernel 0."""
    shapes = [(image_channels, scale.channels, 3, 0)]
    incoming = scale.channels
    for stack in range(scale.stacks):
        width = scale.channels * 2**stack
        for _ in range(scale.modules):
            channels = vertex_channels(cell, incoming, width)
            for vertex in range(1, len(cell.ops)):
                if cell.matrix[0, vertex]:
                    shapes.append((incoming, channels[vertex], 1, stack))
                if cell.ops[vertex] in (CONV3X3, CONV1X1):
                    shapes.append((channels[vertex], channels[vertex], 3 if cell.ops[vertex] == CONV3X3 else 1, stack))
            incoming = width
    return [*shapes, (incoming, classes, 0, scale.stacks - 1)]


def trainable_parameters(cell: Cell, scale: NetworkScale, image_channels: int = 3, classes: int = 10) -> int:
    """Number of trainable parameters: convolutions without bias, two a channel of batch norm, a dense layer."""
    total = 0
    for inputs, outputs, kernel, _ in layer_shapes(cell, scale, image_channels, classes):
        total += inputs * outputs + outputs if kernel == 0 else outputs * (inputs * kernel**2 + 2)
    return total


def multiply_adds(cell: Cell, scale: NetworkScale, image_channels: int, image_size: int, classes: int = 10) -> int:
    """Multiply-accumulates of one image's forward pass."""
    total = 0
    for inputs, outputs, kernel, stack in layer_shapes(cell, scale, image_channels, classes):
        pixels = 1 if kernel == 0 else (-(-image_size // 2**stack)) ** 2
        total += inputs * outputs * max(kernel, 1) ** 2 * pixels
    return total


class CellNetworks:
    """Networks of cells with one graph, evaluated together.

    Args:
        cells: cells whose `matrix` is the same; each is one network. A cell may occur several times.
        scale: size of the networks.
        image_channels: channels of the input images.
        classes: outputs of the dense layer.
        draw: one function a network: `draw(name, shape, fan_in)` gives the initial weights called `name`, a normal
            tensor of variance 1 / fan_in; its type is that of the networks. A network's weights depend on its own
            function alone.
        batchnorm_momentum: share of a batch in the running statistics.
        device: where the networks are; weights are drawn on the CPU.

    Attributes:
        parameters: all weights; `grad` of the summed loss is each network's own gradient.
        statistics: running mean and variance of each block's batch norm, moved by every call in training.

    Raises:
        ValueError: the cells' matrices differ.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        scale: NetworkScale,
        image_channels: int,
        classes: int,
        draw: Sequence[Callable[[str, tuple[int, ...], int], Tensor]],
        batchnorm_momentum: float = 0.1,
        device: torch.device | str = "cpu",
    ) -> None:
        if any(not np.array_equal(cell.matrix, cells[0].matrix) for cell in cells):
            raise ValueError("cells evaluated together must share their adjacency matrix")
        self.cells, self.scale, self.classes = list(cells), scale, classes
        self.momentum, self.device = batchnorm_momentum, device
        self.parameters: dict[str, Tensor] = {}
        self.statistics: dict[str, tuple[Tensor, Tensor]] = {}
        self._draw = list(draw)
        everyone = list(range(len(cells)))
        self._add_block("stem", everyone, [(image_channels, scale.channels, 3)])
        incoming = scale.channels
        for stack in range(scale.stacks):
            width = scale.channels * 2**stack
            for module in range(scale.modules):
                self._add_module(f"stack{stack}.module{module}", incoming, width)
                incoming = width
        dense = torch.stack([function("dense", (incoming, classes), incoming) for function in self._draw]).to(device)
        self.parameters["dense.weight"] = dense.requires_grad_()
        self.parameters["dense.bias"] = dense.new_zeros(len(cells), 1, classes).requires_grad_()
        del self._draw
        self._orders = {vertex: self._order(vertex) for vertex in range(1, len(cells[0].ops) - 1)}

    def _order(self, vertex: int) -> tuple[Tensor, Tensor]:
        """The networks by their operation at a vertex, and the inverse of this order."""
        labels = (CONV3X3, CONV1X1, MAXPOOL3X3)
        order = torch.tensor([index for label in labels for index in self._members(vertex, label)])
        return order.to(self.device), order.argsort().to(self.device)

    def _add_module(self, name: str, incoming: int, width: int) -> None:
        channels = vertex_channels(self.cells[0], incoming, width)
        fed = np.flatnonzero(self.cells[0].matrix[0]).tolist()
        self._add_block(f"{name}.projections", list(range(len(self.cells))), [(incoming, channels[v], 1) for v in fed])
        for vertex in range(1, len(channels) - 1):
            for label, kernel in ((CONV3X3, 3), (CONV1X1, 1)):
                if members := self._members(vertex, label):
                    self._add_block(
                        f"{name}.vertex{vertex}.{label}", members, [(channels[vertex], channels[vertex], kernel)]
                    )

    def _members(self, vertex: int, label: str) -> list[int]:
        return [index for index, cell in enumerate(self.cells) if cell.ops[vertex] == label]

    def _add_block(self, name: str, members: list[int], convolutions: list[tuple[int, int, int]]) -> None:
        """Weights of a conv-bn-relu block for some networks; several convolutions of one input are stored as one."""
        kernels = []
        for member in members:
            for index, (inputs, outputs, kernel) in enumerate(convolutions):
                shape = (outputs, inputs, kernel, kernel)
                kernels.append(self._draw[member](f"{name}.{index}", shape, inputs * kernel**2))
        weight = torch.cat(kernels).to(self.device)
        self.parameters[f"{name}.weight"] = weight.requires_grad_()
        self.parameters[f"{name}.scale"] = weight.new_ones(len(weight)).requires_grad_()
        self.parameters[f"{name}.shift"] = weight.new_zeros(len(weight)).requires_grad_()
        self.statistics[name] = (weight.new_zeros(len(weight)), weight.new_ones(len(weight)))

    def __call__(self, images: Tensor, training: bool) -> Tensor:
        """Logits `[networks, batch, classes]` of images `[batch, channels, height, width]`, the same for all."""
        state = self._stem(images, training)
        for stack in range(self.scale.stacks):
            if stack:
                state = _max_pool(state, 2, 2, 0)
            for module in range(self.scale.modules):
                state = self._module(f"stack{stack}.module{module}", state, training)
        features = state.flatten(2, 3).mean(dim=2).transpose(1, 2)
        return torch.baddbmm(self.parameters["dense.bias"], features, self.parameters["dense.weight"])

    def _stem(self, images: Tensor, training: bool) -> Tensor:
        """All networks' stems as one matrix product, since all see the same images."""
        batch, channels, *size = images.shape
        patches = (
            F.unfold(images, 3, padding=1).view(batch, channels * 9, -1).permute(1, 2, 0).reshape(channels * 9, -1)
        )
        weight = self.parameters["stem.weight"]
        stems = torch.mm(weight.flatten(1), patches).view(len(self.cells), -1, *size, batch)
        return self._normalised("stem", stems, training)

    def _module(self, name: str, state: Tensor, training: bool) -> Tensor:
        cell = self.cells[0]
        last = len(cell.ops) - 1
        incoming = state.shape[1]
        width = incoming if name.startswith("stack0") or not name.endswith("module0") else 2 * incoming
        channels = vertex_channels(cell, incoming, width)
        fed = np.flatnonzero(cell.matrix[0]).tolist()
        projected = self._block(f"{name}.projections", state, training)
        projections: dict[int, Tensor] = dict(
            zip(fed, torch.split(projected, [channels[v] for v in fed], dim=1), strict=True)
        )
        outputs: dict[int, Tensor] = {}
        for vertex in range(1, last):
            terms = [_narrowed(outputs[parent], channels[vertex]) for parent in cell.parents[vertex] if parent != 0]
            if vertex in projections:
                terms.append(projections[vertex])
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            outputs[vertex] = self._operations(f"{name}.vertex{vertex}", vertex, total, training)
        feeding = [outputs[vertex] for vertex in cell.parents[last] if vertex != 0]
        if not feeding:
            return projections[last]
        merged = torch.cat(feeding, dim=1)
        return merged + projections[last] if last in projections else merged

    def _operations(self, name: str, vertex: int, total: Tensor, training: bool) -> Tensor:
        """Each network's own operation on its part of a sum."""
        members = {label: self._members(vertex, label) for label in (CONV3X3, CONV1X1, MAXPOOL3X3)}
        order = [index for label in members for index in members[label]]
        in_order = order == sorted(order)
        sorted_total = total.contiguous() if in_order else _Rearranged.apply(total, *self._orders[vertex])
        parts = torch.split(sorted_total, [len(indices) for indices in members.values()])
        results = []
        for label, part in zip(members, parts, strict=True):
            if not len(part):
                continue
            if label == MAXPOOL3X3:
                results.append(_max_pool(part, 3, 1, 1))
            else:
                results.append(self._block(f"{name}.{label}", part, training))
        if len(results) == 1:
            return results[0]
        together = torch.cat(results)
        return together if in_order else _Rearranged.apply(together, *reversed(self._orders[vertex]))

    def _block(self, name: str, state: Tensor, training: bool) -> Tensor:
        """Convolution, batch norm and ReLU of `[networks, channels, height, width, batch]`."""
        count, inputs, *size = state.shape
        weight = self.parameters[f"{name}.weight"]
        weight = weight.view(count, -1, *weight.shape[1:])
        if weight.shape[-1] == 1:
            state = torch.bmm(weight.flatten(2), state.reshape(count, inputs, -1)).view(count, -1, *size)
        elif size[0] * size[1] <= DENSE_PIXELS:
            state = _dense_convolution(state, weight)
        else:
            state = _Convolution3x3.apply(state, weight)
        return self._normalised(name, state, training)

    def _normalised(self, name: str, state: Tensor, training: bool) -> Tensor:
        mean, variance = self.statistics[name]
        scale, shift = self.parameters[f"{name}.scale"], self.parameters[f"{name}.shift"]
        flat = state.reshape(1, len(mean), -1)
        if training:
            flat = _NormalisedRelu.apply(flat, scale, shift, mean, variance, self.momentum)
        else:
            flat = F.relu_(F.batch_norm(flat, mean, variance, scale, shift, eps=BATCHNORM_EPSILON))
        return flat.view(state.shape)


class _NormalisedRelu(torch.autograd.Function):
    """Batch norm in training, then ReLU, of `[1, channels, numbers]`; moves the running statistics.

    torch's own statistics of a channel whose numbers lie in a row are one long chain of additions on a CPU; the mean
    of a row is several times faster. The rest is torch's.
    """

    @staticmethod
    def forward(
        context: Any, state: Tensor, scale: Tensor, shift: Tensor, means: Tensor, variances: Tensor, momentum: float
    ) -> Tensor:
        """Normalise, scale, shift and rectify."""
        count = state.shape[2]
        mean = state[0].mean(dim=1)
        variance = (state[0] - mean.unsqueeze(1)).square_().mean(dim=1)
        means.lerp_(mean, momentum)
        variances.lerp_(variance * (count / (count - 1)), momentum)
        normalised, _, _ = torch.native_batch_norm(state, scale, shift, mean, variance, False, 0.0, BATCHNORM_EPSILON)
        rectified: Tensor = normalised.relu_()
        context.save_for_backward(state, rectified, scale, mean, (variance + BATCHNORM_EPSILON).rsqrt_())
        return rectified

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the numbers, the scales and the shifts."""
        state, rectified, scale, mean, inverse = context.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradient, rectified, 0)
        gradients = torch.ops.aten.native_batch_norm_backward(
            passed, state, scale, None, None, mean, inverse, True, BATCHNORM_EPSILON, [True, True, True]
        )
        return (*gradients, None, None, None)


def _dense_convolution(state: Tensor, weight: Tensor) -> Tensor:
    """3x3 convolution of small maps as one matrix product over all their pixels.

    On a few pixels the matrix is as small as what a convolution would copy.
    """
    count, inputs, height, width, batch = state.shape
    pixels = height * width
    taps = _taps(height, width, weight.dtype, weight.device)
    matrix = (weight.reshape(-1, 9) @ taps).view(count, -1, inputs, pixels, pixels)
    matrix = matrix.transpose(2, 3).reshape(count, -1, inputs * pixels)
    return torch.bmm(matrix, state.reshape(count, inputs * pixels, batch)).view(count, -1, height, width, batch)


@cache
def _taps(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[9, pixels * pixels]`: 1 where a kernel's element leads from the second pixel to the first."""
    taps = torch.zeros(3, 3, height, width, height, width)
    for down, right, row, column in itertools.product(range(3), range(3), range(height), range(width)):
        source_row, source_column = row + down - 1, column + right - 1
        if 0 <= source_row < height and 0 <= source_column < width:
            taps[down, right, row, column, source_row, source_column] = 1
    return taps.view(9, -1).to(device, dtype)


class _Convolution3x3(torch.autograd.Function):
    """Each network's 3x3 convolution of maps `[networks, channels, height, width, batch]`, with a border of zeros.

    The map is copied shifted by -1, 0 and 1 column; shifts by a row are views of that copy, since rows lie one after
    another. So the convolution is three matrix products, one a row of the kernel.
    """

    @staticmethod
    def forward(context: Any, state: Tensor, weight: Tensor) -> Tensor:
        """Convolve `[n, i, h, w, b]` with weights `[n, o, i, 3, 3]`."""
        shifted = _shifted_columns(state)
        context.save_for_backward(shifted, weight)
        context.shape = state.shape
        rows = weight.permute(3, 0, 1, 2, 4).flatten(3)
        return _sum_over_rows(rows, shifted, state.shape)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the maps and the weights."""
        shifted, weight = context.saved_tensors
        flipped = weight.flip(3, 4).permute(3, 0, 2, 1, 4).flatten(3)
        of_state = _sum_over_rows(flipped, _shifted_columns(gradient), context.shape)
        step = context.shape[3] * context.shape[4]
        length = context.shape[2] * step
        flat = gradient.flatten(2)
        of_rows = [
            torch.bmm(flat, shifted[:, :, row * step : row * step + length].transpose(1, 2)).view(*weight.shape[:4])
            for row in range(3)
        ]
        return of_state, torch.stack(of_rows, dim=3)


def _shifted_columns(state: Tensor) -> Tensor:
    """`[n, c * 3, (h + 2) * w * b]`: a map with a border of zeros, its left, same and right neighbours by channel."""
    count, channels, height, width, batch = state.shape
    shifted = state.new_empty(count, channels, 3, height + 2, width, batch)
    shifted[:, :, :, 0] = 0
    shifted[:, :, :, -1] = 0
    shifted[:, :, 0, :, 0] = 0
    shifted[:, :, 2, :, -1] = 0
    shifted[:, :, 0, 1:-1, 1:] = state[..., :-1, :]
    shifted[:, :, 1, 1:-1] = state
    shifted[:, :, 2, 1:-1, :-1] = state[..., 1:, :]
    return shifted.view(count, channels * 3, -1)


def _sum_over_rows(rows: Tensor, shifted: Tensor, shape: torch.Size) -> Tensor:
    """Sum over the kernel's rows `[3, n, o, i * 3]` of their product with the map moved by that row."""
    count, _, height, width, batch = shape
    step = width * batch
    length = height * step
    total = torch.bmm(rows[0], shifted[:, :, :length])
    total.baddbmm_(rows[1], shifted[:, :, step : step + length])
    total.baddbmm_(rows[2], shifted[:, :, 2 * step :])
    return total.view(count, -1, height, width, batch)


class _Rearranged(torch.autograd.Function):
    """Networks in another order; its inverse rearranges the gradient, at the cost of one copy."""

    @staticmethod
    def forward(context: Any, state: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """Copy `state[order]`."""
        context.save_for_backward(inverse)
        return state.index_select(0, order)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Gradient in the former order."""
        (inverse,) = context.saved_tensors
        return gradient.index_select(0, inverse), None, None


def _narrowed(state: Tensor, channels: int) -> Tensor:
    return state if state.shape[1] == channels else state[:, :channels]


def _max_pool(state: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    count, channels, *size, batch = state.shape
    # The batch passes as channels in the channels-last layout, which torch pools many times faster on a CPU.
    images = state.reshape(count * channels, *size, batch).permute(0, 3, 1, 2)
    pooled = F.max_pool2d(images, kernel, stride, padding, ceil_mode=True).permute(0, 2, 3, 1)
    return pooled.reshape(count, channels, *pooled.shape[1:])
