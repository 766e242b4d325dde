"""The contract between a search and a method.

An `Optimizer` owns the weights and the alphas of one search. Once an epoch the loop calls `begin_epoch`, then `step`
for every pair of batches, then `end_epoch`, and asks `derive` which cell the search would return now. A method
overrides one or two hooks of this class:

    initial_alphas        where the alphas start
    relax                 the mixture that the alphas stand for
    mixture               what a forward pass multiplies, where that is another: sampled, binarised
    architecture_gradient which way the alphas should go
    weight_mixture        what the weight step multiplies: the mixture, perturbed
    derive                which cell the alphas stand for

Perturbation, Hessian penalty, early stopping and drop-path are companions that settings switch on for any method; it
need not know of them.

Randomness is drawn in `begin_epoch`, for all steps at once, from `self.randomness`; `step` draws nothing. So a search
that is stopped and resumed, on whatever device, makes the same steps. What measuring needs (`hessian`, `evaluation`) is
drawn by (purpose, epochs begun, forward pass) and does not depend on how often or in which order it is asked for. All
tensors that survive an epoch are in `state_dict`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from optimizers.companions.drop_path import DropPath
from optimizers.companions.early_stopping import EarlyStopping
from optimizers.companions.hessian_penalty import HessianPenalty
from optimizers.companions.perturbation import Perturbation
from optimizers.config import OptimizerConfig
from optimizers.randomness import Randomness
from optimizers.unrolled import unrolled_gradient
from spaces.nb101.cell import Cell
from spaces.nb101.coefficients import Mixture
from spaces.nb101.subnetwork import Architecture
from spaces.nb101.supernet import FoldedWeights, Supernet, Weights

Purpose = Literal["architecture", "weights", "hessian", "evaluation", "unrolled", "unrolled_plus", "unrolled_minus"]
"""What a forward pass is for: the alpha step, the weight step, the recorded Hessian, the validation accuracy; the last
three are the training losses of a second-order alpha step."""


StepIndex: TypeAlias = "int | Tensor"
"""A step within an epoch, from 0. In a step captured in a CUDA graph it is a tensor, int64 `[1]` on the device, since
one recording serves every step; `at_step` picks from what was drawn for an epoch with either."""


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
        batch_size: images in a batch at most, for what is drawn image by image.

    Attributes:
        weights: the supernet's weights, trained by the weight step.
        alphas: leaves in the order and the shapes of `SearchSpace.row_shapes`, moved by the architecture step.
        epoch: the epoch in progress, or else the last one, from 0.
        epochs_begun: 0 before any training, then `epoch + 1`.
        epsilon: radius of the perturbation's ball in this epoch, 0-dimensional float64 on the device.
        index: the step in progress within the epoch.
    """

    config_class: ClassVar[type[OptimizerConfig]] = OptimizerConfig

    relaxes: ClassVar[bool] = True
    """Whether the weight step multiplies a mixture of the alphas, so that a perturbation can ride along. The registry
    then knows the method as `X_rs`, `X_adv` and `X_gauss` too."""

    per_cell: ClassVar[bool] = False
    """Whether each cell has a mixture of its own; its tensors then have a first dimension of cells."""

    samples_mixtures: ClassVar[bool] = False
    """Whether `mixture` gives another one for each validation batch, and for the Hessian of each epoch."""

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
        batch_size: int = 96,
    ) -> None:
        self.supernet, self.config = supernet, config
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.randomness = randomness
        self.device, self.dtype = torch.device(device), dtype
        self.epoch = self.epochs_begun = 0
        self.index: StepIndex = 0
        self.weights = self._on_device(supernet.initial_weights(randomness.generator("weights"), dtype))
        generator = randomness.generator("alphas")
        self.alphas = [alpha.to(self.device).requires_grad_() for alpha in self.initial_alphas(generator)]
        self.perturbation = Perturbation(config.perturbation, epochs)
        # On the device, where a captured step reads what it is this epoch.
        self.epsilon = torch.zeros((), dtype=torch.float64, device=self.device)
        self.noise: list[Tensor] = []
        self.hessian_penalty = HessianPenalty(config.hessian_penalty)
        self.directions: list[Tensor] = []
        self.early_stopping = EarlyStopping(config.early_stopping, epochs)
        self.drop_path = DropPath(config.drop_path, epochs)
        self.path_factors: list[Tensor] = []
        captured = self.capturable and self.device.type == "cuda"
        self.weight_optimizer = torch.optim.SGD(
            self.weights.parameters.values(),
            lr=torch.tensor(config.weights.learning_rate, device=self.device)
            if captured
            else config.weights.learning_rate,
            fused=captured or None,  # the one implementation that takes the rate from the device
            momentum=config.weights.momentum,
            weight_decay=config.weights.weight_decay,
        )
        self.alpha_optimizer = torch.optim.Adam(
            [{"params": self.alphas}],  # as a group, since a method may have none
            lr=config.alphas.learning_rate,
            betas=(config.alphas.beta1, config.alphas.beta2),
            weight_decay=config.alphas.weight_decay,
            capturable=captured,
        )

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        """Alphas on the CPU, in the shapes of `SearchSpace.row_shapes`: nearly equal, a uniform mixture."""
        config = self.config.alphas
        return [
            config.initial_mean + config.initial_scale * torch.randn(shape, generator=generator, dtype=self.dtype)
            for shape in self.supernet.space.row_shapes
        ]

    @property
    def shift_invariant(self) -> bool:
        """Whether adding a constant to all alphas of one row changes nothing, as under a softmax.

        A row of the Hessian then follows from the others.
        """
        return True

    @property
    def skips_operations(self) -> bool:
        """Whether operations whose coefficient is exactly zero are not evaluated."""
        return False

    @property
    def capturable(self) -> bool:
        """Whether a step makes the same operations whatever the numbers, so that a CUDA graph of one serves for all.

        Where operations are skipped their number depends on the alphas; where gradients pile up, on the step; and the
        published rate of the step ahead is a number of the host.
        """
        alphas = self.config.alphas
        piles_up = alphas.warm_start_epochs and self.config.weights.pile_up_gradients
        return not (self.skips_operations or piles_up or (alphas.unrolled and alphas.unrolled_published_rate))

    def relax(self) -> Mixture:
        """The mixture that the alphas stand for, differentiable in them: a softmax of every row."""
        return Mixture.from_rows([alpha.softmax(dim=-1) for alpha in self.alphas])

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        """What one forward pass multiplies, differentiable in the alphas: here what they stand for, whatever it is for.

        Args:
            purpose: what the pass is for.
            index: the step within the epoch, or the number of the validation batch.
        """
        return self.relax()

    def loss(
        self,
        weights: Weights,
        mixture: Mixture,
        batch: Batch,
        *,
        update_statistics: bool = True,
        twice_differentiable: bool = False,
    ) -> Tensor:
        """Cross-entropy of a batch, batch norm in training mode."""
        logits = self.supernet(
            weights,
            mixture,
            batch.images,
            training=True,
            update_statistics=update_statistics,
            skip_zeros=self.skips_operations,
            twice_differentiable=twice_differentiable,
        )
        return F.cross_entropy(logits, batch.labels)

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        """Cross-entropy of a validation batch as a function of the alphas, whose second derivative is recorded."""
        mixture = self.mixture("hessian")
        weights = self.weights.frozen()
        return self.loss(weights, mixture, batch, update_statistics=update_statistics, twice_differentiable=True)

    def architecture_gradient(self, training: Batch, validation: Batch) -> list[Tensor]:
        """Gradient for each alpha, of the validation loss at the present weights or at those one step ahead, and of a
        penalty on the Hessian."""
        if self.config.alphas.unrolled:
            gradients = unrolled_gradient(self, training, validation)
        else:
            loss = self.loss(self.weights.frozen(), self.mixture("architecture", self.index), validation)
            gradients = list(torch.autograd.grad(loss, self.alphas))
        if not self.config.hessian_penalty.coefficient:
            return gradients
        penalty = self.hessian_penalty.gradient(self, validation, at_step(self.directions, self.index))
        return [gradient + more for gradient, more in zip(gradients, penalty, strict=True)]

    def weight_mixture(self, index: StepIndex, training: Batch) -> Mixture:
        """What the weight step of this epoch's step `index` multiplies: the mixture, perturbed."""
        with torch.no_grad():
            mixture = self.mixture("weights", index)
        if self.config.perturbation.kind == "none":
            return mixture
        loss = self.attack_loss(training) if self.perturbation.needs_loss else None
        return self.perturbation.apply(mixture, at_step(self.noise, index), self.epsilon, loss)

    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        """Training loss as a function of the mixture alone, batch norm at its stored statistics.

        The published attack runs in evaluation mode (`attacker/perturb.py`); weights and statistics are then fixed,
        so that batch norm folds into the convolutions and the stem is computed once. Every operation is evaluated: the
        attack asks what a coefficient of zero would do if it were not.
        """
        return self.supernet.loss_of_mixture(self.supernet.fold(self.weights), training.images, training.labels)

    def evaluation_weights(self, batch: Batch, refresh: bool) -> FoldedWeights:
        """Weights for `evaluate`, with batch norm's statistics folded in.

        With a momentum of .997 the stored statistics are those of the last forward pass, and after a perturbed weight
        step that was not of this mixture. The published code evaluates after its Hessian, whose forward pass of the
        unperturbed mixture moved them (`train_search.py:306-332`).

        Args:
            batch: the validation batch to refresh them on.
            refresh: whether to take statistics moved so, rather than the stored ones, which stay as they are.
        """
        return self.refreshed_weights(batch, self.mixture("hessian")) if refresh else self.supernet.fold(self.weights)

    def refreshed_weights(self, batch: Batch, mixture: Mixture) -> FoldedWeights:
        """Weights for evaluation with the statistics that a forward pass of a batch with some mixture leaves behind."""
        buffers = {name: tensor.clone() for name, tensor in self.weights.buffers.items()}
        weights = Weights(self.weights.frozen().parameters, buffers)
        with torch.no_grad():
            self.loss(weights, mixture, batch)
        return self.supernet.fold(weights)

    def evaluate(self, weights: FoldedWeights, index: int, images: Tensor) -> Tensor:
        """Logits `[batch, classes]` of validation batch `index`, at what `evaluation_weights` gave."""
        mixture = self.mixture("evaluation", index)
        return self.supernet(weights, mixture, images, skip_zeros=self.skips_operations)

    def begin_epoch(self, epoch: int) -> None:
        """Set the schedules of an epoch, counted from 0, and draw everything random in it."""
        self.epoch, self.epochs_begun, self.index = epoch, epoch + 1, 0
        self.set_learning_rate(self.learning_rate(epoch))
        if self.config.perturbation.kind != "none":
            self.epsilon.fill_(self.perturbation.epsilon(epoch))
            generator = self.randomness.generator("perturbation", epoch)
            mixtures = (self.steps, self.supernet.config.cells) if self.per_cell else (self.steps,)
            shapes = self.supernet.space.row_shapes
            draws = self.perturbation.draw(shapes, math.prod(mixtures), generator, self.dtype)
            self.noise = self.placed(self.noise, [draw.view(*mixtures, *draw.shape[1:]) for draw in draws])
        if self.config.hessian_penalty.coefficient:
            generator = self.randomness.generator("hessian penalty", epoch)
            draws = self.hessian_penalty.draw(self.supernet.space.row_shapes, self.steps, generator, self.dtype)
            self.directions = self.placed(self.directions, draws)
        if self.config.drop_path.probability:
            shape = (self.steps, self.supernet.config.cells, self.supernet.space.blocks, self.batch_size)
            generator = self.randomness.generator("drop path", epoch)
            factors = self.drop_path.draw(shape, epoch, generator, self.dtype)
            self.path_factors = self.placed(self.path_factors, [factors])

    def placed(self, buffers: list[Tensor], draws: list[Tensor]) -> list[Tensor]:
        """What was drawn for an epoch, on the device: where that of the last epoch lay, which a captured step reads.

        Args:
            buffers: what this gave for the last epoch; empty at first.
            draws: CPU tensors, of the same shapes in every epoch.
        """
        if not buffers:
            return [draw.to(self.device) for draw in draws]
        return [buffer.copy_(draw) for buffer, draw in zip(buffers, draws, strict=True)]

    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        """Move the alphas on a validation batch, then the weights on a training batch."""
        self.index = index
        if self.moves_alphas:
            self.architecture_step(training, validation)
        return self.weight_step(index, training)

    @property
    def moves_alphas(self) -> bool:
        """Whether the steps of this epoch move the alphas."""
        return self.epoch >= self.config.alphas.warm_start_epochs

    def architecture_step(self, training: Batch, validation: Batch) -> None:
        """One step of Adam on the alphas."""
        for alpha, gradient in zip(self.alphas, self.architecture_gradient(training, validation), strict=True):
            alpha.grad = gradient
        self.alpha_optimizer.step()
        self.alpha_optimizer.zero_grad()

    def weight_step(self, index: StepIndex, training: Batch) -> StepResult:
        """One step of SGD on the weights."""
        mixture = self.weight_mixture(index, training)
        skips = self.skips_operations
        dropping = at_step(self.path_factors, index)
        logits = self.supernet(
            self.weights,
            mixture,
            training.images,
            training=True,
            skip_zeros=skips,
            path_factors=dropping[0][..., : len(training.labels)] if dropping else None,
        )
        loss = F.cross_entropy(logits, training.labels)
        config, parameters = self.config.weights, list(self.weights.parameters.values())
        gradients = torch.autograd.grad(
            loss, parameters, allow_unused=skips, materialize_grads=skips and not config.skip_unused
        )
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if self.gradients_pile_up and parameter.grad is not None:
                gradient = parameter.grad if gradient is None else parameter.grad + gradient
            if gradient is not None and gradient.stride() != parameter.stride():
                # A 1x1 kernel has two layouts that mean the same; the fused SGD takes only the parameter's own.
                gradient = torch.empty_like(parameter).copy_(gradient)
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, config.gradient_clip)
        self.weight_optimizer.step()
        if not self.gradients_pile_up:
            self.weight_optimizer.zero_grad()
        return StepResult(loss.detach(), (logits.detach().argmax(dim=1) == training.labels).sum())

    @property
    def gradients_pile_up(self) -> bool:
        """Whether this epoch's weight steps leave their gradients for the next one."""
        return (
            not self.moves_alphas and self.config.weights.pile_up_gradients and self.config.perturbation.kind == "none"
        )

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Called after an epoch's steps; methods that choose by scoring cells do so here, on validation images."""

    def derive(self) -> Cell:
        """The cell that the search would return now."""
        return self.supernet.space.cell(*self.architecture())

    def architecture(self) -> Architecture:
        """What `derive` makes a cell of, loose ends included: which blocks of the supernet that cell is.

        Of a method that overrides `derive` alone this is not known, and what needs it is not measured.
        """
        with torch.no_grad():
            rows = [row.float().cpu().numpy() for row in self.relax().rows]
        return Architecture(*self.supernet.space.derive_choice(rows))

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
            set_rate(group, learning_rate)

    def state_dict(self) -> dict[str, Any]:
        """Everything that survives an epoch. A method with more state extends this and `load_state_dict`."""
        return {
            "parameters": {name: tensor.detach() for name, tensor in self.weights.parameters.items()},
            "buffers": dict(self.weights.buffers),
            "gradients": {n: t.grad for n, t in self.weights.parameters.items() if t.grad is not None},
            "alphas": [alpha.detach() for alpha in self.alphas],
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "early_stopping": self.early_stopping.state_dict(),
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
                # There is a gradient only where those of warm-start epochs pile up.
                kept = state.get("gradients", {}).get(name)
                tensor.grad = None if kept is None else kept.to(tensor)
            for name, tensor in self.weights.buffers.items():
                tensor.copy_(state["buffers"][name])
            for alpha, saved in zip(self.alphas, state["alphas"], strict=True):
                alpha.copy_(saved)
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        if "early_stopping" in state:  # otherwise from a version without it
            self.early_stopping.load_state_dict(state["early_stopping"])

    def _on_device(self, weights: Weights) -> Weights:
        parameters = {n: t.detach().to(self.device).requires_grad_() for n, t in weights.parameters.items()}
        return Weights(parameters, {name: tensor.to(self.device) for name, tensor in weights.buffers.items()})


def set_rate(group: dict[str, Any], learning_rate: float) -> None:
    """Set a parameter group's learning rate, a number, or a tensor that keeps its place for captured steps."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(learning_rate)
    else:
        group["lr"] = learning_rate


def at_step(draws: Iterable[Tensor], index: StepIndex) -> list[Tensor]:
    """What was drawn for one step of an epoch: from each tensor `[steps, *shape]` its entry, of that shape."""
    if isinstance(index, Tensor):
        return [draw.index_select(0, index).squeeze(0) for draw in draws]
    return [draw[index] for draw in draws]
