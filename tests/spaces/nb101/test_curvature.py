"""Second derivatives by tangents, against those of autograd row by row."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import InputShape, Weights
from spaces.mixture import Mixture
from spaces.nb101.config import SupernetConfig
from spaces.nb101.curvature import mixture_curvature
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet
from tests.support.mixtures import SILENT, mixture_of

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("space", "parts", "per_cell", "cells"),
    [(1, 1, False, 3), (2, 1, True, 3), (3, 1, False, 3), (1, 4, False, 3), (3, 2, True, 3), (1, 1, False, 2)],
)
def test_curvature_equals_autograd_row_by_row(space: int, parts: int, per_cell: bool, cells: int, device: str) -> None:
    config = SupernetConfig(channels=8, cells=cells, partial_channels=parts)
    supernet = Supernet(get_space(space), config, InputShape(3, 10))
    weights, rows, images, labels = drawn(supernet, (cells,) if per_cell else (), device)
    buffers = {name: tensor.clone() for name, tensor in weights.buffers.items()}
    logits = supernet(weights.frozen(), mixture_of(supernet.space, rows), images, SILENT)
    loss = F.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, rows, create_graph=True)
    flat = torch.cat([part.flatten() for part in gradients])
    expected = torch.stack(
        [torch.cat([part.flatten() for part in torch.autograd.grad(entry, rows, retain_graph=True)]) for entry in flat]
    )
    mixture = mixture_of(supernet.space, rows)
    found = mixture_curvature(supernet, weights, mixture, images, labels, every_entry(mixture))
    assert torch.allclose(found.loss, loss, rtol=1e-12)
    for ours, theirs in zip(found.gradient, gradients, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert torch.linalg.matrix_norm(found.hessian - expected) < 1e-9 * torch.linalg.matrix_norm(expected)
    assert all(torch.equal(tensor, buffers[name]) for name, tensor in weights.buffers.items())


def test_curvature_along_directions_is_the_quadratic_form_of_the_whole() -> None:
    supernet = Supernet(get_space(1), SupernetConfig(channels=2, cells=3), InputShape(3, 10))
    weights, rows, images, labels = drawn(supernet, (), "cpu")
    mixture = mixture_of(supernet.space, rows)
    whole = mixture_curvature(supernet, weights, mixture, images, labels, every_entry(mixture)).hessian
    matrix = torch.randn(len(whole), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    found = mixture_curvature(supernet, weights, mixture, images, labels, mixture.along(matrix.T)).hessian
    assert torch.allclose(found, matrix.T @ whole @ matrix, rtol=1e-9, atol=1e-12)


def every_entry(mixture: Mixture) -> list[Tensor]:
    """One direction for each coefficient."""
    coefficients = sum(row.numel() for row in mixture.rows)
    return mixture.along(torch.eye(coefficients, dtype=torch.float64, device=mixture.rows[0].device))


def drawn(supernet: Supernet, first: tuple[int, ...], device: str) -> tuple[Weights, list[Tensor], Tensor, Tensor]:
    """Weights whose batch norms differ, coefficients that do not add up to one, images and labels."""
    generator = torch.Generator().manual_seed(3)
    weights = supernet.initial_weights(generator, torch.float64)
    for name, tensor in weights.parameters.items():
        moved = tensor.detach().clone()
        if name.endswith(("scale", "shift")):
            moved += 0.3 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        weights.parameters[name] = moved.to(device).requires_grad_()
    for name, tensor in weights.buffers.items():
        weights.buffers[name] = tensor.to(device)
    shapes = supernet.space.row_shapes
    rows = [torch.rand(*first, *shape, generator=generator, dtype=torch.float64).to(device) for shape in shapes]
    images = torch.randn(5, 3, 14, 12, generator=generator, dtype=torch.float64).to(device)
    return weights, [row.requires_grad_() for row in rows], images, torch.arange(5, device=device)
