"""The supernet of the toy space: a stem, cells of one width, the mean over the map, a classifier."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import EVALUATION, Abilities, InputShape, Network, Pass, Weights
from spaces.mixture import Mixture
from spaces.toy.space import CONV1X1, CONV3X3, EDGES, KINDS, OPERATIONS, SKIP, ToyConfig

if TYPE_CHECKING:
    from spaces.toy.space import ToySpace

SIDES = {CONV3X3: 3, CONV1X1: 1}
"""Side of the kernel of each operation that has one."""


class ToyNetwork(Network):
    """Normal cells and reductions in turn; maps of 2 x 2 pixels or less are not halved any more."""

    abilities = Abilities(recorded_steps=True)

    def __init__(self, space: ToySpace, config: ToyConfig, shape: InputShape) -> None:
        self.space, self.config, self.shape = space, config, shape
        self.groups = tuple(KINDS[index % len(KINDS)] for index in range(config.cells))
        self.paths = len(EDGES)

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Uniform within 1 / sqrt(fan-in); batch norm starts at scale 1 and shift 0."""
        channels, part = self.config.channels, self.config.channels // self.config.partial_channels
        kernels = {"stem": (channels, self.shape.channels, 3, 3)}
        for index in range(self.config.cells):
            for edge in range(len(EDGES)):
                kernels |= {f"cell{index}.edge{edge}.{op}": (part, part, side, side) for op, side in SIDES.items()}
        parameters, buffers = {}, {}
        for name, shape in {**kernels, "classifier": (self.shape.outputs, channels)}.items():
            bound = 1 / math.sqrt(math.prod(shape[1:]))
            parameters[f"{name}.weight"] = torch.empty(shape, dtype=dtype).uniform_(-bound, bound, generator=generator)
            parameters[f"{name}.shift"] = torch.zeros(shape[0], dtype=dtype)
            if name in kernels:
                parameters[f"{name}.scale"] = torch.ones(shape[0], dtype=dtype)
                buffers[f"{name}.mean"] = torch.zeros(shape[0], dtype=dtype)
                buffers[f"{name}.variance"] = torch.ones(shape[0], dtype=dtype)
        return Weights({name: tensor.requires_grad_() for name, tensor in parameters.items()}, buffers)

    def stem(self, weights: Weights, inputs: Tensor, how: Pass = EVALUATION) -> Tensor:
        """The first map `[batch, channels, height, width]`."""
        return self._convolved(weights, "stem", inputs, how)

    def after_stem(self, weights: Weights, mixture: Mixture, stem: Tensor, how: Pass = EVALUATION) -> Tensor:
        """Logits `[batch, classes]`."""
        state = stem
        cells = [rows[0] for rows in mixture.of_cells(self.groups)]
        every = range(len(OPERATIONS))
        counting = torch.stack(cells).detach().ne(0).tolist() if how.skip_zeros else None
        for index, (kind, coefficients) in enumerate(zip(self.groups, cells, strict=True)):
            if kind == "reduce" and min(state.shape[2:]) > 2:
                state = F.avg_pool2d(state, 2)
            entering: list[list[Tensor]] = [[state], [], []]
            for edge, (start, end) in enumerate(EDGES):
                ops = [op for op in every if counting[index][edge][op]] or [0] if counting else list(every)
                source, name = sum(entering[start][1:], entering[start][0]), f"cell{index}.edge{edge}"
                mixed = self._mixed(weights, name, source, coefficients[edge], ops, how)
                if how.path_factors is not None:
                    mixed = mixed * how.path_factors[index, edge].view(-1, 1, 1, 1)
                entering[end].append(mixed)
            state = sum(entering[-1][1:], entering[-1][0])
        parameters = weights.parameters
        return F.linear(state.mean(dim=(2, 3)), parameters["classifier.weight"], parameters["classifier.shift"])

    def _mixed(
        self, weights: Weights, name: str, state: Tensor, coefficients: Tensor, ops: list[int], how: Pass
    ) -> Tensor:
        """Weighted sum of operations on the first k-th of the channels, put last so that the next edge takes others."""
        part, *passing = state.chunk(self.config.partial_channels, dim=1)
        first, *others = (coefficients[op] * self._operation(weights, name, OPERATIONS[op], part, how) for op in ops)
        return torch.cat([*passing, sum(others, first)], dim=1)

    def _operation(self, weights: Weights, name: str, operation: str, state: Tensor, how: Pass) -> Tensor:
        if operation in SIDES:
            return self._convolved(weights, f"{name}.{operation}", state, how)
        return state if operation == SKIP else F.avg_pool2d(state, 3, stride=1, padding=1)

    def _convolved(self, weights: Weights, name: str, state: Tensor, how: Pass) -> Tensor:
        """Convolution, batch norm, ReLU."""
        kernel, scale, shift = (weights.parameters[f"{name}.{part}"] for part in ("weight", "scale", "shift"))
        stored = [weights.buffers[f"{name}.{part}"] for part in ("mean", "variance")]
        mean, variance = stored if how.update_statistics or not how.training else (None, None)
        state = F.conv2d(state, kernel, padding=kernel.shape[-1] // 2)
        return F.relu(F.batch_norm(state, mean, variance, scale, shift, how.training, self.config.batchnorm_momentum))
