"""Optimizers that are each wrong in one way, as someone would write them; `FAULTS` says which check is to find them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from optimizers.base import Optimizer
from optimizers.companions.perturbation import Perturbation, clip_to_simplex
from optimizers.darts import Darts
from optimizers.steps import Batch, Purpose, StepIndex, StepResult, at_step, placed
from optimizers.weight_training import set_rate
from spaces.base import Architecture, Pass
from spaces.mixture import Mixture


@dataclass(frozen=True)
class Fault:
    """A wrong optimizer.

    Attributes:
        optimizer: the class.
        check: name of the check that finds it.
        words: what the check says, as a regular expression.
    """

    optimizer: type[Optimizer]
    check: str
    words: str


FAULTS: dict[str, list[Fault]] = {}


def planted(kind: str, check: str, words: str) -> Callable[[type[Optimizer]], type[Optimizer]]:
    """Class decorator: a fault of some kind, the check that finds it, and what it says."""

    def decorate(optimizer: type[Optimizer]) -> type[Optimizer]:
        FAULTS.setdefault(kind, []).append(Fault(optimizer, check, words))
        return optimizer

    return decorate


def mixture_from(optimizer: Optimizer, rows: Iterable[Tensor]) -> Mixture:
    """Rows in the order of the space's layout."""
    return Mixture(optimizer.supernet.space.layout, tuple(rows))


