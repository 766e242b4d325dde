from __future__ import annotations

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.base import Space
from spaces.darts.genotype import Genotype
from spaces.darts.operations import EDGES, NONE
from spaces.darts.space import S1_NORMAL, SPACES, DartsSpace
from tests.support.golden_vectors import reference_folder
from tests.support.published_darts import derived_rows, named_space, published_derivations, published_genotype


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4", "s5"])
def test_edges_carry_the_published_operations(name: str) -> None:
    published = json.loads((reference_folder() / "data" / "darts_spaces.json").read_text())[name]
    operations = named_space(name).edge_operations
    assert [list(labels) for labels in operations["normal"]] == published["primitives_normal"]
    assert [list(labels) for labels in operations["reduce"]] == published["primitives_reduct"]


def test_eight_operations_are_the_seven_after_none() -> None:
    eight, seven = (SPACES[name].edge_operations["normal"][0] for name in ("darts", "darts7"))
    assert eight == (NONE, *seven)


def test_rows_are_one_tensor_for_each_kind_of_cell() -> None:
    layout = SPACES["s3"].layout
    assert [(row.kind, row.shape, row.group) for row in layout] == [
        ("operation", (14, 3), "normal"),
        ("operation", (14, 3), "reduce"),
    ]
    edges = SPACES["darts_edges"].layout[2:]
    assert [(row.kind, row.shape, row.group) for row in edges] == [
        ("parents", (node,), group) for group in ("normal", "reduce") for node in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4", "s5"])
def test_derived_genotypes_are_the_published_ones_also_where_rows_tie(name: str) -> None:
    space = named_space(name)
    texts = [space.derive(derived_rows(name, draw)).text for draw in range(12)]
    assert texts == published_derivations()[name]


@pytest.mark.parametrize("name", list(SPACES))
@given(seed=st.integers(0, 2**32))
def test_a_sample_is_read_back_and_derived_from_its_one_hot_rows(name: str, seed: int) -> None:
    space = SPACES[name]
    genotype = space.sample(random.Random(seed))
    assert space.read(genotype.to_json()) == genotype
    rows = space.one_hot(genotype)
    assert tuple(row.shape for row in rows) == space.row_shapes
    assert all(set(row.ravel()) <= {0.0, 1.0} for row in rows)
    assert [row.sum() for row in rows[:2]] == [8, 8]
    assert space.derive(rows) == genotype


def test_weights_of_edges_decide_which_edges_are_kept() -> None:
    space = SPACES["darts_edges"]
    generator = np.random.RandomState(0)
    rows = [generator.rand(*shape) for shape in space.row_shapes]
    without = [
        operations * np.concatenate(rows[2 + 4 * kind : 6 + 4 * kind])[:, None]
        for kind, operations in enumerate(rows[:2])
    ]
    assert space.derive(rows) == SPACES["darts"].derive(without)
    assert space.derive(rows) != SPACES["darts"].derive(rows[:2])


def test_none_is_never_kept_however_strong() -> None:
    space = SPACES["s3"]
    rows = [np.tile([0.9, 0.06, 0.04], (14, 1)) for _ in range(2)]
    assert {operation for operation, _ in space.derive(rows).normal} == {"skip_connect"}


def test_samples_meet_every_choice_of_a_node_about_equally_often() -> None:
    generator, space = random.Random(0), SPACES["s2"]
    counts: dict[object, int] = {}
    for _ in range(6000):
        pair = frozenset(space.sample(generator).normal[2:4])
        counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 12  # three pairs of states, two operations each
    assert all(400 < count < 600 for count in counts.values())


def test_size_counts_pairs_of_cells() -> None:
    assert SPACES["s2"].size == 46_080**2
    assert SPACES["darts7"].size == SPACES["darts"].size


@pytest.mark.parametrize("name", list(SPACES))
def test_a_controllers_decisions_reach_the_genotype(name: str) -> None:
    space = SPACES[name]
    choices = space.choices()
    generator = random.Random(1)
    decisions = [
        [
            (
                tuple(generator.sample(range(cell.inputs + number), node.parents)),
                tuple(generator.randrange(count) for count in node.operations),
            )
            for number, node in enumerate(cell.nodes)
        ]
        for cell in choices
    ]
    genotype = space.decided(decisions)
    space.check(genotype)
    parents, operations = decisions[1][3]
    expected = {
        (space.candidates("reduce", 9 + source)[operation], source)
        for source, operation in zip(parents, operations, strict=True)
    }
    assert set(genotype.reduce[6:]) == expected


def test_a_genotype_of_another_space_is_refused() -> None:
    genotype = published_genotype("c10_s5_pgd")
    assert SPACES["darts"].read(genotype.to_json()) == genotype
    with pytest.raises(ValueError, match="s2: the normal cell's edge from 0 to 4 carries one of skip_connect"):
        SPACES["s2"].read(genotype.to_json())
    none = Genotype(((NONE, 0), *genotype.normal[1:]), genotype.reduce)
    with pytest.raises(ValueError, match="got none"):
        SPACES["darts"].one_hot(none)


@pytest.mark.parametrize("method", ["random", "pgd", "pcdarts"])
@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4"])
def test_released_cells_belong_to_their_spaces(name: str, method: str) -> None:
    SPACES[name].check(published_genotype(f"c10_{name}_{method}"))


def test_rows_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rows of shapes"):
        SPACES["s2"].derive([np.zeros((14, 2)), np.zeros((14, 3))])


def test_edges_that_make_no_space_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the operations of 14 edges, got 13"):
        DartsSpace("x", "", S1_NORMAL[1:], S1_NORMAL)
    with pytest.raises(ValueError, match="as many operations on every edge"):
        DartsSpace("x", "", (("none", "noise", "skip_connect"), *S1_NORMAL[1:]), S1_NORMAL)
    with pytest.raises(ValueError, match="edge 0"):
        DartsSpace("x", "", (("none", "conv"), *S1_NORMAL[1:]), S1_NORMAL)


def test_spaces_state_what_the_contract_asks_for() -> None:
    for name, space in SPACES.items():
        assert isinstance(space, Space)
        assert space.name == space.label == name
        assert space.summary
        assert "skip_connect" in space.parameter_free
        assert len(EDGES) == space.row_shapes[0][0] == 14
