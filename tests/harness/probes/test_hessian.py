"""The Hessian by the alphas: exact, of the published network, whatever the way it is taken."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F

from harness.probes.hessian import exact_hessian, loss_hessian, spectrum
from optimizers.darts import Darts
from optimizers.steps import Batch
from spaces.mixture import Mixture
from tests.support.building import METHODS, random_batch, small_optimizer
from tests.support.golden_vectors import Arrays, below, golden_arrays, published_rows, published_weights, relative_error

CASES = ["f64", "f64_init"]


def recorded(space: int, case: str) -> Arrays:
    return below(golden_arrays(f"hessian_{space}"), f"{case}/")


Way = Literal["every row", "independent rows", "tangents"]


def hessian_at(space: int, arrays: Arrays, way: Way, *, training: bool = True) -> torch.Tensor:
    optimizer = small_optimizer("darts", space, channels=4, image_channels=3)
    weights = published_weights(below(arrays, "sd/"), optimizer.supernet.space, 3, torch.float64)
    optimizer.weights = weights
    optimizer.alphas = [row.requires_grad_() for row in published_rows(arrays, "alpha_{}", optimizer.supernet.space)]
    batch = Batch(torch.tensor(arrays["input"]), torch.tensor(arrays["target"]))
    if way == "tangents":
        return loss_hessian(optimizer, batch)
    if training:
        loss = optimizer.architecture_loss(batch, update_statistics=False)
    else:
        loss = F.cross_entropy(optimizer.supernet(weights, optimizer.relax(), batch.inputs), batch.targets)
    return exact_hessian(loss, optimizer.alphas, shift_invariant=way == "independent rows")


@pytest.mark.parametrize("way", ["every row", "independent rows", "tangents"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("space", [1, 3])
def test_hessian_is_the_exact_one_of_the_published_network(space: int, case: str, way: Way) -> None:
    arrays = recorded(space, case)
    hessian = hessian_at(space, arrays, way)
    assert relative_error(hessian, arrays["exact_hessian_no_wd"]) < 1e-9


@pytest.mark.parametrize("space", [1, 3])
def test_hessian_with_stored_statistics_is_the_exact_one(space: int) -> None:
    arrays = recorded(space, "f64_eval_mode")
    hessian = hessian_at(space, arrays, "independent rows", training=False)
    assert relative_error(hessian, arrays["exact_hessian_no_wd"]) < 1e-9


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("space", [1, 3])
def test_spectrum_goes_by_the_right_names_and_the_published_number_stands_beside(space: int, case: str) -> None:
    arrays = recorded(space, case)
    found = spectrum(hessian_at(space, arrays, "tangents"), weight_decay=1e-3)
    assert found.published_hessian_norm == pytest.approx(float(arrays["reported_norm"]), rel=1e-9)
    # The published eigenvalues carry the weight decay on the diagonal.
    assert found.lambda_max == pytest.approx(float(arrays["max_eigval"].real) - 1e-3, rel=1e-9)
    assert found.lambda_min == pytest.approx(float(arrays["eigvals"].real.min()) - 1e-3, rel=1e-9)
    assert found.spectral_norm == max(abs(found.lambda_max), abs(found.lambda_min))
    assert found.trace == pytest.approx(float(arrays["exact_hessian_no_wd"].trace()), rel=1e-9)


def test_spectral_norm_is_that_of_the_dominant_eigenvalue_where_the_published_number_is_not() -> None:
    found = spectrum(torch.diag(torch.tensor([0.5, -2.0, 0.1])), weight_decay=0.25)
    assert (found.lambda_max, found.lambda_min, found.spectral_norm) == (0.5, -2.0, 2.0)
    assert found.published_hessian_norm == 0.75
    assert found.trace == pytest.approx(-1.4)


def test_hessian_of_a_quadratic_form_is_its_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    matrix = matrix + matrix.T
    alphas = [
        torch.zeros(2, requires_grad=True, dtype=torch.float64),
        torch.zeros(3, requires_grad=True, dtype=torch.float64),
    ]
    flat = torch.cat(alphas)
    assert torch.allclose(exact_hessian(flat @ matrix @ flat / 2, alphas), matrix)


def test_hessian_of_a_loss_that_ignores_an_alpha_has_zeros_there() -> None:
    alphas = [torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)]
    hessian = exact_hessian((alphas[0] ** 3).sum() + 0 * alphas[1].sum(), alphas)
    assert torch.equal(hessian, torch.diag(torch.tensor([6.0, 6.0, 0.0, 0.0, 0.0])))


@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_every_methods_hessian_is_that_of_its_loss_row_by_row(name: str) -> None:
    """After two steps, so that alphas are unequal and batch norm's scales are not one."""
    optimizer = small_optimizer(name, 2, weights__learning_rate=0.5, alphas__learning_rate=0.3)
    if not optimizer.alphas:
        pytest.skip(f"{name} has no alphas")
    optimizer.begin_epoch(0)
    for index in range(2):
        optimizer.step(index, random_batch(index), random_batch(10 + index))
    batch = random_batch(20)
    buffers = {key: tensor.clone() for key, tensor in optimizer.weights.buffers.items()}
    found = loss_hessian(optimizer, batch)
    expected = exact_hessian(optimizer.architecture_loss(batch, update_statistics=False), optimizer.alphas)
    assert relative_error(found, expected.numpy()) < 1e-9
    assert all(torch.equal(tensor, buffers[key]) for key, tensor in optimizer.weights.buffers.items())


def test_a_loss_of_a_methods_own_has_its_own_hessian() -> None:
    optimizer = small_optimizer("darts")

    class Doubled(type(optimizer)):  # type: ignore[misc]
        plain_loss = False

        def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> torch.Tensor:
            loss: torch.Tensor = 2 * super().architecture_loss(batch, update_statistics=update_statistics)
            return loss

    single = loss_hessian(optimizer, random_batch(0))
    optimizer.__class__ = Doubled
    assert torch.allclose(loss_hessian(optimizer, random_batch(0)), 2 * single, rtol=1e-9, atol=1e-12)


def test_a_mixture_that_is_linear_in_the_alphas_adds_nothing_of_its_own() -> None:
    class Linear(Darts):
        @property
        def shift_invariant(self) -> bool:
            return False

        def relax(self) -> Mixture:
            return Mixture(self.supernet.space.layout, tuple(2 * alpha for alpha in self.alphas))

    optimizer = small_optimizer("darts")
    optimizer.__class__ = Linear
    with torch.no_grad():
        for alpha in optimizer.alphas:
            alpha.add_(0.2)
    batch = random_batch(0)
    expected = exact_hessian(optimizer.architecture_loss(batch, update_statistics=False), optimizer.alphas)
    assert relative_error(loss_hessian(optimizer, batch), expected.numpy()) < 1e-9
