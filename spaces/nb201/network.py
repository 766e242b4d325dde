"""The supernet of NAS-Bench-201 (SmoothDARTS `nasbench201/model.py`, D-X-Y/AutoDL-Projects `TinyNetworkDarts`).

A stem, three stages of cells, and between stages a residual block that halves maps and doubles channels. In a cell
every edge computes the weighted sum of its five operations; a node is the sum of the edges that enter it, and the last
node is the cell's output. A convolution is ReLU, convolution and a batch norm without scale and shift; the pool has no
batch norm; those of stem, residual blocks and head have scale and shift.

Edges that leave the same node read the same map. So ReLU and pool are computed once for a node, its convolutions of one
size are one convolution, and a coefficient enters as the scale of its batch norm, whose gradient comes with that of the
normalisation. Passes that skip operations go edge by edge instead. For evaluation, where batch norm is a constant
scale, the two convolutions of an edge are one with a mixed kernel. All of these give the same up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import (
    EVALUATION,
    Abilities,
    Architecture,
    InputShape,
    Network,
    Pass,
    Space,
    Weights,
)
from spaces.mixture import Mixture
from spaces.nb201.architecture import AVERAGE, EDGES, NODES, NONE, OPERATIONS, SKIP
from spaces.nb201.config import Nb201Config
from spaces.nb201.layers import (
    CONVOLUTIONS,
    LEAVING,
    FoldedLayers,
    FoldedWeights,
    Layers,
    PlainLayers,
    constant_norm,
    edge_names,
)

STAGES = 3

_NONE, _SKIP, _AVERAGE = (OPERATIONS.index(operation) for operation in (NONE, SKIP, AVERAGE))


class Nb201Network(Network):
    """The supernet.

    Args:
        space: whose architectures it holds; mixtures are `[6, 5]`, or `[cells, 6, 5]`.
        config: size and quirks.
        shape: channels of the images and number of classes; height and width are multiples of 4.

    Raises:
        ValueError: sizes below one, or a width that is no multiple of `partial_channels`.
    """

    config: Nb201Config
    paths = len(EDGES)
    # A plain pass takes no decision by a number.
    abilities = Abilities(recorded_steps=True)

    def __init__(self, space: Space[Any], config: Nb201Config, shape: InputShape) -> None:
        self.space, self.config, self.shape = space, config, shape
        if min(config.channels, config.cells_per_stage, config.partial_channels, shape.channels, shape.outputs) < 1:
            raise ValueError(
                f"expected channels, cells_per_stage, partial_channels, image channels and classes of at least 1, got "
                f"{config.channels}, {config.cells_per_stage}, {config.partial_channels}, {shape.channels}, "
                f"{shape.outputs}"
            )
        if config.channels % config.partial_channels:
            raise ValueError(
                f"expected channels to be a multiple of partial_channels, got {config.channels} and "
                f"{config.partial_channels}"
            )
        self.groups = ("cell",) * (STAGES * config.cells_per_stage)

    @property
    def widths(self) -> list[int]:
        """Channels of each stage."""
        return [self.config.channels * 2**stage for stage in range(STAGES)]

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Weights:
        """Fresh weights, drawn on the CPU as torch draws those of `Conv2d` and `Linear`.

        Uniform within 1 / sqrt(fan-in); batch norm starts at scale 1 and shift 0. Parameters are `<convolution>.weight`
        with `<norm>.scale` and `<norm>.shift`, where convolutions are `stem`, `cell<i>.<target><-<source>.conv1x1` and
        `.conv3x3`, and `block<i>.first`, `.second` and `.shortcut`; and `head.scale`, `head.shift`,
        `classifier.weight`, `classifier.bias`. Buffers are `<norm>.mean` and `<norm>.variance`; the edges that leave
        a node of a cell have one norm for each size, `cell<i>.from<node>.conv1x1` and `.conv3x3`, in the order of
        `LEAVING`.
        """
        parameters: dict[str, Tensor] = {}
        buffers: dict[str, Tensor] = {}
        for name, shape in self._convolutions():
            kernel = _uniform(shape, math.prod(shape[1:]), generator, dtype)
            parameters[f"{name}.weight"] = kernel.contiguous(memory_format=torch.channels_last)
            if name in self._affine_norms():
                parameters[f"{name}.scale"] = torch.ones(shape[0], dtype=dtype)
                parameters[f"{name}.shift"] = torch.zeros(shape[0], dtype=dtype)
        width = self.widths[-1]
        parameters["head.scale"] = torch.ones(width, dtype=dtype)
        parameters["head.shift"] = torch.zeros(width, dtype=dtype)
        parameters["classifier.weight"] = _uniform((self.shape.outputs, width), width, generator, dtype)
        parameters["classifier.bias"] = _uniform((self.shape.outputs,), width, generator, dtype)
        for name, channels in [*self._affine_norms().items(), *self._plain_norms().items()]:
            buffers[f"{name}.mean"] = torch.zeros(channels, dtype=dtype)
            buffers[f"{name}.variance"] = torch.ones(channels, dtype=dtype)
        for tensor in parameters.values():
            tensor.requires_grad_()
        return Weights(parameters, buffers)

    def stem(self, weights: Any, inputs: Tensor, how: Pass = EVALUATION) -> Tensor:
        """The map that enters the first cell, `[batch, channels, height, width]`."""
        # An image of a single channel has no layout of its own, so it is the stem's map that sets it for all that
        # follows.
        return self._layers(weights, how).normalised("stem", inputs).contiguous(memory_format=torch.channels_last)

    def after_stem(self, weights: Any, mixture: Mixture, stem: Tensor, how: Pass = EVALUATION) -> Tensor:
        """Logits `[batch, classes]` from what `stem` gave at the same weights.

        Raises:
            ValueError: a residual block would halve a map of odd height or width.
        """
        layers = self._layers(weights, how)
        cells = [rows[0] for rows in mixture.of_cells(self.groups)]
        counting = _counting(cells) if how.skip_zeros else None
        state = stem
        for index, coefficients in enumerate(cells):
            stage, within = divmod(index, self.config.cells_per_stage)
            if stage and not within:
                state = layers.residual(f"block{stage}", state)
            factors = None if how.path_factors is None else how.path_factors[index]
            counts = None if counting is None else counting[index]
            state = self._cell(layers, f"cell{index}", coefficients, counts, state, factors)
        return layers.classify(state)

    def of_architecture(self, weights: Any, architecture: Architecture, stem: Any) -> Tensor:
        """Logits of one architecture at folded weights, from what `stem` gave there, batch norm as stored.

        Only the operations of `architecture.computed()` are evaluated.
        """
        mixture = self.space.mixture_of(architecture.computed(), stem.dtype).map(lambda row: row.to(stem.device))
        return self.after_stem(weights, mixture, stem, Pass(skip_zeros=True))

    def fold(self, weights: Weights) -> FoldedWeights:
        """Fold the stored statistics into the convolutions; no gradient flows to the weights."""
        with torch.no_grad():
            frozen = weights.frozen()
            parameters = frozen.parameters
            convolutions = {}
            for name in self._affine_norms():
                if name != "head":
                    scale, shift = constant_norm(frozen, name)
                    convolutions[name] = (parameters[f"{name}.weight"] * scale.view(-1, 1, 1, 1), shift)
            for name in self._plain_norms():
                kernels = torch.stack([parameters[f"{edge}.weight"] for edge in edge_names(name)])
                scale, shift = (part.view(kernels.shape[:2]) for part in constant_norm(frozen, name))
                convolutions[name] = (kernels * scale[..., None, None, None], shift)
            shortcuts = {
                name: parameters[f"{name}.weight"] for name, _ in self._convolutions() if name.endswith("shortcut")
            }
            classifier = (parameters["classifier.weight"], parameters["classifier.bias"])
            return FoldedWeights(convolutions, shortcuts, constant_norm(frozen, "head"), classifier)

    def _convolutions(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        """Name and weight shape `[out, in, k, k]` of every convolution, in the order of the data."""
        yield "stem", (self.config.channels, self.shape.channels, 3, 3)
        for stage, width in enumerate(self.widths):
            if stage:
                yield f"block{stage}.first", (width, width // 2, 3, 3)
                yield f"block{stage}.second", (width, width, 3, 3)
                yield f"block{stage}.shortcut", (width, width // 2, 1, 1)
            part = width // self.config.partial_channels
            for within in range(self.config.cells_per_stage):
                for target, source in EDGES:
                    for label, size in CONVOLUTIONS.values():
                        name = f"cell{stage * self.config.cells_per_stage + within}.{target}<-{source}.{label}"
                        yield name, (part, part, size, size)

    def _affine_norms(self) -> dict[str, int]:
        """Name and channels of each batch norm with scale and shift."""
        first, *others = self.widths
        blocks = {
            f"block{stage}.{part}": width for stage, width in enumerate(others, 1) for part in ("first", "second")
        }
        return {"stem": first, **blocks, "head": self.widths[-1]}

    def _plain_norms(self) -> dict[str, int]:
        """Name and channels of each batch norm without, over all edges that leave a node of a cell."""
        return {
            f"cell{index}.from{node}.{label}": len(edges) * self._part(index)
            for index in range(len(self.groups))
            for node, edges in enumerate(LEAVING)
            for label, _ in CONVOLUTIONS.values()
        }

    def _part(self, index: int) -> int:
        """How many channels of a cell pass the operations of an edge."""
        return self.widths[index // self.config.cells_per_stage] // self.config.partial_channels

    def _layers(self, weights: Any, how: Pass) -> Layers:
        if isinstance(weights, FoldedWeights):
            return FoldedLayers(weights)
        return PlainLayers(weights, self.config.batchnorm_momentum, how)

    def _cell(
        self,
        layers: Layers,
        name: str,
        coefficients: Tensor,
        counting: list[list[bool]] | None,
        state: Tensor,
        factors: Tensor | None,
    ) -> Tensor:
        """A cell's output from the map that enters it."""
        sums: list[Tensor | None] = [state] + [None] * (NODES - 1)
        for node, edges in enumerate(LEAVING):
            source = sums[node]
            if source is None:
                source = sums[node] = _zero(state, coefficients)
            working, *passing = source.chunk(self.config.partial_channels, dim=1)
            if counting is None:
                whole_edges = self._all_operations(layers, f"{name}.from{node}", coefficients, edges, working)
                mixed: list[Tensor | None] = list(whole_edges.unbind(1))
            else:
                mixed = self._some_operations(layers, f"{name}.from{node}", coefficients, edges, working, counting)
            for edge, part in zip(edges, mixed, strict=True):
                if part is None and not passing:
                    continue
                whole = torch.zeros_like(working) if part is None else part
                if passing:
                    whole = _shuffled([whole, *passing])
                if factors is not None:
                    whole = whole * factors[edge].view(-1, 1, 1, 1)
                target, _ = EDGES[edge]
                arrived = sums[target]
                sums[target] = whole if arrived is None else arrived + whole
        output = sums[-1]
        return _zero(state, coefficients) if output is None else output

    def _all_operations(
        self, layers: Layers, name: str, coefficients: Tensor, edges: Sequence[int], source: Tensor
    ) -> Tensor:
        """The mixed outputs of the edges that leave a node, `[batch, edges, channels, height, width]`."""
        own = torch.stack([coefficients[edge] for edge in edges])
        total = layers.all_convolutions(name, own, F.relu(source))
        for column, term in ((_SKIP, source), (_AVERAGE, _pooled(source))):
            total = torch.addcmul(total, own[:, column].view(1, -1, 1, 1, 1), term.unsqueeze(1))
        return total

    def _some_operations(
        self,
        layers: Layers,
        name: str,
        coefficients: Tensor,
        edges: Sequence[int],
        source: Tensor,
        counting: list[list[bool]],
    ) -> list[Tensor | None]:
        """The mixed output of each edge that leaves a node, of the operations that count; None where none does."""
        counts = [counting[edge] for edge in edges]
        active = F.relu(source) if any(count[OPERATIONS.index(op)] for count in counts for op in CONVOLUTIONS) else None
        pooled = _pooled(source) if any(count[_AVERAGE] for count in counts) else None
        mixed: list[Tensor | None] = []
        for place, (edge, count) in enumerate(zip(edges, counts, strict=True)):
            terms = []
            if active is not None:
                sizes = [op for op in CONVOLUTIONS if count[OPERATIONS.index(op)]]
                terms = layers.convolutions(name, place, sizes, coefficients[edge], active)
            for column, term in ((_SKIP, source), (_AVERAGE, pooled)):
                if count[column] and term is not None:
                    terms.append(coefficients[edge, column] * term)
            mixed.append(sum(terms[1:], terms[0]) if terms else None)
        return mixed


def _counting(cells: Sequence[Tensor]) -> list[list[list[bool]]]:
    """For each cell and edge whether each operation's coefficient differs from zero."""
    # One transfer from the device for all cells.
    counting: list[list[list[bool]]] = torch.stack([cell.detach() for cell in cells]).ne(0).tolist()
    return counting


def _zero(state: Tensor, coefficients: Tensor) -> Tensor:
    """A map of zeros for a node that no operation reaches; weights and coefficients have a gradient of zero by it."""
    return state * (coefficients[:, _NONE].sum() * 0)


def _pooled(state: Tensor) -> Tensor:
    return F.avg_pool2d(state, 3, 1, 1, count_include_pad=False)


def _shuffled(groups: Sequence[Tensor]) -> Tensor:
    """Channels of the groups in turn (SmoothDARTS `pc_darts/model_search.py`, `channel_shuffle`)."""
    return torch.stack(list(groups), dim=2).flatten(1, 2)


def _uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return torch.rand(shape, generator=generator, dtype=torch.float64).mul_(2 * bound).sub_(bound).to(dtype)
