"""More optimizers that are each wrong in one way, beyond the ten kinds of `planted_faults`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from optimizers.companions.perturbation import clip_to_simplex
from optimizers.config import OptimizerConfig
from optimizers.darts import Darts
from optimizers.steps import Batch, Purpose, StepIndex, StepResult, at_step
from spaces.base import Architecture, Pass, Weights
from spaces.mixture import Mixture
from tests.support.planted_faults import (
    FAULTS,
    SIMPLEX,
    OwnWeightStep,
    WithNoise,
    mixture_from,
    perturbation_of,
    planted,
)

__all__ = ["FAULTS"]


@planted("an unstable cell", "derive_is_stable", "derive gives another architecture each time")
class SamplesWhenItDerives(Darts):
    calls = 0

    def derive(self) -> Architecture:
        self.calls += 1
        cells = random.Random(self.calls)
        return self.supernet.space.sample(cells)


@planted("a step that draws", "a_step_draws_nothing", "a step draws random numbers.*bernoulli")
class DropsInTheStep(Darts):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        generator = self.randomness.generator("drop", self.epoch, int(index))
        kept = torch.empty(()).bernoulli_(0.5, generator=generator)
        mixture = super().weight_mixture(index, training)
        return mixture.map(lambda row: kept * row + (1 - kept) * row)


@planted("a step that draws", "a_step_draws_nothing", "asks self.randomness for a generator")
class SeedsAnotherLibraryInTheStep(Darts):
    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        seed = self.randomness.generator("coin", self.epoch, int(index)).initial_seed()
        if random.Random(seed).random() < 0.9:
            super().architecture_step(index, training, validation)


WAIT = "a_step_does_not_wait_for_the_device"


@planted("a step that waits", WAIT, r"needs a tensor's value on the CPU \(float, .*further_faults.py")
class LooksAtTheLoss(Darts):
    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        result = super().weight_step(index, training)
        self.last_loss = float(result.loss)
        return result


@planted("a step that waits", WAIT, r"needs a tensor's value on the CPU \(bool, ")
class BranchesOnATensor(Darts):
    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        gradients = super().architecture_gradient(index, training, validation)
        return [gradient if gradient.abs().max() < 10 else gradient.sign() for gradient in gradients]


@planted("a step that waits", WAIT, "does not say that it skips operations")
class SkipsWithoutSayingSo(OwnWeightStep):
    how: ClassVar[Pass] = Pass(training=True, skip_zeros=True)


RECORDED = "a_recorded_step_is_the_step"


@planted("a step that cannot be recorded", RECORDED, "leads elsewhere than the step itself.*steps.placed")
class MakesItsNoiseAnew(WithNoise):
    def begin_epoch(self, epoch: int) -> None:
        self.own_noise = []
        super().begin_epoch(epoch)


@planted("a step that cannot be recorded", RECORDED, "leads elsewhere than the step itself.*filled into a tensor")
class CoolsDownInPython(Darts):
    temperature = 1.0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.temperature = 1 / (1 + epoch)

    def relax(self) -> Mixture:
        return mixture_from(self, [(alpha / self.temperature).softmax(dim=-1) for alpha in self.alphas])


@planted("a step that cannot be recorded", RECORDED, "when the number of the step is a tensor.*at_step picks")
class PicksItsNoiseByANumber(WithNoise):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = zip(self.relax().detach().rows, self.own_noise, strict=True)
        return mixture_from(self, [clip_to_simplex(row + noise[index]) for row, noise in rows])


@planted("alpha step moves weights", "the_alpha_step_moves_only_alphas", "alpha step moves weights.*one step ahead")
class LooksAheadInPlace(Darts):
    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        parameters = list(self.weights.parameters.values())
        loss = self.loss(self.weights, self.relax().detach(), training)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= 0.01 * gradient
        return super().architecture_gradient(index, training, validation)


@planted(
    "alpha step moves weights", "the_alpha_step_moves_only_alphas", "weights are among the parameters of alpha_opt"
)
class HandsWeightsToAdam(Darts):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.alpha_optimizer = torch.optim.Adam([*self.alphas, *self.weights.parameters.values()], lr=3e-4)


@planted(
    "wrong declaration", "shift_invariance_is_as_declared", "adding a constant to a row of alphas changes the loss"
)
class SquaresInsteadOfExponentials(Darts):
    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        return [1 + 0.01 * torch.randn(shape, generator=generator) for shape in self.supernet.space.row_shapes]

    def relax(self) -> Mixture:
        return mixture_from(self, [alpha**2 / (alpha**2).sum(dim=-1, keepdim=True) for alpha in self.alphas])


@planted("wrong declaration", SIMPLEX, "have the shapes .*per_cell = False")
class SamplesPerCellWithoutSayingSo(Darts):
    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        cells = len(self.supernet.groups)
        return self.relax().map(lambda row: row.expand(cells, *row.shape))


@planted("wrong declaration", "a_perturbation_reaches_the_weight_step", "perturbation.kind=uniform changes nothing")
class IgnoresThePerturbation(Darts):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        return self.relax().detach()


@planted("wrong declaration", "its_settings_can_be_set", "config_class is .* expected a subclass")
class HasNoConfigOfItsOwn(Darts):
    config_class = dict  # type: ignore[assignment]


@dataclass(frozen=True)
class DataConfig:
    size: int = 3


@dataclass(frozen=True)
class ClashingConfig(OptimizerConfig):
    data: DataConfig = field(default_factory=DataConfig)


@planted("wrong declaration", "its_settings_can_be_set", "a section 'data', which the harness has already")
class NamesASectionLikeTheHarness(Darts):
    config_class = ClashingConfig


@planted("setting ignored", "warm_start_leaves_the_alphas_alone", "warm_start_epochs has no effect")
class IgnoresWarmStart(Darts):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        self.architecture_step(index, training, validation)
        return self.weight_step(index, training)


SEES = "only_the_weight_step_sees_the_perturbation"


@planted("perturbation in the wrong place", SEES, "the alpha step goes elsewhere with perturbation.kind=uniform")
class PerturbsTheAlphaStepToo(Darts):
    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        mixture = self.relax()
        perturbation = perturbation_of(self)
        if purpose != "architecture" or not (perturbation and perturbation.noise):
            return mixture
        rows = zip(mixture.rows, at_step(perturbation.noise, index), strict=True)
        return mixture_from(self, [(row + 0.01 * noise).softmax(dim=-1) for row, noise in rows])


@planted("does not search", "alphas_and_weights_are_searched", "does not move a single alpha")
class ReplacesItsAlphas(Darts):
    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        pass


@planted("does not run", "it_runs_in_every_space", r"relax raised RuntimeError: .*further_faults.py:\d+")
class HardcodesFourBlocks(Darts):
    def relax(self) -> Mixture:
        rows = [alpha.softmax(dim=-1) for alpha in self.alphas]
        rows[0] = rows[0].view(4, 3)
        return mixture_from(self, rows)


@planted("does not run", "it_runs_in_every_space", "step returned NoneType; expected the StepResult")
class ReturnsNothing(Darts):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:  # type: ignore[return]
        super().step(index, training, validation)


@planted("does not run", "it_runs_in_every_space", "derive gave dict; expected a spaces.base.Architecture")
class DerivesWhatALineRecords(Darts):
    def derive(self) -> Architecture:
        return super().derive().record()  # type: ignore[return-value]


@planted("measuring that moves", "measuring_changes_nothing", "architecture_loss is another one when it is asked for")
class DrawsAnewWheneverMeasured(Darts):
    plain_loss = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.own = self.randomness.generator("measuring")

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        loss = super().architecture_loss(batch, update_statistics=update_statistics)
        return loss * torch.rand((), generator=self.own)


DIRECTION = "the_alpha_step_descends_the_loss"
VALIDATION = "alphas_follow_the_validation_batch"


@planted("alphas that ascend", DIRECTION, "the alphas ascend: a step .* raises it")
class AscendsTheValidationLoss(Darts):
    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        return [-gradient for gradient in super().architecture_gradient(index, training, validation)]


@planted("alphas that ascend", DIRECTION, "the alphas ascend: a step .* raises it")
class MultipliesByThePositiveGradient(Darts):
    """Exponentiated gradient without its minus."""

    @property
    def shift_invariant(self) -> bool:
        return False

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        return [alpha.softmax(dim=-1) for alpha in super().initial_alphas(generator)]

    def relax(self) -> Mixture:
        return mixture_from(self, self.alphas)

    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        gradients = self.architecture_gradient(index, training, validation)
        with torch.no_grad():
            for alpha, gradient in zip(self.alphas, gradients, strict=True):
                moved = alpha * torch.exp(0.1 * gradient)
                alpha.copy_(moved / moved.sum(dim=-1, keepdim=True))


@planted("alphas that see the training batch", VALIDATION, "whatever the validation batch: they do not look at it")
class TrainsAlphasOnTheTrainingBatch(Darts):
    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        return super().architecture_gradient(index, training, training)


@planted("alphas that see the training batch", VALIDATION, "they follow the training batch, which the weights are")
class TrainsAlphasOnBothBatches(Darts):
    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        ours = super().architecture_gradient(index, training, training)
        theirs = super().architecture_gradient(index, training, validation)
        return [(one + other) / 2 for one, other in zip(ours, theirs, strict=True)]


@planted(
    "weights that see the validation batch", "weights_follow_the_training_batch", "whatever the training batch: they"
)
class SwapsTheBatchesOfTheWeightStep(Darts):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        self.architecture_step(index, training, validation)
        return self.weight_step(index, validation)


@planted(
    "weights that see the validation batch", "weights_follow_the_training_batch", "other validation images lead the w"
)
class TrainsWeightsOnBothBatches(Darts):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        self.architecture_step(index, training, validation)
        inputs = torch.cat([training.inputs, validation.inputs])
        return self.weight_step(index, Batch(inputs, torch.cat([training.targets, validation.targets])))


PLAIN = "the_plain_loss_is_the_loss"


@planted("a loss that is not plain", PLAIN, "plain_loss is True, but architecture_loss gives .* Look at loss")
class PenalisesItsMixtureAndCallsItPlain(Darts):
    plain_loss = True

    def loss(self, weights: Weights, mixture: Mixture, batch: Batch, **named: Any) -> Tensor:
        return super().loss(weights, mixture, batch, **named) + sum(row.square().sum() for row in mixture.rows)


@planted("a loss that is not plain", PLAIN, "plain_loss is True, but the Hessian of architecture_loss is off that of")
class BendsItsLossAndCallsItPlain(Darts):
    """Adds nothing to the loss, but to its second derivative."""

    plain_loss = True

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        loss = super().architecture_loss(batch, update_statistics=update_statistics)
        offsets = [alpha - alpha.detach() for alpha in self.alphas]
        return loss + sum((offset - offset.mean(dim=-1, keepdim=True)).square().sum() for offset in offsets)


@dataclass
class UnfrozenSettings:
    size: int = 3


@dataclass(frozen=True)
class UnfrozenSectionConfig(OptimizerConfig):
    loose: UnfrozenSettings = field(default_factory=UnfrozenSettings)


@planted("wrong declaration", "its_settings_can_be_set", "section loose of UnfrozenSectionConfig is of .*frozen=True")
class HasSettingsThatCanChange(Darts):
    config_class = UnfrozenSectionConfig
