"""The supernet whose cells have a derivative of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from spaces.base import InputShape, Pass
from spaces.nb101.config import SupernetConfig
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet
from tests.support.mixtures import TRAINING, mixture_of
from tests.support.passes import assert_same, passes

RGB = InputShape(3, 10)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("per_cell", [False, True])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("space", [1, 2, 3])
def test_direct_supernet_equals_the_plain_one(space: int, training: bool, per_cell: bool, threads: int) -> None:
    plain, direct = (passes(kind, space, training, 3, per_cell=per_cell) for kind in (Supernet, DirectSupernet))
    assert_same(direct, plain)


def test_a_second_derivative_is_refused_rather_than_wrong(threads: int) -> None:
    supernet = DirectSupernet(get_space(1), SupernetConfig(channels=2, cells=1), RGB)
    generator = torch.Generator().manual_seed(0)
    weights = supernet.initial_weights(generator).frozen()
    images, labels = torch.randn(4, 3, 8, 8, generator=generator), torch.arange(4)
    rows = [torch.rand(shape, generator=generator).requires_grad_() for shape in supernet.space.row_shapes]
    mixture = mixture_of(supernet.space, rows)
    losses = [
        F.cross_entropy(supernet(weights, mixture, images, TRAINING), labels),
        supernet.loss_of_mixture(supernet.fold(weights), images, labels, F.cross_entropy)(mixture),
    ]
    for loss in losses:
        with pytest.raises(RuntimeError, match="expected a forward pass with twice_differentiable=True"):
            torch.autograd.grad(loss, rows, create_graph=True)


@pytest.mark.parametrize("part", ["weight", "scale"])
def test_weights_changed_before_the_derivative_are_noticed(part: str) -> None:
    supernet = DirectSupernet(get_space(1), SupernetConfig(channels=2, cells=3), RGB)
    generator = torch.Generator().manual_seed(0)
    weights = supernet.initial_weights(generator)
    rows = [torch.rand(shape, generator=generator) for shape in supernet.space.row_shapes]
    images = torch.randn(4, 3, 8, 8, generator=generator)
    logits = supernet(weights, mixture_of(supernet.space, rows), images, TRAINING)
    with torch.no_grad():
        weights.parameters[f"cell1.block0.conv3x3.{part}"].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(logits.sum(), list(weights.parameters.values()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_attack_works_in_a_fork_of_a_process_that_made_one() -> None:
    script = """
import os, signal, torch
import torch.nn.functional as F
from spaces.base import InputShape
from spaces.mixture import Mixture
from spaces.nb101.config import SupernetConfig
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.space import get_space
torch.set_num_threads(2)
supernet = DirectSupernet(get_space(1), SupernetConfig(channels=2, cells=3), InputShape(3, 10))
folded = supernet.fold(supernet.initial_weights(torch.Generator()))
mixture = Mixture(supernet.space.layout, tuple(torch.ones(shape) for shape in supernet.space.row_shapes))
loss = lambda: supernet.loss_of_mixture(folded, torch.ones(4, 3, 8, 8), torch.arange(4), F.cross_entropy)(mixture)
before = float(loss())
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if abs(float(loss()) - before) < 1e-6 else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0


def test_an_attack_leaves_the_number_of_threads_alone(threads: int) -> None:
    passes(DirectSupernet, 1, False, 3)
    assert torch.get_num_threads() == threads
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == threads


def test_coefficients_of_zero_have_the_plain_gradient() -> None:
    """A clipped attack multiplies by zeros, and asks what these coefficients would do."""
    found = []
    for kind in (Supernet, DirectSupernet):
        supernet = kind(get_space(2), SupernetConfig(channels=4, cells=3), RGB)
        generator = torch.Generator().manual_seed(0)
        folded = supernet.fold(supernet.initial_weights(generator, torch.float64))
        images = torch.randn(4, 3, 10, 10, generator=generator, dtype=torch.float64)
        rows = [torch.zeros(shape, dtype=torch.float64) for shape in supernet.space.row_shapes]
        for row in rows:
            row[..., -1] = 1
            row.requires_grad_()
        loss = F.cross_entropy(supernet(folded, mixture_of(supernet.space, rows), images), torch.arange(4))
        found.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, rows)]))
    assert torch.linalg.vector_norm(found[0]) > 0
    assert torch.allclose(found[1], found[0], rtol=1e-9, atol=0)


@pytest.mark.parametrize("wanted", range(3))
def test_one_kind_of_coefficient_alone_can_be_differentiated(wanted: int) -> None:
    gradients = []
    for kind in (Supernet, DirectSupernet):
        supernet = kind(get_space(2), SupernetConfig(channels=2, cells=3), RGB)
        generator = torch.Generator().manual_seed(1)
        weights = supernet.initial_weights(generator, torch.float64).frozen()
        images = torch.randn(4, 3, 8, 8, generator=generator, dtype=torch.float64)
        rows = [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in supernet.space.row_shapes]
        rows[wanted].requires_grad_()
        logits = supernet(weights, mixture_of(supernet.space, rows), images, TRAINING)
        gradients.append(torch.autograd.grad(logits.square().sum(), rows[wanted])[0])
    assert torch.allclose(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)


def test_passes_that_it_does_not_know_are_the_plain_ones() -> None:
    """Partial channels, skipped operations, dropped paths, second derivatives: equal to the bit."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, 8, 8, generator=generator)
    for parts, how in (
        (2, TRAINING),
        (1, Pass(training=True, skip_zeros=True)),
        (1, Pass(training=True, path_factors=torch.ones(3, 4, 3))),
        (1, Pass(training=True, twice_differentiable=True)),
    ):
        logits = []
        for kind in (Supernet, DirectSupernet):
            supernet = kind(get_space(1), SupernetConfig(channels=4, cells=3, partial_channels=parts), RGB)
            weights = supernet.initial_weights(torch.Generator().manual_seed(2))
            rows = [torch.zeros(shape) for shape in supernet.space.row_shapes]
            for row in rows:
                row[..., 0] = 1
            logits.append(supernet(weights, mixture_of(supernet.space, rows), images, how))
        assert torch.equal(*logits)
