from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from scipy.linalg import hadamard

from harness.probes.hessian import exact_hessian
from optimizers.base import Optimizer
from tests.support.building import companion_of, random_batch, small_optimizer

#: The network is smooth between the kinks of ReLU and pooling; so short a step meets none of them here.
SHORT = 1e-6
VALIDATION = random_batch(1)


def penalised(name: str = "darts", coefficient: float = 0.5, step: float = SHORT, **settings: Any) -> Any:
    """A method with the penalty, somewhat away from equal alphas, at the first step of an epoch."""
    settings = {"alphas__initial_scale": 0.5, **settings}
    optimizer = small_optimizer(
        name, hessian_penalty__coefficient=coefficient, hessian_penalty__step=step, seed=3, **settings
    )
    optimizer.begin_epoch(0)
    return optimizer


def penalty_of(optimizer: Any) -> Any:
    return companion_of(optimizer, "hessian_penalty")


def hessian(optimizer: Optimizer) -> torch.Tensor:
    return exact_hessian(optimizer.architecture_loss(VALIDATION, update_statistics=False), optimizer.alphas)


def penalty_gradient(optimizer: Optimizer, index: int = 0) -> Sequence[torch.Tensor]:
    nothing = [torch.zeros_like(alpha) for alpha in optimizer.alphas]
    gradient: Sequence[torch.Tensor] = penalty_of(optimizer).gradient(optimizer, nothing, index, VALIDATION)
    return gradient


def squared_product(optimizer: Optimizer, direction: list[torch.Tensor]) -> torch.Tensor:
    """The squared length of the exact Hessian times a direction."""
    loss = optimizer.architecture_loss(VALIDATION, update_statistics=False)
    gradients = torch.autograd.grad(loss, optimizer.alphas, create_graph=True)
    along = torch.stack([(g * part).sum() for g, part in zip(gradients, direction, strict=True)]).sum()
    return torch.stack([part.square().sum() for part in torch.autograd.grad(along, optimizer.alphas)]).sum()


def split(optimizer: Optimizer, directions: torch.Tensor) -> list[torch.Tensor]:
    """Directions `[count, entries]` as tensors for each alpha."""
    parts = torch.split(directions, [alpha.numel() for alpha in optimizer.alphas], dim=1)
    return [part.reshape(-1, *alpha.shape) for part, alpha in zip(parts, optimizer.alphas, strict=True)]


@pytest.mark.parametrize("directions", [1, 3])
def test_curvature_is_the_squared_length_of_exact_hessian_products(directions: int) -> None:
    optimizer = penalised(hessian_penalty__directions=directions)
    for index in range(optimizer.steps):
        drawn = [draw[index] for draw in penalty_of(optimizer).directions]
        vectors = torch.cat([draw.flatten(1) for draw in drawn], dim=1)
        assert vectors.shape == (directions, 24)
        expected = (vectors @ hessian(optimizer)).square().sum(dim=1).mean()
        ours = penalty_of(optimizer).curvature(optimizer, 0, VALIDATION, drawn)
        assert ours.item() == pytest.approx(expected.item(), rel=1e-6)


def test_over_all_directions_it_is_the_squared_frobenius_norm_of_the_hessian() -> None:
    optimizer = penalised()
    # 32 directions of +1 and -1 whose outer products have the identity as their mean.
    directions = split(optimizer, torch.tensor(hadamard(32)[:, :24], dtype=torch.float64))
    ours = penalty_of(optimizer).curvature(optimizer, 0, VALIDATION, directions)
    assert ours.item() == pytest.approx(hessian(optimizer).square().sum().item(), rel=1e-6)


