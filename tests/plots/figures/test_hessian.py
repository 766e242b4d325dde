"""The figure of the Hessian's spectral norm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plots.drawing import style
from plots.figures import hessian
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import page_texts

ERRORS = [0.9, 0.4, 0.3, 0.2]


def test_the_axis_is_logarithmic_and_epoch_0_is_on_it(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, ERRORS, norms=[0.1, 1.0, 10.0, 100.0])
    write_run("darts", 1, ERRORS, norms=[0.3, 3.0, 30.0, 300.0])
    (comparison,) = survey(tmp_path).comparisons
    figure, (series,) = hessian.draw(comparison)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    (line,) = [line for line in axes.lines if line.get_label() == "darts"]
    np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 3])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.2, 2, 20, 200])
    assert line.get_color() == style.look("darts").colour
    np.testing.assert_allclose(series.low, [0.1, 1, 10, 100])
    assert axes.get_ylim()[0] < 0.1
    assert axes.get_ylim()[1] > 300
    assert "band: range of 2 seeds" in [text.get_text() for text in figure.legends[1].get_texts()]


def test_epochs_without_a_hessian_are_bridged(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, ERRORS, norms=[0.1, None, None, 0.4])
    write_run("darts", 1, ERRORS, norms=[0.3, None, None, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, (series,) = hessian.draw(comparison)
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == "darts"]
    np.testing.assert_array_equal(line.get_xdata(), [0, 3])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.2, 0.3])
    np.testing.assert_array_equal(series.n, [2, 0, 0, 2])


def test_methods_without_alphas_are_left_out_and_named(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, ERRORS, norms=[0.1, 0.2, 0.3, 0.4])
    write_run("enas", 0, ERRORS, alphas=False)
    write_run("gdas", 0, ERRORS)
    (comparison,) = survey(tmp_path).comparisons
    figure, series = hessian.draw(comparison)
    assert [one.method.name for one in series] == ["darts"]
    assert "so without a Hessian: ENAS." in page_texts(figure)
    assert "Hessian not measured: GDAS." in page_texts(figure)


def test_no_hessian_at_all_means_no_figure(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, ERRORS)
    (comparison,) = survey(tmp_path).comparisons
    with pytest.raises(NothingToDrawError, match="no run has a Hessian"):
        hessian.draw(comparison)


def test_a_band_that_reaches_below_zero_is_cut_and_the_page_says_so(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, norm in enumerate([0.1, 0.1, 5.0]):
        write_run("darts", seed, ERRORS, norms=[norm] * 4)
    (comparison,) = survey(tmp_path).comparisons
    figure, (series,) = hessian.draw(comparison)
    assert series.low[0] < 0
    assert figure.axes[0].get_ylim()[0] > 0
    assert "below zero are cut" in page_texts(figure)


@pytest.mark.parametrize(
    "norms", [[0.1, 0.1, 0.1, 0.1], [1e-9, 1e-6, 1.0, 1e4], [0.0, 0.1, 0.2, 0.3], [0.5] + [None] * 3]
)
def test_any_range_of_values_has_a_readable_axis(
    write_run: WriteRun, tmp_path: Path, norms: list[float | None]
) -> None:
    write_run("darts", 0, ERRORS, norms=norms)
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = hessian.draw(comparison)
    style.save(figure, tmp_path / "hessian", "")
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    assert 2 <= len(ticks) <= 15
