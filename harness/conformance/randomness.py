"""Where a method's random numbers come from, and that `step` neither draws nor waits."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from harness.conformance.subject import (
    STEPS,
    Subject,
    batch,
    batches,
    moved,
    named,
    state,
    train,
    validation,
    watched,
)
from harness.conformance.suite import Violation, promise
from harness.conformance.watching import Calls, Draws, GlobalGenerators, RecordingRandomness, global_generators_kept
from optimizers.base import Optimizer

MANY = 16
"""Entries from which on two draws are not the same by chance."""


@promise("it_runs_in_every_space")
def global_generators_are_left_alone(subject: Subject) -> None:
    """Nothing is drawn from the global generators of torch, NumPy or Python, nor are they seeded."""
    with global_generators_kept() as generators:
        optimizer = subject.optimizer()
        _check_untouched(generators, "making the optimizer")
        for epoch in range(2):
            optimizer.begin_epoch(epoch)
            _check_untouched(generators, "begin_epoch")
            for step in range(STEPS):
                optimizer.step(step, *batches(epoch, step))
            _check_untouched(generators, "step")
            optimizer.end_epoch(validation)
            _check_untouched(generators, "end_epoch")
        optimizer.evaluate(optimizer.evaluation_weights(batch(0), refresh=True), 0, batch(0).inputs)
        if optimizer.alphas:
            optimizer.architecture_loss(batch(0), update_statistics=False)
        optimizer.derive()
        _check_untouched(generators, "measuring (evaluation_weights, evaluate, architecture_loss, derive)")
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        _check_untouched(generators, "state_dict or load_state_dict")


def _check_untouched(generators: GlobalGenerators, phase: str) -> None:
    if touched := generators.touched():
        raise Violation(
            f"{phase} draws from, or seeds, the global generator of {' and of '.join(touched)}, which other seeds and "
            "other code share: a search then repeats neither alone nor resumed. Draw in begin_epoch, from "
            "self.randomness.generator(purpose, epoch)"
        )


@promise("global_generators_are_left_alone")
def seeds_are_independent(subject: Subject) -> None:
    """A seed gives the same search whatever runs beside it or ran before, and another seed another one."""
    alone = subject.optimizer(seed=1)
    train(alone, range(2))
    first, second = subject.optimizer(seed=0), subject.optimizer(seed=1)
    weights = (next(iter(optimizer.weights.parameters.values())) for optimizer in (first, second))
    if torch.equal(*weights):
        raise Violation(
            "seeds 0 and 1 start from the same weights. Look at __init__: pass on the randomness that it is given"
        )
    draws = [_train_side_by_side(first, second, epoch) for epoch in range(2)]
    if different := moved(state(alone), state(second)):
        raise Violation(
            f"seed 1 ends elsewhere ({named(different)}) when it runs a second time, beside seed 0: they share "
            "something that changes, such as a generator made once for the class or the module. Draw in begin_epoch, "
            "from self.randomness.generator(purpose, epoch), and keep what changes in the instance"
        )
    if place := _same_draw(*zip(*draws, strict=True)):
        raise Violation(
            f"seeds 0 and 1 draw the same numbers ({place}): the generator does not depend on the seed. Take "
            "self.randomness.generator(purpose, epoch)"
        )


def _train_side_by_side(first: Optimizer, second: Optimizer, epoch: int) -> tuple[Draws, Draws]:
    """One epoch of two searches, step by step in turn; what each drew when it began."""
    recorded = []
    for optimizer in (first, second):
        with Draws() as draws:
            optimizer.begin_epoch(epoch)
        recorded.append(draws)
    for step in range(STEPS):
        for optimizer in (first, second):
            optimizer.step(step, *batches(epoch, step))
    for optimizer in (first, second):
        optimizer.end_epoch(validation)
    return recorded[0], recorded[1]


def _same_draw(left: Sequence[Draws], right: Sequence[Draws]) -> str | None:
    """Where the same numbers were drawn in two recordings, if anywhere."""
    for earlier, later in zip(left, right, strict=True):
        for drawn, again, place in zip(earlier.values, later.values, earlier.places, strict=False):
            if drawn.numel() >= MANY and torch.equal(drawn, again):
                return place
    return None


@promise("seeds_are_independent")
def epochs_draw_anew(subject: Subject) -> None:
    """What is drawn for an epoch is not what was drawn for another."""
    optimizer = subject.optimizer()
    recorded = []
    for epoch in range(2):
        with Draws() as draws:
            optimizer.begin_epoch(epoch)
        recorded.append([draws])
    if place := _same_draw(*recorded):
        raise Violation(
            f"epochs 0 and 1 draw the same numbers ({place}): the generator does not depend on the epoch. Take "
            "self.randomness.generator(purpose, epoch)"
        )


@promise("global_generators_are_left_alone")
def a_step_draws_nothing(subject: Subject) -> None:
    """All that a step needs was drawn by `begin_epoch`, so that a step can be recorded once and replayed."""
    for variant in subject.variants("uniform", "adversarial"):
        randomness = RecordingRandomness(0)
        optimizer = variant.optimizer(randomness=randomness)
        optimizer.begin_epoch(0)
        randomness.asked.clear()
        with global_generators_kept() as generators, Draws() as draws:
            optimizer.step(0, *batches(0, 0))
            touched = generators.touched()
        if draws.places:
            raise Violation(f"a step draws random numbers ({draws.places[0]}). {_DRAW_BEFORE}")
        if randomness.asked:
            raise Violation(f"a step asks self.randomness for a generator ({randomness.asked[0]}). {_DRAW_BEFORE}")
        if touched:
            raise Violation(f"a step draws from the global generator of {touched[0]}. {_DRAW_BEFORE}")


_DRAW_BEFORE = "Draw for all steps of an epoch in begin_epoch, and take the step's own by its index"


@promise("it_runs_in_every_space")
def a_step_does_not_wait_for_the_device(subject: Subject) -> None:
    """No value of a tensor is needed on the CPU; only skipping operations, where the class says so, is allowed to."""
    for variant in subject.variants("uniform", "adversarial"):
        optimizer = variant.optimizer()
        optimizer.begin_epoch(0)
        optimizer.step(0, *batches(0, 0))
        with Calls(watched(optimizer)) as calls:
            optimizer.step(1, *batches(0, 1))
        if calls.waits:
            raise Violation(
                f"a step needs a tensor's value on the CPU ({calls.waits[0]}): on a GPU it waits there for all work "
                "that was queued, and cannot be captured in a CUDA graph. Keep to tensors, torch.where instead of if"
            )
        if calls.skipping and not optimizer.skips_operations:
            raise Violation(
                "a step asks which coefficients are zero, though the class does not say that it skips operations. "
                "Look at the property skips_operations, and at Pass.skip_zeros where the network is called"
            )
