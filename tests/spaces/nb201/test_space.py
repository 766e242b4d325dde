"""The space of NAS-Bench-201, with and without `none`."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from spaces.base import InputShape
from spaces.nb201.architecture import OPERATIONS, Nb201Architecture, UnknownArchitecture
from spaces.nb201.config import Nb201Config
from spaces.nb201.space import NB201, NB201_NO_NONE, Nb201Space
from tests.support.nb201_golden import golden

both = pytest.mark.parametrize("space", [NB201, NB201_NO_NONE], ids=lambda space: space.name)


def test_derived_architectures_equal_the_published_ones() -> None:
    for alpha, text in zip(golden()["derived/alpha"], golden()["derived/string"], strict=True):
        assert NB201.derive([alpha]).string == text.decode()


def test_without_none_the_largest_of_the_others_is_derived() -> None:
    row = np.tile([0.5, 0.1, 0.2, 0.15, 0.05], (6, 1))
    assert NB201.derive([row]).choices == ("none",) * 6
    assert NB201_NO_NONE.derive([row]).choices == ("nor_conv_1x1",) * 6


def test_the_first_of_equals_is_derived() -> None:
    assert NB201.derive([np.ones((6, 5))]).choices == ("none",) * 6
    assert NB201_NO_NONE.derive([np.ones((6, 5))]).choices == ("skip_connect",) * 6


@both
def test_other_shapes_are_refused(space: Nb201Space) -> None:
    with pytest.raises(ValueError, match=r"expected rows of shapes \[\(6, 5\)\], got \[\(5, 6\)\]"):
        space.derive([np.ones((5, 6))])


@both
def test_coefficients_of_an_architecture_derive_it(space: Nb201Space) -> None:
    generator = random.Random(3)
    for _ in range(20):
        architecture = space.sample(generator)
        rows = space.one_hot(architecture)
        assert np.array_equal(rows[0].sum(axis=1), np.ones(6))
        assert space.derive(rows) == architecture
        assert space.read(architecture.to_json()) == architecture
        (row,) = space.mixture_of(architecture, torch.float64).rows
        assert np.array_equal(row.numpy(), rows[0])


@both
def test_enumeration_is_complete_and_by_index(space: Nb201Space) -> None:
    architectures = [space.read(architecture.to_json()) for architecture in space.enumerate()]
    indices = [architecture.index for architecture in architectures]
    assert len(set(architectures)) == len(architectures) == len(space.candidates) ** 6
    assert indices == sorted(indices)


@both
def test_samples_reach_every_candidate_of_every_edge(space: Nb201Space) -> None:
    generator = random.Random(0)
    samples = [space.sample(generator) for _ in range(300)]
    for edge in range(6):
        assert {sample.choices[edge] for sample in samples} == set(space.candidates)


def test_an_architecture_with_none_is_none_of_the_space_without() -> None:
    content = Nb201Architecture(("none",) * 6).to_json()
    assert NB201.read(content).choices == ("none",) * 6
    with pytest.raises(UnknownArchitecture, match="nb201_no_none: expected operations skip_connect"):
        NB201_NO_NONE.read(content)
    with pytest.raises(UnknownArchitecture, match="expected an architecture with its `string`"):
        NB201.read({"matrix": []})


@both
def test_a_controller_decides_an_operation_for_each_edge(space: Nb201Space) -> None:
    (cell,) = space.choices()
    assert cell.inputs == 1
    assert [(node.parents, node.operations) for node in cell.nodes] == [
        (0, (len(space.candidates),) * count) for count in (1, 2, 3)
    ]
    decided = space.decided([[((), (3,)), ((), (0, 1)), ((), (2, 3, 1))]])
    named = space.candidates
    assert decided.choices == (named[3], named[0], named[1], named[2], named[3], named[1])


def test_names_and_the_settings_of_the_network() -> None:
    assert (NB201.name, NB201.label, NB201_NO_NONE.name) == ("nb201", "nb201", "nb201_no_none")
    assert NB201.row_shapes == NB201_NO_NONE.row_shapes == ((6, 5),)
    assert NB201.parameter_free == set(OPERATIONS) - {"nor_conv_1x1", "nor_conv_3x3"}
    network = NB201.network(Nb201Config(), InputShape(3, 10))
    assert network.groups == ("cell",) * 15
    assert Nb201Config().scale == "16 channels, 3 x 5 cells"
