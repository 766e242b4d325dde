"""A space of two kinds of cells, small enough to train in a test.

A network is a stem, a normal cell, a reduction cell and a classifier. A cell has two inner nodes: edges lead from the
input to the first, and from the input and the first node to the second, which is the output. Each edge of a kind is one
of four operations. There is nothing else to choose, so a mixture has one row for each kind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import EVALUATION, Architecture, Graph, InputShape, Network, NetworkConfig, Pass, Space, Weights
from spaces.mixture import Mixture, Row

OPERATIONS = ("skip", "average", "convolution", "wide_convolution")
EDGES = ((0, 1), (0, 2), (1, 2))
GROUPS = ("normal", "reduce")


@dataclass(frozen=True)
class TwoGroupsConfig(NetworkConfig):
    """Size of the network."""

    channels: int = 2
    """Width of every cell."""

    @property
    def scale(self) -> str:
        """The width in words."""
        return f"{self.channels} channels, 2 cells"


@dataclass(frozen=True)
class TwoGroupsArchitecture(Architecture):
    """An operation for each edge of each kind of cell, by number."""

    edges: Mapping[str, tuple[int, ...]] = field(hash=False)

    @property
    def key(self) -> str:
        """The operations by name."""
        return "|".join(",".join(OPERATIONS[number] for number in self.edges[group]) for group in GROUPS)

    def __hash__(self) -> int:
        return hash(self.key)

    def to_json(self) -> dict[str, Any]:
        """The operations by number."""
        return {group: list(numbers) for group, numbers in self.edges.items()}

    def graphs(self) -> tuple[Graph, ...]:
        """A drawing of each kind."""
        return tuple(
            Graph(
                ("input", "", "output"),
                tuple((*edge, OPERATIONS[number]) for edge, number in zip(EDGES, self.edges[group], strict=True)),
                group,
            )
            for group in GROUPS
        )

    def operations(self) -> tuple[str, ...]:
        """Every edge's operation."""
        return tuple(OPERATIONS[number] for group in GROUPS for number in self.edges[group])


class TwoGroupsNetwork(Network):
    """The supernet: weights of every operation on every edge."""

    paths = 0
    groups = GROUPS

    def __init__(self, space: Space[Any], config: TwoGroupsConfig, shape: InputShape) -> None:
        self.space, self.config, self.shape = space, config, shape

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Normal weights of variance 1 / fan-in, batch norm at rest."""
        channels = self.config.channels
        shapes = {"stem": (channels, self.shape.channels, 3, 3), "classifier": (self.shape.outputs, channels)}
        for name, size in self._convolutions():
            shapes[name] = (channels, channels, size, size)
        weights = {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}
        parameters = {name: (w / w[0].numel() ** 0.5).requires_grad_() for name, w in weights.items()}
        buffers = {}
        for name in shapes.keys() - {"classifier"}:
            buffers[f"{name}.mean"] = torch.zeros(channels, dtype=dtype)
            buffers[f"{name}.variance"] = torch.ones(channels, dtype=dtype)
        return Weights(parameters, buffers)

    def _convolutions(self) -> Iterator[tuple[str, int]]:
        for cell in range(len(GROUPS)):
            for edge in range(len(EDGES)):
                yield f"{cell}.{edge}.convolution", 1
                yield f"{cell}.{edge}.wide_convolution", 3

    def after_stem(self, weights: Weights, mixture: Mixture, stem: Tensor, how: Pass = EVALUATION) -> Tensor:
        """Logits `[batch, classes]`."""
        state = _convolved(weights, "stem", stem, how)
        for cell, (row,) in enumerate(mixture.of_cells(self.groups)):
            if GROUPS[cell] == "reduce":
                state = F.avg_pool2d(state, 2)
            nodes = [state]
            for target in (1, 2):
                nodes.append(
                    sum(
                        (
                            self._edge(weights, f"{cell}.{edge}", row[edge], nodes[source], how)
                            for edge, (source, end) in enumerate(EDGES)
                            if end == target
                        ),
                        torch.zeros_like(state),
                    )
                )
            state = nodes[-1]
        return F.linear(state.mean(dim=(2, 3)), weights.parameters["classifier"])

    def _edge(self, weights: Weights, name: str, coefficients: Tensor, state: Tensor, how: Pass) -> Tensor:
        total = torch.zeros_like(state)
        for number, operation in enumerate(OPERATIONS):
            if how.skip_zeros and float(coefficients[number]) == 0:
                continue
            if operation == "skip":
                output = state
            elif operation == "average":
                output = F.avg_pool2d(state, 3, 1, 1)
            else:
                output = _convolved(weights, f"{name}.{operation}", state, how)
            total = total + coefficients[number] * output
        return total


def _convolved(weights: Weights, name: str, state: Tensor, how: Pass) -> Tensor:
    kernel = weights.parameters[name]
    mean, variance = weights.buffers[f"{name}.mean"], weights.buffers[f"{name}.variance"]
    if not (how.training and how.update_statistics):
        mean, variance = mean.clone(), variance.clone()
    convolved = F.conv2d(state, kernel, padding=kernel.shape[-1] // 2)
    return F.batch_norm(convolved, mean, variance, training=how.training).relu()


class TwoGroups(Space[TwoGroupsConfig]):
    """The space."""

    name = "two_groups"
    label = "two_groups"
    summary = "normal and reduction cells of three edges, for tests"
    layout = tuple(Row(group, "operation", (len(EDGES), len(OPERATIONS)), group) for group in GROUPS)
    config_class = TwoGroupsConfig
    parameter_free = frozenset(("skip", "average"))

    def derive(self, rows: Sequence[npt.ArrayLike]) -> TwoGroupsArchitecture:
        """The largest coefficient of each edge."""
        chosen = (tuple(np.asarray(row).argmax(axis=1).tolist()) for row in rows)
        return TwoGroupsArchitecture(dict(zip(GROUPS, chosen, strict=True)))

    def one_hot(self, architecture: Architecture) -> list[npt.NDArray[np.float64]]:
        """1 for the operation of each edge."""
        assert isinstance(architecture, TwoGroupsArchitecture)
        return [np.eye(len(OPERATIONS))[list(architecture.edges[group])] for group in GROUPS]

    def sample(self, generator: random.Random) -> TwoGroupsArchitecture:
        """Every operation as likely."""
        return TwoGroupsArchitecture(
            {group: tuple(generator.randrange(len(OPERATIONS)) for _ in EDGES) for group in GROUPS}
        )

    def read(self, content: Mapping[str, Any]) -> TwoGroupsArchitecture:
        """What `to_json` gave."""
        return TwoGroupsArchitecture({group: tuple(content[group]) for group in GROUPS})

    def network(self, config: TwoGroupsConfig, shape: InputShape) -> TwoGroupsNetwork:
        """The supernet."""
        if config.channels < 1:
            raise ValueError(f"expected at least 1 channel, got {config.channels}")
        return TwoGroupsNetwork(self, config, shape)
