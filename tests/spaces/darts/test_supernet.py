from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import InputShape, Pass, Weights
from spaces.darts.config import SupernetConfig
from spaces.darts.noise import KeyedNoise
from spaces.darts.operations import EDGES, NONE
from spaces.darts.space import SPACES, DartsSpace
from spaces.darts.supernet import DartsSupernet
from spaces.mixture import Mixture
from tests.support.published_darts import (
    filled,
    fixed_noise,
    inputs,
    named_space,
    network_arrays,
    numbers,
    projections,
    published_names,
)

TRAINING = Pass(training=True, noise=torch.tensor(3))
CASES = [f"search_{space}" for space in ("s1", "s2", "s3", "s4", "s5")] + ["partial_s1", "partial_s5"]


def small_network(space: DartsSpace, **settings: Any) -> DartsSupernet:
    config = SupernetConfig(**{"channels": 4, "cells": 4, **settings})
    network = space.network(config, InputShape(3, 10))
    assert isinstance(network, DartsSupernet)
    return network


def small_weights(network: DartsSupernet) -> Weights:
    return network.initial_weights(torch.Generator().manual_seed(1), torch.float64)


def random_mixture(space: DartsSpace, seed: int = 2) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(shape, generator=generator, dtype=torch.float64).softmax(-1) for shape in space.row_shapes]
    return Mixture(space.layout, tuple(rows))


def images(batch: int = 4, seed: int = 3) -> Tensor:
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def noise_of_golden_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyedNoise, "maps", lambda self, place, shape, dtype: fixed_noise(shape).to(dtype))


@pytest.mark.usefixtures("noise_of_golden_vectors")
@pytest.mark.parametrize("case", CASES)
def test_supernet_computes_what_the_published_network_computes(case: str) -> None:
    golden = network_arrays()
    kind, published_space = case.split("_")
    space, partial = named_space(published_space), kind == "partial"
    network = small_network(space, channels=8 if partial else 4, cells=6, partial_channels=4 if partial else 1)
    weights = small_weights(network)
    names = published_names(weights, space, cells=6)
    weights = filled(weights, names)
    batch, labels = inputs(case, 8)
    alphas = [
        torch.tensor(numbers(f"{case} alphas_{kind}", shape, normal=True)).requires_grad_()
        for kind, shape in zip(("normal", "reduce"), space.row_shapes, strict=True)
    ]
    mixture = Mixture(space.layout, tuple(alpha.softmax(-1) for alpha in alphas))

    logits = network(weights, mixture, batch, TRAINING)
    loss = F.cross_entropy(logits, labels)
    parameters = list(weights.parameters.values())
    gradients = torch.autograd.grad(loss, [*parameters, *alphas])
    evaluated = network(weights.frozen(), mixture.detach(), batch)

    gradient_of = dict(zip(weights.parameters, gradients, strict=False))
    for actual, key in [
        (logits.detach().numpy(), "logits"),
        (loss.detach().numpy(), "loss"),
        (gradients[-2].numpy(), "gradient_of_alphas_0"),
        (gradients[-1].numpy(), "gradient_of_alphas_1"),
        (projections(gradient_of, names), "gradient_projections"),
        (projections(weights.buffers, names), "buffer_projections"),
        (evaluated.numpy(), "evaluation_logits"),
    ]:
        np.testing.assert_allclose(actual, golden[f"{case}/{key}"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "partial_channels", "count"),
    [
        ("s1", 1, 405_146),
        ("s2", 1, 665_466),
        ("s3", 1, 665_466),
        ("s4", 1, 624_506),
        ("darts7", 1, 1_930_618),
        ("darts", 1, 1_930_618),
        ("s1", 4, 130_946),
        ("darts7", 4, 299_578),
    ],
)
def test_supernet_has_as_many_weights_as_the_published_one(name: str, partial_channels: int, count: int) -> None:
    network = SPACES[name].network(SupernetConfig(partial_channels=partial_channels), InputShape(3, 10))
    weights = network.initial_weights(torch.Generator(), torch.float32)
    assert sum(tensor.numel() for tensor in weights.parameters.values()) == count


