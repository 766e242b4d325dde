from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from harness.records.run_folder import RunFolder
from plots.figures import black_box
from plots.runs.black_box import survey_black_box
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.support.repeat_records import write_repeats

DEMO = Path(__file__).parents[3] / "results" / "published" / "demo"

RISING = [[(1, 0.3, 0.12, 1.0 + seed), (3, 0.2, 0.08, 30.0), (6, 0.1, 0.04, 60.0)] for seed in range(4)]


def test_regret_is_the_mean_test_error_less_the_optimum_beside_exact_random_search(tmp_path: Path) -> None:
    write_repeats(tmp_path, "regularised_evolution", RISING)
    (group,), _ = survey_black_box(tmp_path)
    axes = black_box.draw_over_evaluations(group).axes[0]
    exact, evolution = axes.lines
    assert np.asarray(evolution.get_ydata()) == pytest.approx([10, 10, 6, 6, 6, 2, 2, 2, 2, 2])
    assert np.asarray(exact.get_ydata()) == pytest.approx([10 / n for n in range(1, 11)])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    rows = list(csv.DictReader(black_box.csv_text(group).splitlines()))
    assert {row["method"] for row in rows} == {"exact random search", "regularised_evolution"}
    assert float(rows[-1]["mean_regret"]) == pytest.approx(0.02)


def test_a_mean_regret_of_zero_is_drawn_on_a_linear_axis(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", [[(1, 0.1, 0.02, 1.0)]] * 3)
    (group,), _ = survey_black_box(tmp_path)
    assert black_box.draw_over_evaluations(group).axes[0].get_yscale() == "linear"


def words(figure) -> str:  # type: ignore[no-untyped-def]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return " ".join(" ".join([*(text.get_text() for text in figure.texts), *legends]).split())


def test_over_seconds_both_kinds_stand_on_one_axis_with_what_each_was_charged(tmp_path: Path) -> None:
    write_repeats(tmp_path, "regularised_evolution", RISING)
    (group,), _ = survey_black_box(tmp_path)
    figure = black_box.draw_over_seconds(group, survey(DEMO).comparisons)
    said = words(figure)
    assert "Regularised evolution, n=4, black-box" in said
    assert "DARTS, one-shot, n=6" in said
    assert "Black-box methods are charged made-up seconds" in said
    assert "One-shot methods are charged their own seconds of training the supernet, by the clock" in said
    evolution = figure.axes[0].lines[0]
    x, y = np.asarray(evolution.get_xdata()), np.asarray(evolution.get_ydata())
    assert (x[0], x[-1]) == (4.0, 100.0)
    assert (y[0], y[-1]) == (pytest.approx(12), pytest.approx(4))


def test_a_one_shot_curve_is_the_mean_over_seeds_at_each_time() -> None:
    (comparison,) = survey(DEMO).comparisons
    darts = next(method for method in comparison.methods if method.name == "darts")
    points, errors = black_box._search_over_time(darts)
    for row, run in zip(errors, darts.runs, strict=True):
        seconds = np.cumsum([line["seconds"]["train"] for line in RunFolder(run.path).epochs()[1:]])
        for place in (0, 57, len(points) - 1):
            done = int((seconds <= points[place]).sum())
            assert row[place] == RunFolder(run.path).epochs()[done]["test_error"]


def test_without_seconds_nothing_is_drawn_over_them(tmp_path: Path) -> None:
    write_repeats(tmp_path, "random_search", RISING, seconds=None, charged="evaluations alone")
    (group,), _ = survey_black_box(tmp_path)
    with pytest.raises(NothingToDrawError, match="charged is evaluations alone"):
        black_box.draw_over_seconds(group, [])


def test_a_stand_in_table_is_called_one_on_both_figures(tmp_path: Path) -> None:
    table = {
        "label": "t",
        "kind": "stand-in",
        "sha256": "0",
        "optimum": {"test_error": 0.02},
        "random_search": {key: [0.1] * 10 for key in ("test_error", "deviation", "low_quartile", "high_quartile")},
    }
    write_repeats(tmp_path, "random_search", RISING, table=table)
    (group,), _ = survey_black_box(tmp_path)
    for figure in (black_box.draw_over_evaluations(group), black_box.draw_over_seconds(group, [])):
        assert "table: t (stand-in)" in words(figure)
        assert "no error or time here is comparable with a published one" in words(figure)
