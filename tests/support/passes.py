"""Everything that is asked of a supernet, to compare a faster one with the plain one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import InputShape, Pass
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet
from tests.support.mixtures import mixture_of


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-9) -> None:
    """That two supernets' passes agree, each tensor by its norm."""
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        error = torch.linalg.vector_norm(found[name] - one) / torch.linalg.vector_norm(one).clamp(min=1e-6)
        assert error < tolerance, name


def passes(
    kind: type[Supernet], space: int, training: bool, channels: int, device: str = "cpu", per_cell: bool = False
) -> dict[str, Tensor]:
    """Losses, gradients and running statistics of passes for alphas, for weights, for both and for an attack."""
    supernet = kind(get_space(space), SupernetConfig(channels=channels, cells=4), InputShape(3, 10))
    generator = torch.Generator().manual_seed(space)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weights = supernet.initial_weights(generator, torch.float64)
    for name, tensor in weights.parameters.items():
        moved = tensor.detach() + (0.3 * normal(*tensor.shape) if name.endswith(("scale", "shift")) else 0)
        weights.parameters[name] = moved.to(device).requires_grad_()
    for name, tensor in weights.buffers.items():
        weights.buffers[name] = (tensor + normal(*tensor.shape).abs()).to(device)
    first = (supernet.config.cells,) if per_cell else ()
    alphas = [normal(*first, *shape).to(device).requires_grad_() for shape in supernet.space.row_shapes]
    images, labels = normal(5, 3, 12, 14).to(device), torch.arange(5).to(device)
    found: dict[str, Tensor] = {}

    def record(name: str, logits: Tensor, leaves: list[Tensor]) -> None:
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, leaves)
        found[f"{name} loss"] = loss.detach()
        found.update({f"{name} gradient {index}": gradient for index, gradient in enumerate(gradients)})

    plain = Pass(training)
    relaxed = mixture_of(supernet.space, [alpha.softmax(-1) for alpha in alphas])
    parameters = list(weights.parameters.values())
    record("alphas", supernet(weights.frozen(), relaxed, images, plain), alphas)
    record("weights", supernet(weights, relaxed.detach(), images, plain), parameters)
    factors = (
        torch.arange(supernet.config.cells * supernet.space.blocks * 5).view(-1, supernet.space.blocks, 5).to(device)
        % 3
    )
    dropped = supernet(weights, relaxed.detach(), images, Pass(training, path_factors=factors.double()))
    record("dropped paths", dropped, parameters)
    relaxed = mixture_of(supernet.space, [alpha.softmax(-1) for alpha in alphas])
    both = supernet(weights, relaxed, images, Pass(training, update_statistics=False))
    record("both", both, [*alphas, *parameters])
    folded = supernet.fold(weights)
    leaves = [row.detach().clone().requires_grad_() for row in relaxed.rows]
    record("attack", supernet(folded, relaxed.with_rows(leaves), images), leaves)
    for name, batch in (("whole", 5), ("small", 2)):
        loss_of = supernet.loss_of_mixture(folded, images[:batch], labels[:batch], F.cross_entropy)
        loss = loss_of(relaxed.with_rows(leaves))
        found[f"{name} loss of the mixture"] = loss.detach()
        gradients = torch.autograd.grad(loss, leaves)
        found.update({f"{name} loss's gradient {index}": gradient for index, gradient in enumerate(gradients)})
    found.update(weights.buffers)
    return found
