"""The published network (google-research/nasbench `lib/model_builder.py`): one cell at a time, ordinary layers."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.tabulation.networks import NetworkScale
from spaces.nb101.cell import CONV1X1, CONV3X3, Cell


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, momentum: float) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, padding=(kernel - 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.convolution(x)))


class PlainModule(nn.Module):
    """One cell of a network."""

    def __init__(self, cell: Cell, inputs: int, outputs: int, momentum: float) -> None:
        super().__init__()
        self.parents, self.output = cell.parents, len(cell.ops) - 1
        feeding = [parent for parent in self.parents[self.output] if parent != 0]
        self.widths = {self.output: outputs}
        for vertex in reversed(range(1, self.output)):
            if vertex in feeding:
                first_ones = outputs % len(feeding)
                self.widths[vertex] = outputs // len(feeding) + (1 if feeding.index(vertex) < first_ones else 0)
            else:
                followers = [child for child in range(vertex + 1, self.output) if vertex in self.parents[child]]
                self.widths[vertex] = max(self.widths[child] for child in followers)
        self.projections = nn.ModuleDict(
            {str(v): ConvBlock(inputs, self.widths[v], 1, momentum) for v in self.widths if 0 in self.parents[v]}
        )
        kernels = {CONV3X3: 3, CONV1X1: 1}
        self.convolutions = nn.ModuleDict(
            {
                str(v): ConvBlock(self.widths[v], self.widths[v], kernels[cell.ops[v]], momentum)
                for v in self.widths
                if cell.ops[v] in kernels
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        values: dict[int, Tensor] = {}
        for vertex in range(1, self.output):
            terms = [values[parent][:, : self.widths[vertex]] for parent in self.parents[vertex] if parent != 0]
            if 0 in self.parents[vertex]:
                terms.append(self.projections[str(vertex)](x))
            total = sum(terms[1:], terms[0])
            if str(vertex) in self.convolutions:
                values[vertex] = self.convolutions[str(vertex)](total)
            else:
                values[vertex] = F.max_pool2d(total, kernel_size=3, stride=1, padding=1)
        feeding = [values[parent] for parent in self.parents[self.output] if parent != 0]
        results = [torch.cat(feeding, dim=1)] if feeding else []
        if 0 in self.parents[self.output]:
            results.append(self.projections[str(self.output)](x))
        return sum(results[1:], results[0])


class PlainNetwork(nn.Module):
    """The whole network of one cell."""

    def __init__(
        self, cell: Cell, scale: NetworkScale, image_channels: int, classes: int, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(image_channels, scale.channels, 3, momentum)
        self.stacks = nn.ModuleList()
        width = scale.channels
        for stack in range(scale.stacks):
            wider = scale.channels * 2**stack
            modules = [
                PlainModule(cell, width if index == 0 else wider, wider, momentum) for index in range(scale.modules)
            ]
            self.stacks.append(nn.ModuleList(modules))
            width = wider
        self.dense = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for number, stack in enumerate(self.stacks):
            if number:
                # TensorFlow's "same" padding adds to the bottom and right edge of odd maps, here what never wins.
                x = F.max_pool2d(F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2), value=-math.inf), 2)
            assert isinstance(stack, nn.ModuleList)
            for module in stack:
                x = module(x)
        logits: Tensor = self.dense(x.mean(dim=(2, 3)))
        return logits
