"""What is recorded after an epoch: the derived architecture, the Hessian, the validation accuracy."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from harness.conformance.subject import (
    EPOCHS,
    State,
    Subject,
    batch,
    batches,
    leaves,
    moved,
    named,
    state,
    stopped_weights,
    train,
    without_alpha_step,
)
from harness.conformance.suite import NotJudged, Violation, promise
from harness.probes.hessian import exact_hessian, loss_hessian
from optimizers.base import Optimizer
from optimizers.steps import Batch
from spaces.base import Pass


@promise("it_runs_in_every_space")
def derive_is_stable(subject: Subject) -> None:
    """Asked several times, `derive` gives the same architecture."""
    optimizer = subject.optimizer()
    train(optimizer, range(1))
    architectures = [optimizer.derive() for _ in range(5)]
    if any(architecture != architectures[0] for architecture in architectures):
        raise Violation(
            "derive gives another architecture each time it is asked: it draws, or changes what it looks at. Look at "
            "derive; what is drawn belongs to begin_epoch or end_epoch"
        )


@promise("derive_is_stable", "a_perturbation_is_undone")
def derive_does_not_see_the_perturbation(subject: Subject) -> None:
    """The architecture stays the same as long as nothing moves but the perturbation and its noise."""
    for variant in subject.variants("uniform", "adversarial"):
        large = {"perturbation.epsilon_start": 0.9, "perturbation.epsilon_end": 0.9} if variant.relaxes else {}
        optimizer = variant.with_settings(large).optimizer()
        architecture, space = optimizer.derive(), optimizer.supernet.space
        for epoch in range(EPOCHS):
            optimizer.begin_epoch(epoch)
            if optimizer.supernet.space is not space:
                # A stage with a space of its own has begun, and with it other alphas.
                architecture, space = optimizer.derive(), optimizer.supernet.space
            if optimizer.derive() != architecture:
                raise Violation(
                    f"begin_epoch, which draws the noise of an epoch, changes the architecture: the method {_CLEAN}"
                )
            with without_alpha_step(optimizer), stopped_weights(optimizer):
                optimizer.step(0, *batches(epoch, 0))
            if optimizer.derive() != architecture:
                raise Violation(f"the weight step changes the architecture, though no alpha moves: the method {_CLEAN}")


_CLEAN = "derives from the perturbed mixture. Look at derive and relax: the architecture is that of the clean alphas"


@promise("it_runs_in_every_space")
def measuring_leaves_batch_norm_statistics_alone(subject: Subject) -> None:
    """Neither the Hessian's forward pass nor the refreshed statistics of validation touch the running ones."""
    optimizer = subject.optimizer()
    train(optimizer, range(1))
    before, last = state(optimizer), batch(60_000)
    if optimizer.alphas:
        optimizer.architecture_loss(last, update_statistics=False)
        if changed := moved(before, state(optimizer), "statistics"):
            raise Violation(
                f"architecture_loss(update_statistics=False) moves batch norm's running statistics ({named(changed)}), "
                "so that recording the Hessian changes the search. Look at architecture_loss and loss: pass "
                "update_statistics on to the network"
            )
    for refresh in (True, False):
        optimizer.evaluate(optimizer.evaluation_weights(last, refresh=refresh), 0, batch(60_001).inputs)
        if changed := moved(before, state(optimizer), "statistics"):
            raise Violation(
                f"validation moves batch norm's running statistics ({named(changed)}). Look at evaluation_weights and "
                "evaluate: refreshed statistics belong to a copy of weights.buffers"
            )


@promise("seeds_are_independent", "measuring_leaves_batch_norm_statistics_alone")
def measuring_changes_nothing(subject: Subject) -> None:
    """Architecture, Hessian and validation accuracy can be had as often as one likes; the search goes on as if not."""
    measured, unmeasured = subject.optimizer(), subject.optimizer()
    earlier: Tensor | None = None
    for epoch in range(2):
        train(measured, [epoch])
        train(unmeasured, [epoch])
        before = state(measured)
        first = _measure(measured)
        _check_unmoved(before, state(measured))
        for what, value in _measure(measured).items():
            if not torch.equal(value, first[what]):
                raise Violation(
                    f"{what} is another one when it is asked for a second time. Look at mixture, whose draws for "
                    "'hessian' and 'evaluation' are keyed by purpose, epochs_begun and index"
                )
        if earlier is not None and earlier.numel() and torch.equal(earlier, first["the weights of evaluation_weights"]):
            raise Violation(
                "evaluation_weights gives the same weights as before an epoch of training: they, and batch norm's "
                "statistics, are stale. Look at evaluation_weights"
            )
        earlier = first["the weights of evaluation_weights"]
    if different := moved(state(unmeasured), state(measured)):
        raise Violation(
            f"a search that was measured ends elsewhere than one that was not ({named(different)}). Look at mixture, "
            "architecture_loss, evaluation_weights, evaluate and derive: they must not advance a generator or a counter"
        )


