"""Optimizers that are right, though each is unlike DARTS in several ways; together they have every freedom there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from optimizers.base import Optimizer
from optimizers.companions.perturbation import clip_to_simplex
from optimizers.darts import Darts
from optimizers.steps import Batch, Purpose, StepIndex, StepResult, at_step, placed
from optimizers.weight_training import descend
from spaces.base import Architecture, Pass
from spaces.mixture import Mixture
from tests.support.planted_faults import mixture_from


class SampledPerCell(Darts):
    """Per-cell one-hot samples that skip operations, at a temperature that falls in Python."""

    per_cell = True

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.temperature = 5.0
        self.draws: dict[str, list[Tensor]] = {"architecture": [], "weights": []}

    @property
    def skips_operations(self) -> bool:
        return True

    def draw(self, purpose: str, passes: int, *key: int) -> list[Tensor]:
        generator = self.randomness.generator(f"noise {purpose}", *key)
        layout = self.supernet.space.layout
        sizes = [(passes, self.supernet.cells_of(row.group), *row.shape) for row in layout]
        return [torch.randn(size, generator=generator) for size in sizes]

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.temperature = 5 - 4 * epoch / self.epochs
        for purpose, places in self.draws.items():
            self.draws[purpose] = placed(places, self.draw(purpose, self.steps, epoch), self.device)

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        if purpose in self.draws:
            noise = at_step(self.draws[purpose], index)
        else:
            noise = [draw[0] for draw in self.draw(purpose, 1, self.epochs_begun, int(index))]
        soft = [((a + n) / self.temperature).softmax(dim=-1) for a, n in zip(self.alphas, noise, strict=True)]
        layout = self.supernet.space.layout
        rows = (one_hot(row) if kind.kind == "operation" else row for kind, row in zip(layout, soft, strict=True))
        return mixture_from(self, rows)


def one_hot(soft: Tensor) -> Tensor:
    """Zeros and ones with the gradient of the soft row."""
    hard = torch.zeros_like(soft).scatter(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
    return hard - soft.detach() + soft


class Gates(Darts):
    """Sigmoids that need not add up to 1, AdamW on the weights, a linear rate, gradients that are zeroed and kept."""

    relaxes = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.weight_optimizer = torch.optim.AdamW(self.weights.parameters.values(), lr=0.001)  # type: ignore[assignment]

    @property
    def shift_invariant(self) -> bool:
        return False

    def relax(self) -> Mixture:
        return mixture_from(self, [alpha.sigmoid() for alpha in self.alphas])

    def learning_rate(self, epoch: int) -> float:
        return 0.001 * (1 - epoch / self.epochs)

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        result = super().weight_step(index, training)
        for parameter in self.weights.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        return result


class OnTheSimplex(Darts):
    """Alphas that are the mixture and move by multiplication; an average of them in the checkpoint decides the cell."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.average = [alpha.detach().clone() for alpha in self.alphas]
        self.last_loss: Tensor | None = None

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
            for alpha, gradient, average in zip(self.alphas, gradients, self.average, strict=True):
                moved = alpha * torch.exp(-0.1 * gradient)
                alpha.copy_(moved / moved.sum(dim=-1, keepdim=True))
                average.lerp_(alpha, 0.05)

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        result = super().weight_step(index, training)
        self.last_loss = result.loss  # for whoever debugs it; no part of the state
        return result

    def derive(self) -> Architecture:
        return self.supernet.space.derive([average.numpy() for average in self.average])

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        for average, saved in zip(self.average, state["average"], strict=True):
            average.copy_(saved)


class WithoutAlphas(Optimizer):
    """The bare contract, without the hooks of DARTS: trains the uniform mixture, and returns what it drew at first."""

    relaxes = False
    has_alphas = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        drawn = super().initial_alphas(self.randomness.generator("cell"))
        self.drawn = self.supernet.space.derive([row.numpy() for row in drawn])

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        return []

    def relax(self) -> Mixture:
        return mixture_from(self, [torch.full(shape, 1 / shape[-1]) for shape in self.supernet.space.row_shapes])

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        outputs = self.supernet(self.weights, self.relax(), training.inputs, Pass(training=True))
        loss = self.task.loss(outputs, training.targets)
        descend(self.weight_optimizer, self.weights, loss, self.config.weights, skips=False)
        return StepResult(loss.detach(), self.task.total_score(outputs, training.targets))

    def derive(self) -> Architecture:
        return self.drawn


class SharpnessAware(Darts):
    """Weights that climb and are put back, an attack of its own in training mode, alphas that move once an epoch."""

    relaxes = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.sums = [torch.zeros_like(alpha) for alpha in self.alphas]

    def architecture_step(self, index: StepIndex, training: Batch, validation: Batch) -> None:
        for total, gradient in zip(self.sums, self.architecture_gradient(index, training, validation), strict=True):
            total += gradient

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        for alpha, total in zip(self.alphas, self.sums, strict=True):
            alpha.grad = total.clone()
            total.zero_()
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        rows = [row.detach().requires_grad_() for row in self.relax().rows]
        loss = self.loss(self.weights.frozen(), mixture_from(self, rows), training, update_statistics=False)
        moves = zip(rows, torch.autograd.grad(loss, rows), strict=True)
        return mixture_from(self, [clip_to_simplex(row.detach() + 0.05 * gradient.sign()) for row, gradient in moves])

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        parameters = list(self.weights.parameters.values())
        before = [parameter.detach().clone() for parameter in parameters]
        loss = self.loss(self.weights, self.relax().detach(), training, update_statistics=False)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter += 0.01 * gradient
        loss = self.loss(self.weights, self.weight_mixture(index, training), training)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, old, gradient in zip(parameters, before, gradients, strict=True):
                parameter.copy_(old)
                parameter.grad = gradient
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), torch.zeros((), dtype=torch.int64))


class OneLevel(Darts):
    """Alphas that descend the training loss in their own step, at a temperature that is a tensor."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.temperature = torch.ones(())

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        self.temperature.fill_(1 / (1 + epoch))

    def relax(self) -> Mixture:
        return mixture_from(self, [(alpha / self.temperature).softmax(dim=-1) for alpha in self.alphas])

    def architecture_gradient(self, index: StepIndex, training: Batch, validation: Batch) -> Sequence[Tensor]:
        return super().architecture_gradient(index, validation, training)


UNUSUAL: dict[type[Optimizer], tuple[str, ...]] = {
    SampledPerCell: (),
    Gates: (),
    OnTheSimplex: (),
    WithoutAlphas: (),
    SharpnessAware: (),
    OneLevel: ("alphas_follow_the_validation_batch",),
}
"""Each with the checks that are left out by name, since it means to do what they forbid."""
