from __future__ import annotations

import random

import pytest

from spaces.base import Architecture
from spaces.registry import AnySpace, get_space
from spaces.variables import architecture_of, choices_of, configuration_of, configuration_space, neighbours, steps

SPACES = ("nb101_1", "nb101_2", "nb101_3", "nb201", "nb201_no_none", "toy")
COUNTS = {"nb101_1": 3**4 * 3 * 6 * 10, "nb201": 5**6, "nb201_no_none": 4**6, "toy": 4**6}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> AnySpace:
    return get_space(request.param)


def sampled(space: AnySpace, count: int) -> list[Architecture]:
    generator = random.Random(0)
    return [space.sample(generator) for _ in range(count)]


def test_values_are_those_of_the_architecture_they_make(space: AnySpace) -> None:
    for architecture in sampled(space, 200):
        values = space.values_of(architecture)
        assert space.of_values(values) == architecture
        assert all(0 <= value < len(one.values) for value, one in zip(values, space.variables(), strict=True))


@pytest.mark.parametrize("name", COUNTS)
def test_there_are_as_many_combinations_as_architectures(name: str) -> None:
    counts = [len(variable.values) for variable in get_space(name).variables()]
    product = 1
    for count in counts:
        product *= count
    assert product == COUNTS[name]
    assert min(counts) >= 2


def test_every_value_is_drawn_as_often_as_any_other(space: AnySpace) -> None:
    drawn = [space.values_of(architecture) for architecture in sampled(space, 3000)]
    for place, variable in enumerate(space.variables()):
        expected = 3000 / len(variable.values)
        for value in range(len(variable.values)):
            count = sum(values[place] == value for values in drawn)
            assert abs(count - expected) < 5 * expected**0.5


def test_neighbours_differ_in_one_place_and_are_neighbours_of_each_other(space: AnySpace) -> None:
    for architecture in sampled(space, 5):
        own = space.values_of(architecture)
        around = neighbours(space, architecture)
        assert len(set(around)) == len(around)
        for neighbour in around:
            assert sum(one != other for one, other in zip(own, space.values_of(neighbour), strict=True)) == 1
            assert architecture in neighbours(space, neighbour)


def test_an_architecture_of_nb201_has_24_neighbours() -> None:
    space = get_space("nb201")
    assert len(neighbours(space, space.sample(random.Random(0)))) == 6 * 4


def test_a_step_between_sets_of_parents_swaps_one_parent() -> None:
    variables = {variable.name: variable for variable in get_space("nb101_1").variables()}
    output = variables["parents of output"]
    around = steps(output)[output.values.index((0, 1))]
    assert {output.values[place] for place in around} == {(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)}


def test_a_space_without_variables_says_so() -> None:
    with pytest.raises(NotImplementedError, match="s2: offers no variables"):
        get_space("s2").variables()


def test_every_architecture_of_nb201_goes_through_the_view_and_back() -> None:
    pytest.importorskip("ConfigSpace", reason="ConfigSpace, an extra, is not installed")
    space = get_space("nb201")
    view = configuration_space(space)
    everything = space.enumerate()
    configurations = [configuration_of(space, architecture, view) for architecture in everything]
    assert [architecture_of(space, dict(configuration)) for configuration in configurations] == everything
    assert len(set(configurations)) == 15625


def test_the_view_draws_architectures_that_go_back(space: AnySpace) -> None:
    pytest.importorskip("ConfigSpace", reason="ConfigSpace, an extra, is not installed")
    view = configuration_space(space, seed=3)
    for configuration in view.sample_configuration(100):
        architecture = architecture_of(space, dict(configuration))
        assert configuration_of(space, architecture, view) == configuration
    for architecture in sampled(space, 100):
        configuration = configuration_of(space, architecture, view)
        assert architecture_of(space, dict(configuration)) == architecture


def test_the_view_names_operations_and_parents() -> None:
    choices = choices_of(get_space("nb101_1"))
    assert choices["operation_of_1"] == ["maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu"]
    assert choices["parents_of_3"] == ["0,1", "0,2", "1,2"]
    assert list(choices)[-1] == "parents_of_output"


def test_a_configuration_of_another_space_is_refused_by_name() -> None:
    space = get_space("nb201")
    given = {name: options[0] for name, options in choices_of(space).items()}
    with pytest.raises(ValueError, match=r"expected edge_2<-1 as one of none, .*got 'dil_conv_3x3'"):
        architecture_of(space, {**given, "edge_2<-1": "dil_conv_3x3"})
