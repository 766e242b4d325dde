"""Three steps of the published search, DARTS and SDARTS-RS and -ADV, written out on our network.

The steps stand here in plain torch, so that they need no method of the harness: an Adam step of the alphas on a
validation batch; the mixture, perturbed; an SGD step of the weights on a training batch, clipped by a norm that counts
the gradient of the mixture. Settings are those of epoch 50 of 100.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.search.settings import resolve
from harness.tasks.classification import Classification
from optimizers.companions.perturbation import Perturbation
from optimizers.companions.registry import joined
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from optimizers.steps import Batch
from spaces.base import Pass, Weights
from spaces.nb201.network import Nb201Network
from spaces.nb201.space import NB201
from tests.support.golden_vectors import relative_error
from tests.support.nb201_golden import (
    golden,
    initial_weights,
    mixture,
    network,
    probe,
    published_buffer_values,
    published_parameters,
    tensor,
)

TOLERANCE = 1e-9
RATE = 0.012623070891062453
EPSILON = 0.165
ATTACK_STEPS = 7


@pytest.mark.parametrize(("method", "limit"), [("darts", 5.0), ("darts_clip", 1.0), ("rs", 5.0), ("adv", 5.0)])
def test_three_steps_equal_the_published_ones(method: str, limit: float) -> None:
    supernet, weights, alphas = network(), initial_weights(), tensor("alpha").requires_grad_()
    names = published_parameters()
    ordered = {theirs: weights.parameters[ours] for ours, theirs in names.items()}
    parameters = [ordered[name.decode()] for name in golden()["weight_names"]]
    adam = torch.optim.Adam([alphas], lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(parameters, lr=RATE, momentum=0.9, weight_decay=3e-4)

    for step in range(3):
        logits = supernet(weights, mixture(alphas.softmax(-1)), tensor(f"valid_x_{step}"), Pass(training=True))
        loss = F.cross_entropy(logits, tensor(f"valid_y_{step}"))
        (alphas.grad,) = torch.autograd.grad(loss, alphas)
        _expect(f"{method}/step{step}", arch_logits=logits, arch_loss=loss, arch_grad=alphas.grad)
        adam.step()

        images, labels = tensor(f"train_x_{step}"), tensor(f"train_y_{step}")
        used = alphas.detach().softmax(-1)
        if method == "rs":
            used = _on_simplex(used + tensor(f"{method}/step{step}/noise"))
        if method == "adv":
            used, losses = _attacked(supernet, weights, used, tensor(f"{method}/step{step}/noise"), images, labels)
            _expect(f"{method}/step{step}", attack_losses=losses)
        used.requires_grad_()
        logits = supernet(weights, mixture(used), images, Pass(training=True))
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, [used, *parameters])
        for parameter, gradient in zip([used, *parameters], gradients, strict=True):
            parameter.grad = gradient.clone()
        norms = torch.stack([gradient.norm() for gradient in gradients[1:]])
        norm = torch.nn.utils.clip_grad_norm_([used, *parameters], limit)
        sgd.step()
        _expect(
            f"{method}/step{step}",
            alpha=alphas,
            mixture_used=used,
            logits=logits,
            loss=loss,
            alpha_grad_in_weight_step=gradients[0],
            weight_grad_norms=norms,
            clip_norm=norm,
            weight_probes=torch.tensor([probe(values) for values in parameters], dtype=torch.float64),
            buffer_norms=_buffer_norms(weights),
        )

    final = supernet(weights, mixture(alphas.softmax(-1)), tensor("valid_x_0"))
    _expect(method, final_eval_logits=final)
    assert NB201.derive([alphas.detach().numpy()]).string == str(golden()[f"{method}/final_genotype"].astype(str))


def _attacked(
    supernet: Nb201Network, weights: Weights, clean: Tensor, noise: Tensor, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """The mixture that projected gradient ascent reaches, at stored statistics, and the losses on the way `[9]`."""
    attacked = supernet.loss_of_mixture(supernet.fold(weights), images, labels, F.cross_entropy)
    point = _on_simplex(clean + noise)
    losses = [attacked(mixture(clean))]
    for _ in range(ATTACK_STEPS):
        point.requires_grad_()
        losses.append(attacked(mixture(point)))
        (gradient,) = torch.autograd.grad(losses[-1], point)
        moved = point.detach() + 2 * EPSILON / ATTACK_STEPS * gradient.sign()
        point = _on_simplex(clean + (moved - clean).clamp(-EPSILON, EPSILON))
    losses.append(attacked(mixture(point)))
    values = torch.stack(losses).detach()
    return (point if values[-1] >= values[0] else clean), values


def _on_simplex(row: Tensor) -> Tensor:
    """Clipped to [0, 1] and divided by the sum of each edge."""
    clipped = row.clamp(0, 1)
    assert (clipped.sum(-1) > 0).all()
    return clipped / clipped.sum(-1, keepdim=True)


def _buffer_norms(weights: Weights) -> Tensor:
    values = published_buffer_values(weights)
    return torch.stack([values[name.decode()].norm() for name in golden()["buffer_names"]])


def _expect(prefix: str, **values: Tensor) -> None:
    for name, ours in values.items():
        assert relative_error(ours, golden()[f"{prefix}/{name}"]) < TOLERANCE, f"{prefix}/{name}"


CLIPPED = {"weights.gradient_clip": 1.0, "weights.clip_counts_mixture": True}


@pytest.mark.parametrize(
    ("recorded", "name", "settings"),
    [("darts", "darts", {}), ("darts_clip", "darts", CLIPPED), ("rs", "sdarts_rs", {}), ("adv", "sdarts_adv", {})],
)
def test_methods_of_the_harness_take_the_published_steps(recorded: str, name: str, settings: dict[str, object]) -> None:
    """The methods' own two steps. Where the limit of the gradient's norm is exceeded, the published one counts the
    mixture's gradient, too."""
    method = get_method(name)
    config, _ = resolve(method, NB201, {"network.channels": 4, "network.cells_per_stage": 1}, settings, 100)
    optimizer = method.optimizer_class(
        network(),
        config.method,
        task=Classification(),
        epochs=100,
        steps=3,
        randomness=Randomness(0),
        dtype=torch.float64,
        batch_size=8,
        companions=joined(config.companions, 100, method.optimizer_class),
    )
    with torch.no_grad():
        for key, start in initial_weights().parameters.items():
            optimizer.weights.parameters[key].copy_(start)
        optimizer.alphas[0].copy_(tensor("alpha"))
    optimizer.begin_epoch(50)
    assert optimizer.weight_optimizer.param_groups[0]["lr"] == pytest.approx(RATE, rel=1e-12)
    for companion in optimizer.companions:
        assert isinstance(companion, Perturbation)
        assert float(companion.radius) == pytest.approx(EPSILON)
        drawn = [tensor(f"{recorded}/step{step}/noise") / EPSILON for step in range(3)]
        companion.noise = [torch.stack(drawn)]
    ordered = {theirs: optimizer.weights.parameters[ours] for ours, theirs in published_parameters().items()}
    parameters = [ordered[key.decode()] for key in golden()["weight_names"]]
    for step in range(3):
        training, validation = (Batch(tensor(f"{of}_x_{step}"), tensor(f"{of}_y_{step}")) for of in ("train", "valid"))
        result = optimizer.step(step, training, validation)
        _expect(
            f"{recorded}/step{step}",
            alpha=optimizer.alphas[0],
            loss=result.loss,
            weight_probes=torch.tensor([probe(values) for values in parameters], dtype=torch.float64),
            buffer_norms=_buffer_norms(optimizer.weights),
        )
    assert optimizer.derive().key == str(golden()[f"{recorded}/final_genotype"].astype(str))
