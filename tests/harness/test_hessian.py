from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from harness.hessian import exact_hessian, spectrum
from optimizers.base import Batch
from tests.golden_vectors import Arrays, below, golden_arrays, published_rows, published_weights, relative_error
from tests.optimizers.building import small_optimizer

CASES = ["f64", "f64_init"]


def recorded(space: int, case: str) -> Arrays:
    return below(golden_arrays(f"hessian_{space}"), f"{case}/")


def hessian_at(space: int, arrays: Arrays, *, shift_invariant: bool, training: bool = True) -> torch.Tensor:
    optimizer = small_optimizer("darts", space, channels=4, image_channels=3)
    weights = published_weights(below(arrays, "sd/"), optimizer.supernet.space, 3, torch.float64)
    optimizer.weights = weights
    optimizer.alphas = [row.requires_grad_() for row in published_rows(arrays, "alpha_{}", optimizer.supernet.space)]
    batch = Batch(torch.tensor(arrays["input"]), torch.tensor(arrays["target"]))
    if training:
        loss = optimizer.architecture_loss(batch, update_statistics=False)
    else:
        loss = F.cross_entropy(optimizer.supernet(weights, optimizer.relax(), batch.images), batch.labels)
    return exact_hessian(loss, optimizer.alphas, shift_invariant=shift_invariant)


@pytest.mark.parametrize("shift_invariant", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("space", [1, 3])
def test_hessian_is_the_exact_one_of_the_published_network(space: int, case: str, shift_invariant: bool) -> None:
    arrays = recorded(space, case)
    hessian = hessian_at(space, arrays, shift_invariant=shift_invariant)
    assert relative_error(hessian, arrays["exact_hessian_no_wd"]) < 1e-9


@pytest.mark.parametrize("space", [1, 3])
def test_hessian_with_stored_statistics_is_the_exact_one(space: int) -> None:
    arrays = recorded(space, "f64_eval_mode")
    hessian = hessian_at(space, arrays, shift_invariant=True, training=False)
    assert relative_error(hessian, arrays["exact_hessian_no_wd"]) < 1e-9


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("space", [1, 3])
def test_spectrum_goes_by_the_right_names_and_the_published_number_stands_beside(space: int, case: str) -> None:
    arrays = recorded(space, case)
    found = spectrum(hessian_at(space, arrays, shift_invariant=True), weight_decay=1e-3)
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
