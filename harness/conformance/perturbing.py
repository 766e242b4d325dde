"""Mixtures on the simplex, perturbations that reach the weight step and nothing else, attacks that climb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from harness.conformance.subject import (
    EPOCHS,
    STEPS,
    Subject,
    batch,
    batches,
    moved,
    rows_equal,
    state,
    stopped_weights,
    train,
    watched,
    weight_mixture,
    without_alpha_step,
    without_weight_step,
)
from harness.conformance.suite import NotJudged, Violation, promise
from harness.conformance.watching import Calls
from optimizers.base import Optimizer
from optimizers.steps import Batch, Purpose
from spaces.base import Pass
from spaces.mixture import Mixture

TRIALS = 8


@promise("it_runs_in_every_space")
def mixtures_lie_on_the_simplex(subject: Subject) -> None:
    """Every row of every mixture of a method that relaxes is positive or zero and adds up to one."""
    if not subject.relaxes:
        raise NotJudged("it does not relax, so its mixtures may be of any size")
    # A large learning rate, so that rows which only start on the simplex leave it.
    optimizer = subject.with_settings({"alphas.learning_rate": 0.2}).optimizer()
    _check_mixtures(optimizer, "before any training")
    train(optimizer, range(2))
    _check_mixtures(optimizer, "after two epochs")
    for kind in ("uniform", "adversarial"):
        perturbed = subject.perturbed(kind).optimizer()
        perturbed.begin_epoch(EPOCHS - 1)
        _check_weight_mixture(perturbed, f"weight_mixture with perturbation.kind={kind}")


def _check_mixtures(optimizer: Optimizer, when: str) -> None:
    optimizer.begin_epoch(optimizer.epochs_begun)
    _check_rows(optimizer, optimizer.relax(), f"relax, {when}", per_cell=False)
    purposes: tuple[Purpose, ...] = ("architecture", "weights", "hessian", "evaluation")
    for purpose in purposes:
        _check_rows(optimizer, optimizer.mixture(purpose, 0), f"mixture({purpose!r}), {when}")
    _check_weight_mixture(optimizer, f"weight_mixture, {when}")


def _check_weight_mixture(optimizer: Optimizer, which: str) -> None:
    mixture = weight_mixture(optimizer, 0, batch(0))
    if mixture is not None:
        _check_rows(optimizer, mixture, which)


def _check_rows(optimizer: Optimizer, mixture: Mixture, which: str, per_cell: bool | None = None) -> None:
    hook = which.partition(",")[0].partition("(")[0].partition(" ")[0]
    each, network = optimizer.per_cell if per_cell is None else per_cell, optimizer.supernet
    expected = [((network.cells_of(row.group), *row.shape) if each else row.shape) for row in network.space.layout]
    shapes = [tuple(row.shape) for row in mixture.rows]
    if shapes != expected:
        raise Violation(
            f"the rows of {which} have the shapes {shapes}; expected {expected}, as per_cell = {optimizer.per_cell}. "
            f"Look at {hook} and at the class attribute per_cell"
        )
    for index, row in enumerate(mixture.detach().rows):
        sums = row.sum(dim=-1)
        if not torch.isfinite(row).all() or (row < -1e-5).any() or (sums - 1).abs().max() > 1e-4:
            raise Violation(
                f"{which}: row tensor {index} is off the simplex (smallest entry {float(row.min()):.3g}, sums "
                f"{float(sums.min()):.3g} to {float(sums.max()):.3g}; expected none below 0, and 1): a softmax is "
                f"missing, or the like. Look at {hook}; a method whose coefficients need not add up to 1 says "
                "relaxes = False, and cannot be perturbed"
            )


def _seen_by_weight_step(optimizer: Optimizer, index: int, training: Batch) -> tuple[Mixture, int]:
    """The mixture that a weight step multiplies, and how many gradients it takes to get there.

    The weights do not move; the last pass counts, since an attack may need others.
    """
    network = watched(optimizer)
    network.passes.clear()
    with without_alpha_step(optimizer), stopped_weights(optimizer), Calls(network) as calls:
        optimizer.step(index, training, batch(40_000))
    if network.passes:
        return network.passes[-1], calls.derivatives
    mixture = weight_mixture(optimizer, index, training)
    if mixture is None:
        raise Violation("step makes no pass in training mode at self.weights, which then learn nothing. Look at step")
    return mixture, calls.derivatives


def _clean(optimizer: Optimizer, index: int) -> Mixture:
    return optimizer.mixture("weights", index).map(lambda row: row.detach().clone())


def _same(optimizer: Optimizer, left: Mixture, right: Mixture) -> bool:
    """Whether two mixtures multiply the same in every cell."""
    cells = (mixture.of_cells(optimizer.supernet.groups) for mixture in (left, right))
    return all(rows_equal(left, right) for left, right in zip(*cells, strict=True))


@promise("mixtures_lie_on_the_simplex")
def a_perturbation_reaches_the_weight_step(subject: Subject) -> None:
    """With `perturbation.kind` set, the weight step of a method that relaxes multiplies a perturbed mixture."""
    if not subject.relaxes:
        raise NotJudged("it does not relax, so nothing is perturbed")
    variant = subject.perturbed("uniform")
    optimizer = variant.optimizer()
    optimizer.begin_epoch(EPOCHS - 1)
    reached = [
        not _same(optimizer, _clean(optimizer, step), _seen_by_weight_step(optimizer, step, batch(step))[0])
        for step in range(STEPS)
    ]
    # An attack that fails is put back; the next check looks at attacks.
    if not any(reached) and variant.kind != "adversarial":
        raise Violation(
            f"perturbation.kind={variant.kind} changes nothing: the weight step multiplies the clean mixture, though "
            "relaxes is True, so that the method is also known as X_rs and X_adv. Look at weight_step and "
            "weight_mixture: end in what the companions make of the mixture, or set relaxes = False"
        )


@promise(
    "global_generators_are_left_alone",
    "a_perturbation_is_undone",
    "batch_norm_statistics_follow_the_weight_step",
    "mixtures_lie_on_the_simplex",
)
def only_the_weight_step_sees_the_perturbation(subject: Subject) -> None:
    """Alpha step, Hessian and validation are those of the unperturbed method, to the bit."""
    if not subject.relaxes:
        raise NotJudged("it does not relax, so nothing is perturbed")
    plain = subject.with_settings({"perturbation.kind": "none"})
    for variant in (subject.perturbed("uniform"), subject.perturbed("adversarial")):
        ours, theirs = variant.optimizer(), plain.optimizer()
        for optimizer in (ours, theirs):
            optimizer.begin_epoch(EPOCHS - 1)
        weight_mixture(ours, 0, batch(0))
        for what, hook, look in _MEASURED:
            if not torch.equal(look(ours), look(theirs)):
                raise Violation(
                    f"{what} differs with perturbation.kind={variant.kind} from that without: it sees the "
                    f"perturbation, which is for the weight step alone. Look at {hook}"
                )
        for optimizer in (ours, theirs):
            with without_weight_step(optimizer):
                optimizer.step(0, *batches(0, 0))
        if moved(state(theirs), state(ours), "alphas"):
            raise Violation(
                f"the alpha step goes elsewhere with perturbation.kind={variant.kind} than without: it sees the "
                "perturbation, which is for the weight step alone. Look at relax, mixture and architecture_gradient"
            )


def _hessian_loss(optimizer: Optimizer) -> Tensor:
    return optimizer.architecture_loss(batch(1), update_statistics=False).detach()


def _logits(optimizer: Optimizer) -> Tensor:
    logits: Tensor = optimizer.evaluate(optimizer.evaluation_weights(batch(1), refresh=False), 0, batch(2).inputs)
    return logits.detach()


_MEASURED: list[tuple[str, str, Callable[[Optimizer], Tensor]]] = [
    ("the loss whose Hessian is recorded", "relax, mixture and architecture_loss", _hessian_loss),
    ("the validation accuracy", "relax, mixture and evaluate", _logits),
]


@promise("a_perturbation_is_undone", "a_perturbation_reaches_the_weight_step")
def the_attack_raises_the_training_loss(subject: Subject) -> None:
    """An adversarial perturbation ends, on average, where the training loss is larger than at the clean mixture."""
    attacks = _attacks(subject)
    if subject.relaxes and subject.perturbed("adversarial").kind == "adversarial":
        attacks += _attacks(subject.perturbed("adversarial"), certain=True)
    if not attacks:
        raise NotJudged("it has no adversarial perturbation")


def _attacks(subject: Subject, certain: bool = False) -> list[Subject]:
    """The method, if it attacks: if that is certain, or if its weight step takes gradients that move the mixture.

    Raises:
        Violation: the attack does not raise the loss.
    """
    small = {"perturbation.epsilon_start": 0.05, "perturbation.epsilon_end": 0.05} if certain else {}
    optimizer = subject.with_settings(small).optimizer()
    train(optimizer, range(1))
    optimizer.begin_epoch(EPOCHS - 1)
    rises: list[Tensor] = []
    for trial in range(TRIALS):
        index, training = trial % STEPS, batch(50_000 + trial)
        # Of a copy, since a network may fold nothing, and the weight step moves the statistics.
        folded = optimizer.supernet.fold(optimizer.weights.frozen().with_own_buffers())
        clean = _clean(optimizer, index)
        seen, derivatives = _seen_by_weight_step(optimizer, index, training)
        if not _same(optimizer, clean, seen) and (certain or derivatives > 1):
            rises.append(_losses(optimizer, folded, seen, training) - _losses(optimizer, folded, clean, training))
    published = certain and type(optimizer).attack_loss is Optimizer.attack_loss
    if rises and (rise := _rise(torch.stack(rises), published)) < 0:
        raise Violation(
            f"the attack lowers the training loss, by {-rise:.2g} on average of {len(rises)} steps: it descends "
            "instead of ascending. Look at the sign of the step in the attack (weight_mixture, attack_loss)"
        )
    if certain and len(rises) < TRIALS / 2:
        raise Violation(
            f"in {TRIALS - len(rises)} of {TRIALS} steps the attack, with a small radius, leaves the mixture where it "
            "was: it descends, so that it is put back as the loss falls, or it does not run. Look at the sign of the "
            "step in the attack, and at weight_mixture and attack_loss"
        )
    return [subject] if rises else []


def _losses(optimizer: Optimizer, folded: Any, mixture: Mixture, training: Batch) -> Tensor:
    """The task's loss `[2]` with batch norm's stored statistics, as in the published attack, and with the batch's."""
    network, own = optimizer.supernet, Pass(training=True, update_statistics=False, noise=training.noise)
    with torch.no_grad():
        outputs = (
            network(folded, mixture, training.inputs),
            network(optimizer.weights.frozen(), mixture, training.inputs, own),
        )
        return torch.stack([optimizer.task.loss(each, training.targets) for each in outputs])


def _rise(rises: Tensor, published: bool) -> float:
    """Mean rise of the loss that was attacked, out of `[steps, 2]`.

    Which of the two an attack of someone's own looks at is not known; it is the one that moves the same way every time.
    """
    means = rises.mean(dim=0)
    agreement = means.abs() / rises.abs().mean(dim=0).clamp(min=1e-30)
    return float(means[0 if published else int(agreement.argmax())])
