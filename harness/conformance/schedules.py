"""Schedules: what an epoch runs at."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

from harness.conformance.subject import EPOCHS, Subject, batches, perturbation_of, replaced, without_alpha_step
from harness.conformance.suite import Violation, promise
from optimizers.base import Optimizer
from optimizers.companions.perturbation import Perturbation
from optimizers.config import PerturbationConfig, WeightConfig
from spaces.mixture import Mixture


@promise("it_runs_in_every_space")
def schedules_are_those_of_the_epoch(subject: Subject) -> None:
    """Epochs count from 0; each runs at its own learning rate and its own radius of perturbation."""
    variant = subject.perturbed("uniform") if subject.relaxes else subject
    optimizer = variant.optimizer(steps=1)
    rates: list[float] = []
    radii: list[float] = []
    for epoch in range(EPOCHS):
        optimizer.begin_epoch(epoch)
        if int(optimizer.epoch) != epoch or int(optimizer.epochs_begun) != epoch + 1:
            raise Violation(
                f"after begin_epoch({epoch}) the attribute epoch is {int(optimizer.epoch)} and epochs_begun "
                f"{int(optimizer.epochs_begun)}: off by one. Look at begin_epoch; epochs count from 0"
            )
        with _recorded(optimizer, rates, radii), without_alpha_step(optimizer):
            optimizer.step(0, *batches(epoch, 0, 1))
    weights, perturbation = optimizer.config.weights, perturbation_of(optimizer)
    if len(rates) == EPOCHS:
        own = type(optimizer).learning_rate is not Optimizer.learning_rate
        _check_schedule("learning rate", rates, lambda epoch: _cosine(weights, epoch), "learning_rate", own)
        if own:
            _check_schedule("learning rate", rates, optimizer.learning_rate, "learning_rate", own)
    if perturbation and len(radii) == EPOCHS:
        own, settings = type(perturbation).epsilon is not Perturbation.epsilon, perturbation.config
        _check_schedule("radius", radii, lambda epoch: _radius(settings, epoch), "Perturbation.epsilon", own)


@contextlib.contextmanager
def _recorded(optimizer: Optimizer, rates: list[float], radii: list[float]) -> Iterator[None]:
    """A block whose weight step tells the learning rate and the radius that it runs at."""
    with contextlib.ExitStack() as stack:
        if perturbation := perturbation_of(optimizer):
            apply = perturbation.apply
            parameters = inspect.signature(apply)

            def recorded(*arguments: Any, **named: Any) -> Mixture:
                radii.append(float(parameters.bind(*arguments, **named).arguments["epsilon"]))
                return apply(*arguments, **named)

            stack.enter_context(replaced(perturbation, "apply", recorded))
        handle = optimizer.weight_optimizer.register_step_pre_hook(
            lambda sgd, *_: rates.append(float(sgd.param_groups[0]["lr"]))
        )
        stack.callback(handle.remove)
        yield


def _check_schedule(what: str, used: list[float], due: Callable[[int], float], hook: str, own: bool) -> None:
    """Compare what the epochs ran at with what was due; another schedule is legal where the hook is overridden."""

    def fits(shift: int) -> bool:
        # At the ends a wrong schedule may be clamped.
        return all(math.isclose(used[e], due(e + shift), rel_tol=1e-5) for e in range(1, len(used) - 1))

    if (
        fits(0)
        and math.isclose(used[0], due(0), rel_tol=1e-5)
        and math.isclose(used[-1], due(EPOCHS - 1), rel_tol=1e-5)
    ):
        return
    for shift in (1, -1):
        if fits(shift):
            raise Violation(
                f"the {what} is off by one epoch: epoch 2 runs at {used[2]:.6g}, which is due in epoch {2 + shift}; "
                f"due is {due(2):.6g}. Look at begin_epoch and {hook}; epochs count from 0"
            )
    if not own:
        raise Violation(
            f"epoch 2 runs at a {what} of {used[2]:.6g}, the schedule of the settings says {due(2):.6g}. Look at "
            f"begin_epoch, which calls super().begin_epoch(epoch); a schedule of your own overrides {hook}(epoch)"
        )


def _cosine(config: WeightConfig, epoch: int) -> float:
    """The learning rate due in an epoch, written down a second time."""
    fraction = (epoch + (1 if config.skip_first_rate else 0)) / EPOCHS
    low, high = config.learning_rate_min, config.learning_rate
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * fraction))


def _radius(config: PerturbationConfig, epoch: int) -> float:
    """The radius due in an epoch, written down a second time."""
    last = EPOCHS - 1 if config.reach_end else EPOCHS
    return config.epsilon_start + (config.epsilon_end - config.epsilon_start) * epoch / last
