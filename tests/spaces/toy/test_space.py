from __future__ import annotations

import random
import subprocess
import sys

import pytest

from spaces.registry import get_space
from spaces.toy.space import OPERATIONS, ToyArchitecture, ToyConfig, ToySpace

SPACE = ToySpace()


def drawn(count: int) -> list[ToyArchitecture]:
    generator = random.Random(0)
    return [SPACE.sample(generator) for _ in range(count)]


def test_the_space_is_found_by_its_name() -> None:
    assert isinstance(get_space("toy"), ToySpace)


def test_no_torch_is_imported_to_list_architectures() -> None:
    code = "import sys, spaces.registry as r; r.get_space('toy').enumerate(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("architecture", drawn(5), ids=lambda architecture: architecture.key)
def test_one_hot_coefficients_stand_for_their_architecture(architecture: ToyArchitecture) -> None:
    rows = SPACE.one_hot(architecture)
    assert tuple(row.shape for row in rows) == SPACE.row_shapes == ((3, 4), (3, 4))
    assert SPACE.derive(rows) == architecture


@pytest.mark.parametrize("architecture", drawn(5), ids=lambda architecture: architecture.key)
def test_an_architecture_is_read_back_from_json(architecture: ToyArchitecture) -> None:
    assert SPACE.read(architecture.to_json()) == architecture
    assert [graph.title for graph in architecture.graphs()] == ["normal", "reduce"]
    assert [label for graph in architecture.graphs() for *_, label in graph.edges] == list(architecture.operations())


BAD = [{}, {"normal": ["skip"] * 3}, {"normal": ["skip"] * 3, "reduce": ["skip"] * 2 + ["none"]}]


@pytest.mark.parametrize("content", BAD)
def test_what_is_no_architecture_of_the_space_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected 3 operations for each of normal, reduce"):
        SPACE.read(content)


def test_rows_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected rows of shapes \(\(3, 4\), \(3, 4\)\), got \(\(3, 4\),\)"):
        SPACE.derive(SPACE.one_hot(drawn(1)[0])[:1])


def test_a_controllers_decisions_make_an_architecture_edge_by_edge() -> None:
    assert [[node.operations for node in cell.nodes] for cell in SPACE.choices()] == [[(4,), (4, 4)]] * 2
    decisions = [[((), (0,)), ((), (1, 2))], [((), (3,)), ((), (0, 1))]]
    expected = (("skip", "conv3x3", "conv1x1"), ("avgpool3x3", "skip", "conv3x3"))
    assert SPACE.decided(decisions) == ToyArchitecture(expected)


def test_architectures_that_compute_the_same_share_a_key() -> None:
    """A skip at either end of a path is the same, and so are operations side by side in another order."""
    other = ("skip", "skip", "skip")
    same = [("skip", "conv3x3", "conv1x1"), ("conv1x1", "conv3x3", "skip"), ("skip", "conv1x1", "conv3x3")]
    assert len({ToyArchitecture((ops, other)).key for ops in same}) == 1
    different = [("conv3x3", "skip", "conv1x1"), ("conv1x1", "skip", "conv3x3"), ("conv3x3", "conv1x1", "skip")]
    assert len({ToyArchitecture((ops, other)).key for ops in different}) == 3


def test_every_architecture_is_listed_once() -> None:
    every = SPACE.enumerate()
    assert len({architecture.key for architecture in every}) == len(every) == 2116
    assert {architecture.key for architecture in drawn(50)} <= {architecture.key for architecture in every}


@pytest.mark.parametrize("values", [{"cells": 0}, {"channels": 0}, {"partial_channels": 0}])
def test_sizes_below_one_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1 cell, 1 channel and 1 part"):
        ToyConfig(**values)


def test_channels_that_do_not_split_into_parts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"network.channels \(6\) to be a multiple of network.partial_channels \(4\)"):
        ToyConfig(channels=6, partial_channels=4).check()


def test_operations_without_weights_are_named() -> None:
    assert set(OPERATIONS) > SPACE.parameter_free == {"skip", "avgpool3x3"}
