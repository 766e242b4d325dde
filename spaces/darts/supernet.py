"""The search network of the DARTS space (SmoothDARTS `sota/cnn/model_search.py`, `model_search_pcdarts.py`).

A `DartsSupernet` is a function of weights, mixture and images. A 3x3 stem of 3 C channels with batch norm feeds both
inputs of the first cell. Each cell brings its two inputs to C channels, evaluates all operations of all 14 edges, and
adds up their products with the mixture's coefficients. The mean over the last map and a dense layer end the network.
Batch norms have no weights of their own, but for the stem's.

With partial channels (PC-DARTS) an edge's operations see the first k-th of the channels only; the others pass by,
max-pooled where the edge halves the map, and the channels are shuffled afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import EVALUATION, Abilities, InputShape, Network, Pass, Space, Weights
from spaces.darts.config import SupernetConfig
from spaces.darts.layers import (
    Block,
    Layers,
    Source,
    check_sides,
    convolution_block,
    initial_weights,
    noise_of,
    operation_blocks,
    reduction_block,
    weighted_sum,
)
from spaces.darts.operations import (
    EDGES,
    INPUTS,
    NODES,
    NOISE,
    edges_into,
    groups_of_cells,
    reductions,
    stride,
    widths,
)
from spaces.mixture import Mixture


class Stem(NamedTuple):
    """What no coefficient can change of a batch.

    Attributes:
        first: the two inputs of cell 0, as its edges read them.
        second: the first input of cell 1, as its edges read it.
    """

    first: tuple[Tensor, Tensor]
    second: Tensor


class DartsSupernet(Network):
    """The supernet of a space of normal and reduction cells.

    Drop-path multiplies the output of each edge, so `paths` is 14.

    Args:
        space: the space.
        edge_operations: for each kind of cell the operations of each edge.
        config: size and quirks.
        shape: channels of the images, and number of classes.
        edge_weights: whether mixtures weigh edges too; of each kind of cell the rows are then the operations, and the
            edges to each of the four nodes.

    Raises:
        ValueError: the settings do not go together.
    """

    paths = len(EDGES)
    abilities: ClassVar[Abilities] = Abilities(recorded_steps=True)

    def __init__(
        self,
        space: Space[Any],
        edge_operations: Mapping[str, Sequence[Sequence[str]]],
        config: SupernetConfig,
        shape: InputShape,
        edge_weights: bool = False,
    ) -> None:
        parts = config.partial_channels
        if config.channels < 1 or parts < 1 or config.channels % parts:
            raise ValueError(
                f"expected channels to be a multiple of partial_channels, got {config.channels} and {parts}"
            )
        self.space = space
        self.config = config
        self.shape = shape
        self.edge_operations = edge_operations
        self.edge_weights = edge_weights
        self.groups = groups_of_cells(config.cells)
        self._noisy = config.skip_dropout > 0 or any(
            NOISE in operations for edges in edge_operations.values() for operations in edges
        )

    @cached_property
    def widths(self) -> list[int]:
        """Channels C of each cell's nodes; the cell's output has 4 C."""
        return widths(self.config.cells, self.config.channels)

    def blocks(self) -> Iterator[Block]:
        """Every block, in the order of the data."""
        incoming = [3 * self.config.channels] * 2
        yield convolution_block("stem", self.shape.channels, incoming[0], 3)
        for cell, (group, width) in enumerate(zip(self.groups, self.widths, strict=True)):
            name = f"cell{cell}"
            preprocessing = reduction_block if cell - 1 in reductions(self.config.cells) else convolution_block
            yield preprocessing(f"{name}.input0", incoming[0], width, affine=False)
            yield convolution_block(f"{name}.input1", incoming[1], width, affine=False)
            part = width // self.config.partial_channels
            for edge, (source, _) in enumerate(EDGES):
                for operation in self.edge_operations[group][edge]:
                    place = f"{name}.edge{edge}.{operation}"
                    yield from operation_blocks(place, operation, part, stride(group, source), search=True)
            incoming = [incoming[1], NODES * width]

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Fresh weights on the CPU, drawn as torch draws those of `Conv2d` and `Linear`."""
        dense = {"classifier": (self.shape.outputs, NODES * self.widths[-1])}
        return initial_weights(self.blocks(), dense, generator, dtype)

    def stem(self, weights: Any, inputs: Tensor, how: Pass = EVALUATION) -> Stem:
        """The inputs of cell 0 and the first input of cell 1.

        Raises:
            ValueError: the images' sides are no multiples of four.
        """
        check_sides(inputs, 4)
        layers = self._layers(weights, how)
        # An image of one channel has no layout of its own, so the stem's map sets it for all that follows.
        state = layers.block("stem", inputs).contiguous(memory_format=torch.channels_last)
        rectified = F.relu(state)
        first = (layers.block("cell0.input0", rectified), layers.block("cell0.input1", rectified))
        return Stem(first, layers.block("cell1.input0", rectified))

    def after_stem(self, weights: Any, mixture: Mixture, stem: Stem, how: Pass = EVALUATION) -> Tensor:
        """Logits `[batch, classes]` from what `stem` gave at the same weights."""
        noise = None
        if self._noisy:
            noise = noise_of(how, self.config.cells * len(EDGES), stem.second.device)
        layers = Layers(weights, self.config.batchnorm_momentum, how, noise, self.config.skip_dropout)
        rows = mixture.of_cells(self.groups)
        counting = self._counting_operations(rows, how.skip_zeros)
        before: Tensor | None = None
        state: Tensor | None = None
        for cell in range(self.config.cells):
            inputs = self._inputs(layers, cell, stem, before, state)
            factors = None if how.path_factors is None else how.path_factors[cell]
            before, state = state, self._cell(layers, cell, rows[cell], counting[cell], inputs, factors)
        assert state is not None
        return layers.dense("classifier", state.mean(dim=(2, 3)))

    def _layers(self, weights: Any, how: Pass) -> Layers:
        return Layers(weights, self.config.batchnorm_momentum, how)

    def _inputs(
        self, layers: Layers, cell: int, stem: Stem, before: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What the edges of a cell read, from the outputs of the two cells before it."""
        if state is None:
            return stem.first
        second = layers.block(f"cell{cell}.input1", F.relu(state))
        if before is None:
            return stem.second, second
        if cell - 1 in reductions(self.config.cells):
            return layers.halved(f"cell{cell}.input0", F.relu(before)), second
        return layers.block(f"cell{cell}.input0", F.relu(before)), second

    def _cell(
        self,
        layers: Layers,
        cell: int,
        rows: Sequence[Tensor],
        counting: Sequence[Sequence[int]],
        inputs: tuple[Tensor, Tensor],
        factors: Tensor | None,
    ) -> Tensor:
        """A cell's output `[batch, 4 C, height, width]`.

        Args:
            layers: at the weights of the pass.
            cell: its number.
            rows: its coefficients.
            counting: for each edge the operations to evaluate.
            inputs: what its edges read of the two cells before.
            factors: `[14, batch]`, what the output of each edge is multiplied with; None for ones.
        """
        operations = rows[0].unbind()
        weights_of_edges = [weight for row in rows[1:] for weight in row.unbind()]
        states = [PartialSource(state, self.config.partial_channels) for state in inputs]
        for node in range(INPUTS, INPUTS + NODES):
            terms: list[tuple[Tensor, Tensor]] = []
            for source, edge in enumerate(edges_into(node)):
                step = stride(self.groups[cell], source)
                scale = weights_of_edges[edge] if weights_of_edges else None
                if factors is not None:
                    factor = factors[edge].view(-1, 1, 1, 1)
                    scale = factor if scale is None else scale * factor
                products = self._products(layers, cell, edge, operations[edge], counting[edge], states[source], step)
                if self.config.partial_channels > 1:
                    mixed = self._with_passing(products, states[source], step)
                    products = [(mixed.new_ones(()), mixed)]
                terms += products if scale is None else [(scale * weight, state) for weight, state in products]
            total = weighted_sum(terms) if terms else _zeros(states[0].state, stride(self.groups[cell], 0))
            states.append(PartialSource(total, self.config.partial_channels))
        return torch.cat([node.state for node in states[INPUTS:]], dim=1)

    def _products(
        self,
        layers: Layers,
        cell: int,
        edge: int,
        coefficients: Tensor,
        counting: Sequence[int],
        state: PartialSource,
        step: int,
    ) -> list[tuple[Tensor, Tensor]]:
        """Coefficient and output of each operation of an edge that counts; `none` adds nothing to a sum."""
        weights = coefficients.unbind()
        products = []
        for entry in counting:
            operation = self.edge_operations[self.groups[cell]][edge][entry]
            name, place = f"cell{cell}.edge{edge}.{operation}", cell * len(EDGES) + edge
            output = layers.operation(name, operation, state.part, step, place)
            if output is not None:
                products.append((weights[entry], output))
        return products

    def _with_passing(self, products: list[tuple[Tensor, Tensor]], state: PartialSource, step: int) -> Tensor:
        """The sum of an edge's products, shuffled with the channels that pass the operations by."""
        mixed = weighted_sum(products) if products else _zeros(state.part.state, step)
        groups = [mixed, *state.passing(step)]
        # In turn one channel of each group (`model_search_pcdarts.py`, `channel_shuffle`), channels-last as they were.
        return torch.stack([group.permute(0, 2, 3, 1) for group in groups], dim=-1).flatten(-2).permute(0, 3, 1, 2)

    def _counting_operations(self, rows: Sequence[Sequence[Tensor]], skip_zeros: bool) -> list[list[list[int]]]:
        """For each cell and edge the entries of the operations to evaluate."""
        every = [[list(range(len(operations))) for operations in self.edge_operations[group]] for group in self.groups]
        if not skip_zeros:
            return every
        counts = []
        for operations, *edges in rows:
            count = operations.detach().ne(0)
            if edges:
                count = count & torch.cat(edges).detach().ne(0).unsqueeze(1)
            counts.append(count.flatten())
        # One transfer from the device for all cells.
        flags = iter(torch.cat(counts).tolist())
        return [[[entry for entry in entries if next(flags)] for entries in edges] for edges in every]


class PartialSource:
    """A state of a cell, of which the first k-th of the channels goes through the operations of an edge.

    Args:
        state: `[batch, channels, height, width]`.
        parts: k; 1 for all channels.
    """

    def __init__(self, state: Tensor, parts: int) -> None:
        self.state = state
        self._parts = parts
        self._pooled: list[Tensor] | None = None

    @cached_property
    def part(self) -> Source:
        """The channels that go through the operations."""
        if self._parts == 1:
            return Source(self.state)
        return Source(self._chunks[0].contiguous(memory_format=torch.channels_last))

    def passing(self, step: int) -> Sequence[Tensor]:
        """The other channels in groups of equal size, max-pooled where the edge halves the map."""
        if step == 1:
            return self._chunks[1:]
        if self._pooled is None:
            self._pooled = [F.max_pool2d(chunk, 2, 2) for chunk in self._chunks[1:]]
        return self._pooled

    @cached_property
    def _chunks(self) -> tuple[Tensor, ...]:
        return self.state.chunk(self._parts, dim=1)


def _zeros(state: Tensor, step: int) -> Tensor:
    """Zeros of the shape that an edge from a state gives."""
    return torch.zeros_like(state[:, :, ::step, ::step])
