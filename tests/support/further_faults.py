"""More optimizers that are each wrong in one way, beyond the ten kinds of `planted_faults`."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from optimizers.base import Batch, Optimizer, Purpose, StepIndex, StepResult, at_step
from optimizers.companions.perturbation import clip_to_simplex
from optimizers.config import OptimizerConfig
from spaces.nb101.cell import Cell
from spaces.nb101.coefficients import Mixture
from tests.support.planted_faults import FAULTS, SIMPLEX, OwnWeightStep, WithNoise, planted

__all__ = ["FAULTS"]


@planted("an unstable cell", "derive_is_stable", "derive gives another cell each time")
class SamplesWhenItDerives(Optimizer):
    calls = 0

    def derive(self) -> Cell:
        self.calls += 1
        cells = random.Random(self.calls)
        return self.supernet.space.sample(cells)


@planted("a step that draws", "a_step_draws_nothing", "a step draws random numbers.*bernoulli")
class DropsInTheStep(Optimizer):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        generator = self.randomness.generator("drop", self.epoch, int(index))
        kept = torch.empty(()).bernoulli_(0.5, generator=generator)
        mixture = super().weight_mixture(index, training)
        return mixture.map(lambda row: kept * row + (1 - kept) * row)


@planted("a step that draws", "a_step_draws_nothing", "asks self.randomness for a generator")
class SeedsAnotherLibraryInTheStep(Optimizer):
    def architecture_step(self, training: Batch, validation: Batch) -> None:
        seed = self.randomness.generator("coin", self.epoch, int(self.index)).initial_seed()
        if random.Random(seed).random() < 0.9:
            super().architecture_step(training, validation)


WAIT = "a_step_does_not_wait_for_the_device"


@planted("a step that waits", WAIT, r"needs a tensor's value on the CPU \(float, .*further_faults.py")
class LooksAtTheLoss(Optimizer):
    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        result = super().weight_step(index, training)
        self.last_loss = float(result.loss)
        return result


@planted("a step that waits", WAIT, r"needs a tensor's value on the CPU \(bool, ")
class BranchesOnATensor(Optimizer):
    def architecture_gradient(self, training: Batch, validation: Batch) -> list[Tensor]:
        gradients = super().architecture_gradient(training, validation)
        return [gradient if gradient.abs().max() < 10 else gradient.sign() for gradient in gradients]


@planted("a step that waits", WAIT, "does not say that it skips operations")
class SkipsWithoutSayingSo(OwnWeightStep):
    options: ClassVar[dict[str, bool]] = {"training": True, "skip_zeros": True}


RECORDED = "a_recorded_step_is_the_step"


@planted("a step that cannot be recorded", RECORDED, "leads elsewhere than the step itself.*self.placed")
class MakesItsNoiseAnew(WithNoise):
    def begin_epoch(self, epoch: int) -> None:
        self.own_noise = []
        super().begin_epoch(epoch)


@planted("a step that cannot be recorded", RECORDED, "leads elsewhere than the step itself.*filled into a tensor")
class CoolsDownInPython(Optimizer):
    temperature = 1.0

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.temperature = 1 / (1 + epoch)

    def relax(self) -> Mixture:
        return Mixture.from_rows([(alpha / self.temperature).softmax(dim=-1) for alpha in self.alphas])


@planted("a step that cannot be recorded", RECORDED, "when the number of the step is a tensor.*at_step picks")
class PicksItsNoiseByANumber(WithNoise):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = zip(self.relax().detach().rows, self.own_noise, strict=True)
        return Mixture.from_rows([clip_to_simplex(row + noise[index]) for row, noise in rows])


@planted("alpha step moves weights", "the_alpha_step_moves_only_alphas", "alpha step moves weights.*one step ahead")
class LooksAheadInPlace(Optimizer):
    def architecture_gradient(self, training: Batch, validation: Batch) -> list[Tensor]:
        parameters = list(self.weights.parameters.values())
        loss = self.loss(self.weights, self.relax().detach(), training)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= 0.01 * gradient
        return super().architecture_gradient(training, validation)


@planted(
    "alpha step moves weights", "the_alpha_step_moves_only_alphas", "weights are among the parameters of alpha_opt"
)
class HandsWeightsToAdam(Optimizer):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.alpha_optimizer = torch.optim.Adam([*self.alphas, *self.weights.parameters.values()], lr=3e-4)


@planted(
    "wrong declaration", "shift_invariance_is_as_declared", "adding a constant to a row of alphas changes the loss"
)
class SquaresInsteadOfExponentials(Optimizer):
    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        return [1 + 0.01 * torch.randn(shape, generator=generator) for shape in self.supernet.space.row_shapes]

    def relax(self) -> Mixture:
        return Mixture.from_rows([alpha**2 / (alpha**2).sum(dim=-1, keepdim=True) for alpha in self.alphas])


@planted("wrong declaration", SIMPLEX, "have the shapes .*per_cell = False")
class SamplesPerCellWithoutSayingSo(Optimizer):
    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        cells = self.supernet.config.cells
        return self.relax().map(lambda row: row.expand(cells, *row.shape))


@planted("wrong declaration", "a_perturbation_reaches_the_weight_step", "perturbation.kind=uniform changes nothing")
class IgnoresThePerturbation(Optimizer):
    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        return self.relax().detach()


@planted("wrong declaration", "its_settings_can_be_set", "config_class is .* expected a subclass")
class HasNoConfigOfItsOwn(Optimizer):
    config_class = dict  # type: ignore[assignment]


@dataclass(frozen=True)
class DataConfig:
    size: int = 3


@dataclass(frozen=True)
class ClashingConfig(OptimizerConfig):
    data: DataConfig = field(default_factory=DataConfig)


@planted("wrong declaration", "its_settings_can_be_set", "a section 'data', which the harness has already")
class NamesASectionLikeTheHarness(Optimizer):
    config_class = ClashingConfig


@planted("setting ignored", "warm_start_leaves_the_alphas_alone", "warm_start_epochs has no effect")
class IgnoresWarmStart(Optimizer):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        self.index = index
        self.architecture_step(training, validation)
        return self.weight_step(index, training)


SEES = "only_the_weight_step_sees_the_perturbation"


@planted("perturbation in the wrong place", SEES, "the alpha step goes elsewhere with perturbation.kind=uniform")
class PerturbsTheAlphaStepToo(Optimizer):
    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        mixture = self.relax()
        if purpose != "architecture" or not self.noise:
            return mixture
        rows = zip(mixture.rows, at_step(self.noise, index), strict=True)
        return Mixture.from_rows([(row + 0.01 * noise).softmax(dim=-1) for row, noise in rows])


@planted("does not search", "alphas_and_weights_are_searched", "does not move a single alpha")
class ReplacesItsAlphas(Optimizer):
    def architecture_step(self, training: Batch, validation: Batch) -> None:
        pass


@planted("does not run", "it_runs_in_every_space", r"relax raised RuntimeError: .*further_faults.py:\d+")
class HardcodesFourBlocks(Optimizer):
    def relax(self) -> Mixture:
        rows = [alpha.softmax(dim=-1) for alpha in self.alphas]
        rows[0] = rows[0].view(4, 3)
        return Mixture.from_rows(rows)


@planted("does not run", "it_runs_in_every_space", "step returned NoneType; expected the StepResult")
class ReturnsNothing(Optimizer):
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:  # type: ignore[return]
        super().step(index, training, validation)


@planted("does not run", "it_runs_in_every_space", "derive gave ndarray; expected a spaces.cell.Cell")
class DerivesAMatrix(Optimizer):
    def derive(self) -> Cell:
        return super().derive().matrix  # type: ignore[return-value]


@planted("measuring that moves", "measuring_changes_nothing", "architecture_loss is another one when it is asked for")
class DrawsAnewWheneverMeasured(Optimizer):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.own = self.randomness.generator("measuring")

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        loss = super().architecture_loss(batch, update_statistics=update_statistics)
        return loss * torch.rand((), generator=self.own)