def set_rates(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of the weights."""
    for group in optimizer.weight_optimizer.param_groups:
        set_rate(group, learning_rate)


def perturbation_of(optimizer: Optimizer) -> Perturbation | None:
    """The perturbation that has joined a search."""
    return next((each for each in optimizer.companions if isinstance(each, Perturbation)), None)


class Noisy(Darts):
    """What several faults have in common: noise for every alpha, drawn before each epoch as it should be."""

    own_noise: list[Tensor]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.own_noise = []

    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.randn(shape, generator=self.randomness.generator(f"own noise {shape}", epoch))

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        shapes = self.supernet.space.row_shapes
        draws = [0.1 * self.draw((self.steps, *shape), epoch) for shape in shapes]
        self.own_noise = placed(self.own_noise, draws, self.device)


RESTORE = "a_perturbation_is_undone"


@planted("forgotten restore", RESTORE, "weight step leaves the alphas changed.*not put back")
class PerturbsAlphasAndForgets(Noisy):
    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        with torch.no_grad():
            for alpha, noise in zip(self.alphas, at_step(self.own_noise, index), strict=True):
                alpha += noise
        return super().weight_step(index, training)


@planted("forgotten restore", RESTORE, "leaves the alphas changed.*adding and subtracting rounds")
class PutsAlphasBackButForRounding(Noisy):
    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        with torch.no_grad():
            for alpha, noise in zip(self.alphas, at_step(self.own_noise, index), strict=True):
                alpha += noise
        result = super().weight_step(index, training)
        with torch.no_grad():
            for alpha, noise in zip(self.alphas, at_step(self.own_noise, index), strict=True):
                alpha -= noise
        return result


@planted("forgotten restore", RESTORE, "leaves the weights changed")
class ClimbsInWeightSpaceAndForgets(Darts):
    """Sharpness-aware weights that stay where the ascent took them."""

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        parameters = list(self.weights.parameters.values())
        loss = self.loss(self.weights, self.relax().detach(), training, update_statistics=False)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter += 0.01 * gradient
        return super().weight_step(index, training)


@planted("forgotten restore", RESTORE, "leaves another mixture behind")
class WritesNoiseIntoTheMixtureItKeeps(Noisy):
    kept: Mixture | None = None

    def _clean(self) -> list[Tensor]:
        return list(self.relax().detach().rows)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.kept = mixture_from(self, placed(list(self.kept.rows) if self.kept else [], self._clean(), self.device))

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        return self.kept if self.kept and purpose == "weights" else super().mixture(purpose, index)

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        assert self.kept
        for row, noise in zip(self.kept.rows, at_step(self.own_noise, index), strict=True):
            row.copy_(clip_to_simplex(row + noise))
        return self.kept


@planted("forgotten restore", RESTORE, "leaves the alphas changed")
class PerturbsAlphasInStep(Noisy):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        self.architecture_step(index, training, validation)
        with torch.no_grad():
            for alpha, noise in zip(self.alphas, at_step(self.own_noise, index), strict=True):
                alpha.copy_(alpha + noise)
        return self.weight_step(index, training)


LEAK = "no_gradient_is_left_behind"


@planted("gradient leak", LEAK, "alpha step leaves gradients on the weights")
class BackpropagatesTheValidationLossIntoWeights(Darts):
    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        self.loss(self.weights, self.relax(), validation).backward()  # type: ignore[no-untyped-call]
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()


@planted("gradient leak", LEAK, "weight step leaves gradients on the alphas")
class BackpropagatesTheTrainingLossIntoAlphas(Darts):
    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        logits = self.supernet(self.weights, self.relax(), training.inputs, Pass(training=True))
        loss = F.cross_entropy(logits, training.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), (logits.argmax(dim=1) == training.targets).sum())

    relaxes = False


@planted("gradient leak", LEAK, "alpha step leaves gradients on the alphas")
class NeverZeroesTheAlphas(Darts):
    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        for alpha, gradient in zip(self.alphas, self.architecture_gradient(index, training, validation), strict=True):
            alpha.grad = gradient
        self.alpha_optimizer.step()


ASCENT = "the_attack_raises_the_training_loss"


@planted("wrong sign of ascent", ASCENT, "lowers the training loss.*descends instead of ascending")
class OwnAttackDescends(Darts):
    """One step by the sign of the gradient, in the wrong direction, without a word about `perturbation.kind`."""

    relaxes = False

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = [row.detach().requires_grad_() for row in self.relax().rows]
        gradients = torch.autograd.grad(self.attack_loss(training)(mixture_from(self, rows)), rows)
        moved = [row - 0.1 * gradient.sign() for row, gradient in zip(rows, gradients, strict=True)]
        return mixture_from(self, [clip_to_simplex(row.detach()) for row in moved])


@planted("wrong sign of ascent", ASCENT, "lowers the training loss")
class OwnAttackDescendsInTrainingMode(Darts):
    relaxes = False

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = [row.detach().requires_grad_() for row in self.relax().rows]
        loss = self.loss(self.weights.frozen(), mixture_from(self, rows), training, update_statistics=False)
        gradients = torch.autograd.grad(loss, rows)
        moved = [row - 0.1 * gradient.sign() for row, gradient in zip(rows, gradients, strict=True)]
        return mixture_from(self, [clip_to_simplex(row.detach()) for row in moved])


class DescendingPerturbation(Perturbation):
    def _steepest(self, mixture: Mixture, gradients: Sequence[Tensor]) -> list[Tensor]:
        return [-move for move in super()._steepest(mixture, gradients)]


@planted("wrong sign of ascent", ASCENT, "leaves the mixture where it was: it descends")
class DescendsAndIsPutBack(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.companions = [
            DescendingPerturbation(each.config, self.epochs) if isinstance(each, Perturbation) else each
            for each in self.companions
        ]


@planted("wrong sign of ascent", ASCENT, "lowers the training loss")
class AttacksTheNegativeLoss(Darts):
    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        loss = super().attack_loss(training)
        return lambda mixture: -loss(mixture)


GLOBAL = "global_generators_are_left_alone"
SEEDS = "seeds_are_independent"


class WithNoise(Noisy):
    """Adds the noise to the mixture of the weight step; where it comes from is the subclass's business."""

    relaxes = False

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = zip(super().weight_mixture(index, training).rows, at_step(self.own_noise, index), strict=True)
        return mixture_from(self, [clip_to_simplex(row + noise) for row, noise in rows])


@planted("shared RNG", GLOBAL, "begin_epoch draws from, or seeds, the global generator of torch")
class DrawsFromTorch(WithNoise):
    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.randn(shape)


@planted("shared RNG", GLOBAL, "begin_epoch draws from, or seeds, the global generator of numpy")
class DrawsFromNumpy(WithNoise):
    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.tensor(np.random.normal(size=shape), dtype=torch.float32)


@planted("shared RNG", GLOBAL, "step draws from, or seeds, the global generator of random")
class DropsAStepAtRandom(Darts):
    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        if random.random() < 0.5:
            super().architecture_step(index, training, validation)


@planted("shared RNG", GLOBAL, "making the optimizer draws from, or seeds, the global generator of torch")
class SeedsTorch(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        torch.manual_seed(self.randomness.seed)


@planted("shared RNG", SEEDS, "when it runs a second time, beside seed 0: they share something")
class SharesAGeneratorBetweenInstances(WithNoise):
    generator = torch.Generator().manual_seed(0)

    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)


@planted("shared RNG", SEEDS, "seeds 0 and 1 draw the same numbers")
class DrawsTheSameForEverySeed(WithNoise):
    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(epoch))


