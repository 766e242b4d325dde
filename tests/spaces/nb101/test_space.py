"""The three spaces have the cells that they are known to have, and derive and sample as the published code does."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.nb101.architecture import CellChoice, ParentChoice
from spaces.nb101.cell import CONV1X1, CONV3X3, MAXPOOL3X3, OPERATIONS, Cell
from spaces.nb101.space import SearchSpace, get_space
from tests.support.golden_vectors import COMMITTED, golden_json, reference_folder

SHA256_OF_SORTED_HASHES = {
    1: "bdfa9688f678cfc362a71455d5046fd58c1be095ea04521ed967f63567747120",
    2: "72fbc838e0bb9d5677e35a3bf13554396a57a429953324d6328468abe5365f66",
    3: "c273ace7a2ee9783ca8db28ab44b99392822b37905ac234a3a2e6cbfb1e2846c",
}
SHA256_OF_HASHES_IN_ORDER = {
    1: "eb85cd7bc709e97f27302eb208a2eb7e273931ffeb87b0ec6d6233251851d227",
    2: "a05495338dfd682e0c71c2a4bbcf001f775810755da652b04af3840e562cf405",
}

spaces = pytest.mark.parametrize("space", [get_space(number) for number in (1, 2, 3)], ids=lambda space: space.number)


@pytest.fixture(scope="session")
def hashes() -> dict[int, list[str]]:
    """Hashes of all cells of each space, in the order of the enumeration; hashing space 3 takes seconds."""
    return {number: [cell.hash for cell in get_space(number).cells()] for number in (1, 2, 3)}


def sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@spaces
def test_architectures_with_loose_ends_are_as_many_as_published(space: SearchSpace) -> None:
    choices = sum(1 for _ in space.parent_choices())
    assert choices == {1: 180, 2: 360, 3: 5400}[space.number]
    assert choices * len(OPERATIONS) ** space.blocks == {1: 14_580, 2: 29_160, 3: 1_312_200}[space.number]


@spaces
def test_architectures_by_the_papers_count_are_as_many_as_published(space: SearchSpace) -> None:
    """Operations count only on blocks that feed anything; the paper's space 2 (29,160) is not counted that way."""
    total = 0
    for parents in space.parent_choices():
        total += 3 ** len(set(itertools.chain(*parents)) - {0})
    assert total == {1: 6_240, 2: 16_632, 3: 363_648}[space.number]


@spaces
def test_parent_choices_are_distinct_and_take_what_the_space_demands(space: SearchSpace) -> None:
    choices = list(space.parent_choices())
    assert len(set(choices)) == len(choices)
    for parents in choices:
        assert tuple(map(len, parents)) == space.parent_counts
        assert sum(map(len, parents)) == 9
        assert all(max(chosen) < node for node, chosen in enumerate(parents, start=1))


@spaces
def test_graphs_of_the_outputs_ancestors_are_as_many_as_published(space: SearchSpace) -> None:
    matrices = space.pruned_matrices()
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices) == {1: 66, 2: 190, 3: 876}[space.number]


def test_every_cell_is_listed_once(hashes: dict[int, list[str]]) -> None:
    assert {number: len(found) for number, found in hashes.items()} == {1: 2_685, 2: 7_773, 3: 55_854}
    for number, found in hashes.items():
        assert len(set(found)) == len(found)
        assert sha256(sorted(found)) == SHA256_OF_SORTED_HASHES[number]


def test_overlap_of_the_spaces_is_the_published_one(hashes: dict[int, list[str]]) -> None:
    one, two, three = (set(hashes[number]) for number in (1, 2, 3))
    assert (len(one & two), len(two & three), len(one & three), len(one | two | three)) == (0, 0, 201, 66_111)


def test_order_of_the_cells_is_fixed_since_measured_tables_depend_on_it(hashes: dict[int, list[str]]) -> None:
    assert {number: sha256(hashes[number]) for number in SHA256_OF_HASHES_IN_ORDER} == SHA256_OF_HASHES_IN_ORDER


@pytest.mark.parametrize("number", [1, 3])
def test_cells_are_those_that_the_published_search_can_return(number: int, hashes: dict[int, list[str]]) -> None:
    published = (reference_folder() / "golden" / f"spaces_hashes_reachable_{number}.txt").read_text().split()
    assert sorted(hashes[number]) == published


