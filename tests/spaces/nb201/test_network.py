"""The supernet of NAS-Bench-201 against the published one, and its fast ways against its plain one."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import InputShape, Pass, Weights
from spaces.mixture import Mixture
from spaces.nb201.architecture import OPERATIONS, Nb201Architecture
from spaces.nb201.config import Nb201Config
from spaces.nb201.network import Nb201Network
from spaces.nb201.space import NB201
from tests.support.golden_vectors import relative_error
from tests.support.nb201_golden import (
    CONFIG,
    golden,
    initial_weights,
    mixture,
    network,
    probe,
    published_buffer_values,
    published_parameters,
    tensor,
)

TOLERANCE = 1e-9
TRAINING = Pass(training=True)


@pytest.mark.parametrize("skip_zeros", [False, True])
@pytest.mark.parametrize(("case", "alpha"), [("init", "alpha_init"), ("large", "alpha")])
def test_logits_gradients_and_statistics_equal_the_published_ones(case: str, alpha: str, skip_zeros: bool) -> None:
    alphas = tensor(alpha).requires_grad_()
    coefficients = mixture(alphas.softmax(-1))
    weights, images = initial_weights(), tensor("train_x_0")
    how = replace(TRAINING, skip_zeros=skip_zeros)

    evaluated = network()(weights, coefficients, images)
    logits = network()(weights, coefficients, images, how)
    loss = F.cross_entropy(logits, tensor("train_y_0"))
    torch.autograd.backward(loss)

    assert relative_error(evaluated, golden()[f"{case}/eval_logits_initial_stats"]) < TOLERANCE
    assert relative_error(logits, golden()[f"{case}/train_logits"]) < TOLERANCE
    assert relative_error(loss, golden()[f"{case}/train_loss"]) < TOLERANCE
    assert relative_error(_gradient(alphas), golden()[f"{case}/alpha_grad"]) < TOLERANCE
    gradients = {theirs: _gradient(weights.parameters[ours]) for ours, theirs in published_parameters().items()}
    for name, expected in _below(f"{case}/weight_grad/").items():
        assert relative_error(gradients[name], expected) < TOLERANCE, name
    ordered = [gradients[name] for name in _texts("weight_names")]
    norms = torch.stack([gradient.norm() for gradient in ordered])
    assert relative_error(norms, golden()[f"{case}/weight_grad_norms"]) < TOLERANCE
    probes = torch.tensor([probe(gradient) for gradient in ordered], dtype=torch.float64)
    assert relative_error(probes, golden()[f"{case}/weight_grad_probes"]) < TOLERANCE
    buffers = published_buffer_values(weights)
    buffer_norms = torch.stack([buffers[name].norm() for name in _texts("buffer_names")])
    assert relative_error(buffer_norms, golden()[f"{case}/buffer_norms_after_train"]) < TOLERANCE
    for name, expected in _below(f"{case}/buffers_after_train/").items():
        assert relative_error(buffers[name], expected) < TOLERANCE, name
    after = network()(weights, coefficients, images)
    assert relative_error(after, golden()[f"{case}/eval_logits_after_train_forward"]) < TOLERANCE
    folded = network()(network().fold(weights), coefficients, images)
    assert relative_error(folded, golden()[f"{case}/eval_logits_after_train_forward"]) < TOLERANCE


def test_gradient_by_the_mixture_equals_the_published_one() -> None:
    row = tensor("weight_path/alpha").requires_grad_()
    logits = network()(initial_weights(), mixture(row), tensor("train_x_0"), TRAINING)
    torch.autograd.backward(F.cross_entropy(logits, tensor("train_y_0")))
    assert relative_error(logits, golden()["weight_path/train_logits"]) < TOLERANCE
    assert relative_error(_gradient(row), golden()["weight_path/alpha_grad"]) < TOLERANCE
    assert not _gradient(row)[:, 0].any()


@pytest.mark.parametrize("skip_zeros", [False, True])
def test_discrete_mixture_gives_the_published_logits(skip_zeros: bool) -> None:
    weights, row = initial_weights(), tensor("one_hot/alpha")
    logits = network()(weights, mixture(row), tensor("train_x_0"), replace(TRAINING, skip_zeros=skip_zeros))
    assert NB201.derive([row.numpy()]).string == str(golden()["one_hot/genotype"].astype(str))
    assert relative_error(logits, golden()["one_hot/train_logits"]) < TOLERANCE
    if not skip_zeros:
        after = network()(weights, mixture(row), tensor("train_x_0"))
        assert relative_error(after, golden()["one_hot/eval_logits_after_train_forward"]) < TOLERANCE


def test_numbers_of_weights_are_the_published_ones() -> None:
    sizes = []
    for config, classes in ((CONFIG, 10), (Nb201Config(), 10), (Nb201Config(), 100)):
        weights = Nb201Network(NB201, config, InputShape(3, classes)).initial_weights(torch.Generator())
        sizes.append(sum(values.numel() for values in weights.parameters.values()))
    assert sizes == golden()["parameter_counts"].tolist()


def test_fresh_weights_follow_the_generator_and_torch_s_bounds() -> None:
    first, second = (network().initial_weights(torch.Generator().manual_seed(5)).parameters for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    kernel = first["block1.first.weight"]
    assert 0.9 / 6 < float(kernel.detach().abs().max()) <= 1 / 6
    assert all(values.requires_grad for values in first.values())


@pytest.mark.parametrize("partial_channels", [1, 2])
def test_ways_of_evaluation_agree(partial_channels: int) -> None:
    supernet, weights = _trained(partial_channels)
    folded, images = supernet.fold(weights), _images()
    generator = random.Random(4)
    draws = torch.Generator().manual_seed(4)
    for _ in range(4):
        row = torch.rand(6, 5, generator=draws, dtype=torch.float64) * (torch.rand(6, 5, generator=draws) < 0.6)
        plain = supernet(weights, mixture(row), images)
        for form in (weights, folded):
            for how in (Pass(), Pass(skip_zeros=True)):
                torch.testing.assert_close(supernet(form, mixture(row), images, how), plain, rtol=0, atol=1e-12)
        loss = supernet.loss_of_mixture(folded, images, torch.arange(4), F.cross_entropy)(mixture(row))
        torch.testing.assert_close(loss, F.cross_entropy(plain, torch.arange(4)), rtol=0, atol=1e-12)
        architecture = NB201.sample(generator).computed()
        expected = supernet(weights, NB201.mixture_of(architecture, torch.float64), images)
        logits = supernet.of_architecture(folded, architecture, supernet.stem(folded, images))
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


def test_computed_form_is_the_same_function() -> None:
    supernet, weights = _trained()
    folded, images, generator = supernet.fold(weights), _images(), random.Random(9)
    samples = [NB201.sample(generator) for _ in range(60)]
    changed = [sample for sample in samples if sample.computed() != sample]
    assert len(changed) > 5
    for sample in [*changed, Nb201Architecture(("none",) * 6)]:
        expected = supernet(weights, NB201.mixture_of(sample, torch.float64), images)
        logits = supernet.of_architecture(folded, sample, supernet.stem(folded, images))
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


def test_gradients_of_folded_and_plain_mixture_agree() -> None:
    supernet, weights = _trained()
    gradients = []
    for form in (weights, supernet.fold(weights)):
        row = torch.full((6, 5), 0.2, dtype=torch.float64, requires_grad=True)
        torch.autograd.backward(F.cross_entropy(supernet(form, mixture(row), _images()), torch.arange(4)))
        gradients.append(_gradient(row))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


@pytest.mark.parametrize("skip_zeros", [False, True])
def test_second_derivatives_equal_differences_of_gradients(skip_zeros: bool) -> None:
    supernet, weights = _trained()
    how = Pass(training=True, update_statistics=False, twice_differentiable=True, skip_zeros=skip_zeros)

    def gradient(row: Tensor) -> Tensor:
        loss = F.cross_entropy(supernet(weights.frozen(), mixture(row), _images(), how), torch.arange(4))
        (values,) = torch.autograd.grad(loss, row, create_graph=True)
        return values

    row = torch.full((6, 5), 0.2, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (exact,) = torch.autograd.grad((gradient(row) * direction).sum(), row)
    step = 1e-5
    moved = [gradient((row.detach() + sign * step * direction).requires_grad_()) for sign in (1, -1)]
    torch.testing.assert_close(exact, (moved[0] - moved[1]).detach() / (2 * step), rtol=1e-5, atol=1e-8)


def test_skipped_operations_keep_their_statistics_and_have_no_gradient() -> None:
    weights = initial_weights()
    architecture = Nb201Architecture(("nor_conv_3x3", "none", *["skip_connect"] * 4))
    logits = network()(
        weights, NB201.mixture_of(architecture, torch.float64), _images(), Pass(training=True, skip_zeros=True)
    )
    torch.autograd.backward(logits.sum())
    moved = {name for name, values in initial_weights().buffers.items() if not values.equal(weights.buffers[name])}
    assert {name for name in moved if name.startswith("cell0")} == {
        "cell0.from0.conv3x3.mean",
        "cell0.from0.conv3x3.variance",
    }
    # Of the three edges that share that norm only the first moved.
    assert weights.buffers["cell0.from0.conv3x3.mean"][:4].all()
    assert not weights.buffers["cell0.from0.conv3x3.mean"][4:].any()
    trained = {name for name, values in weights.parameters.items() if values.grad is not None}
    assert {name for name in trained if name.startswith("cell0")} == {"cell0.1<-0.conv3x3.weight"}


@pytest.mark.parametrize("skip_zeros", [False, True])
def test_a_cell_without_a_path_still_has_gradients_of_zero(skip_zeros: bool) -> None:
    weights = initial_weights()
    (row,) = NB201.mixture_of(Nb201Architecture(("none",) * 6), torch.float64).rows
    row.requires_grad_()
    logits = network()(weights, mixture(row), _images(), replace(TRAINING, skip_zeros=skip_zeros))
    torch.autograd.backward(F.cross_entropy(logits, torch.arange(4)))
    assert not _gradient(row)[:, 0].any()
    assert not _gradient(weights.parameters["stem.weight"]).any()


def test_statistics_stay_where_they_are_not_to_be_moved() -> None:
    weights = initial_weights()
    moving = network()(initial_weights(), mixture(tensor("one_hot/alpha")), _images(), TRAINING)
    how = Pass(training=True, update_statistics=False)
    assert torch.equal(network()(weights, mixture(tensor("one_hot/alpha")), _images(), how), moving)
    assert all(torch.equal(values, weights.buffers[name]) for name, values in initial_weights().buffers.items())


@pytest.mark.parametrize("skip_zeros", [False, True])
def test_path_factors_multiply_the_outputs_of_edges_image_by_image(skip_zeros: bool) -> None:
    supernet, weights = _trained()
    architecture = Nb201Architecture(("skip_connect", "avg_pool_3x3", "nor_conv_1x1", *["skip_connect"] * 3))
    row = NB201.mixture_of(architecture, torch.float64)
    factors = torch.ones(3, 6, 4, dtype=torch.float64)
    factors[:, 1, 2] = 0
    without = NB201.mixture_of(Nb201Architecture(("skip_connect", "none", *architecture.choices[2:])), torch.float64)
    logits = supernet(weights, row, _images(), Pass(path_factors=factors, skip_zeros=skip_zeros))
    torch.testing.assert_close(logits[[0, 1, 3]], supernet(weights, row, _images())[[0, 1, 3]])
    torch.testing.assert_close(logits[2], supernet(weights, without, _images())[2])


def test_cells_may_have_coefficients_of_their_own() -> None:
    supernet, weights = _trained()
    rows = torch.rand(3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    own = Mixture(NB201.layout, (rows,))
    shared = Mixture(NB201.layout, (rows[:1].expand(3, -1, -1),))
    assert not torch.allclose(supernet(weights, own, _images()), supernet(weights, shared, _images()))
    torch.testing.assert_close(supernet(weights, shared, _images()), supernet(weights, mixture(rows[0]), _images()))


def test_channels_that_pass_by_are_shuffled_among_those_that_do_not() -> None:
    # Whatever its operation, an edge of which half the channels pass by gives those at the odd places.
    supernet, weights = _trained(partial_channels=2)
    state = torch.randn(1, 4, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    row = torch.zeros(6, 5, dtype=torch.float64)
    output = supernet._cell(supernet._layers(weights, Pass()), "cell0", row, None, state, None)

    # Node 1 is the input's passing half at its odd places; nodes 2 and 3 add what passes on each of their edges.
    def passing(value: Tensor) -> Tensor:
        kept = value[:, 2:]
        return torch.stack([torch.zeros_like(kept), kept], dim=2).flatten(1, 2)

    first = passing(state)
    second = passing(state) + passing(first)
    torch.testing.assert_close(output, passing(state) + passing(first) + passing(second))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Nb201Config(channels=6, partial_channels=4), "multiple of partial_channels, got 6 and 4"),
        (Nb201Config(channels=0), "at least 1, got 0, 5, 1, 3, 10"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(config: Nb201Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NB201.network(config, InputShape(3, 10))


def test_images_that_cannot_be_halved_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 4, got a map of 7 x 7 before block2"):
        network()(initial_weights(), mixture(tensor("alpha")), torch.zeros(2, 3, 14, 14, dtype=torch.float64))


def _trained(partial_channels: int = 1) -> tuple[Nb201Network, Weights]:
    """A network with running statistics that are not those of the start."""
    supernet = Nb201Network(NB201, replace(CONFIG, partial_channels=partial_channels), InputShape(3, 10))
    weights = supernet.initial_weights(torch.Generator().manual_seed(0), torch.float64)
    row = torch.full((6, len(OPERATIONS)), 1 / len(OPERATIONS), dtype=torch.float64)
    with torch.no_grad():
        supernet(weights, mixture(row), _images(), TRAINING)
    return supernet, weights


def _images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def _gradient(values: Tensor) -> Tensor:
    assert values.grad is not None
    return values.grad


def _below(prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): values for key, values in golden().items() if key.startswith(prefix)}


def _texts(key: str) -> list[str]:
    return [text.decode() for text in golden()[key]]