@planted("shared RNG", "epochs_draw_anew", "epochs 0 and 1 draw the same numbers")
class DrawsTheSameInEveryEpoch(WithNoise):
    def draw(self, shape: tuple[int, ...], epoch: int) -> Tensor:
        return torch.randn(shape, generator=self.randomness.generator("own noise"))


REGISTERED = "the_weight_step_moves_only_weights"


class TrainsAlphasToo(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        everything = [*self.weights.parameters.values(), *self.alphas]
        self.weight_optimizer = torch.optim.SGD(everything, lr=0.025, momentum=0.9, weight_decay=3e-4)


@planted("alphas registered as weights", REGISTERED, "4 of the alphas are registered as weights: weight_optimizer")
class HandsAlphasToSgd(TrainsAlphasToo):
    pass


@planted("alphas registered as weights", REGISTERED, "4 of the alphas are registered as weights")
class HandsAlphasToSgdAndMovesThem(TrainsAlphasToo):
    relaxes = False

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        logits = self.supernet(self.weights, self.relax(), training.inputs, Pass(training=True))
        loss = F.cross_entropy(logits, training.targets)
        self.weight_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), (logits.argmax(dim=1) == training.targets).sum())


@planted("alphas registered as weights", REGISTERED, "the weight step moves alphas")
class DescendsTheTrainingLossWithAlphas(Darts):
    """Single-level: alphas follow the training loss in the weight step, by an update of their own."""

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        rate = self.weight_optimizer.param_groups[0]["lr"]
        loss = self.loss(self.weights.frozen(), self.relax(), training, update_statistics=False)
        with torch.no_grad():
            for alpha, gradient in zip(self.alphas, torch.autograd.grad(loss, self.alphas), strict=True):
                alpha -= rate * gradient
        return super().weight_step(index, training)


SIMPLEX = "mixtures_lie_on_the_simplex"


@planted("missing softmax", SIMPLEX, "relax, before any training: row tensor 0 is off the simplex.*softmax is missing")
class RelaxesToTheAlphasThemselves(Darts):
    def relax(self) -> Mixture:
        return mixture_from(self, self.alphas)


@planted("missing softmax", SIMPLEX, "after two epochs: row tensor . is off the simplex.*softmax is missing")
class StartsUniformAndLeavesTheSimplex(Darts):
    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        return [torch.full(shape, 1 / shape[-1]) for shape in self.supernet.space.row_shapes]

    def relax(self) -> Mixture:
        return mixture_from(self, self.alphas)

    @property
    def shift_invariant(self) -> bool:
        return False


@planted("missing softmax", SIMPLEX, "relax, before any training: row tensor 0 is off the simplex")
class NormalisesTheWrongDimension(Darts):
    def relax(self) -> Mixture:
        return mixture_from(self, [alpha.softmax(dim=0) for alpha in self.alphas])


@planted("missing softmax", SIMPLEX, r"mixture\('weights'\), before any training: row tensor 0 is off the simplex")
class ForgetsTheSoftmaxOfTheWeightStep(Darts):
    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        return mixture_from(self, self.alphas) if purpose == "weights" else self.relax()


