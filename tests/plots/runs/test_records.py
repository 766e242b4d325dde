"""What a figure is made from, and the numbers that it shows."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from harness.records.catalogue import get_quantity
from plots.runs.records import INTERVAL, NO_BAND, RANGE, Method, Run, csv_text, series_of, summarise
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun

Values = npt.NDArray[np.float64]


def method_of(values: Values) -> Method:
    epochs = values.shape[1] - 1
    lines = [{"epoch": epoch} for epoch in range(epochs + 1)]
    return Method(
        "darts", epochs, tuple(Run.of_lines(Path(f"seed{seed}"), seed, epochs, lines) for seed in range(len(values)))
    )


def test_a_setting_that_came_after_a_run_does_not_keep_it_from_the_figure(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], settings={"weights": {"decay": 0.1}})
    write_run("darts", 1, [0.5, 0.4], settings={"weights": {"decay": 0.1, "more": 2}, "drop_path": {"probability": 0}})
    (comparison,) = survey(tmp_path).comparisons
    assert len(comparison.methods[0].runs) == 2


def test_missing_values_and_epochs_are_nan(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, None, 0.3])
    write_run("darts", 1, [0.4], epochs=2)
    (comparison,) = survey(tmp_path).comparisons
    values = comparison.methods[0].values(get_quantity("test_error"))
    np.testing.assert_array_equal(values, [[0.5, np.nan, 0.3], [0.4, np.nan, np.nan]])
    assert [run.is_finished for run in comparison.methods[0].runs] == [True, False]


def test_a_value_that_is_no_number_leaves_the_run_out(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], entries={"trace": [0.1, "0.3"]})
    (left_out,) = survey(tmp_path).left_out
    assert left_out.reason == "epoch 1: expected a number as trace, got '0.3'"


def test_conditions_name_table_scale_and_epochs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], table={"label": "standin"}, scale="2 channels")
    (comparison,) = survey(tmp_path).comparisons
    assert comparison.conditions() == "table: standin · 2 channels · 1 epoch"


def test_methods_with_different_epochs_share_a_figure_that_says_so(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4])
    write_run("enas", 0, [0.5, 0.4, 0.3])
    (comparison,) = survey(tmp_path).comparisons
    assert comparison.epochs_differ
    assert "epochs differ" in comparison.conditions()


@pytest.mark.parametrize("below", ["digits", "digits/space1", "digits/space1/darts", "digits/space1/darts/seed0"])
def test_any_folder_below_can_be_drawn_by_itself(write_run: WriteRun, tmp_path: Path, below: str) -> None:
    write_run("darts", 0, [0.5, 0.1])
    found = survey(tmp_path / below)
    assert [method.name for method in found.comparisons[0].methods] == ["darts"]
    assert found.left_out == ()


def test_three_seeds_get_the_t_interval_of_the_mean() -> None:
    values = np.array([[0.5, 0.1], [0.4, 0.2], [0.6, 0.6], [0.3, 0.2]])
    series = summarise(method_of(values), "test_error", values, first=0)
    assert series.band == INTERVAL
    np.testing.assert_allclose(series.mean, values.mean(axis=0))
    low, high = stats.t.interval(0.95, 3, loc=values.mean(axis=0), scale=stats.sem(values, axis=0))
    np.testing.assert_allclose(series.low, low)
    np.testing.assert_allclose(series.high, high)


def test_the_t_interval_ends_where_fewer_than_three_seeds_have_the_epoch() -> None:
    values = np.array([[0.5, 0.1, 0.2], [0.4, 0.2, np.nan], [0.6, np.nan, np.nan]])
    series = summarise(method_of(values), "test_error", values, first=0)
    np.testing.assert_array_equal(series.n, [3, 2, 1])
    np.testing.assert_allclose(series.mean, [0.5, 0.15, 0.2])
    np.testing.assert_array_equal(np.isnan(series.low), [False, True, True])


def test_two_seeds_get_their_range_where_both_are() -> None:
    values = np.array([[0.5, 0.1, 0.2], [0.4, 0.2, np.nan]])
    series = summarise(method_of(values), "test_error", values, first=0)
    assert series.band == RANGE
    np.testing.assert_array_equal(series.low, [0.4, 0.1, np.nan])
    np.testing.assert_array_equal(series.high, [0.5, 0.2, np.nan])


def test_one_seed_gets_no_band_and_epoch_0_alone_does_not_make_a_seed() -> None:
    values = np.array([[0.5, 0.1], [0.4, np.nan]])
    series = summarise(method_of(values), "test_error", values, first=1)
    assert (series.band, series.seeds) == (NO_BAND, 1)
    assert np.isnan(series.low).all()


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(0, 1) | st.just(float("nan"))
    )
)
def test_the_band_holds_the_mean_and_what_has_no_seed_is_nan(values: Values) -> None:
    series = summarise(method_of(values), "test_error", values, first=0)
    banded = np.isfinite(series.low)
    assert (series.low[banded] <= series.mean[banded] + 1e-12).all()
    assert (series.mean[banded] <= series.high[banded] + 1e-12).all()
    np.testing.assert_array_equal(np.isnan(series.mean), series.n == 0)


def test_csv_holds_the_numbers_and_the_conditions(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4, None])
    write_run("darts", 3, [0.5, 0.2, None])
    write_run("gdas", 3, [0.7, 0.1], epochs=2)
    (comparison,) = survey(tmp_path).comparisons
    series = [series_of(method, get_quantity("test_error")) for method in comparison.methods]
    rows = list(csv.DictReader(io.StringIO(csv_text((comparison, series)))))
    assert ",".join(rows[0]) == "bench,space,method,quantity,epoch,n,mean,low,high,band,table,scale,seed0,seed3"
    assert [(row["method"], row["epoch"], row["n"]) for row in rows] == [
        ("darts", "0", "2"),
        ("darts", "1", "2"),
        ("gdas", "0", "1"),
        ("gdas", "1", "1"),
    ]
    assert float(rows[1]["mean"]) == pytest.approx(0.3)
    assert (rows[1]["low"], rows[1]["high"], rows[1]["band"]) == ("0.2", "0.4", "range")
    assert (rows[1]["seed0"], rows[1]["seed3"]) == ("0.4", "0.2")
    assert (rows[3]["low"], rows[3]["band"], rows[3]["seed0"], rows[3]["seed3"]) == ("", "", "", "0.1")
    assert (rows[3]["bench"], rows[3]["space"], rows[3]["table"]) == ("digits", "1", "digits")
    assert rows[3]["scale"] == "4 channels, 3 cells"


def test_plots_load_neither_torch_nor_optimizers() -> None:
    code = (
        "import sys, harness.plot, plots.figures.writing, plots.report.writing, plots.report.live; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'optimizers', 'spaces'}))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