@pytest.mark.parametrize("name", list(SPACES))
@pytest.mark.parametrize("partial_channels", [1, 2])
def test_skipping_operations_without_coefficient_changes_no_output(name: str, partial_channels: int) -> None:
    space = SPACES[name]
    network = small_network(space, partial_channels=partial_channels)
    weights = small_weights(network)
    mixture = random_mixture(space)
    # One operation an edge, and the first edges of the last node without any.
    sparse = mixture.map(lambda row: row * (row == row.amax(-1, keepdim=True)))
    sparse.rows[0][9:12] = 0
    for training in (False, True):
        how = Pass(training=training, update_statistics=False, noise=torch.tensor(5))
        plain = network(weights, sparse, images(), how)
        skipped = network(weights, sparse, images(), dataclasses.replace(how, skip_zeros=True))
        torch.testing.assert_close(skipped, plain, rtol=1e-12, atol=1e-12)


def test_a_skipped_operation_keeps_its_statistics_and_gets_no_gradient() -> None:
    space = SPACES["s2"]
    network = small_network(space)
    weights = small_weights(network)
    mixture = random_mixture(space)
    mixture.rows[0][3, 1] = 0
    how = Pass(training=True, skip_zeros=True)
    network(weights, mixture, images(), how).sum().backward()
    skipped = "cell0.edge3.sep_conv_3x3.first"
    assert weights.parameters[f"{skipped}.depthwise.weight"].grad is None
    assert weights.parameters["cell0.edge2.sep_conv_3x3.first.depthwise.weight"].grad is not None
    assert not weights.buffers[f"{skipped}.mean"].any()
    assert weights.buffers["cell0.edge2.sep_conv_3x3.first.mean"].any()


def test_cells_with_coefficients_of_their_own_equal_shared_ones_where_these_are_alike() -> None:
    space = SPACES["s1"]
    network = small_network(space)
    weights, shared = small_weights(network), random_mixture(space)
    rows = [
        torch.stack([row] * network.cells_of(kind.group)) for row, kind in zip(shared.rows, space.layout, strict=True)
    ]
    own = shared.with_rows(rows)
    torch.testing.assert_close(network(weights, own, images()), network(weights, shared, images()))
    rows[0][1] = rows[0][1].flip(-1)
    assert not torch.allclose(network(weights, own, images()), network(weights, shared, images()))


def test_path_factors_multiply_the_output_of_each_edge_example_by_example() -> None:
    space = SPACES["s2"]
    network = small_network(space)
    weights, mixture = small_weights(network), random_mixture(space)
    factors = torch.ones(network.config.cells, network.paths, 4, dtype=torch.float64)
    whole = network(weights, mixture, images())
    torch.testing.assert_close(network(weights, mixture, images(), Pass(path_factors=factors)), whole)
    factors[0, 6, 2] = 0
    dropped = network(weights, mixture, images(), Pass(path_factors=factors))
    kept = [0, 1, 3]
    torch.testing.assert_close(dropped[kept], whole[kept])
    assert not torch.allclose(dropped[2], whole[2])
    rows = [torch.stack([row] * 2) for row in mixture.rows]
    rows[0][0, 6] = 0
    without_edge = network(weights, mixture.with_rows(rows), images())
    torch.testing.assert_close(dropped[2], without_edge[2])


def test_weights_of_edges_multiply_the_operations_of_their_edge() -> None:
    edges, plain = SPACES["darts_edges"], SPACES["darts"]
    mixture = random_mixture(edges)
    scaled = [
        operations * torch.cat(mixture.rows[2 + 4 * kind : 6 + 4 * kind]).unsqueeze(1)
        for kind, operations in enumerate(mixture.rows[:2])
    ]
    network, without = small_network(edges), small_network(plain)
    weights = small_weights(network)
    product = Mixture(plain.layout, tuple(scaled))
    torch.testing.assert_close(network(weights, mixture, images()), without(weights, product, images()))


def test_an_edge_that_carries_none_alone_gives_nothing_to_its_node() -> None:
    space = SPACES["s3"]
    network = small_network(space)
    weights, mixture = small_weights(network), random_mixture(space)
    none = space.edge_operations["normal"][4].index(NONE)
    only_none = mixture.map(torch.clone)
    only_none.rows[0][4] = torch.nn.functional.one_hot(torch.tensor(none), 3)
    empty = mixture.map(torch.clone)
    empty.rows[0][4] = 0
    torch.testing.assert_close(network(weights, only_none, images()), network(weights, empty, images()))


