from __future__ import annotations

from pathlib import Path

import numpy as np

from plots.runs.black_box import errors_over_evaluations, errors_over_seconds, survey_black_box
from plots.runs.survey import survey
from tests.support.repeat_records import write_repeats

CURVES = [[(1, 0.3, 0.5, 9.0), (4, 0.2, 0.4, 40.0)], [(1, 0.3, 0.6, 11.0), (2, 0.1, 0.3, 20.0)]]


def test_an_incumbent_holds_until_the_next(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", CURVES, evaluations=5)
    (group,), left_out = survey_black_box(tmp_path)
    assert left_out == []
    expected = [[0.5, 0.5, 0.5, 0.4, 0.4], [0.6, 0.3, 0.3, 0.3, 0.3]]
    assert errors_over_evaluations(group.first).tolist() == expected


def test_over_seconds_there_is_nothing_before_the_first_evaluation_and_after_the_last(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", CURVES, evaluations=5, seconds=50.0)
    (group,), _ = survey_black_box(tmp_path)
    errors = errors_over_seconds(group.first, np.array([8.0, 9.0, 11.0, 20.0, 40.0, 50.0, 51.0]))
    nan = np.nan
    np.testing.assert_array_equal(errors[0], [nan, 0.5, 0.5, 0.5, 0.4, 0.4, nan])
    np.testing.assert_array_equal(errors[1], [nan, nan, 0.6, 0.3, 0.3, 0.3, nan])


def test_what_is_told_otherwise_or_of_another_table_is_a_group_of_its_own(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", CURVES)
    write_repeats(tmp_path, "reinforce", CURVES)
    write_repeats(tmp_path, "tpe", CURVES, observed="repeat")
    groups, _ = survey_black_box(tmp_path)
    assert [[method.method for method in group.methods] for group in groups] == [
        ["random_search", "reinforce"],
        ["tpe"],
    ]
    assert {group.stem for group in groups} == {"digits_space1_12epochs", "digits_space1_12epochs_repeat"}


def test_a_damaged_or_empty_folder_hides_no_other(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", CURVES)
    torn = write_repeats(tmp_path, "reinforce", CURVES)
    (torn.path / "config.json").write_text("[" * 100_000)
    write_repeats(tmp_path, "tpe", [], repeats=3)
    groups, left_out = survey_black_box(tmp_path)
    assert [method.method for group in groups for method in group.methods] == ["random_search"]
    reasons = {folder.path.parent.name: folder.reason for folder in left_out}
    assert reasons["tpe"] == "no repeat has ended yet"
    assert "not JSON" in reasons["reinforce"]


def test_a_survey_of_runs_passes_them_over(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", CURVES)
    runs = survey(tmp_path)
    assert (runs.comparisons, runs.left_out) == ((), ())
