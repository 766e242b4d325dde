"""Which records are of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.launch.identity import check_same, first_difference

RECORD: dict[str, Any] = {
    "seed": 0,
    "epochs": 2,
    "threads": 1,
    "keep": [],
    "table": {"label": "digits", "kind": "measured", "sha256": "12ab", "cells": 3},
    "settings": {"weights": {"momentum": 0.9, "betas": (0.5, 0.9)}},
}


@pytest.mark.parametrize(
    "entries",
    [
        {"images_sha256": "34cd"},
        {"keep": [1, 2]},
        {"table": {"label": "digits", "kind": "measured", "sha256": "12ab"}},
        {"settings": {"weights": {"momentum": 0.9, "betas": [0.5, 0.9]}}},
    ],
)
def test_what_decides_nothing_may_differ(entries: dict[str, Any]) -> None:
    assert first_difference({**RECORD, **entries}, RECORD) is None


@pytest.mark.parametrize(
    ("entries", "difference"),
    [
        ({"epochs": 3}, "epochs = 3, asked for is 2"),
        ({"threads": 4}, "threads = 4, asked for is 1"),
        ({"settings": {"weights": {"momentum": 0.5, "betas": [0.5, 0.9]}}}, "settings.weights.momentum = 0.5"),
        ({"table": {"label": "digits", "kind": "measured", "sha256": "other"}}, "table.sha256 = 'other'"),
        ({"seed": 1, "epochs": 3}, "and 1 more"),
        ({"unknown": 1}, "unknown = 1, asked for is None"),
    ],
)
def test_anything_else_is_named(entries: dict[str, Any], difference: str) -> None:
    assert difference in (first_difference({**RECORD, **entries}, RECORD) or "")


def test_a_record_from_before_a_setting_has_it_at_its_default() -> None:
    earlier = {**RECORD, "settings": {"weights": {"betas": [0.5, 0.9]}}}
    check_same(Path("run"), earlier, RECORD, {"weights": {"momentum": 0.9}})
    with pytest.raises(
        UserError, match=r"^run: holds a run with settings\.weights\.momentum = 0\.8, asked for is 0\.9"
    ):
        check_same(Path("run"), earlier, RECORD, {"weights": {"momentum": 0.8}})


def test_other_images_are_named_where_both_records_know_theirs() -> None:
    ours, theirs = {**RECORD, "images_sha256": "34cd"}, {**RECORD, "images_sha256": "56ef"}
    assert first_difference(theirs, ours) == "images_sha256 = '56ef', asked for is '34cd'"
    assert first_difference(RECORD, ours) is None
