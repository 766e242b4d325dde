"""The catalogue of quantities: what a line gives, what a run's configuration carries, what is refused."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from harness.records.catalogue import (
    BUILT_IN,
    FURTHER,
    Quantity,
    catalogue,
    get_quantity,
    recorded_quantities,
    register_quantity,
    to_record,
)

NORM = Quantity("alpha_norm", "norm of the alphas", "Euclidean norm of all alphas.", unit="1", range=(0, None))


def test_an_entry_of_the_line_is_the_value_and_anything_else_is_none() -> None:
    assert get_quantity("trace").of({"epoch": 0, "trace": 2}) == 2.0
    for recorded in (None, "2", True, [2], float("nan"), float("inf"), 10**400):
        assert get_quantity("trace").of({"epoch": 0, "trace": recorded}) is None
    assert get_quantity("trace").of({"epoch": 0}) is None


@pytest.mark.parametrize(
    ("name", "line", "value"),
    [
        ("supernet_valid_error", {"supernet_valid_accuracy": 0.75}, 0.25),
        ("projection_gap", {"projection_loss": 3.0, "supernet_valid_loss": 2.5}, 0.5),
        ("bound", {"mixture_spectral_norm": 3.0, "mixture_distance": 0.5}, 1.5),
        ("parameter_free_share", {"ops": ["input", "maxpool3x3", "conv3x3-bn-relu", "output"]}, 0.5),
        ("parameter_free_share", {"parameter_free": 0.25, "ops": ["input", "maxpool3x3", "output"]}, 0.25),
        ("parameter_free_share", {"operations": ["maxpool3x3", "conv3x3-bn-relu"]}, 0.5),
    ],
)
def test_what_follows_from_entries_is_derived_and_none_where_one_is_missing(
    name: str, line: dict[str, Any], value: float
) -> None:
    assert get_quantity(name).of(line) == value
    assert get_quantity(name).of({}) is None


def test_projection_gap_and_bound_are_drawn_from_epoch_0_on() -> None:
    assert {get_quantity(name).first_epoch for name in ("projection_gap", "bound", "entropy")} == {0}


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        ({}, ""),
        ({"entropy": None}, ""),
        ({"entropy": 0.5}, ""),
        ({"entropy": 1.5}, "expected entropy from 0 to 1, got 1.5"),
        ({"entropy": "much"}, "expected a number as entropy, got 'much'"),
    ],
)
def test_damage_is_said_in_words(line: dict[str, Any], damage: str) -> None:
    assert get_quantity("entropy").damage(line) == damage


def test_a_quantity_comes_back_from_what_a_configuration_carries() -> None:
    assert recorded_quantities([NORM.to_json()]) == (NORM,)
    minimal = {"name": "alpha_norm", "label": "norm", "meaning": "A norm.", "of a later version": 3}
    (quantity,) = recorded_quantities([minimal])
    assert (quantity.entry, quantity.panels, quantity.first_epoch) == ("alpha_norm", (FURTHER,), 0)


def test_a_panel_of_a_later_version_is_among_the_further_ones() -> None:
    (quantity,) = recorded_quantities([{**NORM.to_json(), "panels": ["holograms", "theory"]}])
    assert quantity.panels == (FURTHER, "theory")


def test_a_built_in_name_means_the_built_in_quantity() -> None:
    assert recorded_quantities([{"name": "trace", "label": "another", "meaning": "Another."}]) == ()
    assert catalogue([dataclasses.replace(NORM, name="trace")])["trace"] == BUILT_IN["trace"]


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {"label": "norm", "meaning": "A norm."},
        {**NORM.to_json(), "name": "<script>"},
        {**NORM.to_json(), "percent": 1},
        {**NORM.to_json(), "first_epoch": True},
        {**NORM.to_json(), "range": [0]},
        {**NORM.to_json(), "range": ["low", 1]},
        {**NORM.to_json(), "panels": [["theory"]]},
    ],
)
def test_what_is_no_quantity_is_refused(entry: object) -> None:
    with pytest.raises(ValueError, match=r"quantity|expected"):
        recorded_quantities([entry])


def test_a_registered_quantity_is_recorded_and_a_second_one_of_its_name_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.records.catalogue._registered", dict(BUILT_IN))
    assert register_quantity(NORM) is NORM
    register_quantity(NORM)
    assert to_record(["trace", "alpha_norm", "alpha_norm"]) == [NORM.to_json()]
    with pytest.raises(ValueError, match="alpha_norm is registered already"):
        register_quantity(dataclasses.replace(NORM, label="another"))
    with pytest.raises(ValueError, match="unknown quantity 'alpha_nrom'"):
        to_record(["alpha_nrom"])


def test_records_load_no_other_room_and_nothing_heavy() -> None:
    code = (
        "import sys, harness.records.catalogue, harness.records.config, harness.records.journal\n"
        "ours = {name for name in sys.modules if name.split('.')[0] in ('harness', 'optimizers', 'spaces', 'plots')}\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "print(sorted(name for name in ours if not name.startswith('harness.records')), sorted(heavy))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['harness'] []"
