from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import InputShape, Pass, Weights
from spaces.mixture import Mixture
from spaces.toy.network import ToyNetwork
from spaces.toy.space import ToyArchitecture, ToyConfig, ToySpace

SPACE = ToySpace()
CELLS = 4
TRAINING = Pass(training=True, update_statistics=False)


def network(**config: int) -> ToyNetwork:
    return ToyNetwork(SPACE, ToyConfig(**{"channels": 4, "cells": CELLS, **config}), InputShape(1, 10))


def weights_of(toy: ToyNetwork) -> Weights:
    """Weights with statistics other than those at the start."""
    generator = torch.Generator().manual_seed(1)
    weights = toy.initial_weights(generator, torch.float64)
    for name, tensor in weights.buffers.items():
        weights.buffers[name] = tensor + torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
    return weights


def images(size: int = 6, pixels: int = 8) -> Tensor:
    return torch.randn(size, 1, pixels, pixels, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def mixture(per_cell: int = 0) -> Mixture:
    generator = torch.Generator().manual_seed(3)
    first = (per_cell,) if per_cell else ()
    rows = [torch.randn((*first, *shape), generator=generator, dtype=torch.float64) for shape in SPACE.row_shapes]
    return Mixture(SPACE.layout, tuple(row.softmax(-1).requires_grad_() for row in rows))


def loss_of(toy: ToyNetwork, weights: Weights, rows: Mixture, how: Pass) -> Tensor:
    return F.cross_entropy(toy(weights, rows, images(), how), torch.arange(6))


def slope(loss: Callable[[float], Tensor], step: float = 1e-7) -> float:
    return float((loss(step) - loss(-step)) / (2 * step))


@pytest.mark.parametrize("how", [TRAINING, Pass()], ids=["training", "evaluation"])
@pytest.mark.parametrize("per_cell", [0, 2])
@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_are_those_of_finite_differences(how: Pass, per_cell: int, parts: int) -> None:
    toy = network(partial_channels=parts)
    weights, rows = weights_of(toy), mixture(per_cell)
    leaves = [*rows.rows, *weights.parameters.values()]
    gradients = torch.autograd.grad(loss_of(toy, weights, rows, how), leaves)
    generator = torch.Generator().manual_seed(4)
    directions = [torch.randn(leaf.shape, generator=generator, dtype=torch.float64) for leaf in leaves]

    def moved(step: float) -> Tensor:
        there = [leaf.detach() + step * part for leaf, part in zip(leaves, directions, strict=True)]
        parameters = dict(zip(weights.parameters, there[2:], strict=True))
        return loss_of(toy, Weights(parameters, weights.buffers), rows.with_rows(there[:2]), how)

    expected = sum(float((gradient * part).sum()) for gradient, part in zip(gradients, directions, strict=True))
    assert slope(moved) == pytest.approx(expected, rel=1e-4)


def test_second_derivatives_are_those_of_finite_differences() -> None:
    toy, rows = network(), mixture()
    weights = weights_of(toy).frozen()
    first = torch.autograd.grad(loss_of(toy, weights, rows, TRAINING), rows.rows, create_graph=True)[1][0, 0]
    second = torch.autograd.grad(first, rows.rows)[1][0, 1]

    def gradient_at(step: float) -> Tensor:
        there = [row.detach().clone() for row in rows.rows]
        there[1][0, 1] += step
        leaves = [row.requires_grad_() for row in there]
        return torch.autograd.grad(loss_of(toy, weights, rows.with_rows(leaves), TRAINING), leaves)[1][0, 0]

    assert slope(gradient_at) == pytest.approx(float(second), rel=1e-4)


def test_each_kind_of_cell_multiplies_its_own_rows() -> None:
    """Rows for each cell, all alike, are the rows of the kind; other rows of one kind change the outputs."""
    toy = network()
    weights, rows = weights_of(toy), mixture()
    outputs = toy(weights, rows, images())
    each = rows.map(lambda row: row.expand(CELLS // 2, *row.shape))
    torch.testing.assert_close(toy(weights, each, images()), outputs)
    for index in range(2):
        other = list(rows.rows)
        other[index] = rows.rows[index].roll(1, dims=-1)
        assert not torch.allclose(toy(weights, rows.with_rows(other), images()), outputs)


def test_cells_of_a_kind_may_have_rows_of_their_own() -> None:
    toy, rows = network(), mixture(per_cell=2)
    swapped = rows.map(lambda row: row.flip(0))
    weights = weights_of(toy)
    assert not torch.allclose(toy(weights, rows, images()), toy(weights, swapped, images()))
    with pytest.raises(ValueError, match="expected coefficients of 2 cells, got 3"):
        toy(weights, mixture(per_cell=3), images())


def test_partial_channels_leave_the_others_as_they_are() -> None:
    """Where operations give nothing, what remains is three quarters of the channels, moved to the front."""
    toy = network(partial_channels=4, cells=1)
    state = images(pixels=4).expand(-1, 4, -1, -1) * torch.arange(1, 5).view(1, 4, 1, 1)
    zeros = Mixture(SPACE.layout, tuple(torch.zeros(shape, dtype=torch.float64) for shape in SPACE.row_shapes))
    weights = weights_of(toy)
    assert weights.parameters["cell0.edge0.conv3x3.weight"].shape == (1, 1, 3, 3)
    # The direct edge gives channels 2, 3, 4 and nothing; the path of two edges gives 3, 4 and nothing twice.
    two = torch.cat([state[:, 1:], 0 * state[:, :1]], dim=1) + torch.cat([state[:, 2:], 0 * state[:, :2]], dim=1)
    parameters = weights.parameters
    expected = F.linear(two.mean(dim=(2, 3)), parameters["classifier.weight"], parameters["classifier.shift"])
    torch.testing.assert_close(toy.after_stem(weights, zeros, state), expected)


@pytest.mark.parametrize("training", [True, False])
def test_skipping_operations_of_no_weight_changes_no_output(training: bool) -> None:
    toy = network()
    weights = weights_of(toy)
    rows = SPACE.mixture_of(SPACE.sample(random.Random(0)), torch.float64)
    plain, skipping = (
        toy(weights.with_own_buffers(), rows, images(), Pass(training=training, skip_zeros=skip))
        for skip in (False, True)
    )
    torch.testing.assert_close(skipping, plain)
    stem = toy.stem(weights, images())
    architecture = SPACE.derive([row.numpy() for row in rows.rows])
    torch.testing.assert_close(toy.of_architecture(toy.fold(weights), architecture, stem), toy(weights, rows, images()))


def test_a_skipped_convolution_keeps_its_statistics() -> None:
    toy = network(cells=1)
    weights = weights_of(toy)
    before = {name: tensor.clone() for name, tensor in weights.buffers.items()}
    rows = SPACE.mixture_of(ToyArchitecture((("conv3x3", "skip", "skip"),) * 2), torch.float64)
    toy(weights, rows, images(), Pass(training=True, skip_zeros=True))
    moved = {name.rpartition(".")[0] for name, tensor in weights.buffers.items() if not tensor.equal(before[name])}
    assert moved == {"stem", "cell0.edge0.conv3x3"}


def test_path_factors_multiply_each_edge_of_each_image() -> None:
    toy = network()
    weights, rows = weights_of(toy), mixture()
    factors = torch.ones(CELLS, 3, 6, dtype=torch.float64)
    torch.testing.assert_close(toy(weights, rows, images(), Pass(path_factors=factors)), toy(weights, rows, images()))
    factors[-1, 1:, 2] = 0  # all that leads to the last cell's output, for one image
    dropped = toy(weights, rows, images(), Pass(path_factors=factors))
    torch.testing.assert_close(dropped[2], weights.parameters["classifier.shift"])
    torch.testing.assert_close(dropped[:2], toy(weights, rows, images())[:2])


@pytest.mark.parametrize("cells", [1, 2, 9])
@pytest.mark.parametrize("pixels", [3, 8, 32])
def test_any_number_of_cells_reads_images_of_any_size(cells: int, pixels: int) -> None:
    toy = network(cells=cells)
    assert toy(weights_of(toy), mixture(), images(2, pixels), TRAINING).shape == (2, 10)
    assert toy.cells_of("normal") + toy.cells_of("reduce") == cells
