"""From how many seeds on a figure may rank."""

from __future__ import annotations

from pathlib import Path

import pytest

from plots.drawing.anytime import TEST_ERROR
from plots.drawing.few_seeds import few_seeds
from plots.runs.records import series_of
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun


def notes_for(write_run: WriteRun, tmp_path: Path, seeds: dict[str, int]) -> list[str]:
    for method, count in seeds.items():
        for seed in range(count):
            write_run(method, seed, [0.9, 0.5])
    (comparison,) = survey(tmp_path).comparisons
    return few_seeds([series_of(method, TEST_ERROR) for method in comparison.methods])


@pytest.mark.parametrize(("seeds", "p"), [(1, "1"), (2, "0.33"), (3, "0.1")])
def test_up_to_three_seeds_rank_nothing(write_run: WriteRun, tmp_path: Path, seeds: int, p: str) -> None:
    (note,) = notes_for(write_run, tmp_path, {"darts": seeds, "gdas": seeds})
    assert note.startswith(f"n = {seeds} ranks nothing: ")
    assert f"seeds give no p below {p} (" in note


def test_from_four_seeds_on_nothing_is_said(write_run: WriteRun, tmp_path: Path) -> None:
    assert notes_for(write_run, tmp_path, {"darts": 4, "gdas": 4}) == []


def test_one_method_alone_is_ranked_among_none(write_run: WriteRun, tmp_path: Path) -> None:
    assert notes_for(write_run, tmp_path, {"darts": 2}) == []


def test_methods_with_too_few_seeds_are_named_beside_those_with_enough(write_run: WriteRun, tmp_path: Path) -> None:
    notes = notes_for(write_run, tmp_path, {"darts": 6, "enas": 3, "gdas": 2})
    assert notes == ["Too few seeds to be ranked among the others: GDAS (n=2)."]