@pytest.mark.parametrize("name", ["darts", "pc_darts"])
def test_its_gradient_equals_a_dense_difference_of_exact_products(name: str) -> None:
    optimizer = penalised(name)
    direction = [draw[0, 0] for draw in penalty_of(optimizer).directions]
    ours = torch.cat([part.flatten() for part in penalty_gradient(optimizer)])
    entries = [(alpha, place) for alpha in optimizer.alphas for place in range(alpha.numel())]
    expected = []
    for alpha, place in entries:
        sides = []
        for distance in (SHORT, -SHORT):
            with torch.no_grad():
                alpha.view(-1)[place] += distance
            sides.append(squared_product(optimizer, direction))
            with torch.no_grad():
                alpha.view(-1)[place] -= distance
        expected.append(0.5 * (sides[0] - sides[1]) / (2 * SHORT))
    assert torch.allclose(ours, torch.stack(expected), rtol=1e-4, atol=1e-7 * ours.abs().max().item())
    assert ours.norm() > 1e-4


def test_the_alpha_step_adds_it_to_the_gradient_of_the_validation_loss() -> None:
    optimizer, plain = penalised(step=0.1), penalised(coefficient=0.0)
    training = random_batch(0)
    for index in (0, 1):
        with_penalty = optimizer.architecture_gradient(index, training, VALIDATION)
        alone = plain.architecture_gradient(index, training, VALIDATION)
        extra = penalty_gradient(optimizer, index)
        for total, loss, penalty in zip(with_penalty, alone, extra, strict=True):
            assert torch.allclose(total, loss + penalty, rtol=1e-12)
            assert penalty.abs().max() > 0


def test_its_passes_leave_running_statistics_as_the_alpha_step_of_darts_does() -> None:
    states = []
    for coefficient in (0.0, 0.5):
        optimizer = penalised(coefficient=coefficient, step=0.1)
        optimizer.architecture_step(0, random_batch(0), VALIDATION)
        states.append({name: tensor.clone() for name, tensor in optimizer.weights.buffers.items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_alphas_that_heed_it_end_where_the_loss_is_flatter() -> None:
    ends = []
    for coefficient in (0.0, 10.0):
        optimizer = penalised(coefficient=coefficient, step=0.1, alphas__learning_rate=0.05)
        for _ in range(30):
            optimizer.architecture_step(0, random_batch(0), VALIDATION)
        ends.append(hessian(optimizer).square().sum().item())
    assert ends[1] < 0.5 * ends[0]


def test_directions_are_drawn_for_every_step_by_epoch() -> None:
    first, second = penalised(), penalised()
    second.begin_epoch(1)
    ours, theirs = penalty_of(first), penalty_of(second)
    for draws in ours.directions:
        assert draws.shape[:2] == (2, 1)
        assert set(draws.flatten().tolist()) <= {-1.0, 1.0}
    assert not torch.equal(ours.directions[0][0], ours.directions[0][1])
    assert not torch.equal(ours.directions[0], theirs.directions[0])
    second.begin_epoch(0)
    assert all(torch.equal(a, b) for a, b in zip(ours.directions, theirs.directions, strict=True))


@pytest.mark.parametrize("settings", [{}, {"alphas__unrolled": True}])
@pytest.mark.parametrize("name", ["darts", "gdas", "nasp", "pc_darts", "sdarts_rs"])
def test_every_method_with_alphas_carries_it(name: str, settings: dict[str, Any]) -> None:
    gradients = []
    for coefficient in (0.0, 0.5):
        optimizer = penalised(name, coefficient=coefficient, step=0.1, **settings)
        gradients.append(optimizer.architecture_gradient(0, random_batch(0), VALIDATION))
    assert any(not torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(torch.isfinite(gradient).all() for gradient in gradients[1])


def test_a_sampling_method_refuses_it() -> None:
    with pytest.raises(ValueError, match="without alphas there is no Hessian"):
        small_optimizer("random_ws", hessian_penalty__coefficient=1.0)


@pytest.mark.parametrize("setting", [{"coefficient": -1.0}, {"hessian_penalty__directions": 0}, {"step": 0.0}])
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a coefficient"):
        penalised(**setting)