@given(st.data())
def test_every_choice_is_among_the_listed_cells(hashes: dict[int, list[str]], data: st.DataObject) -> None:
    space = get_space(data.draw(st.sampled_from([1, 2])))
    cell = space.cell(*data.draw(choices(space)))
    assert cell.hash in hashes[space.number]


def choices(space: SearchSpace) -> st.SearchStrategy[tuple[ParentChoice, tuple[str, ...]]]:
    return st.tuples(
        st.sampled_from(list(space.parent_choices())), st.tuples(*[st.sampled_from(OPERATIONS)] * space.blocks)
    )


published_derivations = pytest.mark.parametrize(
    ("number", "origin"), [(1, "committed sample"), (1, "reference"), (3, "reference")]
)


def derived_records(number: int, origin: str) -> list[dict[str, Any]]:
    """Alphas and what the published code derived from them."""
    path = COMMITTED / "discretize_sample.json"
    if origin == "reference":
        path = reference_folder() / "golden" / f"discretize_{number}.json"
    content: dict[str, Any] = json.loads(path.read_text())
    assert content["search_space"] == number
    records: list[dict[str, Any]] = content["records"]
    return records


def softmaxed(space: SearchSpace, alphas: list[list[list[float]]]) -> list[npt.NDArray[np.float32]]:
    """Rows of a mixture as the published code takes them: the softmax in float32."""
    rows = []
    for values, shape in zip(alphas, space.row_shapes, strict=True):
        exponentials = np.exp(np.array(values, np.float32) - np.max(values, axis=-1, keepdims=True).astype(np.float32))
        rows.append((exponentials / exponentials.sum(axis=-1, keepdims=True)).reshape(shape))
    return rows


@published_derivations
def test_derived_cells_equal_the_published_ones(number: int, origin: str) -> None:
    space, records = get_space(number), derived_records(number, origin)
    assert len(records) >= (40 if origin == "committed sample" else 1000)
    for record in records:
        cell = space.derive(softmaxed(space, record["alphas"])).cell
        assert cell.hash == record["hash"]
        assert cell.matrix.tolist() == record["pruned_matrix"]
        assert list(cell.ops) == record["pruned_ops"]


@published_derivations
def test_choices_of_parents_give_the_published_matrices(number: int, origin: str) -> None:
    space = get_space(number)
    for record in derived_records(number, origin):
        # The published `parents` are those of the largest coefficients, as far as the output's ancestors go.
        with_loose_ends = as_seven_vertices(record["adjacency_with_loose_ends"])
        parents = tuple(
            tuple(np.flatnonzero(with_loose_ends[:, vertex]).tolist()) for vertex in seven_vertices(space)[1:]
        )
        matrix = space.matrix(parents)
        assert matrix.tolist() == with_loose_ends[np.ix_(seven_vertices(space), seven_vertices(space))].tolist()
        for node, chosen in record["parents"].items():
            if chosen and int(node) > 0:
                assert parents[int(node) - 1] == tuple(sorted(chosen))
        assert space.cell(parents, record["ops"][1 : space.blocks + 1]).hash == record["hash"]


def as_seven_vertices(matrix: list[list[float]]) -> npt.NDArray[np.int64]:
    array = np.array(matrix, dtype=np.int64)
    assert array.shape == (7, 7)
    return array


def seven_vertices(space: SearchSpace) -> list[int]:
    """Where our nodes are among the published seven: spaces 1 and 2 have an isolated one before the output."""
    return [*range(space.blocks + 1), 6]


@pytest.mark.parametrize(
    ("weights", "count", "chosen"),
    [
        ([0.25] * 4, 2, (2, 3)),
        ([0.4, 0.2, 0.2, 0.2], 2, (0, 3)),
        ([0.3, 0.1, 0.3, 0.3], 2, (2, 3)),
        ([0.2] * 5, 3, (2, 3, 4)),
    ],
)
def test_ties_between_parents_fall_to_the_later_ones(weights: list[float], count: int, chosen: tuple[int, ...]) -> None:
    assert parents_of_output(weights, count) == chosen


def test_ties_are_decided_as_in_the_recorded_cases() -> None:
    """A stable sort decides ours: of equal coefficients the later nodes are parents.

    The published code takes the last of `numpy.argpartition`, whose ties depend on NumPy's version and on the
    processor. In all recorded cases they fell to the later ones.
    """
    recorded = json.loads((reference_folder() / "golden" / "discretize_ties.json").read_text())["cases"]
    assert len(recorded) == 11
    for case in recorded:
        chosen = parents_of_output(case["weights"][0], case["k"])
        assert chosen == tuple(sorted(case["chosen_as_returned"]))


