"""The stand-alone network of NAS-Bench-101, many of them trained at once.

A table's truth is the accuracy of a cell trained on its own. NAS-Bench-101 stacks the cell three times by three
(`nasbench/lib/model_builder.py`): a 3x3 stem, then three stacks of modules; before the second and third the maps are
halved and the channels doubled; global mean and a dense layer end it. `CellNetworks` holds networks of cells that share
their graph but not their operations, each with weights of its own, and evaluates them together: every layer of all
of them is one grouped convolution. On small networks that is several times faster than one after another, and each
network still computes what it would compute alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.cell import CONV1X1, CONV3X3, MAXPOOL3X3, Cell

BATCHNORM_EPSILON = 1e-5


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
    ) -> None:
        if any(not np.array_equal(cell.matrix, cells[0].matrix) for cell in cells):
            raise ValueError("cells evaluated together must share their adjacency matrix")
        self.cells, self.scale, self.classes = list(cells), scale, classes
        self.momentum = batchnorm_momentum
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
        dense = torch.stack([function("dense", (incoming, classes), incoming) for function in self._draw])
        self.parameters["dense.weight"] = dense.requires_grad_()
        self.parameters["dense.bias"] = dense.new_zeros(len(cells), 1, classes).requires_grad_()
        del self._draw

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
        weight = torch.cat(kernels)
        self.parameters[f"{name}.weight"] = weight.requires_grad_()
        self.parameters[f"{name}.scale"] = weight.new_ones(len(weight)).requires_grad_()
        self.parameters[f"{name}.shift"] = weight.new_zeros(len(weight)).requires_grad_()
        self.statistics[name] = (weight.new_zeros(len(weight)), weight.new_ones(len(weight)))

    def __call__(self, images: Tensor, training: bool) -> Tensor:
        """Logits `[networks, batch, classes]` of images `[batch, channels, height, width]`, the same for all."""
        batch, count = len(images), len(self.cells)
        state = self._block("stem", images, 1, training)
        for stack in range(self.scale.stacks):
            if stack:
                state = _max_pool(state, 2, 2, 0)
            for module in range(self.scale.modules):
                state = self._module(f"stack{stack}.module{module}", state, training)
        features = state.reshape(batch, count, -1, *state.shape[2:]).mean(dim=(3, 4))
        return torch.baddbmm(self.parameters["dense.bias"], features.transpose(0, 1), self.parameters["dense.weight"])

    def _module(self, name: str, state: Tensor, training: bool) -> Tensor:
        cell, count = self.cells[0], len(self.cells)
        batch, _, *size = state.shape
        last = len(cell.ops) - 1
        incoming = state.shape[1] // count
        width = incoming if name.startswith("stack0") or not name.endswith("module0") else 2 * incoming
        channels = vertex_channels(cell, incoming, width)
        fed = np.flatnonzero(cell.matrix[0]).tolist()
        projected = self._block(f"{name}.projections", state, count, training).view(batch, count, -1, *size)
        projections = dict(zip(fed, torch.split(projected, [channels[v] for v in fed], dim=2), strict=True))
        outputs: dict[int, Tensor] = {}
        for vertex in range(1, last):
            terms = [outputs[parent][:, :, : channels[vertex]] for parent in cell.parents[vertex] if parent != 0]
            if vertex in projections:
                terms.append(projections[vertex])
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            outputs[vertex] = self._operations(f"{name}.vertex{vertex}", vertex, total, training)
        feeding = [outputs[vertex] for vertex in cell.parents[last] if vertex != 0]
        merged = torch.cat(feeding, dim=2) if feeding else None
        if last in projections:
            merged = projections[last] if merged is None else merged + projections[last]
        assert merged is not None
        return merged.reshape(batch, -1, *size)

    def _operations(self, name: str, vertex: int, total: Tensor, training: bool) -> Tensor:
        """Each network's own operation on its slice of `[batch, networks, channels, height, width]`."""
        batch, count, width, *size = total.shape
        results, order = [], []
        for label in (CONV3X3, CONV1X1, MAXPOOL3X3):
            members = self._members(vertex, label)
            if not members:
                continue
            part = total if len(members) == count else total[:, members]
            part = part.reshape(batch, len(members) * width, *size)
            if label == MAXPOOL3X3:
                result = _max_pool(part, 3, 1, 1)
            else:
                result = self._block(f"{name}.{label}", part, len(members), training)
            results.append(result.view(batch, len(members), width, *size))
            order += members
        if len(results) == 1:
            return results[0]
        return torch.cat(results, dim=1)[:, np.argsort(order).tolist()]

    def _block(self, name: str, state: Tensor, groups: int, training: bool) -> Tensor:
        weight = self.parameters[f"{name}.weight"]
        state = F.conv2d(state, weight, padding=weight.shape[-1] // 2, groups=groups)
        mean, variance = self.statistics[name]
        scale, shift = self.parameters[f"{name}.scale"], self.parameters[f"{name}.shift"]
        state = F.batch_norm(state, mean, variance, scale, shift, training, self.momentum, BATCHNORM_EPSILON)
        return F.relu_(state)


def _max_pool(state: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    # On a CPU torch's pooling is more than ten times faster in the channels-last layout, both copies included.
    pooled = F.max_pool2d(state.contiguous(memory_format=torch.channels_last), kernel, stride, padding, ceil_mode=True)
    return pooled.contiguous()
