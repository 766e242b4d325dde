"""A line read by name: numbers, seconds, and the architecture in either of its two forms."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.records.line import EpochLine, Graph

CELL: dict[str, Any] = {"cell": "k", "matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv", "output"]}
GRAPHS: dict[str, Any] = {
    "cell": "k",
    "architecture": {"normal": [1, 2]},
    "graphs": [{"title": "normal", "nodes": ["a", "b", "c"], "edges": [[0, 1, "skip"], [0, 1, "conv"], [1, 2, ""]]}],
}


def test_both_forms_of_an_architecture_come_out_as_graphs() -> None:
    nasbench, other = EpochLine(CELL).architecture, EpochLine(GRAPHS).architecture
    assert nasbench is not None
    assert other is not None
    assert nasbench.graphs == (Graph("", ("input", "conv", "output"), ((0, 1, ""), (0, 2, ""), (1, 2, ""))),)
    assert other.graphs == (Graph("normal", ("a", "b", "c"), ((0, 1, "skip"), (0, 1, "conv"), (1, 2, ""))),)
    assert (nasbench.key, other.key) == ("k", "k")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"matrix": [[0, 1], [0]], "ops": ["input", "output"]},
        {"matrix": [[0, 2], [0, 0]], "ops": ["input", "output"]},
        {"matrix": [], "ops": []},
        {"matrix": [[0, 1], [0, 0]], "ops": ["input", 3]},
        {"graphs": None},
        {"graphs": []},
        {"graphs": [{"title": "", "nodes": ["a", "b"], "edges": [[1, 0, "backwards"]]}]},
        {"graphs": [{"title": "", "nodes": ["a", "b"], "edges": [[0, 2, "beyond"]]}]},
        {"graphs": [{"title": "", "nodes": ["a", 3], "edges": []}]},
        {"graphs": [{"nodes": ["a", "b"], "edges": []}, "another"]},
    ],
)
def test_an_architecture_that_cannot_be_drawn_is_none(content: dict[str, Any]) -> None:
    assert EpochLine(content).architecture is None


@pytest.mark.parametrize("recorded", [3, {}, {"train": -1}, {"train": "long"}, None])
def test_seconds_that_were_not_recorded_are_nan(recorded: object) -> None:
    assert math.isnan(EpochLine({"seconds": recorded}).training_seconds)


def test_alphas_of_any_shape_are_alphas() -> None:
    assert EpochLine({"alphas": [[[[0.1]]], [0.2]]}).has_alphas
    assert not EpochLine({"alphas": []}).has_alphas


def test_what_this_version_does_not_know_stays() -> None:
    assert EpochLine({"epoch": 1, "of a later version": {"a": 1}}).content["of a later version"] == {"a": 1}
