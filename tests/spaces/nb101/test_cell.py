"""Cells agree with the published `ModelSpec`, and their hash knows nothing of the order of vertices."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.nb101.cell import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OPERATIONS, OUTPUT, Cell, InvalidCell
from tests.support.golden_vectors import COMMITTED, reference_folder

Matrix = npt.NDArray[np.int64]


@pytest.fixture(scope="module", params=["committed sample", "reference"])
def published(request: pytest.FixtureRequest) -> dict[str, Any]:
    path = COMMITTED / "modelspec_sample.json"
    if request.param == "reference":
        path = reference_folder() / "golden" / "modelspec.json"
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


def test_pruning_and_hash_equal_the_published_ones(published: dict[str, Any]) -> None:
    in_domain = [record for record in published["records"] if record["valid_spec"] and record["in_nasbench_domain"]]
    assert len(in_domain) >= 20
    for record in in_domain:
        cell = Cell(record["matrix"], record["ops"])
        assert cell.matrix.tolist() == record["pruned_matrix"]
        assert list(cell.ops) == record["pruned_ops"]
        assert cell.hash == record["hash"]


def test_what_published_code_calls_invalid_or_out_of_domain_is_refused(published: dict[str, Any]) -> None:
    refused = [record for record in published["records"] if not record["in_nasbench_domain"]]
    assert {record["valid_spec"] for record in refused} == {True, False}
    for record in refused:
        reason = "edges after pruning" if record["valid_spec"] else "no path leads from input to output"
        with pytest.raises(InvalidCell, match=reason):
            Cell(record["matrix"], record["ops"])


def test_small_cells_equal_the_published_ones(published: dict[str, Any]) -> None:
    for record in published["small"]:
        if record["valid_spec"]:
            cell = Cell(record["matrix"], record["ops"])
            assert (cell.matrix.tolist(), list(cell.ops), cell.hash) == (
                record["pruned_matrix"],
                record["pruned_ops"],
                record["hash"],
            )
        else:
            with pytest.raises(InvalidCell):
                Cell(record["matrix"], record["ops"])


def test_isomorphic_cells_are_equal_and_have_the_published_hash(published: dict[str, Any]) -> None:
    compared = 0
    for pair in published["isomorphic_pairs"]:
        try:
            first = Cell(pair["matrix_a"], pair["ops_a"])
        except InvalidCell:
            # More than nine edges: the published `ModelSpec` hashes such graphs too, the table has none of them.
            with pytest.raises(InvalidCell, match="edges after pruning"):
                Cell(pair["matrix_b"], pair["ops_b"])
            continue
        second = Cell(pair["matrix_b"], pair["ops_b"])
        assert first == second
        assert hash(first) == hash(second)
        assert first.hash == second.hash == pair["hash"]
        compared += 1
    assert compared > len(published["isomorphic_pairs"]) / 2


def test_cell_of_the_published_readme_has_its_hash(published: dict[str, Any]) -> None:
    record = published["readme_inception_like_cell"]
    assert Cell(record["matrix"], record["ops"]).hash == record["hash"]


def test_malformed_input_is_refused_with_the_published_words(published: dict[str, Any]) -> None:
    for record in published["errors"]:
        words = record["error"].removeprefix("ValueError: ")
        with pytest.raises(InvalidCell, match=words):
            Cell(record["matrix"], record["ops"])


def test_float_matrix_is_refused() -> None:
    with pytest.raises(InvalidCell, match=r"integers.*astype"):
        Cell(np.array([[0.0, 1.0], [0.0, 0.0]]), (INPUT, OUTPUT))


@pytest.mark.parametrize("entry", [2, -1, 256])
def test_entries_other_than_0_and_1_are_refused(entry: int) -> None:
    with pytest.raises(InvalidCell, match="0 or 1"):
        Cell([[0, entry], [0, 0]], (INPUT, OUTPUT))


def test_unknown_operation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidCell, match=r"'conv7x7'.*maxpool3x3, conv3x3-bn-relu, conv1x1-bn-relu"):
        Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], (INPUT, "conv7x7", OUTPUT))


def test_wrong_ends_and_too_many_vertices_are_refused() -> None:
    with pytest.raises(InvalidCell, match="the first op must be 'input'"):
        Cell([[0, 1], [0, 0]], (OUTPUT, INPUT))
    with pytest.raises(InvalidCell, match="at most 7 vertices"):
        Cell(np.eye(8, k=1, dtype=int), (INPUT, *[CONV3X3] * 6, OUTPUT))


def test_boolean_and_integer_matrices_are_the_same_cell() -> None:
    matrix = np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]])
    ops = (INPUT, MAXPOOL3X3, OUTPUT)
    cells = [Cell(matrix.astype(dtype), ops) for dtype in (bool, np.int8, np.uint64, np.int64)]
    assert len(set(cells)) == 1
    assert cells[0].matrix.dtype == np.int8


def test_matrix_of_a_cell_cannot_be_changed() -> None:
    cell = Cell([[0, 1], [0, 0]], (INPUT, OUTPUT))
    with pytest.raises(ValueError, match="read-only"):
        cell.matrix[0, 1] = 0


def test_json_fields_build_the_same_cell() -> None:
    cell = Cell([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], (INPUT, CONV1X1, MAXPOOL3X3, OUTPUT))
    fields = json.loads(json.dumps(cell.to_json()))
    assert Cell(fields["matrix"], fields["ops"]).hash == fields["cell"] == cell.hash
    assert cell.parents == ((), (0,), (0,), (1, 2))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Matrix, list[str]]:
    count = draw(st.integers(2, 7))
    matrix = np.zeros((count, count), dtype=np.int64)
    pairs = [(source, target) for target in range(count) for source in range(target)]
    for source, target in draw(st.lists(st.sampled_from(pairs), max_size=9, unique=True)):
        matrix[source, target] = 1
    interior = draw(st.lists(st.sampled_from(OPERATIONS), min_size=count - 2, max_size=count - 2))
    return matrix, [INPUT, *interior, OUTPUT]


@given(graphs(), st.randoms(use_true_random=False))
def test_hash_is_invariant_under_relabelling_of_interior_vertices(
    graph: tuple[Matrix, list[str]], generator: random.Random
) -> None:
    matrix, ops = graph
    order = _random_topological_order(matrix, generator)
    relabelled = matrix[np.ix_(order, order)], [ops[vertex] for vertex in order]
    assert _hash_or_none(*relabelled) == _hash_or_none(matrix, ops)


@given(graphs())
def test_pruning_is_idempotent_and_adding_loose_ends_changes_nothing(graph: tuple[Matrix, list[str]]) -> None:
    matrix, ops = graph
    if _hash_or_none(matrix, ops) is None:
        return
    cell = Cell(matrix, ops)
    assert Cell(cell.matrix, cell.ops).matrix.tolist() == cell.matrix.tolist()
    loose = np.zeros((len(cell.ops) + 1,) * 2, dtype=int)
    keep = [index for index in range(len(loose)) if index != len(loose) - 2]
    loose[np.ix_(keep, keep)] = cell.matrix
    loose[0, -2] = 1
    assert Cell(loose, (*cell.ops[:-1], CONV3X3, OUTPUT)).hash == cell.hash


def _random_topological_order(matrix: Matrix, generator: random.Random) -> list[int]:
    """An order of the vertices in which edges still point forwards, input first and output last."""
    last = len(matrix) - 1
    order, rest = [0], list(range(1, last))
    while rest:
        ready = [vertex for vertex in rest if not any(matrix[other, vertex] for other in rest)]
        chosen = generator.choice(ready)
        order.append(chosen)
        rest.remove(chosen)
    return [*order, last]


def _hash_or_none(matrix: Matrix, ops: list[str]) -> str | None:
    try:
        return Cell(matrix, ops).hash
    except InvalidCell:
        return None
