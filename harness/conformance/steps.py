"""Which step moves what, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from harness.conformance.subject import (
    EPOCHS,
    STEPS,
    Subject,
    batch,
    batches,
    moved,
    named,
    rows_equal,
    state,
    stopped_weights,
    train,
    weight_mixture,
    without_alpha_step,
    without_weight_step,
)
from harness.conformance.suite import NotJudged, Violation, promise
from optimizers.base import Optimizer
from optimizers.steps import Batch
from spaces.base import Pass


@promise("it_runs_in_every_space")
def the_alpha_step_moves_only_alphas(subject: Subject) -> None:
    """The weights are the same to the bit before and after; batch norm's running statistics may move, as published."""
    optimizer = subject.optimizer()
    alpha_optimizer: torch.optim.Optimizer | None = getattr(optimizer, "alpha_optimizer", None)
    moves = _parameters(alpha_optimizer) if alpha_optimizer else []
    if shared := _shared(optimizer.weights.parameters.values(), moves):
        raise Violation(
            f"{shared} of the weights are among the parameters of alpha_optimizer, which moves them on validation "
            "images. Look at __init__"
        )
    train(optimizer, range(1))
    optimizer.begin_epoch(1)
    before = state(optimizer)
    with without_weight_step(optimizer):
        for step in range(STEPS):
            optimizer.step(step, *batches(1, step))
    if changed := moved(before, state(optimizer), "weights"):
        raise Violation(
            f"the alpha step moves weights ({named(changed)}). Look at architecture_step and architecture_gradient: "
            "work on self.weights.frozen(), and look one step ahead with copies"
        )


@promise("it_runs_in_every_space")
def a_perturbation_is_undone(subject: Subject) -> None:
    """Whatever the weight step does on its way, alphas, weights and mixture are the same to the bit afterwards.

    SGD moves nothing meanwhile, so that nothing else can.
    """
    for variant in subject.variants("adversarial"):
        optimizer = variant.optimizer()
        train(optimizer, range(1))
        optimizer.begin_epoch(EPOCHS - 1)
        with without_alpha_step(optimizer), stopped_weights(optimizer):
            optimizer.step(0, *batches(4, 0))  # projecting alphas or weights is legal; the next step leaves them alone
            before, relaxed, mixture = state(optimizer), _rows(optimizer), _rows(optimizer, "weights")
            optimizer.step(1, *batches(4, 1))
        after = state(optimizer)
        if changed := moved(before, after, "alphas", "weights"):
            what = "alphas" if changed[0].startswith("alphas") else "weights"
            most = max(float((before[name] - after[name]).abs().max()) for name in changed)
            raise Violation(
                f"the weight step leaves the {what} changed ({named(changed)}, by up to {most:.2g}) even where "
                "weight_optimizer moves nothing: what was perturbed is not put back to the bit. Look at weight_step "
                "and weight_mixture: perturb a copy, or put a copy back, since adding and subtracting rounds"
            )
        if not rows_equal(relaxed, _rows(optimizer)) or not rows_equal(mixture, _rows(optimizer, "weights")):
            raise Violation(
                "the weight step leaves another mixture behind, though the alphas are where they were: the "
                "perturbation is written into tensors that relax or mixture give out again. Look at weight_mixture"
            )


def _rows(optimizer: Optimizer, purpose: str = "") -> list[Tensor]:
    mixture = optimizer.mixture("weights", 1) if purpose else optimizer.relax()
    return [row.detach().clone() for row in mixture.rows]


@promise("a_perturbation_is_undone")
def the_weight_step_moves_only_weights(subject: Subject) -> None:
    """The alphas are the same to the bit before and after, and no optimizer of weights holds them."""
    optimizer = subject.optimizer()
    trained = [*optimizer.weights.parameters.values(), *_parameters(optimizer.weight_optimizer)]
    if shared := _shared(optimizer.alphas, trained):
        raise Violation(
            f"{shared} of the alphas are registered as weights: weight_optimizer, or weights.parameters, holds them, "
            "so that they descend the training loss. Look at __init__: alphas belong to alpha_optimizer alone"
        )
    train(optimizer, range(1))
    optimizer.begin_epoch(1)
    before = state(optimizer)
    with without_alpha_step(optimizer):
        optimizer.step(0, *batches(1, 0))
    if changed := moved(before, state(optimizer), "alphas"):
        raise Violation(
            f"the weight step moves alphas ({named(changed)}). Look at weight_step: only weight_optimizer steps there, "
            "and the mixture has no history"
        )


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _shared(tensors: Iterable[Tensor], others: Iterable[Tensor]) -> int:
    """How many of the tensors share memory with one of the others."""
    places = {other.data_ptr() for other in others if other.numel()}
    return sum(tensor.data_ptr() in places for tensor in tensors)


