from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from optimizers.base import Optimizer
from optimizers.gdas import Gdas
from optimizers.steps import Purpose
from spaces.base import Pass
from spaces.mixture import Mixture
from spaces.nb101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, OPERATIONS
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.space import get_space
from tests.support.building import companion_of, random_batch, small_optimizer
from tests.support.golden_vectors import (
    below,
    golden_arrays,
    golden_json,
    published_rows,
    published_weights,
    relative_error,
)


def view(mixture: Mixture) -> Coefficients:
    return Coefficients.from_rows(mixture.rows)


def gdas(name: str = "gdas", **settings: Any) -> Gdas:
    optimizer = small_optimizer(name, **settings)
    assert isinstance(optimizer, Gdas)
    return optimizer


@pytest.mark.parametrize("space", [1, 3])
def test_a_sampled_network_computes_what_the_published_one_computes(space: int) -> None:
    arrays = golden_arrays(f"supernet_gdas_{space}")
    optimizer = gdas(space=space, channels=4, image_channels=3, dtype=torch.float32)
    supernet, shapes = optimizer.supernet, optimizer.supernet.space.row_shapes
    weights = published_weights(below(arrays, "sd/"), get_space(space), 3, torch.float32)
    with torch.no_grad():
        for alpha, row in zip(optimizer.alphas, published_rows(arrays, "alpha_{}", get_space(space)), strict=True):
            alpha.copy_(row)
    draws = [torch.tensor(arrays[f"exponential_draw_{k:03d}"]) for k in range(3 * len(shapes))]
    noise = [-torch.stack(draws[k :: len(shapes)]).log().reshape(3, *shape) for k, shape in enumerate(shapes)]
    optimizer.gumbel = {"architecture": [row[None] for row in noise]}
    optimizer.temperature = lambda purpose: 3.0  # type: ignore[method-assign]

    mixture = optimizer.mixture("architecture")
    images, labels = torch.tensor(arrays["input"]), torch.tensor(arrays["target"])
    stored = supernet(weights, mixture, images, Pass(skip_zeros=True))
    assert relative_error(stored, arrays["f32/eval_logits_stored_stats"]) < 1e-5
    logits = supernet(weights, mixture, images, Pass(training=True, skip_zeros=True))
    assert relative_error(logits, arrays["f32/train_logits"]) < 1e-5
    loss = F.cross_entropy(logits, labels)
    assert relative_error(loss, arrays["f32/train_loss"]) < 1e-5
    gradients = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, optimizer.alphas)])
    expected = torch.cat([row.flatten() for row in published_rows(arrays, "f32/alpha_grad_{}", get_space(space))])
    assert relative_error(gradients, expected.numpy()) < 1e-5
    after = supernet(weights, mixture, images, Pass(skip_zeros=True))
    assert relative_error(after, arrays["f32/eval_logits_after_train_forward"]) < 1e-5


