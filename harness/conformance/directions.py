"""Which loss each step descends: of which batch, and that it descends it at all."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.conformance.subject import (
    EPOCHS,
    IMAGES,
    State,
    Subject,
    batch,
    moved,
    named,
    state,
    without_alpha_step,
    without_weight_step,
)
from harness.conformance.suite import NotJudged, Violation, promise
from optimizers.base import Optimizer
from optimizers.steps import Batch

RATE = 0.1
"""Learning rate of the alphas for one step, so large that weight decay does not count."""

TRIALS = 8


@promise("the_alpha_step_moves_only_alphas")
def the_alpha_step_descends_the_loss(subject: Subject) -> None:
    """On average over batches the alphas move against the gradient of their batch's loss: the bare method's.

    The step has one batch for both training and validation, since which of them the alphas follow is another matter,
    and no companions, which may add to the loss. Judged is the move along the gradient as the method takes it, so that
    a sampled operation that happens to change does not count.
    """
    if not subject.method.optimizer_class.plain_loss:
        raise NotJudged("it says that its loss is its own")
    changes: list[float] = []
    for trial in range(TRIALS):
        optimizer = subject.with_settings({"alphas.learning_rate": RATE}).optimizer(trial, steps=1, companions=False)
        seen = batch(90_000 + trial)
        optimizer.begin_epoch(EPOCHS - 1)
        before, gradients = [alpha.detach().clone() for alpha in optimizer.alphas], _gradients(optimizer, seen)
        _one_epoch(optimizer, seen, seen, moves="alphas")
        moves = [(alpha - old).detach() for alpha, old in zip(optimizer.alphas, before, strict=True)]
        if any(bool(move.any()) for move in moves):
            changes.append(sum(float((move * part).sum()) for move, part in zip(moves, gradients, strict=True)))
    if not any(changes):
        raise NotJudged("no step moves its alphas along a gradient" if optimizer.alphas else "it has no alphas")
    if (mean := sum(changes) / len(changes)) > 0:
        raise Violation(
            f"the alphas ascend: a step along the gradient of their loss raises it, by {mean:.2g} on average of "
            f"{len(changes)} batches. Look at the sign in architecture_gradient and architecture_step; a method that "
            "descends another loss than the task's says plain_loss = False"
        )


def _gradients(optimizer: Optimizer, seen: Batch) -> list[Tensor]:
    """Gradient by each alpha of a batch's loss at the mixture of the first alpha step."""
    if not optimizer.alphas:
        return []
    mixture = optimizer.mixture("architecture", 0)
    loss = optimizer.loss(optimizer.weights.frozen(), mixture, seen, update_statistics=False)
    if not loss.requires_grad:
        return [torch.zeros_like(alpha) for alpha in optimizer.alphas]
    return list(torch.autograd.grad(loss, optimizer.alphas, materialize_grads=True, allow_unused=True))


def _one_epoch(optimizer: Optimizer, training: Batch, validation: Batch, *, moves: str) -> None:
    """The one step of an epoch that has begun, and its end, with one of the two steps switched off."""
    with without_weight_step(optimizer) if moves == "alphas" else without_alpha_step(optimizer):
        optimizer.step(0, training, validation)
        optimizer.end_epoch(lambda: [validation])


@promise("seeds_are_independent", "the_alpha_step_moves_only_alphas")
def alphas_follow_the_validation_batch(subject: Subject) -> None:
    """Other validation images lead the alphas elsewhere; other training images do not, unless they look a step ahead.

    A method that means to train its alphas on the training split (single-level search) leaves this check out by name.
    """
    reference, other_validation, other_training = (
        _ended(subject, training, validation, moves="alphas") for training, validation in ((0, 1), (0, 2), (3, 1))
    )
    if reference is None or other_validation is None or other_training is None:
        raise NotJudged("no step moves its alphas")
    if not moved(reference, other_validation, "alphas"):
        raise Violation(
            "the alphas go to the same place whatever the validation batch: they do not look at it. Look at step, "
            "architecture_step and architecture_gradient, whose batches come in the order training, validation"
        )
    unrolled = subject.config().method.alphas.unrolled
    if not unrolled and (changed := moved(reference, other_training, "alphas")):
        raise Violation(
            f"other training images lead the alphas elsewhere ({named(changed)}), though alphas.unrolled is false: "
            "they follow the training batch, which the weights are fitted to. Look at step, architecture_step and "
            "architecture_gradient, whose batches come in the order training, validation; leave this check out by "
            "name (--skip) where it is meant"
        )


@promise("seeds_are_independent", "the_weight_step_moves_only_weights")
def weights_follow_the_training_batch(subject: Subject) -> None:
    """Other training images lead the weights elsewhere; other validation images do not."""
    reference, other_training, other_validation = (
        _ended(subject, training, validation, moves="weights") for training, validation in ((0, 1), (3, 1), (0, 2))
    )
    if reference is None or other_training is None or other_validation is None:
        raise NotJudged("no step moves its weights")
    if not moved(reference, other_training, "weights"):
        raise Violation(
            "the weights go to the same place whatever the training batch: they do not look at it. Look at step and "
            "weight_step"
        )
    if changed := moved(reference, other_validation, "weights"):
        raise Violation(
            f"other validation images lead the weights elsewhere ({named(changed)}): they are trained on the images "
            "that the alphas and the validation score are for. Look at step and weight_step"
        )


def _ended(subject: Subject, training: int, validation: int, *, moves: str) -> State | None:
    """Where one epoch of a single step leads, with batches of these numbers; None where nothing of the kind moves."""
    optimizer = subject.optimizer(steps=1)
    before = state(optimizer)
    optimizer.begin_epoch(0)
    _one_epoch(optimizer, batch(91_000 + training, IMAGES), batch(91_000 + validation, IMAGES), moves=moves)
    after = state(optimizer)
    return after if moved(before, after, moves) else None
