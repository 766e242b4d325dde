from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch

from harness.probes.hessian import exact_hessian
from optimizers.base import Optimizer
from optimizers.darts import Darts
from optimizers.registry import get_method, register
from tests.support import building
from tests.support.building import companion_of, random_batch, small_optimizer
from tests.support.golden_vectors import golden_json

METHODS = [method.name for method in building.METHODS]

#: Those that have alphas; what else holds for the others stands in test_sampling.py.
RELAXING = [method.name for method in building.METHODS if method.optimizer_class.relaxes]


def state_of(optimizer: Optimizer) -> dict[str, torch.Tensor]:
    tensors = {f"alpha{i}": alpha for i, alpha in enumerate(optimizer.alphas)}
    tensors |= {**optimizer.weights.parameters, **optimizer.weights.buffers}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def may_rest(optimizer: Optimizer, key: str) -> bool:
    """Whether a step may leave this alone: it belongs to an operation that may not have been picked."""
    return optimizer.skips_operations and ".block" in key


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def run_epochs(optimizer: Optimizer, first: int, last: int) -> None:
    for epoch in range(first, last):
        optimizer.begin_epoch(epoch)
        for step in range(optimizer.steps):
            optimizer.step(step, random_batch(10 * epoch + step), random_batch(1000 + 10 * epoch + step))
        optimizer.end_epoch(lambda: [random_batch(5)])


@pytest.mark.parametrize("name", RELAXING)
def test_architecture_step_moves_the_alphas_only(name: str) -> None:
    optimizer = small_optimizer(name)
    optimizer.begin_epoch(0)
    before = state_of(optimizer)
    optimizer.architecture_step(0, random_batch(0), random_batch(1))
    after = state_of(optimizer)
    for key in before:
        moved = not torch.equal(before[key], after[key])
        expected = key.startswith("alpha") or key in optimizer.weights.buffers
        assert moved == expected or (expected and may_rest(optimizer, key)), key


@pytest.mark.parametrize("name", RELAXING)
def test_weight_step_moves_the_weights_only(name: str) -> None:
    optimizer = small_optimizer(name)
    optimizer.begin_epoch(5)
    before = state_of(optimizer)
    optimizer.weight_step(0, random_batch(0))
    after = state_of(optimizer)
    for key in before:
        stayed = torch.equal(before[key], after[key])
        assert stayed == key.startswith("alpha") or (stayed and may_rest(optimizer, key)), key


@pytest.mark.parametrize("name", METHODS)
def test_no_gradient_is_left_behind(name: str) -> None:
    optimizer = small_optimizer(name)
    run_epochs(optimizer, 0, 1)
    assert all(alpha.grad is None for alpha in optimizer.alphas)
    assert all(tensor.grad is None for tensor in optimizer.weights.parameters.values())


@pytest.mark.parametrize("name", METHODS)
def test_resumed_optimizer_equals_an_uninterrupted_one(name: str) -> None:
    whole = small_optimizer(name)
    run_epochs(whole, 0, 3)
    interrupted = small_optimizer(name)
    run_epochs(interrupted, 0, 2)
    resumed = small_optimizer(name)
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    run_epochs(resumed, 2, 3)
    assert_same(state_of(resumed), state_of(whole))
    assert resumed.derive() == whole.derive()


@pytest.mark.parametrize("name", METHODS)
def test_global_random_generators_are_not_touched(name: str) -> None:
    before = (random.getstate(), str(np.random.get_state()), torch.get_rng_state())
    run_epochs(small_optimizer(name), 0, 1)
    assert random.getstate() == before[0]
    assert str(np.random.get_state()) == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


@pytest.mark.parametrize("name", METHODS)
def test_seeds_differ_and_do_not_depend_on_each_other(name: str) -> None:
    alone = small_optimizer(name, seed=1)
    run_epochs(alone, 0, 1)
    first, second = small_optimizer(name, seed=0), small_optimizer(name, seed=1)
    run_epochs(first, 0, 1)
    run_epochs(second, 0, 1)
    assert_same(state_of(second), state_of(alone))
    assert not torch.equal(first.weights.parameters["stem.weight"], second.weights.parameters["stem.weight"])
    assert all(not torch.equal(a, b) for a, b in zip(first.alphas, second.alphas, strict=True))


@pytest.mark.parametrize("name", RELAXING)
def test_mixtures_lie_on_the_simplex(name: str) -> None:
    optimizer = small_optimizer(name)
    optimizer.begin_epoch(8)
    for mixture in (optimizer.relax(), optimizer.weight_mixture(0, random_batch(0))):
        for row in mixture.rows:
            assert (row >= 0).all()
            assert torch.allclose(row.sum(dim=-1), torch.ones((), dtype=row.dtype))


PERTURBED = [name for name in METHODS if name.endswith(("_rs", "_adv"))]


