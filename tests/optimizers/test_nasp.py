from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from harness.probes.hessian import exact_hessian
from optimizers.steps import Purpose
from spaces.nb101.cell import MAXPOOL3X3, OPERATIONS
from tests.optimizers.test_gdas import convolutions_run
from tests.support.building import random_batch, small_optimizer

PURPOSES: list[Purpose] = ["architecture", "weights", "hessian", "evaluation"]


def test_alphas_start_near_one_half() -> None:
    for alpha in small_optimizer("nasp").alphas:
        assert torch.allclose(alpha, torch.full_like(alpha, 0.5), atol=6e-3)
        assert alpha.std() > 0


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_forward_pass_multiplies_the_softmax_of_one_hot_rows(purpose: Purpose) -> None:
    optimizer = small_optimizer("nasp")
    mixture = optimizer.mixture(purpose)
    one_hot = F.one_hot(optimizer.alphas[0].argmax(dim=-1), 3).double()
    assert torch.equal(mixture.rows[0], one_hot.softmax(dim=-1))
    assert mixture.rows[0].max().item() == pytest.approx(0.576, abs=1e-3)
    for row, alpha in zip(mixture.rows[1:], optimizer.alphas[1:], strict=True):
        assert torch.equal(row, alpha.softmax(dim=-1))


def test_gradient_at_the_binarised_point_moves_the_alphas_themselves() -> None:
    optimizer = small_optimizer("nasp")
    batch = random_batch(1)
    gradient = optimizer.architecture_gradient(0, random_batch(0), batch)[0]
    point = [alpha.detach().clone() for alpha in optimizer.alphas]
    point[0] = F.one_hot(point[0].argmax(dim=-1), 3).double().requires_grad_()
    rows = [row.softmax(dim=-1) for row in point]
    loss = optimizer.loss(optimizer.weights.frozen(), optimizer.relax().with_rows(rows), batch)
    assert torch.allclose(gradient, torch.autograd.grad(loss, point[0])[0], rtol=1e-9)


def test_alphas_are_clamped_after_the_weight_step() -> None:
    optimizer = small_optimizer("nasp", alphas__learning_rate=0.9)
    optimizer.begin_epoch(0)
    optimizer.architecture_step(0, random_batch(0), random_batch(1))
    outside = [(alpha < 0) | (alpha > 1) for alpha in optimizer.alphas]
    assert any(part.any() for part in outside)
    optimizer = small_optimizer("nasp", alphas__learning_rate=0.9)
    optimizer.begin_epoch(0)
    optimizer.step(0, random_batch(0), random_batch(1))
    for alpha, part in zip(optimizer.alphas, outside, strict=True):
        assert ((alpha >= 0) & (alpha <= 1)).all()
        assert torch.equal((alpha == 0) | (alpha == 1), part)
        assert alpha.is_leaf


def test_a_single_path_evaluates_the_picked_operations_only() -> None:
    optimizer = small_optimizer("nasp", nasp__softmax_one_hot=False)
    optimizer.begin_epoch(0)
    mixture = optimizer.mixture("weights")
    assert set(mixture.rows[0].flatten().tolist()) == {0, 1}
    ops = [OPERATIONS[index] for index in mixture.rows[0].argmax(dim=-1).tolist()]
    run = convolutions_run(optimizer, lambda: optimizer.weight_step(0, random_batch(0)))
    assert run == 1 + 3 + 1 + 3 * sum(op != MAXPOOL3X3 for op in ops)


@pytest.mark.parametrize("softmax", [True, False])
def test_rows_of_the_hessian_add_up_to_zero_only_under_the_softmax(softmax: bool) -> None:
    optimizer = small_optimizer("nasp", nasp__softmax_one_hot=softmax)
    assert optimizer.shift_invariant == softmax
    loss = optimizer.architecture_loss(random_batch(1), update_statistics=False)
    hessian = exact_hessian(loss, optimizer.alphas)
    of_operations = hessian[:12].view(4, 3, -1).sum(dim=1)
    assert torch.allclose(of_operations, torch.zeros_like(of_operations), atol=1e-12) == softmax