STALE = "batch_norm_statistics_follow_the_weight_step"
MEASURED = "measuring_leaves_batch_norm_statistics_alone"


class OwnWeightStep(Darts):
    """A weight step written out, with a way of its own to make the pass."""

    how: ClassVar[Pass]

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        logits = self.supernet(self.weights, self.weight_mixture(index, training), training.inputs, self.how)
        loss = F.cross_entropy(logits, training.targets)
        parameters = list(self.weights.parameters.values())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), (logits.argmax(dim=1) == training.targets).sum())


@planted("stale BatchNorm", STALE, "the weight step leaves them stale")
class TrainsWithoutUpdatingStatistics(OwnWeightStep):
    how: ClassVar[Pass] = Pass(training=True, update_statistics=False)


@planted("stale BatchNorm", STALE, "the weight step leaves them stale")
class TrainsInEvaluationMode(OwnWeightStep):
    how: ClassVar[Pass] = Pass(training=False)


@planted("stale BatchNorm", STALE, "weight_mixture moves batch norm's running statistics")
class AttacksInTrainingMode(Darts):
    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        return lambda mixture: self.loss(self.weights.frozen(), mixture, training)


@planted("stale BatchNorm", MEASURED, r"architecture_loss\(update_statistics=False\) moves")
class RecordsTheHessianWithMovingStatistics(Darts):
    plain_loss = True

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        return self.loss(self.weights.frozen(), self.mixture("hessian"), batch)


@planted("stale BatchNorm", MEASURED, "validation moves batch norm's running statistics")
class RefreshesStatisticsInPlace(Darts):
    projects = True

    def evaluation_weights(self, batch: Batch, refresh: bool) -> Any:
        if refresh:
            with torch.no_grad():
                self.loss(self.weights, self.mixture("hessian"), batch)
        return self.supernet.fold(self.weights)


@planted("stale BatchNorm", "measuring_changes_nothing", "same weights as before an epoch of training.*stale")
class ValidatesAtTheFirstEpochsWeights(Darts):
    projects = True
    folded: dict[bool, Any]

    def evaluation_weights(self, batch: Batch, refresh: bool) -> Any:
        self.folded = getattr(self, "folded", {})
        if refresh not in self.folded:
            self.folded[refresh] = super().evaluation_weights(batch, refresh)
        return self.folded[refresh]


SCHEDULE = "schedules_are_those_of_the_epoch"


@planted("off-by-one schedule", SCHEDULE, r"after begin_epoch\(0\) the attribute epoch is 1.*off by one")
class CountsEpochsFromOne(Darts):
    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch + 1)


@planted("off-by-one schedule", SCHEDULE, "learning rate is off by one epoch: epoch 2 runs at .* due in epoch 3")
class AddsOneToTheCosine(Darts):
    def learning_rate(self, epoch: int) -> float:
        return super().learning_rate(epoch + 1)


@planted("off-by-one schedule", SCHEDULE, "learning rate is off by one epoch: epoch 2 runs at .* due in epoch 1")
class SetsTheRateAfterTheEpoch(Darts):
    def begin_epoch(self, epoch: int) -> None:
        rate = self.learning_rate(max(epoch - 1, 0))
        super().begin_epoch(epoch)
        set_rates(self, rate)


@planted("off-by-one schedule", SCHEDULE, "learning rate is off by one epoch: epoch 2 runs at .* due in epoch 3")
class SetsTheNextRateInStep(Darts):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        set_rates(self, self.learning_rate(self.epoch + 1))
        return super().step(index, training, validation)


@planted("off-by-one schedule", SCHEDULE, "learning rate is off by one epoch: epoch 2 runs at .* due in epoch 3")
class SetsALinearRateOneEarly(Darts):
    def learning_rate(self, epoch: int) -> float:
        return 0.025 * (1 - epoch / self.epochs)

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        set_rates(self, self.learning_rate(epoch + 1))


