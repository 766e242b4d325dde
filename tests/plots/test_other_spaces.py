"""Runs of a space that is not NAS-Bench-101's, without a judge: all that can be drawn is, and the rest is said."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.commands.choose import main as choose
from harness.commands.compare import main as compare
from harness.commands.plot import main as plot
from harness.records.run_folder import RunFolder
from plots.drawing import anytime
from plots.report.writing import Report
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.report_runs import edit_config

NO_JUDGE = {"label": "none", "kind": "none", "sha256": ""}
OPERATIONS = ("skip", "conv", "pool")


def line(seed: int) -> dict[str, Any]:
    """What a line holds of an architecture whose cells have three edges of an operation each."""
    graphs = [
        {
            "title": title,
            "nodes": ["in", "0", "out"],
            "edges": [
                [0, 1, OPERATIONS[seed % 3]],
                [0, 2, OPERATIONS[shift]],
                [1, 2, "conv"],
            ],
        }
        for shift, title in enumerate(("normal", "reduce"))
    ]
    return {"cell": f"toy-{seed}", "architecture": {"normal": [seed]}, "graphs": graphs, "parameter_free": 0.5}


@pytest.fixture
def results(write_run: WriteRun, tmp_path: Path) -> Path:
    """Two methods with two seeds each, in a space with a name."""
    for method in ("darts", "gdas"):
        for seed in (0, 1):
            lines = [line(epoch) for epoch in (0, 1, 2)]
            entries = {key: [one[key] for one in lines] for key in lines[0]}
            entries |= {"lambda_max": [0.1, 0.2, 0.3], "trace": [0.1, 0.2, 0.3], "valid_error": [None] * 3}
            entries |= {"alphas": [[[[0.1, 0.2]], [[0.3]]]] * 3, "seconds": [{"train": 1.0}] * 3}
            path = write_run(
                method, seed, [None] * 3, norms=[0.1, 0.2, 0.3], space="toy", table=NO_JUDGE, entries=entries
            )
            assert path == tmp_path / "digits" / "toy" / method / f"seed{seed}"
    return tmp_path / "digits"


def test_the_overview_draws_the_hessian_and_says_why_there_is_no_error(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot([str(results)]) == 0
    said = capsys.readouterr()
    assert {path.name for path in (results / "figures").iterdir()} == {
        f"hessian_digits_toy{suffix}" for suffix in (".png", ".pdf", ".csv")
    }
    for name in ("anytime_error_digits_toy", "supernet_vs_table_digits_toy"):
        assert f"not drawn: {name}: these runs had no judge, so that no architecture has a test error" in said.err


def test_named_figures_are_drawn_as_far_as_they_need_no_error(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plot([str(results), "--figure", "4,5,table5,cells,theory"]) == 0
    said = capsys.readouterr()
    names = {path.stem for path in (results / "figures").iterdir()}
    assert names == {
        "figure5_digits",
        "table5_digits",
        "theory_digits_toy",
        "cells_digits_toy_darts",
        "cells_digits_toy_gdas",
    }
    assert said.err.splitlines() == [
        "not drawn: figure 4 of digits: these runs had no judge, so that no architecture has a test error"
    ]
    assert "50.0 ± 0.0 (n=2)" in said.out
    rows = list(csv.DictReader((results / "figures" / "cells_digits_toy_darts.csv").read_text().splitlines()))
    assert [row["changed"] for row in rows] == ["0", "1", "1"]
    assert rows[0]["edges"].split()[0] == "normalin→0"
    assert rows[1]["ops"].split()[0] == "conv"


def test_statistics_say_in_a_sentence_that_there_is_no_judge(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare([str(results)]) == 0
    printed = capsys.readouterr().out
    assert "== digits, toy" in printed
    assert "no judge, so no errors" in printed
    assert printed.count("No judge: nothing says how good the derived cells are") == 1
    assert "for want of a cell" not in printed
    assert "No regret" not in printed


def test_the_page_holds_the_graphs_and_says_that_there_is_no_judge(results: Path) -> None:
    data = json.loads(json.dumps(Report(results, results).data(), allow_nan=False))
    (comparison,) = data["comparisons"]
    assert (comparison["place"], comparison["judged"]) == ("digits, toy", False)
    assert any("No judge" in warning for warning in comparison["warnings"])
    normal, reduced = comparison["cells"][comparison["methods"][0]["runs"][0]["cells"][2]]
    labels = comparison["cell_labels"]
    assert (normal[0], [labels[at] for at in normal[1]]) == ("normal", ["in", "0", "out"])
    assert [labels[at] for _, _, at in reduced[2]] == ["pool", "conv", "conv"]
    assert set(OPERATIONS) <= data["drawing"]["colours"].keys()


def test_variants_are_chosen_without_an_error_to_tell(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("r_darts_l2@0.1", "r_darts_l2@0.2"):
        write_run(name, 0, [None, None], space="toy", table=NO_JUDGE)
    assert choose([str(tmp_path)]) == 0
    assert "test error not judged" in capsys.readouterr().out


def test_spaces_with_and_without_a_number_stand_side_by_side(write_run: WriteRun, tmp_path: Path) -> None:
    for space in ("toy", 2, "darts", 1):
        write_run("darts", 0, [0.5, 0.4], space=space)
    found = survey(tmp_path).comparisons
    assert [one.space for one in found] == [1, 2, "darts", "toy"]
    assert plot([str(tmp_path), "--figure", "4"]) == 0
    assert compare([str(tmp_path)]) == 0


def test_a_judge_that_trains_at_some_epochs_has_its_points_joined(
    write_run: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_run("darts", 0, [0.5, None, 0.4, None, 0.3], space="toy")
    edit_config(path, lambda config: {**config, "table": {**config["table"], "kind": "trained"}})
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    drawn = [np.asarray(one.get_xdata(), float).tolist() for one in figure.axes[0].lines]
    assert [points for points in drawn if points] == [[2.0, 4.0]]
    assert not any("not in the table" in text.get_text() for text in figure.texts)
    assert RunFolder(path).is_finished()
