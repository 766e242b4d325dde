"""The contract between a search and a method.

An `Optimizer` owns the weights and the alphas of one search. Once an epoch the loop calls `begin_epoch`, then `step`
for every pair of batches, then `end_epoch`, and asks `derive` which architecture the search would return now. A method
that relaxes is a subclass of `optimizers.darts.Darts`, which shows the two steps, and overrides one or two hooks:

    initial_alphas        where the alphas start
    relax                 the mixture that the alphas stand for
    mixture               what a forward pass multiplies, where that is another: sampled, binarised
    architecture_gradient which way the alphas should go
    weight_mixture        what the weight step multiplies
    derive                which architecture the alphas stand for

Companions (`optimizers.companions`) join any method by settings; it need not know of them. Randomness is drawn in
`begin_epoch`, for all steps at once, from `self.randomness`; `step` draws nothing. Measuring draws by (purpose, epochs
begun, forward pass). So a search that is stopped and resumed, on whatever device, makes the same steps. All tensors
that survive an epoch are in `state_dict`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from optimizers import state
from optimizers.companions.base import Companion
from optimizers.config import OptimizerConfig
from optimizers.randomness import Randomness
from optimizers.steps import Batch, Purpose, StepIndex, StepResult, check_declarations
from optimizers.task import Task
from optimizers.weight_training import cosine, folded_weights, make_sgd, set_rate
from spaces.base import Architecture, Network, Outputs, Pass, Weights
from spaces.mixture import Mixture


class Optimizer(ABC):
    """A one-shot method.

    Args:
        supernet: the network to search with.
        config: settings, an instance of `config_class`.
        task: what the network's outputs are worth.
        epochs, steps: length of the search, and weight steps in an epoch.
        randomness: source of everything random.
        device, dtype: where weights and alphas live, and their floating-point type.
        batch_size: examples in a batch at most, for what is drawn example by example.
        companions: what joins the search, in the order in which their hooks are called.

    Attributes:
        weights: the supernet's weights, trained by the weight step with `weight_optimizer`.
        alphas: leaves in the order and the shapes of `Space.row_shapes`, moved in place; none where a method has none.
        epoch, epochs_begun: the epoch in progress, or else the last one, from 0; and how many have begun.
    """

    config_class: ClassVar[type[OptimizerConfig]] = OptimizerConfig

    relaxes: ClassVar[bool] = True
    """Whether the weight step multiplies a mixture that a perturbation can move, so that there is an `X_adv`, too."""

    per_cell: ClassVar[bool] = False
    """Whether each cell has a mixture of its own; its tensors then have a first dimension of cells."""

    has_alphas: ClassVar[bool] = True
    """Whether there are alphas, whose gradient and Hessian companions may ask for."""

    samples_mixtures: ClassVar[bool] = False
    """Whether `mixture` gives another one for each validation batch, and for the Hessian of each epoch."""

    plain_loss: ClassVar[bool] = True
    """Whether `loss` and `architecture_loss` are the task's loss of one pass, as here, so that the Hessian may be taken
    the network's own way. A class that overrides either must say so in its body."""

    projects: ClassVar[bool] = True
    """Whether the supernet at the derived architecture's 0/1 mixture is worth measuring. A class that overrides
    `evaluation_weights` must say so in its body."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        check_declarations(cls, {"plain_loss": ("loss", "architecture_loss"), "projects": ("evaluation_weights",)})

    def __init__(
        self,
        supernet: Network,
        config: OptimizerConfig,
        *,
        task: Task,
        epochs: int,
        steps: int,
        randomness: Randomness,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        batch_size: int = 96,
        companions: Sequence[Companion] = (),
    ) -> None:
        self.supernet, self.config, self.task = supernet, config, task
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.randomness, self.companions = randomness, companions
        self.device, self.dtype = torch.device(device), dtype
        self.epoch = self.epochs_begun = 0
        self.captured = self.capturable and self.device.type == "cuda"
        self.start()

    def start(self, *stage: int) -> None:
        """Draw weights and alphas of `supernet`, by the search's seed and the stage of a search that has several."""
        generators = [self.randomness.generator(purpose, *stage) for purpose in ("weights", "alphas")]
        self.weights = self.supernet.initial_weights(generators[0], self.dtype).to(self.device)
        self.alphas = [alpha.to(self.device).requires_grad_() for alpha in self.initial_alphas(generators[1])]
        self.weight_optimizer = make_sgd(self.weights, self.config.weights, self.captured)

    def initial_alphas(self, generator: torch.Generator) -> list[Tensor]:
        """Alphas on the CPU, in the shapes of `Space.row_shapes`: nearly equal, a uniform mixture."""
        config, shapes = self.config.alphas, self.supernet.space.row_shapes
        normal = (torch.randn(shape, generator=generator, dtype=self.dtype) for shape in shapes)
        return [config.initial_mean + config.initial_scale * draw for draw in normal]

    @property
    def shift_invariant(self) -> bool:
        """Whether adding a constant to all alphas of one row changes nothing, as under a softmax."""
        return True

    @property
    def skips_operations(self) -> bool:
        """Whether operations whose coefficient is exactly zero are not evaluated."""
        return False

    @property
    def capturable(self) -> bool:
        """Whether a step makes the same operations whatever the numbers, so that a CUDA graph of one serves for all."""
        return self.supernet.abilities.recorded_steps and not self.skips_operations

    @property
    def moves_alphas(self) -> bool:
        """Whether the steps of this epoch move the alphas, if the method has some."""
        return self.epoch >= self.config.alphas.warm_start_epochs

    @abstractmethod
    def relax(self) -> Mixture:
        """The mixture that the search has come to, differentiable in the alphas where there are some."""

    def mixture(self, purpose: Purpose, index: StepIndex = 0) -> Mixture:
        """What the forward pass of a step, or of a validation batch, multiplies: here `relax`, whatever it is for."""
        return self.relax()

    def begin_epoch(self, epoch: int) -> None:
        """Set the schedules of an epoch, counted from 0, and draw everything random in it."""
        self.epoch, self.epochs_begun = epoch, epoch + 1
        for group in self.weight_optimizer.param_groups:
            set_rate(group, self.learning_rate(epoch))
        for companion in self.companions:
            companion.begin(self, epoch)

    @abstractmethod
    def step(self, index: StepIndex, training: Batch, validation: Batch) -> StepResult:
        """Move the alphas on a validation batch, then the weights on a training batch."""

    def end_epoch(self, validation: Callable[[], Iterable[Batch]]) -> None:
        """Called after an epoch's steps; methods that choose by scoring architectures do so here."""

    def derive(self) -> Architecture:
        """The architecture that the search would return now."""
        return self.supernet.space.derive([row.float().cpu().numpy() for row in self.relax().detach().rows])

    def loss(
        self, weights: Weights, mixture: Mixture, batch: Batch, *, update_statistics: bool = True, twice: bool = False
    ) -> Tensor:
        """The task's loss of a batch, batch norm in training mode; `twice`: to be differentiated twice."""
        how = Pass(True, update_statistics, self.skips_operations, None, twice, batch.noise)
        return self.task.loss(self.supernet(weights, mixture, batch.inputs, how), batch.targets)

    def architecture_loss(self, batch: Batch, *, update_statistics: bool = True) -> Tensor:
        """Loss of a validation batch as a function of the alphas, whose second derivative is recorded."""
        mixture = self.mixture("hessian")
        return self.loss(self.weights.frozen(), mixture, batch, update_statistics=update_statistics, twice=True)

    def attack_loss(self, training: Batch) -> Callable[[Mixture], Tensor]:
        """Training loss as a function of the mixture alone, batch norm at its stored statistics, as published."""
        folded = self.supernet.fold(self.weights)
        return self.supernet.loss_of_mixture(folded, training.inputs, training.targets, self.task.loss)

    def evaluation_weights(self, batch: Batch, refresh: bool) -> Any:
        """Folded weights for `evaluate`, with the stored statistics or those refreshed on a validation batch."""
        return folded_weights(self, self.mixture("hessian"), batch if refresh else None)

    def evaluate(self, weights: Any, index: int, inputs: Tensor) -> Outputs:
        """Outputs of validation batch `index`, at what `evaluation_weights` gave."""
        how = Pass(skip_zeros=self.skips_operations)
        return self.supernet(weights, self.mixture("evaluation", index), inputs, how)

    def learning_rate(self, epoch: int) -> float:
        """Learning rate of the weight step in an epoch, counted from 0: a cosine."""
        return cosine(self.config.weights, epoch, self.epochs)

    def record(self) -> dict[str, Any]:
        """Further entries of an epoch's line."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Everything that survives an epoch. A method with more state extends this and `load_state_dict`."""
        return state.of_search(self)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; a KeyError names a part that is missing."""
        state.restore(self, saved)
