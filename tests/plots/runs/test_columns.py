"""Columns hold what the lines hold, whatever is in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.records.catalogue import BUILT_IN, Quantity
from harness.records.line import EpochLine
from plots.runs.columns import columns_of

JSON_VALUES = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3), st.just([]), st.just(10**400)
)
ENTRIES = ("test_error", "supernet_valid_accuracy", "projection_loss", "supernet_valid_loss", "parameter_free", "ops")


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(ENTRIES), JSON_VALUES), max_size=4))
def test_a_quantity_is_what_its_catalogue_entry_gives_line_by_line(lines: list[dict[str, Any]]) -> None:
    columns = columns_of(lines)
    assert columns.epochs == len(lines)
    for quantity in [*BUILT_IN.values(), Quantity("ops", "a name", "An entry that is no number in other runs.")]:
        expected = [math.nan if (value := quantity.of(line)) is None else value for line in lines]
        np.testing.assert_array_equal(columns.values(quantity), np.array(expected, dtype=np.float64))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.just("test_error"), JSON_VALUES), max_size=6))
def test_numbers_that_are_none_are_told_from_missing_ones(lines: list[dict[str, Any]]) -> None:
    def is_damaged(value: object) -> bool:
        return value == 10**400 if type(value) is int else isinstance(value, float) and not math.isfinite(value)

    expected = tuple(epoch for epoch, line in enumerate(lines) if is_damaged(line.get("test_error")))
    assert columns_of(lines).not_finite.get("test_error", ()) == expected


def test_architectures_are_those_of_the_lines() -> None:
    edge: dict[str, Any] = {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"], "cell": "a"}
    graph: dict[str, Any] = {
        "graphs": [{"title": "normal", "nodes": ["x", "y"], "edges": [[0, 1, "skip"]]}],
        "cell": "b",
    }
    lines = [edge, edge, {"cell": "c"}, {**edge, "matrix": [[0, 2], [0, 0]]}, graph, edge]
    columns = columns_of([{"epoch": epoch, **line} for epoch, line in enumerate(lines)])
    drawn = [columns.drawable(place) for place in columns.places.tolist()]
    assert drawn == [EpochLine(line).architecture for line in lines]
    assert columns.places.tolist() == [0, 0, -1, 1, 2, 0]
    assert (drawn[2], drawn[3]) == (None, None)


def test_a_quantity_that_somebody_elses_function_derives_is_refused() -> None:
    quantity = Quantity("mine", "mine", "Derived by a function that sees whole lines.", derived=lambda line: 1.0)
    with pytest.raises(ValueError, match="mine: is derived, and not built in"):
        columns_of([{"epoch": 0}]).values(quantity)


def test_columns_cannot_be_written_to() -> None:
    columns = columns_of([{"epoch": 0, "test_error": 0.1}])
    with pytest.raises(ValueError, match="read-only"):
        columns.values(BUILT_IN["test_error"])[0] = 0.0
