"""What a search takes in memory at the least is less than it takes, and what cannot fit is refused before it starts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.search import memory
from harness.search.memory import check_memory, least_bytes
from harness.search.settings import SearchConfig, default_config, with_setting
from optimizers.registry import get_method
from spaces.base import Demand, InputShape, Network, Pass
from spaces.registry import get_space, list_spaces
from tests.support.two_groups import TwoGroups

SHAPE = InputShape(channels=3, outputs=10)
SIDE, BATCH = 16, 3
SIZES: list[dict[str, int]] = [{"channels": 8}, {"channels": 8, "partial_channels": 4}]


def sized(space: Any, **sizes: int) -> Any:
    """Settings of a small network of a space."""
    cells = {"cells_per_stage": 1} if "cells_per_stage" in vars(space.config_class()) else {"cells": 3}
    return space.config_class(**cells, **sizes)


def kept_for_gradient(network: Network) -> int:
    """Numbers that a training pass keeps for the gradient of a batch, weights aside, each memory counted once."""
    generator = torch.Generator().manual_seed(0)
    weights = network.initial_weights(generator, torch.float32)
    own = {tensor.untyped_storage().data_ptr() for tensor in weights.parameters.values()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows = [torch.full(shape, 1 / shape[-1], requires_grad=True) for shape in network.space.row_shapes]
    training_pass = Pass(training=True, noise=torch.zeros((), dtype=torch.int64))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network(weights, network.space.mixture(rows), torch.rand(BATCH, 3, SIDE, SIDE), training_pass)
    assert len(outputs) == BATCH
    return sum(tensor.untyped_storage().nbytes() // 4 for place, tensor in kept.items() if place not in own)


@pytest.mark.parametrize("sizes", SIZES, ids=["whole", "a quarter of the channels"])
@pytest.mark.parametrize("space", list_spaces()[0], ids=lambda space: space.name)
def test_no_space_claims_more_than_its_network_takes(space: Any, sizes: dict[str, int]) -> None:
    config = sized(space, **sizes)
    demand = config.demand(SHAPE, SIDE**2)
    network = space.network(config, SHAPE)
    weights = network.initial_weights(torch.Generator().manual_seed(0), torch.float32)
    parameters = sum(tensor.numel() for tensor in weights.parameters.values())
    assert 0 < demand.parameters <= parameters
    assert 0 < demand.maps * BATCH <= kept_for_gradient(network)


@pytest.mark.parametrize("space", [1, "nb201", "darts"])
def test_what_is_claimed_grows_with_the_network(space: int | str) -> None:
    config = sized(get_space(space), channels=64)
    wide, small = config.demand(SHAPE, 32**2), sized(get_space(space), channels=8).demand(SHAPE, 32**2)
    assert wide.parameters > 8 * small.parameters
    assert wide.maps == 8 * small.maps


def configured(**settings: Any) -> SearchConfig:
    """Settings of a search with DARTS in space 1."""
    config = default_config(get_method("darts"), get_space(1))
    for key, value in settings.items():
        config = with_setting(config, key.replace("__", "."), value)
    return config


@dataclasses.dataclass(frozen=True)
class Unsaid(type(get_space(1).config_class())):  # type: ignore[misc]
    """Settings of a space that says nothing of its demand."""

    def demand(self, shape: InputShape, pixels: int) -> Demand | None:
        """Nothing."""
        return None


def test_of_a_space_that_says_nothing_the_images_are_counted() -> None:
    config = dataclasses.replace(configured(data__batch_size=10), network=Unsaid(channels=4096))
    assert least_bytes(config, SHAPE, 100) == 4 * 10 * 2 * 3 * 100
    assert TwoGroups.config_class().demand(SHAPE, 100) is None


def test_bytes_are_those_of_weights_gradient_momentum_maps_and_images() -> None:
    config = configured(data__batch_size=7)
    demand = config.network.demand(SHAPE, 1024)
    assert demand is not None
    assert least_bytes(config, SHAPE, 1024) == 4 * (3 * demand.parameters + 7 * (demand.maps + 2 * 3 * 1024))


def test_a_search_larger_than_the_memory_is_refused_with_both_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(network__channels=1024, data__batch_size=512)
    monkeypatch.setattr(memory, "memory_of", lambda device: 2 * 2**30)
    refused = r"needs at least [\d.]+ GiB of memory at 1024 channels, 9 cells and batches of 512 images, and this "
    with pytest.raises(UserError, match=refused + re.escape("machine has 2.0; take a smaller data.batch_size")):
        check_memory(config, SHAPE, 1024, 25_000, "cpu")
    with pytest.raises(UserError, match=r"and the GPU has 2\.0"):
        check_memory(config, SHAPE, 1024, 25_000, "cuda")


def test_seeds_side_by_side_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured()
    monkeypatch.setattr(memory, "memory_of", lambda device: 3 * least_bytes(config, SHAPE, 1024))
    check_memory(config, SHAPE, 1024, 25_000, "cpu", side_by_side=3)
    with pytest.raises(UserError, match="memory for 4 seeds side by side at 16 channels"):
        check_memory(config, SHAPE, 1024, 25_000, "cpu", side_by_side=4)


def test_a_batch_has_no_more_images_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(data__batch_size=65_536)
    monkeypatch.setattr(memory, "memory_of", lambda device: least_bytes(config, SHAPE, 1024) - 1)
    check_memory(config, SHAPE, 1024, 400, "cpu")
    with pytest.raises(UserError, match="batches of 65536 images"):
        check_memory(config, SHAPE, 1024, 65_536, "cpu")


def test_where_the_system_does_not_say_its_memory_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_of", lambda device: None)
    check_memory(configured(network__channels=4096, data__batch_size=65_536), SHAPE, 1 << 20, 1 << 20, "cpu")


def test_this_machine_says_its_memory() -> None:
    there = memory.memory_of("cpu")
    assert there is not None
    assert 2**28 < there < 2**50
