from __future__ import annotations

import pytest
import torch

from spaces.base import Pass
from spaces.mixture import Mixture
from tests.support.building import small_optimizer


def test_operations_see_a_quarter_of_the_channels() -> None:
    optimizer = small_optimizer("pc_darts", channels=8)
    assert optimizer.supernet.config.partial_channels == 4
    shapes = {name: tuple(tensor.shape) for name, tensor in optimizer.weights.parameters.items()}
    assert shapes["cell0.block0.conv3x3.weight"] == (2, 2, 3, 3)
    assert shapes["cell2.block3.conv1x1.weight"] == (8, 8, 1, 1)
    assert shapes["cell0.projections.weight"] == (64, 8, 1, 1)


def test_channels_that_pass_by_are_shuffled_among_the_others() -> None:
    optimizer = small_optimizer("pc_darts", channels=8)
    layout = optimizer.supernet.space.layout
    # Only the first block reaches the output, and its operations are switched off.
    output = torch.tensor([0, 1.0, 0, 0, 0]).double()
    mixture = Mixture(layout, tuple(output if r.kind == "output" else torch.zeros(r.shape).double() for r in layout))
    seen: list[torch.Tensor] = []
    original = optimizer.supernet._cell

    def spy(*arguments: object) -> torch.Tensor:
        seen.append(original(*arguments))
        return seen[-1]

    optimizer.supernet._cell = spy
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    projections = optimizer.supernet.stem(optimizer.weights, images, Pass(training=True))
    optimizer.supernet(optimizer.weights, mixture, images, Pass(training=True))
    block = seen[0][:, :8]
    own = projections[:, :8]
    # Groups of two channels, the first of them switched off, are dealt out in turn.
    expected = torch.cat([torch.zeros_like(own[:, :2]), own[:, 2:]], dim=1)[:, [0, 2, 4, 6, 1, 3, 5, 7]]
    assert torch.equal(block, expected)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_share_of_channels_is_a_setting(parts: int) -> None:
    optimizer = small_optimizer("pc_darts", channels=4, network__partial_channels=parts)
    assert optimizer.weights.parameters["cell0.block0.conv1x1.weight"].shape[0] == 4 // parts
