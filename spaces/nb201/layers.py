"""What the supernet of NAS-Bench-201 is made of: convolutions with batch norm, at trained weights or folded ones.

All edges that leave a node of a cell are served at once (`all_convolutions`), or one edge by itself (`convolutions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import Pass, Weights
from spaces.nb201.architecture import CONV1X1, CONV3X3, EDGES, NODES, OPERATIONS

BATCHNORM_EPSILON = 1e-5

CONVOLUTIONS = {CONV1X1: ("conv1x1", 1), CONV3X3: ("conv3x3", 3)}
"""Name and kernel size of each operation that has weights."""

LEAVING = tuple(tuple(edge for edge, (_, source) in enumerate(EDGES) if source == node) for node in range(NODES - 1))
"""For each node but the last the edges that leave it."""


@dataclass(frozen=True)
class FoldedWeights:
    """Weights for evaluation at stored statistics, batch norm folded into the convolutions; no gradient reaches them.

    Attributes:
        convolutions: name -> (weight, bias): those of stem and residual blocks, and of each node of each cell that
            edges leave, `<cell>.from<node>.conv1x1` and `.conv3x3`, `[edges, c, c, k, k]` and `[edges, c]`.
        shortcuts: name -> weight of each convolution beside a residual block.
        head: scale and shift before the last ReLU, `[width]` each.
        classifier: weight and bias of the last layer.
    """

    convolutions: dict[str, tuple[Tensor, Tensor]]
    shortcuts: dict[str, Tensor]
    head: tuple[Tensor, Tensor]
    classifier: tuple[Tensor, Tensor]


class Layers:
    """What a network is made of, at given weights."""

    def normalised(self, name: str, state: Tensor, stride: int = 1) -> Tensor:
        """A convolution and its batch norm with scale and shift."""
        raise NotImplementedError

    def all_convolutions(self, name: str, coefficients: Tensor, active: Tensor) -> Tensor:
        """The weighted convolutions of all edges that leave a node.

        Args:
            name: the node, `cell<i>.from<node>`.
            coefficients: of these edges, `[edges, 5]`.
            active: what enters the convolutions, `[batch, c, height, width]`.

        Returns:
            `[batch, edges, c, height, width]`.
        """
        raise NotImplementedError

    def convolutions(
        self, name: str, place: int, operations: Sequence[str], coefficients: Tensor, active: Tensor
    ) -> list[Tensor]:
        """Maps whose sum is that of some weighted convolutions of one edge.

        Args:
            name: the node that it leaves, `cell<i>.from<node>`.
            place: of the edge among those that leave the node.
            operations: which convolutions.
            coefficients: of the edge, `[5]`.
            active: what enters the convolutions.
        """
        raise NotImplementedError

    def shortcut(self, name: str, state: Tensor) -> Tensor:
        """The convolution beside a residual block, which has no batch norm."""
        raise NotImplementedError

    def classify(self, state: Tensor) -> Tensor:
        """Logits from the last cell's output."""
        raise NotImplementedError

    def residual(self, name: str, state: Tensor) -> Tensor:
        """The block between two stages: half the height and width, twice the channels."""
        if state.shape[-1] % 2 or state.shape[-2] % 2:
            raise ValueError(
                f"expected images whose height and width are multiples of 4, got a map of {state.shape[-2]} x "
                f"{state.shape[-1]} before {name}"
            )
        inner = self.normalised(f"{name}.first", F.relu(state), stride=2)
        inner = self.normalised(f"{name}.second", F.relu(inner))
        return inner + self.shortcut(f"{name}.shortcut", F.avg_pool2d(state, 2))


