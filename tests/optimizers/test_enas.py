"""ENAS against the published loop (golden `controller_*`: four weight steps, 300 steps of REINFORCE, evaluation)."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from harness.search.settings import resolve
from optimizers.enas import Enas
from optimizers.registry import get_method
from optimizers.steps import Batch
from optimizers.weight_training import set_rate
from spaces.base import Architecture
from spaces.nb101.architecture import CellChoice
from spaces.nb101.space import get_space
from tests.optimizers.test_controller import PUBLISHED_NAMES, load_published, recorded_choices
from tests.support.building import random_batch, small_optimizer
from tests.support.golden_vectors import Arrays, below, golden_arrays, golden_json, published_weights, relative_error


def small_enas(space: int = 1, **settings: Any) -> Enas:
    optimizer = small_optimizer("enas", space, **settings)
    assert isinstance(optimizer, Enas)
    return optimizer


def published_enas(space: int, arrays: Arrays) -> Enas:
    """ENAS at the recorded weights of supernet and controller, with the published operation bias."""
    optimizer = small_enas(space, channels=4, image_channels=3, dtype=torch.float32, controller__op_bias=True)
    weights = published_weights(below(arrays, "sd/"), get_space(space), 3, torch.float32)
    with torch.no_grad():
        for name, tensor in optimizer.weights.parameters.items():
            tensor.copy_(weights.parameters[name])
        for name, tensor in optimizer.weights.buffers.items():
            tensor.copy_(weights.buffers[name])
    load_published(optimizer.controller, below(arrays, "controller/"))
    return optimizer


def published_architecture(recorded: Any) -> CellChoice:
    adjacency, ops = recorded
    matrix = np.array(adjacency)
    return CellChoice(tuple(tuple(np.flatnonzero(column).tolist()) for column in matrix.T[1:]), tuple(ops))


def recorded_batches(arrays: Arrays, split: str, count: int) -> list[Batch]:
    return [
        Batch(torch.tensor(arrays[f"{split}_x_{index}"]), torch.tensor(arrays[f"{split}_y_{index}"]))
        for index in range(count)
    ]


def train_as_published(optimizer: Enas, arrays: Arrays, recorded: Any) -> None:
    """Four weight steps, whose learning rate falls by the batch as published; the losses are the recorded ones."""
    architectures = [published_architecture(one) for one in recorded["train_model_archs_then_the_evaluated_one"][:4]]
    optimizer.train_next(architectures)
    losses, correct = [], 0
    for step, batch in enumerate(recorded_batches(arrays, "train", 4)):
        set_rate(optimizer.weight_optimizer.param_groups[0], 0.001 + 0.024 * (1 + math.cos(math.pi * step / 100)) / 2)
        result = optimizer.weight_step(step, batch)
        losses.append(result.loss.item())
        correct += int(result.score)
    assert sum(losses) / 4 == pytest.approx(recorded["train_model"]["loss_avg"], rel=1e-6)
    assert correct / 32 * 100 == recorded["train_model"]["top1"]


@pytest.mark.parametrize("space", [1, 3])
def test_an_epoch_of_the_published_search_is_reproduced_but_for_its_draws(space: int) -> None:
    arrays, draws = golden_arrays(f"controller_{space}"), golden_arrays(f"controller_draws_{space}")
    recorded = golden_json("controller")[f"space{space}"]
    optimizer = published_enas(space, arrays)

    train_as_published(optimizer, arrays, recorded)
    for ours, theirs in (
        ("stem.weight", "stem.op.0.weight"),
        ("postprocess.weight", "postprocess.op.1.weight"),
        ("classifier.weight", "classifier.weight"),
    ):
        assert relative_error(optimizer.weights.parameters[ours], arrays[f"after_train_model/{theirs}"]) < 2e-5, ours

    weights = optimizer.supernet.fold(optimizer.weights)
    validation = recorded_batches(arrays, "valid", 3)
    evaluated = [published_architecture(recorded["evaluate"]["arch"])]
    assert 1 - optimizer.score(weights, evaluated, validation, 1)[0] == recorded["evaluate"]["one_batch_error"]
    full_error = 1 - optimizer.score(weights, evaluated, validation, 3)[0]
    assert full_error == pytest.approx(recorded["evaluate"]["full_error"])

    choose = recorded_choices(iter(draws["draws"].tolist()))
    rewards = recorded_batches(arrays, "reward", 3)
    biases = [step["b_soft_after"] for step in recorded["train_controller"]["first_20_steps"]]
    for step in range(300):
        proposal = optimizer.controller.propose(1, choose)
        if step < 20:
            expected = published_architecture(recorded["train_controller"]["archs_first_20"][step])
            assert proposal.architectures == [expected]
        accuracy = optimizer.score(weights, proposal.architectures, [rewards[step % 3]], 1)[0]
        optimizer.controller.reinforce(proposal, 100 * accuracy)
        assert optimizer.controller.baseline == pytest.approx(draws["baseline_after_step"][step], rel=1e-5), step
        if step < 20:
            assert relative_error(optimizer.controller.parameters["op_bias"], np.array(biases[step][0])) < 1e-6
    assert optimizer.controller.baseline == pytest.approx(recorded["train_controller"]["final_baseline"], rel=1e-5)
    for name, theirs in PUBLISHED_NAMES.items():
        final = draws[f"controller_after_300_steps/{theirs}"]
        assert relative_error(optimizer.controller.parameters[name], final) < 1e-5, name


def first_op(architecture: Architecture) -> str:
    assert isinstance(architecture, CellChoice)
    return architecture.ops[0]


def test_the_controller_learns_what_is_rewarded() -> None:
    optimizer = small_enas(controller__learning_rate=0.02)
    generator = torch.Generator().manual_seed(0)

    def share_of_pooling() -> float:
        architectures = optimizer.sample(500, torch.Generator().manual_seed(1))
        return sum(first_op(architecture) == "maxpool3x3" for architecture in architectures) / 500

    before = share_of_pooling()
    for _ in range(100):
        proposal = optimizer.controller.propose(
            1, lambda probabilities, how_many: torch.multinomial(probabilities, how_many, generator=generator)
        )
        optimizer.controller.reinforce(proposal, 100.0 * (first_op(proposal.architectures[0]) == "maxpool3x3"))
    assert share_of_pooling() > before + 0.05


def test_the_weight_step_moves_nothing_of_the_controller_and_training_it_nothing_of_the_weights() -> None:
    optimizer = small_enas()
    optimizer.begin_epoch(0)
    controller = copy.deepcopy(optimizer.controller.parameters)
    optimizer.step(0, random_batch(0), random_batch(1))
    assert all(torch.equal(tensor, optimizer.controller.parameters[key]) for key, tensor in controller.items())
    weights = copy.deepcopy(optimizer.weights)
    optimizer.train_controller(optimizer.supernet.fold(optimizer.weights), [random_batch(2)])
    assert not torch.equal(controller["embedding"], optimizer.controller.parameters["embedding"])
    assert all(torch.equal(tensor, optimizer.weights.parameters[key]) for key, tensor in weights.parameters.items())
    assert all(torch.equal(tensor, optimizer.weights.buffers[key]) for key, tensor in weights.buffers.items())
    assert all(tensor.grad is None for tensor in optimizer.controller.parameters.values())


def test_rewards_come_from_the_first_validation_batches_and_scores_from_those_that_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    optimizer = small_enas(controller__steps=2, selection__samples=3, selection__finalists=1)
    batches = [random_batch(number) for number in range(7)]
    numbers = {id(batch.inputs): number for number, batch in enumerate(batches)}
    seen: list[int] = []
    original = optimizer.supernet.stem

    def recorded(weights: Any, images: torch.Tensor, *how: Any) -> Any:
        seen.append(numbers[id(images)])
        return original(weights, images, *how)

    monkeypatch.setattr(optimizer.supernet, "stem", recorded)
    optimizer.end_epoch(lambda: batches)
    assert seen == [0, 1, 2, 3, 4, *range(7)]


def test_controller_and_baseline_survive_a_checkpoint_in_the_middle_of_a_search() -> None:
    def train(optimizer: Enas, first: int, last: int) -> None:
        for epoch in range(first, last):
            optimizer.begin_epoch(epoch)
            for step in range(optimizer.steps):
                optimizer.step(step, random_batch(10 * epoch + step), random_batch(0))
            optimizer.end_epoch(lambda: [random_batch(5), random_batch(6)])

    whole, interrupted, resumed = (small_enas(seed=3) for _ in range(3))
    train(whole, 0, 4)
    train(interrupted, 0, 2)
    resumed.load_state_dict(copy.deepcopy(interrupted.state_dict()))
    train(resumed, 2, 4)
    assert resumed.controller.baseline == whole.controller.baseline != 0
    assert resumed.chosen == whole.chosen
    for name, tensor in whole.controller.parameters.items():
        assert torch.equal(tensor, resumed.controller.parameters[name]), name


@pytest.mark.parametrize("part", ["parameters", "optimizer", "baseline"])
def test_a_checkpoint_without_a_part_of_the_controller_is_refused(part: str) -> None:
    state = small_enas().state_dict()
    del state["controller"][part]
    with pytest.raises(KeyError):
        small_enas().load_state_dict(state)


def test_preset_is_the_published_protocol() -> None:
    config, _ = resolve(get_method("enas"), get_space(1), {}, {}, None)
    assert config.data.batch_size == 64
    weights = config.method.weights
    assert (weights.gradient_clip, weights.weight_decay, weights.learning_rate) == (0.25, 1e-4, 0.025)
    settings = config.to_json()
    assert settings["selection"] == {"samples": 1000, "batches": 1, "finalists": 5, "final_batches": 0}
    assert settings["controller"] == {
        "size": 64,
        "initial_range": 0.1,
        "temperature": 5.0,
        "tanh_constant": 2.5,
        "op_tanh_reduce": 5.0,
        "op_bias": False,
        "steps": 300,
        "learning_rate": 3.5e-4,
        "beta1": 0.1,
        "beta2": 0.999,
        "epsilon": 1e-3,
        "entropy_weight": 1e-4,
        "baseline_decay": 0.99,
    }
