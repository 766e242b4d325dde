"""How shared weights are trained: SGD with a clipped gradient under a cosine (SmoothDARTS `darts/train_search.py`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from optimizers.companions.base import Companion
from optimizers.config import OptimizerConfig, WeightConfig
from optimizers.steps import Batch, StepIndex, StepResult
from optimizers.task import Task
from spaces.base import Network, Pass, Weights
from spaces.mixture import Mixture


def make_sgd(weights: Weights, config: WeightConfig, captured: bool) -> torch.optim.SGD:
    """SGD on all parameters.

    Args:
        weights: what it moves.
        config: its settings.
        captured: whether its steps are recorded in a CUDA graph, so that the rate lies in a tensor.
    """
    device = next(iter(weights.parameters.values())).device
    return torch.optim.SGD(
        weights.parameters.values(),
        lr=torch.tensor(config.learning_rate, device=device) if captured else config.learning_rate,
        fused=captured or None,  # the one implementation that takes the rate from the device
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )


def cosine(config: WeightConfig, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, counted from 0."""
    fraction = (epoch + config.skip_first_rate) / epochs
    low, high = config.learning_rate_min, config.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * fraction)) / 2


def set_rate(group: dict[str, Any], learning_rate: float) -> None:
    """Set a parameter group's learning rate, a number, or a tensor that keeps its place for captured steps."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(learning_rate)
    else:
        group["lr"] = learning_rate


def descend(
    sgd: torch.optim.SGD,
    weights: Weights,
    loss: Tensor,
    config: WeightConfig,
    *,
    skips: bool,
    pile_up: bool = False,
    counted: Sequence[Tensor] = (),
) -> None:
    """One step of SGD on a loss.

    Args:
        sgd: moves the weights.
        weights: those that the loss depends on.
        loss: 0-dimensional.
        config: how weights are trained.
        skips: whether the pass left out operations, whose weights then have no gradient.
        pile_up: whether the gradients stay, and those of the next step are added to them.
        counted: further leaves that the loss depends on, whose gradients count in the norm that is clipped; they stay.
    """
    parameters = list(weights.parameters.values())
    gradients = torch.autograd.grad(
        loss, [*parameters, *counted], allow_unused=skips, materialize_grads=skips and not config.skip_unused
    )
    for leaf, gradient in zip(counted, gradients[len(parameters) :], strict=True):
        leaf.grad = gradient
    for parameter, gradient in zip(parameters, gradients[: len(parameters)], strict=True):
        if pile_up and parameter.grad is not None:
            gradient = parameter.grad if gradient is None else parameter.grad + gradient
        if gradient is not None and gradient.stride() != parameter.stride():
            # A 1x1 kernel has two layouts that mean the same; the fused SGD takes only the parameter's own.
            gradient = torch.empty_like(parameter).copy_(gradient)
        parameter.grad = gradient
    torch.nn.utils.clip_grad_norm_([*parameters, *counted], config.gradient_clip)
    sgd.step()
    if not pile_up:
        sgd.zero_grad()


class Trained(Protocol):
    """A search whose weights are evaluated."""

    supernet: Network
    weights: Weights

    @property
    def skips_operations(self) -> bool:
        """Whether operations whose coefficient is exactly zero are not evaluated."""


class Training(Trained, Protocol):
    """A search whose weights are trained; `optimizers.base.Optimizer` is one."""

    task: Task
    weight_optimizer: torch.optim.SGD
    companions: Sequence[Companion]

    @property
    def config(self) -> OptimizerConfig:
        """All settings of the method."""


def train_on(
    search: Training, mixture: Mixture, index: StepIndex, training: Batch, *, pile_up: bool = False
) -> StepResult:
    """One step of SGD on the training loss of a batch, whose forward pass companions may change.

    Args:
        search: the search, whose weights move.
        mixture: what the pass multiplies.
        index: of the step in its epoch.
        training: the batch.
        pile_up: as `descend` takes it.
    """
    how = Pass(training=True, skip_zeros=search.skips_operations, noise=training.noise)
    for companion in search.companions:
        how = companion.forward(how, index, training)
    counts_mixture = search.config.weights.clip_counts_mixture
    if counts_mixture:
        mixture = mixture.map(lambda row: row.detach().requires_grad_())
    outputs = search.supernet(search.weights, mixture, training.inputs, how)
    loss = search.task.loss(outputs, training.targets)
    descend(
        search.weight_optimizer,
        search.weights,
        loss,
        search.config.weights,
        skips=search.skips_operations,
        pile_up=pile_up,
        counted=mixture.rows if counts_mixture else (),
    )
    return StepResult(loss.detach(), search.task.total_score(outputs, training.targets).detach())


def folded_weights(search: Trained, mixture: Mixture, batch: Batch | None) -> Any:
    """A search's weights for evaluation, with the stored statistics or with refreshed ones.

    With a momentum of .997 the stored statistics are those of the last forward pass, and after a perturbed weight step
    that was not of the search's own mixture. The published code evaluates after its Hessian, whose forward pass of the
    unperturbed mixture moved them (`train_search.py:306-332`).

    Args:
        search: the search, whose statistics stay as they are.
        mixture: what a training pass multiplies that refreshes them.
        batch: the validation batch of that pass; None for the stored statistics.
    """
    if batch is None:
        return search.supernet.fold(search.weights)
    weights = search.weights.frozen().with_own_buffers()
    how = Pass(training=True, skip_zeros=search.skips_operations, noise=batch.noise)
    with torch.no_grad():
        search.supernet(weights, mixture, batch.inputs, how)
    return search.supernet.fold(weights)
