from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands import compare
from plots.judgement.black_box import as_text, exact_regret, final_regrets
from plots.runs.black_box import survey_black_box
from tests.support.repeat_records import write_repeats


def curves(ends: list[float]) -> list[list[tuple[int, float, float, float]]]:
    return [[(1, 0.3, 0.5, 1.0), (2, 0.2, end, 2.0)] for end in ends]


def test_final_regrets_stand_beside_exact_random_search_after_as_many_draws(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", curves([0.05, 0.04, 0.06]))
    (group,), _ = survey_black_box(tmp_path)
    evaluations, regrets = final_regrets(group.first)
    assert evaluations == 10
    assert regrets.tolist() == pytest.approx([0.03, 0.02, 0.04])
    assert exact_regret(group, 10) == pytest.approx(0.01)
    assert exact_regret(group, 11) is None
    line = next(line for line in as_text([group], []).splitlines() if line.startswith("random_search"))
    assert line.split() == ["random_search", "3", "10", "3.000", "[0.516,", "5.484]", "3.000", "3.000", "1.000", "100"]


def test_repeats_that_end_by_seconds_are_judged_at_their_own_end(tmp_path: Path) -> None:
    folder = write_repeats(tmp_path, "random_search", curves([0.05, 0.04]))
    columns = {"evaluation": [1, 12], "valid_error": [0.3, 0.1], "test_error": [0.5, 0.03], "seconds": [1.0, 90.0]}
    folder.append({"repeat": 2, "evaluations": 14, "seconds": 99.0, "incumbents": columns})
    (group,), _ = survey_black_box(tmp_path)
    evaluations, regrets = final_regrets(group.first)
    assert (evaluations, exact_regret(group, evaluations)) == (None, None)
    assert regrets.tolist() == pytest.approx([0.03, 0.02, 0.01])
    assert " differ " in as_text([group], [])


def test_methods_are_tested_against_the_baseline(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", curves([0.05, 0.051, 0.052, 0.053, 0.054]))
    write_repeats(tmp_path, "tpe", curves([0.03, 0.031, 0.032, 0.033, 0.034]))
    (group,), _ = survey_black_box(tmp_path)
    line = next(line for line in as_text([group], []).splitlines() if line.startswith("tpe") and "significant" in line)
    assert line.split() == ["tpe", "-2.000", "-1.00", "0.0079", "0.0079", "significant"]
    assert "the baseline, smac, was not run here" in as_text([group], [], "smac")


def test_compare_prints_them_and_writes_their_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_repeats(tmp_path, "random_search", curves([0.05, 0.04]))
    assert compare.main([str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "== digits, space 1: black-box methods" in out
    assert (tmp_path / "statistics" / "black_box.csv").read_text().splitlines()[1].startswith("digits,1,random_search")