class PlainLayers(Layers):
    """Layers with batch norm by a batch's statistics or stored ones.

    Args:
        weights: of the network.
        momentum: share of the last batch in the running statistics.
        how: the way of the pass.
    """

    def __init__(self, weights: Weights, momentum: float, how: Pass) -> None:
        self._parameters, self._buffers = weights.parameters, weights.buffers
        self._momentum = momentum
        self._training = how.training
        self._stored = how.update_statistics or not how.training

    def normalised(self, name: str, state: Tensor, stride: int = 1) -> Tensor:
        state = F.conv2d(state, self._parameters[f"{name}.weight"], stride=stride, padding=1)
        scale, shift = self._parameters[f"{name}.scale"], self._parameters[f"{name}.shift"]
        return self._norm(state, self._statistics(name), scale, shift)

    def all_convolutions(self, name: str, coefficients: Tensor, active: Tensor) -> Tensor:
        total: Tensor | None = None
        for operation, (label, size) in CONVOLUTIONS.items():
            norm = f"{name}.{label}"
            kernel = torch.cat([self._parameters[f"{edge}.weight"] for edge in edge_names(norm)])
            state = F.conv2d(active, kernel, padding=size // 2)
            width = len(kernel) // len(coefficients)
            scale = coefficients[:, OPERATIONS.index(operation)].repeat_interleave(width)
            term = self._norm(state, self._statistics(norm), scale)
            total = term if total is None else total + term
        assert total is not None
        return total.view(len(total), len(coefficients), -1, *total.shape[2:])

    def convolutions(
        self, name: str, place: int, operations: Sequence[str], coefficients: Tensor, active: Tensor
    ) -> list[Tensor]:
        terms = []
        for operation in operations:
            label, size = CONVOLUTIONS[operation]
            norm = f"{name}.{label}"
            kernel = self._parameters[f"{edge_names(norm)[place]}.weight"]
            state = F.conv2d(active, kernel, padding=size // 2)
            width = len(kernel)
            statistics = [
                None if part is None else part.narrow(0, place * width, width) for part in self._statistics(norm)
            ]
            # In memory of its own: of a channels-last map torch's derivative misreads a scale of stride 0.
            scale = coefficients[OPERATIONS.index(operation)].repeat(width)
            terms.append(self._norm(state, statistics, scale))
        return terms

    def shortcut(self, name: str, state: Tensor) -> Tensor:
        return F.conv2d(state, self._parameters[f"{name}.weight"])

    def classify(self, state: Tensor) -> Tensor:
        scale, shift = self._parameters["head.scale"], self._parameters["head.shift"]
        features = F.relu(self._norm(state, self._statistics("head"), scale, shift)).mean(dim=(2, 3))
        return F.linear(features, self._parameters["classifier.weight"], self._parameters["classifier.bias"])

    def _statistics(self, name: str) -> list[Tensor | None]:
        """Running mean and variance, if the pass reads or moves them."""
        return [self._buffers[f"{name}.{part}"] if self._stored else None for part in ("mean", "variance")]

    def _norm(
        self, state: Tensor, statistics: Sequence[Tensor | None], scale: Tensor, shift: Tensor | None = None
    ) -> Tensor:
        mean, variance = statistics
        return F.batch_norm(state, mean, variance, scale, shift, self._training, self._momentum, BATCHNORM_EPSILON)


class FoldedLayers(Layers):
    """Layers for evaluation at stored statistics.

    Args:
        weights: of the network, folded.
    """

    def __init__(self, weights: FoldedWeights) -> None:
        self._weights = weights

    def normalised(self, name: str, state: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(state, *self._weights.convolutions[name], stride=stride, padding=1)

    def all_convolutions(self, name: str, coefficients: Tensor, active: Tensor) -> Tensor:
        kernel, bias = self._mixed(name, slice(None), tuple(CONVOLUTIONS), coefficients)
        state = F.conv2d(active, kernel.flatten(0, 1), bias.flatten(), padding=1)
        return state.view(len(state), len(coefficients), -1, *state.shape[2:])

    def convolutions(
        self, name: str, place: int, operations: Sequence[str], coefficients: Tensor, active: Tensor
    ) -> list[Tensor]:
        if not operations:
            return []
        kernel, bias = self._mixed(name, slice(place, place + 1), operations, coefficients.unsqueeze(0))
        return [F.conv2d(active, kernel[0], bias[0], padding=kernel.shape[-1] // 2)]

    def shortcut(self, name: str, state: Tensor) -> Tensor:
        return F.conv2d(state, self._weights.shortcuts[name])

    def classify(self, state: Tensor) -> Tensor:
        scale, shift = (part.view(1, -1, 1, 1) for part in self._weights.head)
        features = F.relu(torch.addcmul(shift, state, scale)).mean(dim=(2, 3))
        return F.linear(features, *self._weights.classifier)

    def _mixed(
        self, name: str, places: slice, operations: Sequence[str], coefficients: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The kernel `[edges, c, c, k, k]` and bias `[edges, c]` that do what these weighted convolutions do."""
        largest = max(CONVOLUTIONS[operation][1] for operation in operations)
        kernels, biases = [], []
        for operation in operations:
            label, size = CONVOLUTIONS[operation]
            kernel, bias = self._weights.convolutions[f"{name}.{label}"]
            share = coefficients[:, OPERATIONS.index(operation)]
            kernel = share.view(-1, 1, 1, 1, 1) * kernel[places]
            kernels.append(F.pad(kernel, [(largest - size) // 2] * 4) if size < largest else kernel)
            biases.append(share.view(-1, 1) * bias[places])
        return sum(kernels[1:], kernels[0]), sum(biases[1:], biases[0])


def edge_names(norm: str) -> list[str]:
    """The names of the convolutions that a norm `cell<i>.from<node>.<label>` serves."""
    cell, node, label = norm.split(".")
    leaving = LEAVING[int(node.removeprefix("from"))]
    return [f"{cell}.{EDGES[edge][0]}<-{EDGES[edge][1]}.{label}" for edge in leaving]


def constant_norm(weights: Weights, name: str) -> tuple[Tensor, Tensor]:
    """Scale and shift, `[channels]` each, of a batch norm at stored statistics."""
    scale = (weights.buffers[f"{name}.variance"] + BATCHNORM_EPSILON).rsqrt()
    scale = scale * weights.parameters.get(f"{name}.scale", 1.0)
    shift = weights.parameters.get(f"{name}.shift", 0.0) - scale * weights.buffers[f"{name}.mean"]
    return scale, shift
