"""The contract between a search and a method.

An `Optimizer` owns the weights and the alphas of one search. Once an epoch the loop calls `begin_epoch`, then `step`
for every pair of batches, then `end_epoch`, and asks `derive` which cell the search would return now. A method
overrides one or two hooks of this class:

    initial_alphas        where the alphas start
    relax                 how alphas become the mixture that is multiplied
    architecture_gradient which way the alphas should go
    weight_mixture        what the weight step multiplies
    derive                which cell the alphas stand for

Randomness is drawn in `begin_epoch`, for all steps at once, from `self.randomness`; `step` draws nothing. So a search
that is stopped and resumed, on whatever device, makes the same steps. All tensors that survive an epoch are in
`state_dict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from optimizers.config import OptimizerConfig
from optimizers.perturbation import Perturbation
from optimizers.randomness import Randomness
from spaces.cell import Cell
from spaces.mixture import Mixture
from spaces.supernet import FoldedWeights, Supernet, Weights


@dataclass(frozen=True)
class Batch:
    """Images `[batch, channels, height, width]`, normalised, and labels `[batch]`, int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class StepResult:
    """What one weight step saw, as 0-dimensional tensors on the device.

    Attributes:
        loss: mean cross-entropy of the training batch.
        correct: number of its images that were classified right.
    """

    loss: Tensor
    correct: Tensor


