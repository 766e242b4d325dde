"""The figure of why a search decays: what each panel draws, and what it says where nothing was recorded."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from plots.drawing import style
from plots.drawing.pages import Options
from plots.figures.theory import MOST_ACROSS, NO_ALPHAS, NOT_RECORDED, draw
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, sheet

ENTRIES: dict[str, list[Any]] = {
    "lambda_max": [0.1, None, 0.3],
    "trace": [-0.1, None, 0.6],
    "supernet_valid_loss": [2.3, 1.0, 0.5],
    "projection_loss": [2.4, 3.0, 1.5],
    "mixture_spectral_norm": [4.0, None, 10.0],
    "mixture_distance": [6.0, 5.0, 3.0],
    "entropy": [1.0, 0.9, 0.5],
}
QUANTITIES = ("lambda_max", "trace", "projection_gap", "bound", "entropy")


def means(axes: Axes) -> list[list[list[float]]]:
    """Epochs and values of each thick line."""
    thick = [line for line in axes.lines if line.get_linewidth() == 1.3]
    return [[list(np.asarray(data, float)) for data in (line.get_xdata(), line.get_ydata())] for line in thick]


def test_every_quantity_of_the_theory_is_drawn_on_the_same_epochs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    (page,) = draw("digits", sheet(tmp_path), Options())
    errors, *rows = page.figure.axes
    supernet, table = means(errors)
    np.testing.assert_allclose(supernet, [[1.0, 2.0], [25.0, 50 / 3]])
    np.testing.assert_allclose(table, [[1.0, 2.0], [20.0, 30.0]])
    expected: tuple[list[float], ...] = ([0.1, 0.3], [-0.1, 0.6], [0.1, 2.0, 1.0], [24, 30], [1, 0.9, 0.5])
    for axes, values in zip(rows, expected, strict=True):
        ((x, y),) = means(axes)
        assert x == ([0, 2] if len(values) == 2 else [0, 1, 2])
        assert y == pytest.approx(values)
        assert axes.get_shared_x_axes().joined(axes, errors)
    rows_of = {row["quantity"]: row for row in csv.DictReader(io.StringIO(page.numbers)) if row["epoch"] == "2"}
    assert {name: float(rows_of[name]["mean"]) for name in QUANTITIES} == pytest.approx(
        {"lambda_max": 0.3, "trace": 0.6, "projection_gap": 1.0, "bound": 30.0, "entropy": 0.5}
    )
    assert page.figure.get_size_inches()[0] == style.COLUMN_WIDTH
    assert_apart(page.figure)


def test_the_epoch_of_the_lowest_test_error_is_marked_in_every_panel(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run("darts", seed, [0.1, 0.2, 0.3], entries=ENTRIES)
    (page,) = draw("digits", sheet(tmp_path), Options())
    for axes in page.figure.axes:
        (mark,) = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert list(np.asarray(mark.get_xdata(), float)) == [1, 1]


def test_seeds_are_thin_lines_around_their_mean(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    write_run("darts", 1, [0.9, 0.2, 0.3], entries={**ENTRIES, "entropy": [1.0, 0.7, 0.3]})
    (page,) = draw("digits", sheet(tmp_path), Options())
    entropy = page.figure.axes[-1]
    ((_, mean),) = means(entropy)
    assert mean == pytest.approx([1, 0.8, 0.4])
    thin = [list(np.asarray(line.get_ydata(), float)) for line in entropy.lines if line.get_linewidth() == 0.4]
    assert thin == [[1.0, 0.9, 0.5], [1.0, 0.7, 0.3]]


def test_a_panel_says_what_was_not_recorded_and_what_cannot_be(write_run: WriteRun, tmp_path: Path) -> None:
    older = {key: ENTRIES[key] for key in ("lambda_max", "trace")}
    write_run("darts", 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    write_run("sdarts_rs", 0, [0.9, 0.2, 0.3], entries=older)
    write_run("enas", 0, [0.9, 0.2, 0.3], alphas=False)
    (page,) = draw("digits", sheet(tmp_path), Options())
    panels = np.array(page.figure.axes).reshape(6, 3)
    said = [[" ".join(text.get_text() for text in axes.texts) for axes in column] for column in panels.T]
    assert said == [
        [""] * 6,
        ["", "", "", NOT_RECORDED, NOT_RECORDED, NOT_RECORDED],
        ["", *[NO_ALPHAS] * 5],
    ]
    assert_apart(page.figure)


def test_one_method_s_losses_do_not_flatten_the_others(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    (page,) = draw("digits", sheet(tmp_path), Options())
    assert page.figure.axes[3].get_yscale() == "linear"
    write_run("gdas", 0, [0.9, 0.2, 0.3], entries={**ENTRIES, "supernet_valid_loss": [2.3, 30.0, 50.0]})
    (page,) = draw("digits", sheet(tmp_path), Options())
    assert page.figure.axes[6].get_yscale() == "symlog"
    assert page.figure.axes[6].get_ylabel() == "projection\ngap"


def test_more_methods_than_fit_go_on_another_page(write_run: WriteRun, tmp_path: Path) -> None:
    names = sorted(f"m{number}" for number in range(MOST_ACROSS + 1))
    for method in names:
        write_run(method, 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    pages = draw("digits", sheet(tmp_path), Options())
    assert [page.name for page in pages] == ["theory_digits_space1_1", "theory_digits_space1_2"]
    assert [len(page.figure.axes) for page in pages] == [6 * MOST_ACROSS, 6]


def test_a_search_without_an_epoch_is_nothing_to_draw(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9], epochs=2)
    with pytest.raises(NothingToDrawError, match="no run has a test error"):
        draw("digits", sheet(tmp_path), Options())


@pytest.mark.parametrize("key", ["projection_loss", "mixture_distance", "entropy", "trace"])
def test_a_run_whose_entry_is_no_number_is_left_out_of_the_survey(
    write_run: WriteRun, tmp_path: Path, key: str
) -> None:
    write_run("darts", 0, [0.9, 0.2, 0.3], entries=ENTRIES)
    write_run("darts", 1, [0.9, 0.2, 0.3], entries={**ENTRIES, key: [1.0, "much", 0.5]})
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [0]
    assert f"expected a number as {key}" in found.left_out[0].reason
