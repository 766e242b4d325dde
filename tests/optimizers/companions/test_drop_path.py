from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from optimizers.companions.drop_path import DropPath
from optimizers.config import DropPathConfig
from spaces.base import Pass
from tests.support.building import companion_of, random_batch, small_optimizer


def dropping(name: str = "r_darts_dp", epoch: int = 9, **settings: Any) -> Any:
    optimizer = small_optimizer(name, **{"drop_path__probability": 0.5, **settings})
    optimizer.begin_epoch(epoch)
    return optimizer


def factors_of(optimizer: Any) -> torch.Tensor:
    (factors,) = companion_of(optimizer, "drop_path").factors
    assert isinstance(factors, torch.Tensor)
    return factors


def test_probability_rises_linearly_from_nothing_to_its_end() -> None:
    schedule = DropPath(DropPathConfig(probability=0.2), 101)
    assert [schedule.probability(epoch) for epoch in (0, 50, 100)] == pytest.approx([0, 0.1, 0.2])
    assert DropPath(DropPathConfig(probability=0.2), 1).probability(0) == 0


def test_what_stays_makes_up_for_what_is_dropped() -> None:
    drop_path = DropPath(DropPathConfig(probability=0.4), 11)
    factors = drop_path.draw((100, 3, 4, 50), 5, torch.Generator().manual_seed(0), torch.float64)
    assert sorted(set(factors.flatten().tolist())) == pytest.approx([0, 1 / 0.8])
    assert factors.mean().item() == pytest.approx(1, abs=0.01)
    assert len(set(factors[0, 0, 0].tolist())) == 2  # each image for itself


def test_the_weight_step_sees_the_epochs_factors() -> None:
    optimizer = dropping()
    batch, mixture = random_batch(0), optimizer.relax().detach()
    weights = optimizer.weights.frozen()
    losses = []
    for factors in (factors_of(optimizer)[1, ..., :6], None):
        how = Pass(training=True, update_statistics=False, path_factors=factors)
        logits = optimizer.supernet(weights, mixture, batch.inputs, how)
        losses.append(F.cross_entropy(logits, batch.targets).item())
    assert optimizer.weight_step(1, batch).loss.item() == pytest.approx(losses[0], rel=1e-12)
    assert losses[0] != pytest.approx(losses[1])


def test_nothing_but_the_weight_step_sees_them() -> None:
    optimizer, plain = dropping(), dropping(drop_path__probability=0.0)
    gradients = [one.architecture_gradient(0, random_batch(0), random_batch(1)) for one in (optimizer, plain)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert torch.equal(*(one.architecture_loss(random_batch(2)) for one in (optimizer, plain)))
    weights = optimizer.evaluation_weights(random_batch(3), refresh=True)
    assert torch.equal(*(one.evaluate(weights, 0, random_batch(4).inputs) for one in (optimizer, plain)))


def test_the_first_epoch_is_that_of_darts_to_the_bit() -> None:
    states = []
    for probability in (0.5, 0.0):
        optimizer = dropping(epoch=0, drop_path__probability=probability)
        for step in range(optimizer.steps):
            optimizer.step(step, random_batch(step), random_batch(10 + step))
        states.append({**optimizer.weights.parameters, **optimizer.weights.buffers})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_factors_are_drawn_for_every_step_by_epoch() -> None:
    factors, other = factors_of(dropping()), dropping(epoch=8)
    assert factors.shape == (2, 3, 4, 96)
    assert not torch.equal(factors[0], factors[1])
    # The same draws would drop in an earlier epoch only what they drop later.
    assert ((factors_of(other) == 0) & (factors != 0)).any()
    other.begin_epoch(9)
    assert torch.equal(factors, factors_of(other))


@pytest.mark.parametrize("name", ["gdas", "nasp", "pc_darts", "sdarts_adv", "enas", "random_ws"])
def test_every_method_carries_it(name: str) -> None:
    losses = []
    for probability in (0.5, 0.0):
        optimizer = dropping(name, drop_path__probability=probability)
        losses.append(optimizer.weight_step(0, random_batch(0)).loss.item())
    assert losses[0] != losses[1]


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_impossible_settings_are_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="expected a probability from 0 to less than 1"):
        small_optimizer("darts", drop_path__probability=probability)