@promise("it_runs_in_every_space")
def no_gradient_is_left_behind(subject: Subject) -> None:
    """Neither step leaves a gradient for the other to find."""
    optimizer = subject.optimizer()
    optimizer.begin_epoch(0)
    with without_weight_step(optimizer):
        optimizer.step(0, *batches(0, 0))
    weights = optimizer.weights.parameters
    if left := [name for name, tensor in weights.items() if _has_gradient(tensor)]:
        raise Violation(
            f"the alpha step leaves gradients on the weights ({named(left)}). Look at architecture_gradient: take "
            "torch.autograd.grad(loss, self.alphas) at self.weights.frozen(), not loss.backward()"
        )
    if any(_has_gradient(alpha) for alpha in optimizer.alphas):
        raise Violation(
            "the alpha step leaves gradients on the alphas. Look at architecture_step: end with zero_grad()"
        )
    with without_alpha_step(optimizer):
        optimizer.step(1, *batches(0, 1))
    if any(_has_gradient(alpha) for alpha in optimizer.alphas):
        raise Violation(
            "the weight step leaves gradients on the alphas. Look at weight_mixture, whose mixture must have no "
            "history (detach it), and at weight_step: take torch.autograd.grad(loss, parameters), not loss.backward()"
        )
    if left := [name for name, tensor in weights.items() if _has_gradient(tensor)]:
        raise Violation(
            f"the weight step leaves gradients on the weights ({named(left)}). Look at weight_step: end with "
            "weight_optimizer.zero_grad()"
        )


def _has_gradient(tensor: Tensor) -> bool:
    return tensor.grad is not None and bool(tensor.grad.ne(0).any())


@promise("the_weight_step_moves_only_weights", "schedules_are_those_of_the_epoch")
def warm_start_leaves_the_alphas_alone(subject: Subject) -> None:
    """In the first `alphas.warm_start_epochs` epochs the steps move weights only."""
    optimizer = subject.with_settings({"alphas.warm_start_epochs": 1}).optimizer()
    if not optimizer.alphas:
        raise NotJudged("it has no alphas")
    optimizer.begin_epoch(0)
    before = state(optimizer)
    for step in range(STEPS):
        optimizer.step(step, *batches(0, step))
    if changed := moved(before, state(optimizer), "alphas"):
        raise Violation(
            f"alphas move in a warm-start epoch ({named(changed)}): the setting alphas.warm_start_epochs has no "
            "effect. Look at step"
        )


@promise("it_runs_in_every_space")
def batch_norm_statistics_follow_the_weight_step(subject: Subject) -> None:
    """After a step the running statistics are those of its training batch; the attack does not move them."""
    for variant in subject.variants("adversarial"):
        optimizer = variant.optimizer()
        if not optimizer.weights.buffers:
            raise NotJudged("its network has no running statistics")
        train(optimizer, range(1))
        optimizer.begin_epoch(1)
        before = state(optimizer)
        weight_mixture(optimizer, 0, batches(1, 0)[0])
        if changed := moved(before, state(optimizer), "statistics"):
            raise Violation(
                f"weight_mixture moves batch norm's running statistics ({named(changed)}). Look at weight_mixture: "
                "attack_loss runs at the stored ones, and update_statistics=False keeps them in training mode"
            )
        training, validation = batch(30_000, brightness=2.0), batch(30_001, brightness=-2.0)
        left = [_first_statistics(optimizer, each) for each in (training, validation)]
        with stopped_weights(optimizer):
            optimizer.step(0, training, validation)
        name = next(iter(optimizer.weights.buffers))
        statistics = optimizer.weights.buffers[name]
        if torch.equal(statistics, before[f"statistics {name}"]):
            raise Violation(
                "a step does not move batch norm's running statistics, which validation and the attack then use stale. "
                f"Look at weight_step: the network is called with {_CALLED}"
            )
        near, far = (float((statistics - each).abs().sum()) for each in left)
        if near > far:
            raise Violation(
                "after a step batch norm's running statistics are not those of its training batch: the weight step "
                f"leaves them stale. Look at weight_step: the network is called with {_CALLED}"
            )


_CALLED = "Pass(training=True) and updates them"


def _first_statistics(optimizer: Optimizer, images: Batch) -> Tensor:
    """What a training pass over a batch leaves of the first statistics, which lie closest to the images."""
    copy = optimizer.weights.frozen().with_own_buffers()
    with torch.no_grad():
        optimizer.supernet(
            copy, optimizer.mixture("weights", 0), images.inputs, Pass(training=True, noise=images.noise)
        )
    return next(iter(copy.buffers.values()))