def _measure(optimizer: Optimizer) -> dict[str, Tensor]:
    """All that `harness.search.loop` measures after an epoch, by name."""
    measured: dict[str, Tensor] = {}
    last = batch(60_000)
    if optimizer.alphas:
        measured["architecture_loss"] = optimizer.architecture_loss(last, update_statistics=False).detach()
    for refresh in (True, False):
        weights = optimizer.evaluation_weights(last, refresh=refresh)
        with torch.no_grad():
            measured[f"evaluate, refresh={refresh}"] = optimizer.evaluate(weights, 1, batch(60_001).inputs)
    measured["the weights of evaluation_weights"] = _own_memory(weights, optimizer)
    optimizer.derive()
    copy.deepcopy(optimizer.state_dict())
    return measured


def _own_memory(weights: object, optimizer: Optimizer) -> Tensor:
    """The numbers in a method's weights for evaluation, those that are the search's own memory left out."""
    live = {t.data_ptr() for part in (optimizer.weights.parameters, optimizer.weights.buffers) for t in part.values()}
    tensors = [value for _, value in leaves(weights, "weights", depth=5) if isinstance(value, Tensor)]
    own = [tensor.detach().flatten().double() for tensor in tensors if tensor.data_ptr() not in live]
    return torch.cat([torch.zeros(0, dtype=torch.float64), *own])


def _check_unmoved(before: State, after: State) -> None:
    if changed := moved(before, after, "alphas", "weights"):
        raise Violation(
            f"measuring moves {named(changed)}. Look at architecture_loss, evaluation_weights, evaluate and derive: "
            "work on self.weights.frozen() and on copies"
        )


@promise("mixtures_lie_on_the_simplex")
def shift_invariance_is_as_declared(subject: Subject) -> None:
    """Where `shift_invariant` holds, the derivatives of each row add up to zero: the Hessian is computed in part."""
    optimizer = subject.with_settings({"alphas.learning_rate": 0.2}).optimizer()
    if not optimizer.alphas:
        raise NotJudged("it has no alphas")
    for epoch in range(2):
        train(optimizer, [epoch])
        loss = optimizer.architecture_loss(batch(60_000), update_statistics=False)
        gradients = torch.autograd.grad(loss, optimizer.alphas, create_graph=True)
        sums = torch.cat([gradient.sum(dim=-1).flatten() for gradient in gradients])
        if not sums.requires_grad:
            raise Violation(
                "the loss whose Hessian is recorded cannot be differentiated twice in the alphas. Look at "
                "architecture_loss and mixture: nothing between alphas and loss may be detached"
            )
        seconds = torch.autograd.grad(
            gradients[0].flatten()[0], optimizer.alphas, allow_unused=True, materialize_grads=True
        )
        second = torch.cat([part.sum(dim=-1).flatten() for part in seconds])
        for values, parts in ((sums, gradients), (second, seconds)):
            size = max(float(part.detach().abs().max()) for part in parts)
            if optimizer.shift_invariant and float(values.detach().abs().max()) > 1e-3 * size + 1e-7:
                raise Violation(
                    "shift_invariant is True, but adding a constant to a row of alphas changes the loss: the recorded "
                    "Hessian is then wrong. Look at the property shift_invariant; it is True for a softmax of the row"
                )
    if not optimizer.shift_invariant:
        raise NotJudged("it declares none")


@promise("shift_invariance_is_as_declared", "measuring_changes_nothing")
def the_plain_loss_is_the_loss(subject: Subject) -> None:
    """Where `plain_loss` holds, the recorded Hessian, which may come from the network, is that of the method's loss."""
    optimizer = subject.with_settings({"alphas.learning_rate": 0.2}).optimizer()
    if not (optimizer.alphas and optimizer.plain_loss):
        raise NotJudged("it says that its loss is its own" if optimizer.alphas else "it has no alphas")
    train(optimizer, range(1))
    last = batch(60_000)
    plain = _plain_loss(optimizer, last)
    own = optimizer.architecture_loss(last, update_statistics=False)
    if abs(float(own.detach() - plain.detach())) > 1e-4 * max(1.0, abs(float(plain.detach()))):
        raise Violation(
            f"plain_loss is True, but architecture_loss gives {float(own.detach()):.6g} where the task's loss of one "
            f"pass is {float(plain.detach()):.6g}. {_PLAIN}"
        )
    offered = optimizer.task.loss_name in optimizer.supernet.abilities.curvature_of
    recorded = loss_hessian(optimizer, last) if offered else _rows(plain, optimizer)
    difference = float((recorded - _rows(own, optimizer)).abs().max())
    size = float(recorded.abs().max())
    if not difference <= 1e-3 * size + 1e-6:
        raise Violation(
            f"plain_loss is True, but the Hessian of architecture_loss is off that of the task's loss of one pass by "
            f"{difference:.2g}, where the largest entry is {size:.2g}; the latter is recorded. {_PLAIN}"
        )


_PLAIN = (
    "Look at loss, architecture_loss and mixture: they add something to the task's loss, or multiply another mixture; "
    "say plain_loss = False in the body of the class"
)


def _plain_loss(optimizer: Optimizer, last: Batch) -> Tensor:
    how = Pass(True, False, optimizer.skips_operations, twice_differentiable=True, noise=last.noise)
    outputs = optimizer.supernet(optimizer.weights.frozen(), optimizer.mixture("hessian"), last.inputs, how)
    return optimizer.task.loss(outputs, last.targets)


def _rows(loss: Tensor, optimizer: Optimizer) -> Tensor:
    return exact_hessian(loss, optimizer.alphas, shift_invariant=optimizer.shift_invariant)
