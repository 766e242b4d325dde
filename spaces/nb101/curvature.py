"""Exact second derivatives of a supernet's loss by its mixture, from tangents and one adjoint.

A row of a Hessian is commonly the derivative of a gradient: a pass forwards and one backwards for each row. Most of
that goes through convolutions at fixed weights, which have no second derivative. For a loss that is a chain of
functions f, with tangents dx of what enters each of them and the adjoint L of what leaves it,

    H[i, k] = sum over f of  L . f''(dx_i, dx_k).

So one pass forwards for each direction is enough, with the adjoints of one ordinary backward pass. Here f'' is zero but
for three kinds of function: products of a coefficient and a map, batch norm at the batch's own statistics, and the
cross-entropy. The result is symmetric as it stands, and exact up to rounding. All directions are on their way at
once, since pairs of them meet: about half as much memory again as a gradient's graph with as many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import MixtureCurvature, Weights
from spaces.mixture import Mixture
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.supernet import BATCHNORM_EPSILON, CONVOLUTIONS, Supernet, shuffled, weighted_sum


def mixture_curvature(
    supernet: Supernet,
    weights: Weights,
    mixture: Mixture,
    images: Tensor,
    labels: Tensor,
    directions: Sequence[Tensor],
) -> MixtureCurvature:
    """Second derivatives of the cross-entropy of a batch, batch norm in training mode; running statistics stay.

    Args:
        supernet: the network.
        weights: where to take it.
        mixture: coefficients for all cells, or with a first dimension of cells.
        images: `[batch, channels, height, width]`, normalised.
        labels: `[batch]`, int64.
        directions: one tensor `[k, *shape]` for each of the mixture's, of its shape.
    """
    rows = [row.detach().requires_grad_() for row in mixture.rows]
    with torch.enable_grad():
        values = _Values(supernet, weights.frozen(), Coefficients.from_rows(rows), images)
        loss = F.cross_entropy(values.logits, labels)
    nodes = values.nodes
    gradients = torch.autograd.grad(loss, [*rows, *nodes])
    adjoints = dict(zip(map(id, nodes), gradients[len(rows) :], strict=True))
    with torch.no_grad():
        tangents = _Tangents(supernet, values, adjoints, directions)
        tangents.through_network(labels)
    return MixtureCurvature(loss.detach(), list(gradients[: len(rows)]), tangents.hessian)


@dataclass
class _Normalised:
    """A convolution, its batch norm at the batch's statistics, and a ReLU unless it is the last.

    Attributes:
        kernel: the convolution's.
        scale: batch norm's; ones where it has none.
        found: the convolution's map.
        mean: of the batch, `[channels]`.
        deviation: 1 / standard deviation, likewise.
        out: what leaves it.
        rectified: whether there is a ReLU.
    """

    kernel: Tensor
    scale: Tensor
    convolved: Tensor
    mean: Tensor
    deviation: Tensor
    out: Tensor
    rectified: bool


@dataclass
class _BlockValues:
    """A choice block: its input, the channels of it that operations see, what the pooling gave and from where, the two
    convolutions, their weighted sum, and the block's output."""

    total: Tensor
    part: Tensor
    pooled: Tensor
    places: Tensor
    convolutions: tuple[_Normalised, _Normalised]
    mixed: Tensor
    state: Tensor


@dataclass
class _CellValues:
    """A cell: where a halving before it took its pixels from, its projections, its blocks, its output."""

    halvings: list[Tensor]
    mixture: Coefficients
    projections: _Normalised
    own: list[Tensor]
    through: Tensor
    blocks: list[_BlockValues]
    out: Tensor