@pytest.mark.parametrize("name", PERTURBED)
def test_the_alpha_step_and_measuring_do_not_see_the_perturbation(name: str) -> None:
    perturbed, plain = small_optimizer(name), small_optimizer(name, perturbation__kind="none")
    for optimizer in (perturbed, plain):
        optimizer.begin_epoch(9)
    perturbed.weight_mixture(0, random_batch(0))
    for purpose in ("architecture", "weights", "hessian", "evaluation"):
        ours, theirs = (optimizer.mixture(purpose, 1) for optimizer in (perturbed, plain))
        assert all(torch.equal(a, b) for a, b in zip(ours.rows, theirs.rows, strict=True))
    assert perturbed.derive() == plain.derive()
    gradients = [
        optimizer.architecture_gradient(0, random_batch(0), random_batch(1)) for optimizer in (perturbed, plain)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", RELAXING)
def test_the_hessian_may_be_shortened_where_the_method_says_so(name: str) -> None:
    optimizer = small_optimizer(name)
    run_epochs(optimizer, 0, 1)
    whole, shortened = (
        exact_hessian(
            optimizer.architecture_loss(random_batch(3), update_statistics=False),
            optimizer.alphas,
            shift_invariant=shift_invariant,
        )
        for shift_invariant in (False, optimizer.shift_invariant)
    )
    assert torch.allclose(whole, shortened, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["sdarts_rs", "sdarts_adv"])
def test_only_the_weight_step_sees_the_perturbation(name: str) -> None:
    optimizer = small_optimizer(name)
    optimizer.begin_epoch(9)
    clean, cell = optimizer.relax(), optimizer.derive()
    perturbed = optimizer.weight_mixture(0, random_batch(0))
    assert any(not torch.equal(a, b) for a, b in zip(clean.rows, perturbed.rows, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(clean.rows, optimizer.relax().rows, strict=True))
    assert optimizer.derive() == cell


def test_warm_start_leaves_the_alphas_alone_and_piles_up_no_gradient() -> None:
    optimizer = small_optimizer("darts", alphas__warm_start_epochs=1)
    before = [alpha.detach().clone() for alpha in optimizer.alphas]
    run_epochs(optimizer, 0, 1)
    assert all(torch.equal(a, b) for a, b in zip(before, optimizer.alphas, strict=True))
    run_epochs(optimizer, 1, 2)
    assert all(not torch.equal(a, b) for a, b in zip(before, optimizer.alphas, strict=True))


def test_gradients_pile_up_in_warm_start_epochs_where_asked_and_survive_a_resumption() -> None:
    settings: dict[str, Any] = {"alphas__warm_start_epochs": 2, "weights__momentum": 0.0, "weights__weight_decay": 0.0}
    clean = small_optimizer("darts", **settings)
    whole, interrupted, resumed = (
        small_optimizer("darts", weights__pile_up_gradients=True, **settings) for _ in range(3)
    )
    run_epochs(clean, 0, 2)
    run_epochs(whole, 0, 4)
    run_epochs(interrupted, 0, 1)
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    run_epochs(resumed, 1, 2)
    assert not torch.allclose(resumed.weights.parameters["stem.weight"], clean.weights.parameters["stem.weight"])
    assert all(tensor.grad is not None for tensor in resumed.weights.parameters.values())
    run_epochs(resumed, 2, 4)
    assert_same(state_of(resumed), state_of(whole))
    assert all(tensor.grad is None for tensor in resumed.weights.parameters.values())


def test_nothing_piles_up_under_a_perturbation_as_published() -> None:
    states = []
    for piling in (False, True):
        optimizer = small_optimizer("sdarts_rs", alphas__warm_start_epochs=1, weights__pile_up_gradients=piling)
        run_epochs(optimizer, 0, 1)
        states.append(state_of(optimizer))
    assert_same(*states)


def test_learning_rate_is_the_published_cosine_with_its_first_value_skipped() -> None:
    optimizer = small_optimizer("darts", epochs=100)
    rates = [optimizer.learning_rate(epoch) for epoch in range(100)]
    try:
        published = golden_json("schedules")["lr_100_epochs"]["torch_2_13_step_first_optimizer_lr"]
    except pytest.skip.Exception:
        published = [0.02499407872438878, 0.02497632074113926]
    assert rates[: len(published)] == pytest.approx(published, rel=1e-12)
    assert rates[-1] == pytest.approx(0.001)
    unskipped = small_optimizer("darts", epochs=100, weights__skip_first_rate=False)
    assert unskipped.learning_rate(0) == 0.025
    assert unskipped.learning_rate(1) == pytest.approx(rates[0])


def noise_of(optimizer: Optimizer) -> list[torch.Tensor]:
    noise: list[torch.Tensor] = companion_of(optimizer, "perturbation").noise
    return noise


def test_draws_of_an_epoch_do_not_depend_on_earlier_epochs() -> None:
    fresh, used = small_optimizer("sdarts_rs"), small_optimizer("sdarts_rs")
    run_epochs(used, 0, 3)
    fresh.begin_epoch(3)
    used.begin_epoch(3)
    assert all(torch.equal(a, b) for a, b in zip(noise_of(fresh), noise_of(used), strict=True))
    assert not torch.equal(noise_of(fresh)[0][0], noise_of(fresh)[0][1])


def test_evaluation_statistics_are_refreshed_on_a_copy() -> None:
    optimizer = small_optimizer("sdarts_rs")
    run_epochs(optimizer, 0, 1)
    before = state_of(optimizer)
    refreshed = optimizer.evaluation_weights(random_batch(7), refresh=True)
    stored = optimizer.evaluation_weights(random_batch(7), refresh=False)
    assert_same(state_of(optimizer), before)
    assert not torch.equal(refreshed.convolutions["stem"][1], stored.convolutions["stem"][1])
    optimizer.architecture_loss(random_batch(7))
    moved = optimizer.evaluation_weights(random_batch(7), refresh=False)
    for name, (weight, bias) in refreshed.convolutions.items():
        assert torch.allclose(weight, moved.convolutions[name][0], rtol=1e-12), name
        assert torch.allclose(bias, moved.convolutions[name][1], rtol=1e-12, atol=1e-12), name


def test_an_unknown_method_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown optimizer 'dart'; known: darts, sdarts_rs, sdarts_adv"):
        get_method("dart")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        register("darts", "again")(Darts)


def test_a_checkpoint_with_a_missing_part_is_refused() -> None:
    state = small_optimizer("darts").state_dict()
    del state["buffers"]
    with pytest.raises(KeyError):
        small_optimizer("darts").load_state_dict(state)
