"""The second-order gradient of DARTS (Liu et al. 2019, section 2.3; SmoothDARTS `darts/architect.py:27-103`).

The alphas descend L_val(w', A) at the weights one SGD step ahead, w' = w - rate (momentum + grad_w L_train(w, A) +
decay w), which depend on A themselves. By the chain rule the gradient is

    grad_A L_val(w', A) - rate * (grad_A L_train(w+, A) - grad_A L_train(w-, A)) / (2 R),

where the second term is a finite difference along v = grad_w' L_val(w', A): w+- = w +- R v, R = 0.01 / |v|
(equation 8). The training loss is that of the unperturbed mixture, whatever the weight step multiplies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optimizers.base import Optimizer
from optimizers.steps import Batch, StepIndex
from spaces.base import Weights

STEP = 0.01
"""Length of the finite difference in weight space (`darts/architect.py:88-89`)."""


def unrolled_gradient(optimizer: Optimizer, index: StepIndex, training: Batch, validation: Batch) -> list[Tensor]:
    """Gradient for each alpha of the validation loss at the weights one step ahead.

    The three training passes move the running statistics, the validation pass those of a copy, as published.
    """
    weights, alphas = optimizer.weights, optimizer.alphas
    ahead = Weights(_one_step_ahead(optimizer, index, training), weights.with_own_buffers().buffers)
    loss = optimizer.loss(ahead, optimizer.mixture("architecture", index), validation)
    derivatives = torch.autograd.grad(
        loss, [*alphas, *ahead.parameters.values()], allow_unused=True, materialize_grads=True
    )
    gradients, direction = (
        derivatives[: len(alphas)],
        dict(zip(ahead.parameters, derivatives[len(alphas) :], strict=True)),
    )
    radius = STEP / torch.linalg.vector_norm(torch.cat([part.flatten() for part in direction.values()]))

    with torch.no_grad():
        above = {name: tensor + radius * direction[name] for name, tensor in weights.parameters.items()}
        below = {name: tensor - radius * direction[name] for name, tensor in weights.parameters.items()}
    loss = optimizer.loss(Weights(above, weights.buffers), optimizer.mixture("unrolled_plus", index), training)
    upper = torch.autograd.grad(loss, alphas)
    loss = optimizer.loss(Weights(below, weights.buffers), optimizer.mixture("unrolled_minus", index), training)
    lower = torch.autograd.grad(loss, alphas)

    rate = unrolled_rate(optimizer)
    return [g - rate * (u - b) / (2 * radius) for g, u, b in zip(gradients, upper, lower, strict=True)]


def _one_step_ahead(optimizer: Optimizer, index: StepIndex, training: Batch) -> dict[str, Tensor]:
    """The parameters after a step of SGD, as leaves.

    One that the pass does not use has no gradient, but decays. One without momentum yet takes none; the published code
    takes none at all until every parameter has its own, which is the same wherever every step uses every parameter.
    """
    config, parameters = optimizer.config, optimizer.weights.parameters
    mixture = optimizer.mixture("unrolled", index).detach()
    loss = optimizer.loss(optimizer.weights, mixture, training)
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
    rate = unrolled_rate(optimizer)
    ahead: dict[str, Tensor] = {}
    with torch.no_grad():
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            change = gradient + config.weights.weight_decay * parameter
            momentum = optimizer.weight_optimizer.state.get(parameter, {}).get("momentum_buffer")
            if momentum is not None and config.alphas.unrolled_momentum:
                change = change + config.weights.momentum * momentum
            ahead[name] = parameter - rate * change
    return {name: tensor.requires_grad_() for name, tensor in ahead.items()}


def unrolled_rate(optimizer: Optimizer) -> float | Tensor:
    """Learning rate of the step ahead: SGD's own, or what the published code takes for it.

    That is the return value of `CosineAnnealingLR.get_lr()` after `step()`, where the scheduler applies its factor from
    one epoch to the next a second time.
    """
    rate: float | Tensor = optimizer.weight_optimizer.param_groups[0]["lr"]
    config = optimizer.config
    if not (config.alphas.unrolled_published_rate and config.weights.skip_first_rate):
        return rate
    now, before = (1 + math.cos(math.pi * (optimizer.epoch + t) / optimizer.epochs) for t in (1, 0))
    return config.weights.learning_rate_min + now / before * (rate - config.weights.learning_rate_min)