class _Values:
    """A pass forwards that keeps what tangents need."""

    def __init__(self, supernet: Supernet, weights: Weights, mixture: Coefficients, images: Tensor) -> None:
        self._supernet, self._weights = supernet, weights
        config = supernet.config
        state = self._normalised("stem", images).out.contiguous(memory_format=torch.channels_last)
        self.cells: list[_CellValues] = []
        for index, of_cell in enumerate(mixture.of_cells(config.cells)):
            halvings = []
            for _ in range(supernet.halvings.count(index)):
                state, places = F.max_pool2d(state, 2, 2, config.downsample_padding, return_indices=True)
                halvings.append(places)
            self.cells.append(self._cell(f"cell{index}", of_cell, state, halvings))
            state = self.cells[-1].out
        self.last = F.relu(state)
        self.postprocess = self._normalised("postprocess", self.last)
        self.classifier = weights.parameters["classifier.weight"]
        self.logits = F.linear(
            self.postprocess.out.mean(dim=(2, 3)), self.classifier, weights.parameters["classifier.bias"]
        )

    @property
    def nodes(self) -> list[Tensor]:
        """Maps whose adjoints are wanted."""
        of_blocks = [node for cell in self.cells for block in cell.blocks for node in (block.total, block.mixed)]
        nodes = [*of_blocks, *(cell.out for cell in self.cells), self.postprocess.out]
        return [node for node in nodes if node.requires_grad]

    def _normalised(self, name: str, state: Tensor) -> _Normalised:
        parameters = self._weights.parameters
        kernel = parameters[f"{name}.weight"]
        scale, shift = parameters.get(f"{name}.scale"), parameters.get(f"{name}.shift")
        convolved = F.conv2d(state, kernel, padding=kernel.shape[-1] // 2)
        out, mean, deviation = torch.native_batch_norm(
            convolved, scale, shift, None, None, True, 0.0, BATCHNORM_EPSILON
        )
        rectified = scale is not None
        ones = torch.ones_like(mean) if scale is None else scale
        return _Normalised(kernel, ones, convolved, mean, deviation, F.relu(out) if rectified else out, rectified)

    def _cell(self, name: str, mixture: Coefficients, state: Tensor, halvings: list[Tensor]) -> _CellValues:
        blocks = self._supernet.space.blocks
        projections = self._normalised(f"{name}.projections", state)
        width = projections.out.shape[1] // (2 * blocks)
        *own, through = torch.split(projections.out, [width] * blocks + [blocks * width], dim=1)
        inputs = dict(zip(self._supernet.space.choosing_nodes, mixture.inputs, strict=True))
        values: list[_BlockValues] = []
        for block, coefficients in enumerate(mixture.operations.unbind()):
            terms = [
                own[block].contiguous(memory_format=torch.channels_last),
                *(block_values.state for block_values in values),
            ]
            total = weighted_sum(inputs[block + 1].unbind(), terms) if block + 1 in inputs else sum(terms[1:], terms[0])
            values.append(self._block(f"{name}.block{block}", coefficients, total))
        shares = mixture.output
        merged = torch.cat(
            [share * block_values.state for share, block_values in zip(shares[1:], values, strict=True)], dim=1
        )
        return _CellValues(halvings, mixture, projections, own, through, values, merged + shares[0] * through)

    def _block(self, name: str, coefficients: Tensor, total: Tensor) -> _BlockValues:
        part, *passing = total.chunk(self._supernet.config.partial_channels, dim=1)
        part = part.contiguous(memory_format=torch.channels_last)
        pooled, places = F.max_pool2d(part, 3, 1, 1, return_indices=True)
        wide, narrow = (self._normalised(f"{name}.{kind}", part) for kind in CONVOLUTIONS.values())
        mixed = weighted_sum(coefficients.unbind(), [pooled, wide.out, narrow.out])
        state = shuffled([mixed, *passing]) if passing else mixed
        return _BlockValues(total, part, pooled, places, (wide, narrow), mixed, state)


class _Tangents:
    """All directions' tangents on their way through the network, and what they add to the Hessian.

    A tangent is `[k, batch, channels, height, width]`; None where no coefficient has come in yet.
    """

    def __init__(
        self, supernet: Supernet, values: _Values, adjoints: dict[int, Tensor], directions: Sequence[Tensor]
    ) -> None:
        self._supernet, self._values, self._adjoints = supernet, values, adjoints
        self._k = len(directions[0])
        per_cell = directions[0].dim() == 4
        cells = supernet.config.cells
        self._directions = [
            Coefficients.from_rows([row[:, index] if per_cell else row for row in directions]) for index in range(cells)
        ]
        self.hessian = torch.zeros((self._k, self._k), dtype=torch.float64, device=directions[0].device)

    def through_network(self, labels: Tensor) -> None:
        """From the first cell to the loss."""
        values = self._values
        state: Tensor | None = None
        for cell, directions in zip(values.cells, self._directions, strict=True):
            for places in cell.halvings:
                state = None if state is None else self._picked(state, places)
            state = self._cell(cell, directions, state)
        assert state is not None
        state = torch.ops.aten.threshold_backward(state, values.last.expand_as(state), 0)
        state, _ = self._normalised(values.postprocess, state, self._adjoint(values.postprocess.out), 1.0)
        logits = F.linear(state.mean(dim=(3, 4)), values.classifier)
        likely = values.logits.softmax(dim=1)
        means = (logits * likely).sum(dim=2)
        self._add(torch.einsum("inc,knc->ik", logits * likely, logits) / len(labels))
        self._add(-(means @ means.T) / len(labels))

    def _cell(self, cell: _CellValues, directions: Coefficients, state: Tensor | None) -> Tensor:
        blocks = self._supernet.space.blocks
        width = cell.own[0].shape[1]
        to_out = self._adjoint(cell.out)
        inputs = dict(zip(self._supernet.space.choosing_nodes, cell.mixture.inputs, strict=True))
        inputs_along = dict(zip(self._supernet.space.choosing_nodes, directions.inputs, strict=True))
        shares, shares_along = cell.mixture.output, directions.output
        own: list[Tensor | None] = [None] * blocks
        through: Tensor | None = None
        sums = None
        if state is not None:
            # What each projection is multiplied with on its way on, and the adjoint behind that product.
            factors = [
                inputs[node][0] if node in inputs else torch.ones_like(shares[0]) for node in range(1, blocks + 1)
            ]
            factor = torch.cat([torch.stack(factors), shares[:1].expand(blocks)]).repeat_interleave(width)
            behind = torch.cat([*(self._adjoint(block.total) for block in cell.blocks), to_out], dim=1)
            projected, sums = self._normalised(cell.projections, state, behind, factor)
            *own_parts, through = torch.split(projected, [width] * blocks + [blocks * width], dim=2)
            own = list(own_parts)
        states: list[Tensor] = []
        for block, values in enumerate(cell.blocks):
            terms = [cell.own[block], *(below.state for below in cell.blocks[:block])]
            tangents = [own[block], *states]
            total: Tensor | None
            if block + 1 in inputs:
                total = self._weighted(inputs[block + 1], inputs_along[block + 1], terms, tangents)
                inner = [
                    None if sums is None else sums[:, block * width : (block + 1) * width].sum(dim=1),
                    *(self._inner(tangent, self._adjoint(values.total)) for tangent in states),
                ]
                self._bilinear(inputs_along[block + 1], inner)
            else:
                total = _summed([tangent for tangent in tangents if tangent is not None])
            states.append(self._block(values, cell.mixture.operations[block], directions.operations[:, block], total))
        merged = self._weighted(shares[:1], shares_along[:, :1], [cell.through], [through])
        for node, (values, tangent) in enumerate(zip(cell.blocks, states, strict=True), start=1):
            piece = merged.narrow(2, (node - 1) * width, width)
            piece.addcmul_(shares[node], tangent)
            piece.addcmul_(shares_along[:, node].view(-1, 1, 1, 1, 1), values.state)
        pieces = torch.split(to_out, width, dim=1)
        edge = None if sums is None else sums[:, blocks * width :].sum(dim=1)
        self._bilinear(shares_along, [edge, *(self._inner(t, p) for t, p in zip(states, pieces, strict=True))])
        return merged

    def _block(self, values: _BlockValues, coefficients: Tensor, along: Tensor, total: Tensor | None) -> Tensor:
        terms = [values.pooled, *(convolution.out for convolution in values.convolutions)]
        tangents: list[Tensor | None] = [None] * 3
        passing: list[Tensor] = []
        if total is not None:
            behind = self._adjoint(values.mixed)
            part, *passing = total.chunk(self._supernet.config.partial_channels, dim=2)
            pooled = self._picked(part, values.places)
            tangents, inner = [pooled], [self._inner(pooled, behind)]
            for convolution, coefficient in zip(values.convolutions, coefficients[1:], strict=True):
                tangent, sums = self._normalised(convolution, part, behind, coefficient)
                tangents.append(tangent)
                inner.append(sums.sum(dim=1))
            self._bilinear(along, inner)
        mixed = self._weighted(coefficients, along, terms, tangents)
        parts = self._supernet.config.partial_channels
        if parts == 1:
            return mixed
        if not passing:
            passing = [torch.zeros_like(mixed)] * (parts - 1)
        return self._by_direction(shuffled([group.flatten(0, 1) for group in (mixed, *passing)]))

    def _normalised(
        self, values: _Normalised, state: Tensor, behind: Tensor, factor: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Tangents through a convolution, its batch norm and its ReLU.

        Args:
            state: of what enters.
            behind: adjoint of what leaves, before it is multiplied by `factor`.
            factor: 0-dimensional, or one for each channel.

        Returns:
            tangents of what leaves, and their inner products with `behind` by channel, `[k, channels]`.
        """
        padding = values.kernel.shape[-1] // 2
        entering = self._by_direction(F.conv2d(_flat(state), values.kernel, padding=padding))
        pixels = values.convolved.numel() // values.convolved.shape[1]
        out, product = torch.empty_like(entering), torch.empty_like(behind)
        by_scale, means, sums = [], [], []
        for tangent, place in zip(entering, out, strict=True):
            # The derivative of (z - mean) / deviation is a symmetric matrix, so the library's backward pass is it; the
            # "gradients" of scale and shift are the sums that the second derivative is made of.
            leaving, to_scale, to_shift = torch.ops.aten.native_batch_norm_backward(
                tangent,
                values.convolved,
                values.scale,
                None,
                None,
                values.mean,
                values.deviation,
                True,
                BATCHNORM_EPSILON,
                [True] * 3,
            )
            if values.rectified:
                torch.ops.aten.threshold_backward.grad_input(leaving, values.out, 0, grad_input=place)
            else:
                place.copy_(leaving)
            by_scale.append(to_scale)
            means.append(to_shift)
            sums.append(torch.mul(place, behind, out=product).sum(dim=(0, 2, 3)))
        spread, mean, inner = (torch.stack(parts) for parts in (by_scale, means, sums))
        spread, mean = (spread / pixels).double(), (mean / pixels).double()
        deviation = values.deviation.double()
        normalised = (values.convolved - values.mean.view(-1, 1, 1)) * values.deviation.view(-1, 1, 1)
        if values.rectified:
            normalised = torch.ops.aten.threshold_backward(normalised, values.out, 0)
        reach = (normalised * behind).sum(dim=(0, 2, 3)).double() * factor
        weight = values.scale.double() * deviation**2 * reach
        cross = (inner * factor).double() * deviation @ spread.T
        gram = _weighted_gram(entering, weight.to(entering.dtype)).double() / pixels - (mean * weight) @ mean.T
        self._add((spread * weight) @ spread.T - cross - cross.T - gram)
        return out, inner

    def _weighted(
        self, coefficients: Tensor, along: Tensor, terms: Sequence[Tensor], tangents: Sequence[Tensor | None]
    ) -> Tensor:
        """Tangents of a weighted sum of maps: coefficients and maps both move."""
        pixels = torch.stack([term.permute(0, 2, 3, 1) for term in terms])
        total = (along @ pixels.flatten(1)).view(-1, *pixels.shape[1:]).permute(0, 1, 4, 2, 3)
        for coefficient, tangent in zip(coefficients, tangents, strict=True):
            if tangent is not None:
                total.addcmul_(coefficient, tangent)
        return total

    def _bilinear(self, along: Tensor, inner: Sequence[Tensor | None]) -> None:
        """What a weighted sum adds: coefficients `[k, terms]` that move, times each term's tangent and adjoint."""
        for moving, product in zip(along.unbind(1), inner, strict=True):
            if product is not None:
                outer = torch.outer(moving, product).double()
                self._add(outer + outer.T)

    def _picked(self, state: Tensor, places: Tensor) -> Tensor:
        """Tangents through a max-pooling that took its pixels from these places of a map."""
        channels = places.shape[1]
        pixels = state.permute(0, 1, 3, 4, 2).flatten(2)
        index = (places * channels + torch.arange(channels, device=places.device).view(-1, 1, 1)).permute(0, 2, 3, 1)
        chosen = pixels.gather(2, index.flatten(1).expand(self._k, -1, -1))
        return chosen.view(*chosen.shape[:2], *index.shape[1:]).permute(0, 1, 4, 2, 3)

    def _inner(self, tangent: Tensor, behind: Tensor) -> Tensor:
        """Inner product of each tangent with an adjoint, `[k]`."""
        return torch.mv(tangent.permute(0, 1, 3, 4, 2).flatten(1), behind.permute(0, 2, 3, 1).flatten())

    def _by_direction(self, state: Tensor) -> Tensor:
        """`[k * batch, ...]` as `[k, batch, ...]`."""
        return state.view(self._k, -1, *state.shape[1:])

    def _adjoint(self, node: Tensor) -> Tensor:
        return self._adjoints[id(node)]

    def _add(self, part: Tensor) -> None:
        self.hessian += part


def _flat(state: Tensor) -> Tensor:
    """Directions and images as one batch, channels-last."""
    return state.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _summed(tangents: Sequence[Tensor]) -> Tensor | None:
    return sum(tangents[1:], tangents[0]) if tangents else None


def _weighted_gram(tangents: Tensor, weight: Tensor) -> Tensor:
    """Inner products of all pairs, channels weighted, `[k, k]`; image by image, so that memory stays small."""
    k, images = tangents.shape[:2]
    gram = tangents.new_zeros((k, k))
    for image in range(images):
        rows = tangents[:, image].permute(0, 2, 3, 1)
        gram.addmm_((rows * weight).reshape(k, -1), rows.reshape(k, -1).T)
    return gram