def test_noise_is_a_function_of_the_key_of_a_pass() -> None:
    space = SPACES["s4"]
    network = small_network(space)
    weights, mixture = small_weights(network), random_mixture(space)
    first, again, other = (
        network(weights, mixture, images(), Pass(training=True, update_statistics=False, noise=torch.tensor(key)))
        for key in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(network(weights, mixture, images()), network(weights, mixture, images()))
    with pytest.raises(ValueError, match="key"):
        network(weights, mixture, images(), Pass(training=True))


def test_loss_of_a_mixture_has_second_derivatives_and_leaves_statistics() -> None:
    space = SPACES["darts"]
    network = small_network(space)
    weights, mixture = small_weights(network), random_mixture(space)
    before = {name: tensor.clone() for name, tensor in weights.buffers.items()}
    loss = network.loss_of_mixture(network.fold(weights), images(), torch.arange(4), F.cross_entropy)
    row = mixture.rows[0].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(mixture.with_rows([row, mixture.rows[1]])), row, create_graph=True)
    direction = torch.linspace(-1, 1, row.numel(), dtype=torch.float64).view_as(row)
    (curvature,) = torch.autograd.grad((gradient * direction).sum(), row)

    def slope(step: float) -> Tensor:
        moved = (mixture.rows[0] + step * direction).requires_grad_()
        return torch.autograd.grad(loss(mixture.with_rows([moved, mixture.rows[1]])), moved)[0]

    torch.testing.assert_close(curvature, (slope(1e-5) - slope(-1e-5)) / 2e-5, rtol=1e-4, atol=1e-7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights.buffers.items())


def test_an_architecture_is_computed_as_its_zeros_and_ones_say() -> None:
    space = SPACES["s1"]
    network = small_network(space)
    weights = network.fold(small_weights(network))
    genotype = space.sample(random.Random(4))
    mixture = space.mixture_of(genotype, torch.float64)
    plain = network(weights, mixture, images())
    torch.testing.assert_close(network.of_architecture(weights, genotype, network.stem(weights, images())), plain)


def test_one_image_channel_and_maps_of_a_single_pixel_are_read() -> None:
    space = SPACES["darts"]
    network = space.network(SupernetConfig(channels=2, cells=3), InputShape(1, 5))
    weights = network.initial_weights(torch.Generator(), torch.float32)
    mixture = random_mixture(space).map(Tensor.float)
    assert network(weights, mixture, torch.zeros(2, 1, 4, 4)).shape == (2, 5)


def test_settings_and_images_that_do_not_go_together_are_refused() -> None:
    space = SPACES["s2"]
    with pytest.raises(ValueError, match="at least 3 cells"):
        space.network(SupernetConfig(cells=2), InputShape(3, 10))
    with pytest.raises(ValueError, match="multiple of partial_channels"):
        space.network(SupernetConfig(channels=6, partial_channels=4), InputShape(3, 10))
    network = small_network(space)
    with pytest.raises(ValueError, match="multiples of 4 pixels, got 10 x 8"):
        network(small_weights(network), random_mixture(space), torch.zeros(1, 3, 10, 8, dtype=torch.float64))


def test_groups_and_widths_change_at_a_third_and_two_thirds() -> None:
    network = SPACES["s2"].network(SupernetConfig(), InputShape(3, 10))
    assert isinstance(network, DartsSupernet)
    assert [cell for cell, group in enumerate(network.groups) if group == "reduce"] == [2, 5]
    assert network.widths == [16, 16, 32, 32, 32, 64, 64, 64]
    assert network.paths == len(EDGES) == 14


def test_dropout_zeroes_what_skip_connections_give_in_training_alone() -> None:
    space = SPACES["s2"]
    plain, dropping = small_network(space), small_network(space, skip_dropout=0.5)
    weights, mixture, batch = small_weights(plain), random_mixture(space), images()
    assert torch.equal(plain(weights, mixture, batch), dropping(weights, mixture, batch))
    still = Pass(training=True, update_statistics=False, noise=torch.tensor(3))
    dropped = dropping(weights, mixture, batch, still)
    assert torch.equal(dropped, dropping(weights, mixture, batch, still))
    assert not torch.allclose(dropped, plain(weights, mixture, batch, still))
    other = dataclasses.replace(still, noise=torch.tensor(4))
    assert not torch.allclose(dropped, dropping(weights, mixture, batch, other))
    without = Mixture(space.layout, tuple(row * torch.tensor([0.0, 1.0], dtype=row.dtype) for row in mixture.rows))
    assert torch.equal(plain(weights, without, batch, still), dropping(weights, without, batch, still))
