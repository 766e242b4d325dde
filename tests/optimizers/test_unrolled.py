from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from optimizers import unrolled
from optimizers.unrolled import unrolled_rate
from spaces.base import Weights
from tests.support.building import random_batch, small_optimizer
from tests.support.golden_vectors import golden_json


@pytest.mark.parametrize("name", ["darts_2nd", "nasp"])
def test_gradient_is_that_through_one_step_of_sgd(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The published length of the difference crosses kinks of so small a network.
    monkeypatch.setattr(unrolled, "STEP", 1e-6)
    optimizer = small_optimizer(name, alphas__unrolled=True, weights__learning_rate=0.5)
    optimizer.begin_epoch(0)
    training, validation = random_batch(0), random_batch(1)
    optimizer.weight_step(0, random_batch(2))  # so that there is momentum
    first_order = optimizer.loss(optimizer.weights.frozen(), optimizer.mixture("architecture"), validation)
    plain = torch.cat([part.flatten() for part in torch.autograd.grad(first_order, optimizer.alphas)])

    parameters = optimizer.weights.parameters
    loss = optimizer.loss(optimizer.weights, optimizer.mixture("unrolled"), training)
    gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    rate, config = unrolled_rate(optimizer), optimizer.config.weights
    ahead = {}
    for (key, tensor), gradient in zip(parameters.items(), gradients, strict=True):
        momentum = optimizer.weight_optimizer.state[tensor]["momentum_buffer"]
        ahead[key] = tensor - rate * (config.momentum * momentum + gradient + config.weight_decay * tensor)
    loss = optimizer.loss(Weights(ahead, optimizer.weights.buffers), optimizer.mixture("architecture"), validation)
    exact = torch.cat([part.flatten() for part in torch.autograd.grad(loss, optimizer.alphas)])

    ours = torch.cat([part.flatten() for part in optimizer.architecture_gradient(0, training, validation)])
    assert (plain - exact).norm() > 0.05 * exact.norm()
    assert (ours - exact).norm() < 1e-5 * exact.norm()


def test_the_validation_pass_leaves_the_statistics_alone() -> None:
    optimizer = small_optimizer("darts_2nd", network__batchnorm_momentum=1.0)
    optimizer.begin_epoch(0)
    training = random_batch(0)
    optimizer.architecture_step(0, training, random_batch(1))
    expected = F.conv2d(training.inputs, optimizer.weights.parameters["stem.weight"], padding=1).mean(dim=(0, 2, 3))
    assert torch.allclose(optimizer.weights.buffers["stem.mean"], expected, atol=1e-2)


def test_the_step_ahead_runs_at_the_rate_of_sgd_or_at_the_published_one() -> None:
    published = golden_json("schedules")["lr_100_epochs"]["torch_2_13_get_lr_return_value"]
    true, theirs = (
        small_optimizer("darts_2nd", epochs=100, alphas__unrolled_published_rate=published_rate)
        for published_rate in (False, True)
    )
    for epoch in range(100):
        true.begin_epoch(epoch)
        theirs.begin_epoch(epoch)
        assert unrolled_rate(true) == true.learning_rate(epoch)
        assert unrolled_rate(theirs) == pytest.approx(published[epoch], rel=1e-9)


def test_a_perturbation_does_not_reach_the_step_ahead() -> None:
    gradients = []
    for name in ("darts_2nd", "darts_2nd_rs"):
        optimizer = small_optimizer(name)
        optimizer.begin_epoch(9)
        gradients.append(optimizer.architecture_gradient(0, random_batch(0), random_batch(1)))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
