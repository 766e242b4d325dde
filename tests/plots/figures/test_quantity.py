"""A quantity that this package does not know is drawn from what a run carries, with no further code."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import run_command
from harness.commands.plot import main
from plots.drawing.pages import Options
from plots.figures.quantity import draw
from plots.report.writing import Report
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, page_texts, sheet
from tests.support.report_runs import edit_config

ENTRY: dict[str, Any] = {
    "name": "alpha_norm",
    "label": "norm of the alphas",
    "meaning": "Euclidean norm of all alphas together.",
    "unit": "nats",
}


def write_runs(write_run: WriteRun, entry: dict[str, Any] = ENTRY, recorded: Any = 2.0) -> list[Path]:
    """Two methods with two seeds each, whose lines have the quantity."""
    paths = []
    for method in ("darts", "gdas"):
        for seed in (0, 1):
            values = [1.0, 1.5 + seed, recorded]
            paths.append(write_run(method, seed, [0.5, 0.4, 0.3], entries={"alpha_norm": values}))
            edit_config(paths[-1], lambda config: {**config, "quantities": [entry]})
    return paths


def test_the_command_draws_it(write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(write_run)
    assert main([str(tmp_path), "--figure", "quantity:alpha_norm"]) == 0
    stem = tmp_path / "figures" / "quantity_alpha_norm_digits"
    assert capsys.readouterr().out.split() == [f"{stem}{suffix}" for suffix in (".png", ".pdf", ".csv")]
    rows = list(csv.DictReader(stem.with_suffix(".csv").read_text().splitlines()))
    assert [(row["method"], row["epoch"], row["mean"], row["n"]) for row in rows[:3]] == [
        ("darts", "0", "1.0", "2"),
        ("darts", "1", "2.0", "2"),
        ("darts", "2", "2.0", "2"),
    ]


def test_the_figure_says_what_it_is(write_run: WriteRun, tmp_path: Path) -> None:
    write_runs(write_run)
    (page,) = draw("alpha_norm", "digits", sheet(tmp_path), Options())
    assert page.figure.axes[0].get_ylabel() == "norm of the alphas (nats)"
    assert "Norm of the alphas, digits, space 1" in page_texts(page.figure)
    assert ENTRY["meaning"] in page_texts(page.figure)
    assert_apart(page.figure)


def test_fractions_are_drawn_in_percent_and_logarithms_where_they_can(write_run: WriteRun, tmp_path: Path) -> None:
    write_runs(write_run, {**ENTRY, "percent": True})
    (page,) = draw("alpha_norm", "digits", sheet(tmp_path), Options())
    assert np.asarray(page.figure.axes[0].lines[-1].get_ydata(), float).max() == 200.0
    for path in tmp_path.glob("*/*/*/*"):
        edit_config(path, lambda config: {**config, "quantities": [{**ENTRY, "logarithmic": True}]})
    (page,) = draw("alpha_norm", "digits", sheet(tmp_path), Options())
    assert page.figure.axes[0].get_yscale() == "log"


def test_it_has_a_chart_on_the_report_page(write_run: WriteRun, tmp_path: Path) -> None:
    write_runs(write_run)
    data = json.loads(json.dumps(Report(tmp_path, tmp_path).data(), allow_nan=False))
    shown = data["quantities"]["alpha_norm"]
    assert (shown["panels"], shown["axis"], shown["heading"]) == (
        ["further"],
        "norm of the alphas (nats)",
        "Norm of the alphas",
    )
    (darts, _) = data["comparisons"][0]["methods"]
    assert darts["means"]["alpha_norm"]["mean"] == [1.0, 2.0, 2.0]
    assert darts["runs"][1]["curves"]["alpha_norm"] == [1.0, 2.5, 2.0]


def test_a_line_that_holds_no_number_for_it_is_damaged(write_run: WriteRun, tmp_path: Path) -> None:
    write_runs(write_run, recorded="two")
    assert {one.reason for one in survey(tmp_path).left_out} == {"epoch 2: expected a number as alpha_norm, got 'two'"}


def test_every_built_in_quantity_can_be_drawn_too(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], entries={"entropy": [1.0, 0.5]})
    (page,) = draw("entropy", "digits", sheet(tmp_path), Options())
    assert page.name == "quantity_entropy_digits"


def test_what_no_run_records_is_refused_with_what_there_is(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(write_run)
    assert run_command(lambda: main([str(tmp_path), "--figure", "quantity:aplha_norm"])) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert "no run here records a quantity 'aplha_norm'" in first
    assert "alpha_norm" in first
    assert last.startswith("error:")
    with pytest.raises(NothingToDrawError, match="no run has a value of entropy"):
        draw("entropy", "digits", sheet(tmp_path), Options())