def parents_of_output(weights: list[float], count: int) -> tuple[int, ...]:
    """Parents that the output takes, in a space whose output has as many candidates as there are coefficients."""
    space = SearchSpace(0, (*[1] * (len(weights) - 1), count))
    rows = [np.ones(shape, np.float32) for shape in space.row_shapes]
    rows[1] = np.array(weights, np.float32)
    return space.derive(rows).parents[-1]


def test_tied_operations_fall_to_the_first() -> None:
    space = get_space(1)
    rows = [np.ones(shape, np.float32) for shape in space.row_shapes]
    assert set(space.derive(rows).cell.ops[1:-1]) == {OPERATIONS[0]} == {MAXPOOL3X3}


@spaces
def test_rows_of_a_wrong_shape_are_refused(space: SearchSpace) -> None:
    rows = [np.ones(shape) for shape in space.row_shapes]
    for wrong in (rows[:-1], [*rows, rows[-1]], [rows[0][:, :2], *rows[1:]], [rows[0], rows[1][None], *rows[2:]]):
        with pytest.raises(ValueError, match="expected rows of shapes"):
            space.derive(wrong)


@spaces
@given(data=st.data())
def test_derive_returns_the_cell_of_a_one_hot_mixture(space: SearchSpace, data: st.DataObject) -> None:
    parents, ops = data.draw(choices(space))
    noise = np.random.RandomState(data.draw(st.integers(0, 100)))
    rows = [0.1 * noise.random_sample(shape) for shape in space.row_shapes]
    for block, op in enumerate(ops):
        rows[0][block, OPERATIONS.index(op)] += 1
    for row, node in zip(rows[1:], (space.blocks + 1, *space.choosing_nodes), strict=True):
        row[list(parents[node - 1])] += 1
    derived, expected = space.derive(rows), space.cell(parents, ops)
    assert (derived.parents, derived.ops) == (parents, ops)
    assert (derived.cell.matrix.tolist(), derived.cell.ops) == (expected.matrix.tolist(), expected.ops)


@spaces
@given(seed=st.integers(0, 2**32))
def test_samples_are_valid_choices_of_the_space(space: SearchSpace, seed: int) -> None:
    choice = space.sample(random.Random(seed))
    parents, ops = choice.parents, choice.ops
    assert tuple(map(len, parents)) == space.parent_counts
    assert all(tuple(sorted(set(chosen))) == chosen for chosen in parents)
    assert space.matrix(parents).sum() == 9
    assert set(ops) <= set(OPERATIONS)
    assert choice.cell == space.cell(parents, ops)


@spaces
def test_samples_are_uniform_over_parents_and_operations(space: SearchSpace) -> None:
    generator = random.Random(7)
    drawn = [space.sample(generator) for _ in range(4000)]
    expected: dict[tuple[object, ...], float] = {}
    counted: Counter[tuple[object, ...]] = Counter()
    for node, count in enumerate(space.parent_counts, start=1):
        options = list(itertools.combinations(range(node), count))
        expected |= {("parents", node, option): len(drawn) / len(options) for option in options}
        counted.update(("parents", node, choice.parents[node - 1]) for choice in drawn)
    for block in range(space.blocks):
        expected |= {("operation", block, op): len(drawn) / 3 for op in OPERATIONS}
        counted.update(("operation", block, choice.ops[block]) for choice in drawn)
    assert counted.keys() == expected.keys()
    for event, mean in expected.items():
        deviation = math.sqrt(mean * (1 - mean / len(drawn)))
        assert abs(counted[event] - mean) <= 4 * deviation, event
    pairs = Counter((choice.parents[-1], choice.ops[0]) for choice in drawn)
    mean = len(drawn) / len(list(itertools.combinations(range(space.blocks + 1), space.parent_counts[-1]))) / 3
    assert sum((count - mean) ** 2 / mean for count in pairs.values()) < 2 * len(pairs)