class Optimizer:
    """A differentiable one-shot method; unchanged, it is first-order DARTS without perturbation.

    Args:
        supernet: the network to search with.
        config: settings; of the class named by `config_class`.
        epochs: length of the search.
        steps: weight steps in an epoch.
        randomness: source of everything random.
        device: where weights and alphas live.
        dtype: their floating-point type.

    Attributes:
        weights: the supernet's weights, trained by the weight step.
        alphas: leaves in the order and the shapes of `SearchSpace.row_shapes`, moved by the architecture step.
    """

    config_class: ClassVar[type[OptimizerConfig]] = OptimizerConfig

    shift_invariant: ClassVar[bool] = True
    """Whether adding a constant to all alphas of one row changes nothing, as under a softmax. A row of the Hessian then
    follows from the others."""

    def __init__(
        self,
        supernet: Supernet,
        config: OptimizerConfig,
        *,
        epochs: int,
        steps: int,
        randomness: Randomness,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.supernet, self.config = supernet, config
        self.epochs, self.steps = epochs, steps
        self.randomness = randomness
        self.device, self.dtype = torch.device(device), dtype
        self.epoch = 0
        self.weights = self._on_device(supernet.initial_weights(randomness.generator("weights"), dtype))
        generator = randomness.generator("alphas")
        self.alphas = [alpha.to(self.device).requires_grad_() for alpha in self.initial_alphas(generator)]
        self.perturbation = Perturbation(config.perturbation, epochs)
        self.epsilon = 0.0
        self.noise: list[Tensor] = []
        self.weight_optimizer = torch.optim.SGD(
            self.weights.parameters.values(),
            lr=config.weights.learning_rate,
            momentum=config.weights.momentum,
            weight_decay=config.weights.weight_decay,
        )
        self.alpha_optimizer = torch.optim.Adam(
            [{"params": self.alphas}],  # as a group, since a method may have none
            lr=config.alphas.learning_rate,
            betas=(config.alphas.beta1, config.alphas.beta2),
            weight_decay=config.alphas.weight_decay,
        )

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        """Alphas on the CPU, in the shapes of `SearchSpace.row_shapes`: near zero, a uniform mixture."""
        scale = self.config.alphas.initial_scale
        return [
            scale * torch.randn(shape, generator=generator, dtype=self.dtype)
            for shape in self.supernet.space.row_shapes
        ]

    def relax(self) -> Mixture:
        """The mixture that the alphas stand for, differentiable in them: a softmax of every row."""
        return Mixture.from_rows([alpha.softmax(dim=-1) for alpha in self.alphas])

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        """Cross-entropy of a validation batch as a function of the alphas, batch norm in training mode.

        Its gradient moves the alphas; its second derivative is the Hessian that is recorded.
        """
        logits = self.supernet(
            self.weights.frozen(), self.relax(), batch.images, training=True, update_statistics=update_statistics
        )
        return F.cross_entropy(logits, batch.labels)

    def architecture_gradient(self, training: Batch, validation: Batch) -> list[Tensor]:
        """Gradient for each alpha; here the first-order one, of the validation loss at the present weights."""
        return list(torch.autograd.grad(self.architecture_loss(validation), self.alphas))

    def weight_mixture(self, index: int, training: Batch) -> Mixture:
        """What the weight step of this epoch's step `index` multiplies: the relaxed alphas, perturbed."""
        with torch.no_grad():
            mixture = self.relax()
        if self.config.perturbation.kind == "none":
            return mixture
        loss = self.attack_loss(training) if self.perturbation.needs_loss else None
        return self.perturbation.apply(mixture, [noise[index] for noise in self.noise], self.epsilon, loss)

    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        """Training loss as a function of the mixture alone, batch norm at its stored statistics.

        The published attack runs in evaluation mode (`attacker/perturb.py`); weights and statistics are then fixed,
        so that batch norm folds into the convolutions and the stem is computed once.
        """
        folded = self.supernet.fold(self.weights)
        with torch.no_grad():
            stem = self.supernet.stem(folded, training.images)

        def loss(mixture: Mixture) -> Tensor:
            return F.cross_entropy(self.supernet.after_stem(folded, mixture, stem), training.labels)

        return loss

    def evaluation_weights(self, batch: Batch, refresh: bool) -> FoldedWeights:
        """Weights for evaluating the relaxed alphas, with batch norm's statistics folded in.

        With a momentum of .997 the stored statistics are those of the last forward pass, and after a perturbed weight
        step that was not of this mixture. The published code evaluates after its Hessian, whose forward pass of the
        unperturbed mixture moved them (`train_search.py:306-332`).

        Args:
            batch: the validation batch to refresh them on.
            refresh: whether to take statistics moved so, rather than the stored ones, which stay as they are.
        """
        if not refresh:
            return self.supernet.fold(self.weights)
        buffers = {name: tensor.clone() for name, tensor in self.weights.buffers.items()}
        weights = Weights(self.weights.frozen().parameters, buffers)
        with torch.no_grad():
            self.supernet(weights, self.relax(), batch.images, training=True)
        return self.supernet.fold(weights)

    def begin_epoch(self, epoch: int) -> None:
        """Set the schedules of an epoch, counted from 0, and draw everything random in it."""
        self.epoch = epoch
        self.set_learning_rate(self.learning_rate(epoch))
        if self.config.perturbation.kind != "none":
            self.epsilon = self.perturbation.epsilon(epoch)
            generator = self.randomness.generator("perturbation", epoch)
            draws = self.perturbation.draw(self.supernet.space.row_shapes, self.steps, generator, self.dtype)
            self.noise = [draw.to(self.device) for draw in draws]

    def step(self, index: int, training: Batch, validation: Batch) -> StepResult:
        """Move the alphas on a validation batch, then the weights on a training batch."""
        if self.epoch >= self.config.alphas.warm_start_epochs:
            self.architecture_step(training, validation)
        return self.weight_step(index, training)

    def architecture_step(self, training: Batch, validation: Batch) -> None:
        """One step of Adam on the alphas."""
        for alpha, gradient in zip(self.alphas, self.architecture_gradient(training, validation), strict=True):
            alpha.grad = gradient
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()

    def weight_step(self, index: int, training: Batch) -> StepResult:
        """One step of SGD on the weights."""
        mixture = self.weight_mixture(index, training)
        logits = self.supernet(self.weights, mixture, training.images, training=True)
        loss = F.cross_entropy(logits, training.labels)
        parameters = list(self.weights.parameters.values())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, self.config.weights.gradient_clip)
        self.weight_optimizer.step()
        self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), (logits.detach().argmax(dim=1) == training.labels).sum())

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Called after an epoch's steps; methods that choose by scoring cells do so here, on validation images."""

    def derive(self) -> Cell:
        """The cell that the search would return now."""
        with torch.no_grad():
            rows = [row.float().cpu().numpy() for row in self.relax().rows]
        return self.supernet.space.derive(rows)

    def learning_rate(self, epoch: int) -> float:
        """Learning rate of the weight step in an epoch, counted from 0: a cosine."""
        config = self.config.weights
        fraction = (epoch + config.skip_first_rate) / self.epochs
        return (
            config.learning_rate_min
            + (config.learning_rate - config.learning_rate_min) * (1 + math.cos(math.pi * fraction)) / 2
        )

    def set_learning_rate(self, learning_rate: float) -> None:
        """Use this learning rate in the weight steps from now on."""
        for group in self.weight_optimizer.param_groups:
            group["lr"] = learning_rate

    def state_dict(self) -> dict[str, Any]:
        """Everything that survives an epoch. A method with more state extends this and `load_state_dict`."""
        return {
            "parameters": {name: tensor.detach() for name, tensor in self.weights.parameters.items()},
            "buffers": dict(self.weights.buffers),
            "alphas": [alpha.detach() for alpha in self.alphas],
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave.

        Raises:
            KeyError: a part is missing.
            RuntimeError: a tensor has another shape.
        """
        with torch.no_grad():
            for name, tensor in self.weights.parameters.items():
                tensor.copy_(state["parameters"][name])
            for name, tensor in self.weights.buffers.items():
                tensor.copy_(state["buffers"][name])
            for alpha, saved in zip(self.alphas, state["alphas"], strict=True):
                alpha.copy_(saved)
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])

    def _on_device(self, weights: Weights) -> Weights:
        parameters = {n: t.detach().to(self.device).requires_grad_() for n, t in weights.parameters.items()}
        return Weights(parameters, {name: tensor.to(self.device) for name, tensor in weights.buffers.items()})
