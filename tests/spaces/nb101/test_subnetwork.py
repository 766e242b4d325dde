from __future__ import annotations

import itertools
import random

import pytest
import torch
import torch.nn.functional as F

from spaces.base import InputShape
from spaces.nb101.architecture import CellChoice
from spaces.nb101.cell import CONV3X3, MAXPOOL3X3
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import get_space
from spaces.nb101.subnetwork import Subnetwork
from spaces.nb101.supernet import FoldedWeights, Supernet
from tests.support.mixtures import TRAINING


def folded_supernet(space: int, cells: int = 3, channels: int = 3) -> tuple[Supernet, FoldedWeights, torch.Tensor]:
    """A supernet whose statistics have seen a batch, folded, and that batch."""
    supernet = Supernet(get_space(space), SupernetConfig(channels=channels, cells=cells), InputShape(1, 10))
    generator = torch.Generator().manual_seed(space)
    weights = supernet.initial_weights(generator, torch.float64)
    images = torch.randn(4, 1, 8, 8, generator=generator, dtype=torch.float64)
    mixture = supernet.space.mixture_of(supernet.space.sample(random.Random(0)), torch.float64)
    with torch.no_grad():
        supernet(weights, mixture, images, TRAINING)
    return supernet, supernet.fold(weights), images


@pytest.mark.parametrize("cells", [1, 2, 3, 4])
@pytest.mark.parametrize("space", [1, 2, 3])
def test_subnetwork_computes_what_the_whole_supernet_computes(space: int, cells: int) -> None:
    supernet, weights, images = folded_supernet(space, cells)
    stem = supernet.stem(weights, images)
    untouched = stem.clone()
    source = random.Random(1)
    for _ in range(40):
        architecture = supernet.space.sample(source)
        mixture = supernet.space.mixture_of(architecture, torch.float64)
        expected = supernet(weights, mixture, images)
        logits = Subnetwork(supernet, architecture)(weights, stem)
        assert torch.allclose(logits, expected, rtol=1e-12, atol=1e-14), architecture
        assert torch.equal(supernet.of_architecture(weights, architecture, stem), logits)
    assert torch.equal(stem, untouched)


def test_subnetwork_computes_every_graph_of_space_1() -> None:
    supernet, weights, images = folded_supernet(1, channels=2)
    stem = supernet.stem(weights, images)
    for number, parents in enumerate(supernet.space.parent_choices()):
        architecture = CellChoice(parents, supernet.space.sample(random.Random(number)).ops)
        expected = supernet(weights, supernet.space.mixture_of(architecture, torch.float64), images)
        logits = Subnetwork(supernet, architecture)(weights, stem)
        assert torch.allclose(logits, expected, rtol=1e-12, atol=1e-14), parents


def test_loose_ends_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet, weights, images = folded_supernet(1)
    stem = supernet.stem(weights, images)
    # Node 4 feeds nothing; node 3 is the only block besides 1 that leads to the output.
    architecture = CellChoice(((0,), (0, 1), (0, 1), (1, 2), (1, 3)), (CONV3X3, CONV3X3, MAXPOOL3X3, CONV3X3))
    calls: list[int] = []
    original = F.conv2d

    def counted(state: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: int = 0) -> torch.Tensor:
        calls.append(weight.shape[-1])
        return original(state, weight, bias, padding=padding)

    monkeypatch.setattr(F, "conv2d", counted)
    Subnetwork(supernet, architecture)(weights, stem)
    # One convolution 3x3 a cell, the projections of cells 1 and 2, and the last layer's.
    assert sorted(calls) == [1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize(("space", "graphs"), [(1, 66), (2, 190), (3, 876)])
def test_without_loose_ends_as_many_graphs_are_left_as_the_space_has(space: int, graphs: int) -> None:
    ops = (CONV3X3,) * get_space(space).blocks
    found = {CellChoice(p, ops).computed().parents for p in get_space(space).parent_choices()}
    assert len(found) == graphs


def test_dropping_loose_ends_changes_neither_the_cell_nor_what_is_dropped_again() -> None:
    space = get_space(1)
    for parents, ops in itertools.islice(zip(space.parent_choices(), itertools.repeat((MAXPOOL3X3,) * 4)), 180):
        architecture = CellChoice(parents, ops)
        pruned = architecture.computed()
        assert pruned.computed() == pruned
        live = [node for node, chosen in enumerate(pruned.parents, start=1) if chosen]
        assert all(pruned.parents[node - 1] == parents[node - 1] for node in live)
        assert live[-1] == 5
        assert len(space.cell(parents, ops).ops) == len(live) + 1