@spaces
def test_published_samples_are_choices_of_the_space(space: SearchSpace, hashes: dict[int, list[str]]) -> None:
    recorded = golden_json("random_ws_samples")[f"space{space.number}"]
    for sample in recorded["with_loose_ends_not_upscaled"]:
        matrix = np.array(sample["adjacency"], dtype=int)
        parents = tuple(tuple(np.flatnonzero(column).tolist()) for column in matrix.T[1:])
        assert space.matrix(parents).tolist() == matrix.tolist()
        assert space.cell(parents, sample["ops"]).hash in hashes[space.number]
    for sample in recorded["without_loose_ends_upscaled"]:
        # Upscaled matrices of spaces 1 and 2 have an isolated seventh vertex; what it is called does not matter.
        ops = ["input", *sample["ops"], *[CONV1X1] * (5 - len(sample["ops"])), "output"]
        assert Cell(np.array(sample["adjacency"], dtype=int), ops).hash in hashes[space.number]


def test_matrix_refuses_parents_that_the_space_does_not_allow() -> None:
    space = get_space(1)
    good = ((0,), (0, 1), (0, 2), (1, 3), (3, 4))
    assert space.matrix(good).sum() == 9
    with pytest.raises(ValueError, match="expected parents of 5 nodes, got 4"):
        space.matrix(good[:-1])
    for node, wrong in [(1, (1,)), (2, (0,)), (3, (0, 1, 2)), (3, (2, 2)), (4, (3, 4)), (5, (-1, 0)), (1, (0, 0))]:
        parents = (*good[: node - 1], wrong, *good[node:])
        with pytest.raises(ValueError, match=rf"node {node} takes \d distinct parents below {node}"):
            space.matrix(parents)


def test_cell_refuses_a_wrong_number_of_operations() -> None:
    with pytest.raises(ValueError, match="expected 4 operations, got 3"):
        get_space(1).cell(((0,), (0, 1), (0, 2), (1, 3), (3, 4)), [CONV3X3] * 3)


@spaces
def test_sizes_are_the_published_ones(space: SearchSpace) -> None:
    assert space.alpha_count == {1: 24, 2: 26, 3: 35}[space.number]
    assert space.blocks == {1: 4, 2: 4, 3: 5}[space.number]
    assert space.choosing_nodes == {1: (3, 4), 2: (2, 3, 4), 3: (2, 3, 4, 5)}[space.number]


@pytest.mark.parametrize("number", [0, 4])
def test_unknown_space_is_refused_with_the_known_ones(number: int) -> None:
    with pytest.raises(ValueError, match=f"unknown space {number}; known: 1, 2, 3"):
        get_space(number)


@spaces
@given(data=st.data())
def test_a_choice_is_read_back_from_its_json_and_placed_again_from_its_epoch_line(
    space: SearchSpace, data: st.DataObject
) -> None:
    choice = CellChoice(*data.draw(choices(space)))
    assert space.read(json.loads(json.dumps(choice.to_json()))) == choice
    placed = space.read(json.loads(json.dumps(choice.record())))
    assert placed.cell == choice.cell
    assert (placed.key, choice.record()["cell"]) == (choice.key, choice.key)
    assert tuple(map(len, placed.parents)) == space.parent_counts


@spaces
@given(data=st.data())
def test_a_choice_is_derived_from_its_own_one_hot_coefficients(space: SearchSpace, data: st.DataObject) -> None:
    choice = CellChoice(*data.draw(choices(space)))
    assert space.derive(space.one_hot(choice)) == choice


@pytest.mark.parametrize("number", [1, 2])
def test_choices_are_enumerated_in_the_order_of_their_cells(number: int) -> None:
    space = get_space(number)
    assert [choice.key for choice in space.enumerate()] == [cell.hash for cell in space.cells()]


def test_a_cell_of_another_space_is_not_placed() -> None:
    elsewhere = get_space(2).cells()[0]
    with pytest.raises(ValueError, match=f"nb101_1: does not hold the cell {elsewhere.hash}"):
        get_space(1).place(elsewhere)


@spaces
def test_a_controllers_decisions_are_a_choice_of_the_space(space: SearchSpace) -> None:
    """Of the nodes 2..n+1, each with its operation, which goes to the block below."""
    generator = random.Random(2)
    (cell,) = space.choices()
    assert (cell.inputs, [node.parents for node in cell.nodes]) == (2, list(space.parent_counts[1:]))
    for _ in range(20):
        expected = space.sample(generator)
        nodes = [(above, (OPERATIONS.index(op),)) for above, op in zip(expected.parents[1:], expected.ops, strict=True)]
        assert space.decided([nodes]) == expected