def convolutions_run(optimizer: Optimizer, run: Any) -> int:
    """How many convolutions a function evaluates."""
    count = 0
    original = F.conv2d

    def spy(*arguments: Any, **named: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv2d", spy)
        run()
    return count


def picked(optimizer: Gdas, purpose: Purpose, index: int = 0) -> list[str]:
    """Operations that a forward pass evaluates, cell by cell and block by block."""
    rows = view(optimizer.mixture(purpose, index)).operations.detach().flatten(0, 1)
    assert (rows.ne(0).sum(dim=1) == 1).all()
    return [OPERATIONS[position] for position in rows.argmax(dim=1).tolist()]


def test_a_step_evaluates_only_the_operations_that_were_sampled() -> None:
    optimizer, always = gdas(), 1 + 3 + 1  # the stem, a cell's projections, the last convolution
    optimizer.begin_epoch(0)
    training, validation = random_batch(0), random_batch(1)
    for index in range(2):
        for purpose, run in (
            ("architecture", lambda index=index: optimizer.architecture_step(index, training, validation)),
            ("weights", lambda index=index: optimizer.weight_step(index, training)),
        ):
            ops = picked(optimizer, purpose, index)  # type: ignore[arg-type]
            assert len(ops) == 12
            assert convolutions_run(optimizer, run) == always + sum(op != MAXPOOL3X3 for op in ops)
    folded = optimizer.evaluation_weights(validation, refresh=False)
    ops = picked(optimizer, "evaluation", 4)
    evaluated = convolutions_run(optimizer, lambda: optimizer.evaluate(folded, 4, validation.inputs))
    assert evaluated == always + sum(op != MAXPOOL3X3 for op in ops)


@pytest.mark.parametrize("skip", [True, False])
def test_weights_that_were_not_sampled_rest_or_decay_as_the_setting_says(skip: bool) -> None:
    optimizer = gdas(weights__skip_unused=skip)
    optimizer.begin_epoch(0)
    before = {name: tensor.detach().clone() for name, tensor in optimizer.weights.parameters.items()}
    rate, decay = optimizer.learning_rate(0), optimizer.config.weights.weight_decay
    ops = picked(optimizer, "weights")
    optimizer.weight_step(0, random_batch(0))
    resting = 0
    for number, op in enumerate(ops):
        for layer, operation in (("conv3x3", CONV3X3), ("conv1x1", CONV1X1)):
            name = f"cell{number // 4}.block{number % 4}.{layer}.weight"
            after = optimizer.weights.parameters[name].detach()
            if op == operation:
                assert not torch.allclose(after, before[name] * (1 - rate * decay), rtol=1e-9)
            else:
                resting += 1
                assert torch.allclose(after, before[name] * (1 if skip else 1 - rate * decay), rtol=1e-14)
    assert resting >= 12


def test_every_cell_of_every_forward_pass_has_a_sample_of_its_own() -> None:
    optimizer = gdas(alphas__unrolled=True, steps=3)
    optimizer.begin_epoch(2)
    purposes: list[Purpose] = [
        "architecture",
        "weights",
        "unrolled",
        "unrolled_plus",
        "unrolled_minus",
        "evaluation",
        "hessian",
    ]
    outputs = torch.stack([view(optimizer.mixture(p, i)).output.detach() for p in purposes for i in range(3)])
    assert outputs.shape == (21, 3, 5)
    assert len({tuple(row) for row in outputs.flatten(0, 1).tolist()}) == 63


def test_measuring_in_any_order_and_any_number_of_times_gives_the_same() -> None:
    first, second = gdas(), gdas()
    for optimizer in (first, second):
        optimizer.begin_epoch(1)
    forwards = [view(first.mixture("evaluation", index)).output for index in (0, 1, 2)]
    second.mixture("hessian")
    backwards = [view(second.mixture("evaluation", index)).output for index in (2, 1, 0)]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    second.begin_epoch(2)
    assert not torch.equal(view(second.mixture("evaluation", 0)).output, forwards[0])


def test_measuring_before_training_is_not_measuring_after_the_first_epoch() -> None:
    optimizer = gdas()
    before = view(optimizer.mixture("evaluation", 0)).output
    optimizer.begin_epoch(0)
    assert not torch.equal(view(optimizer.mixture("evaluation", 0)).output, before)


def test_temperature_falls_as_published() -> None:
    optimizer = gdas(epochs=100)
    training, evaluation = [], []
    for epoch in range(100):
        optimizer.begin_epoch(epoch)
        assert optimizer.temperature("hessian") == optimizer.temperature("architecture")
        training.append(optimizer.temperature("weights"))
        evaluation.append(optimizer.temperature("evaluation"))
    assert training[:2] == pytest.approx([10, 9.91])
    assert evaluation[-1] == pytest.approx(1)
    schedules = golden_json("schedules")
    assert training == pytest.approx(schedules["gdas_tau_train"], rel=1e-12)
    assert evaluation == pytest.approx(schedules["gdas_tau_infer"], rel=1e-12)


def test_frequency_of_an_operation_is_its_softmax() -> None:
    optimizer = gdas(steps=2000)
    with torch.no_grad():
        optimizer.alphas[0].copy_(torch.tensor([0.2, 0.5, 0.3]).log().expand(4, 3))
    optimizer.begin_epoch(0)
    counts = torch.stack([view(optimizer.mixture("weights", step)).operations.detach() for step in range(2000)])
    assert torch.allclose(counts.mean(dim=(0, 1, 2)), torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), atol=0.01)


def test_gradient_of_the_alphas_is_clipped() -> None:
    free, clipped = gdas(), gdas(gumbel__gradient_clip=1e-3)
    gradients = []
    for optimizer in (free, clipped):
        optimizer.begin_epoch(9)
        parts = optimizer.architecture_gradient(0, random_batch(0), random_batch(1))
        gradients.append(torch.cat([part.flatten() for part in parts]))
    assert gradients[0].norm() > 1e-3
    assert gradients[1].norm().item() == pytest.approx(1e-3, rel=0.01)
    assert torch.allclose(F.normalize(gradients[0], dim=0), F.normalize(gradients[1], dim=0))


def test_momentum_of_the_step_ahead_is_carried_unless_asked_to_lose_it_as_published() -> None:
    gradients = []
    for carried in (True, False):
        optimizer = gdas(alphas__unrolled=True, alphas__unrolled_momentum=carried)
        optimizer.begin_epoch(0)
        optimizer.weight_step(0, random_batch(0))
        gradients.append(optimizer.architecture_gradient(1, random_batch(2), random_batch(3)))
    assert not torch.allclose(gradients[0][1], gradients[1][1], rtol=1e-6)


@pytest.mark.parametrize("name", ["gdas_rs", "gdas_adv"])
def test_a_perturbation_moves_each_cells_sample_on_its_own(name: str) -> None:
    optimizer = gdas(name)
    optimizer.begin_epoch(9)
    assert [tuple(noise.shape) for noise in companion_of(optimizer, "perturbation").noise] == [
        (2, 3, 4, 3),
        (2, 3, 5),
        (2, 3, 3),
        (2, 3, 4),
    ]
    clean = view(optimizer.mixture("weights", 0).detach())
    perturbed = view(optimizer.weight_mixture(0, random_batch(0)))
    moves = torch.stack([a - b for a, b in zip(perturbed.output, clean.output, strict=True)])
    if moves.any():  # an attack that does not raise the loss is taken back
        assert not torch.allclose(moves[0], moves[1])
        assert (perturbed.operations.ne(0).sum(dim=-1) > 1).any()