@planted("off-by-one schedule", SCHEDULE, "radius is off by one epoch: epoch 2 runs at .* due in epoch 3")
class PerturbsByTheNextRadius(Darts):
    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        if perturbation := perturbation_of(self):
            perturbation.radius.fill_(perturbation.epsilon(epoch + 1))


@planted("off-by-one schedule", SCHEDULE, "epoch 2 runs at a learning rate of 0.025, the schedule of the settings says")
class NeverSetsTheRate(Darts):
    def begin_epoch(self, epoch: int) -> None:
        self.epoch, self.epochs_begun = epoch, epoch + 1
        for companion in self.companions:
            companion.begin(self, epoch)


RESUME = "a_resumed_search_equals_an_uninterrupted_one"


@planted("state missing from the checkpoint", RESUME, r"missing from the checkpoint.*self\.average")
class DerivesFromAnAverageItForgets(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.average = [alpha.detach().clone() for alpha in self.alphas]

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        result = super().step(index, training, validation)
        with torch.no_grad():
            for average, alpha in zip(self.average, self.alphas, strict=True):
                average.lerp_(alpha, 0.1)
        return result

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        if purpose != "architecture":
            return self.relax()
        pulled = [alpha + 0.1 * (average - alpha) for alpha, average in zip(self.alphas, self.average, strict=True)]
        return mixture_from(self, [alpha.softmax(dim=-1) for alpha in pulled])


@planted("state missing from the checkpoint", RESUME, r"missing from the checkpoint.*self\.count")
class StopsAlphasAfterSixEpochsByACounter(Darts):
    count = 0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.count += 1

    @property
    def moves_alphas(self) -> bool:
        return self.count <= 6 and super().moves_alphas


@planted("state missing from the checkpoint", RESUME, "missing from the checkpoint")
class ForgetsAdamsMoments(Darts):
    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        del state["alpha_optimizer"]
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({**state, "alpha_optimizer": self.alpha_optimizer.state_dict()})


@planted("state missing from the checkpoint", RESUME, "cannot be read back")
class SavesAnObject(Darts):
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "cell": self.derive()}


@planted(
    "state missing from the checkpoint",
    RESUME,
    "differs .* in the derived architecture",
)
class ForgetsWhichCellWasBest(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.best: tuple[float, Architecture] = (-math.inf, super().derive())

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        score = -abs(self.epoch - 1.2)
        self.best = max(self.best, (score, super().derive()), key=lambda one: one[0])

    def derive(self) -> Architecture:
        return self.best[1]


PERTURBED = "derive_does_not_see_the_perturbation"


@planted("derive from the perturbed point", PERTURBED, "the weight step changes the architecture.*perturbed mixture")
class DerivesFromWhatTheWeightStepSaw(Darts):
    seen: Mixture | None = None

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        self.seen = super().weight_mixture(index, training)
        return self.seen

    def derive(self) -> Architecture:
        rows = (self.seen or self.relax().detach()).rows
        return self.supernet.space.derive([row.detach().numpy() for row in rows])


@planted("derive from the perturbed point", PERTURBED, "begin_epoch.*changes the architecture.*perturbed mixture")
class DerivesWithTheEpochsNoise(Darts):
    def derive(self) -> Architecture:
        mixture = self.relax().detach()
        if (perturbation := perturbation_of(self)) and perturbation.noise:
            mixture = mixture_from(
                self,
                [
                    clip_to_simplex(row + perturbation.radius * noise[0])
                    for row, noise in zip(mixture.rows, perturbation.noise, strict=True)
                ],
            )
        return self.supernet.space.derive([row.numpy() for row in mixture.rows])


@planted("derive from the perturbed point", PERTURBED, "the weight step changes the architecture.*perturbed mixture")
class DerivesFromItsOwnNoisyPoint(WithNoise):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        self.seen = super().weight_mixture(index, training)
        return self.seen

    def derive(self) -> Architecture:
        mixture = getattr(self, "seen", self.relax().detach())
        return self.supernet.space.derive([row.numpy() for row in mixture.rows])
