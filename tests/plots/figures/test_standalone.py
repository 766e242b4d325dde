"""The figure of supernet against stand-alone accuracy: its three panels, what it counts, what it says of few seeds."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from plots.drawing import style
from plots.drawing.pages import Options
from plots.figures.standalone import draw
from plots.runs.records import NothingToDrawError
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, legend_texts, page_texts, sheet

TABLE = {
    "label": "nb201",
    "kind": "official",
    "sha256": "ab" * 32,
    "optimum": {"test_error": 0.05},
    "random_search": {"test_error": [0.3, 0.2, 0.15, 0.1, 0.08]},
}
RISING = {"supernet_valid_accuracy": [0.1, 0.2, 0.3, 0.4, 0.5]}


def mean_of(axes: Axes, method: str) -> list[list[float]]:
    (line,) = [line for line in axes.lines if line.get_label() == method]
    return [list(np.asarray(data, float)) for data in (line.get_xdata(), line.get_ydata())]


def write_study(write_run: WriteRun, seeds: int) -> None:
    for seed in range(seeds):
        falling = [0.9, 0.2, 0.1, 0.3, 0.5 + seed / 100]
        write_run("darts", seed, falling, table=TABLE, norms=[0.1, 0.2, 0.4, 0.8, 1.6], entries=RISING)
        write_run("sdarts_rs", seed, [0.9, 0.2, 0.1, 0.1, 0.1], table=TABLE, norms=[0.1] * 5, entries=RISING)


def test_accuracies_of_supernet_and_architecture_and_the_hessian_stand_side_by_side(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_study(write_run, 2)
    (page,) = draw("small", sheet(tmp_path), Options())
    assert page.name == "standalone_small_space1"
    supernet, alone, hessian = page.figure.axes
    np.testing.assert_allclose(mean_of(supernet, "darts"), [[1.0, 2, 3, 4], [20.0, 30, 40, 50]])
    np.testing.assert_allclose(mean_of(alone, "darts"), [[1.0, 2, 3, 4], [80, 90, 70, 49.5]])
    np.testing.assert_allclose(mean_of(hessian, "darts"), [[0.0, 1, 2, 3, 4], [0.1, 0.2, 0.4, 0.8, 1.6]])
    np.testing.assert_allclose(mean_of(alone, "optimum of the space")[1], [95, 95])
    np.testing.assert_allclose(mean_of(alone, "random search, a trained cell an epoch")[1], [70, 80, 85, 90])
    assert alone.get_ylim()[1] >= 95
    colours = {line.get_label(): line.get_color() for line in alone.lines}
    assert colours["darts"] == style.look("darts").colour
    assert colours["sdarts_rs"] == style.look("sdarts_rs").colour
    thin = [line for line in alone.lines if line.get_linewidth() < 0.5]
    assert len(thin) == 4
    assert_apart(page.figure)
    rows = {row["quantity"] for row in csv.DictReader(io.StringIO(page.numbers))}
    assert rows == {"supernet_valid_accuracy", "test_error", "spectral_norm"}


def test_it_counts_the_seeds_whose_supernet_rose_while_their_architecture_fell(
    write_run: WriteRun, tmp_path: Path
) -> None:
    rising = {"supernet_valid_accuracy": [0.1, 0.2, 0.3, 0.3, 0.4, 0.5]}
    sinking = {"supernet_valid_accuracy": [0.1, 0.2, 0.6, 0.4, 0.4, 0.5]}
    for seed in range(3):
        write_run("darts", seed, [0.9, 0.2, 0.1, 0.1, 0.3, 0.5 + seed / 100], table=TABLE, entries=rising)
    write_run("darts", 3, [0.9, 0.2, 0.1, 0.1, 0.3, 0.05], table=TABLE, entries=rising)
    write_run("darts", 4, [0.9, 0.2, 0.1, 0.1, 0.1, 0.5], table=TABLE, entries=sinking)
    unfinished = {"supernet_valid_accuracy": [0.1, 0.2, 0.6]}
    write_run("darts", 5, [0.9, 0.2, 0.1], epochs=5, table=TABLE, entries=unfinished)
    write_run("sdarts_rs", 0, [0.9, 0.2, 0.1, 0.1, 0.1, 0.1], table=TABLE, entries=rising)
    (page,) = draw("small", sheet(tmp_path), Options())
    assert (
        "From the second fifth of the search to the last, in the mean, the supernet's accuracy rose and the "
        "stand-alone accuracy fell in: DARTS 3 of 5 seeds, SDARTS-RS 0 of 1 seed." in page_texts(page.figure)
    )


def test_two_seeds_are_said_to_rank_nothing_and_n_is_in_the_legend(write_run: WriteRun, tmp_path: Path) -> None:
    write_study(write_run, 2)
    (page,) = draw("small", sheet(tmp_path), Options())
    assert "n = 2 ranks nothing" in page_texts(page.figure)
    assert legend_texts(page.figure)[:2] == ["DARTS, n=2", "SDARTS-RS, n=2"]
    assert "Not recorded: SDARTS-ADV." in page_texts(page.figure)


def test_without_a_hessian_there_are_two_panels(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("enas", 0, [0.9, 0.0, 1.0], alphas=False, table=TABLE)
    (page,) = draw("small", sheet(tmp_path), Options(methods=("enas",)))
    assert len(page.figure.axes) == 2
    np.testing.assert_allclose(mean_of(page.figure.axes[1], "enas")[1], [100, 0], atol=1e-9)
    low, high = page.figure.axes[1].get_ylim()
    assert (low, high) == (0, 100)


def test_a_search_under_way_counts_no_seed(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.2, 0.1], epochs=4, table=TABLE)
    (page,) = draw("small", sheet(tmp_path), Options())
    assert "No search has ended yet." in page_texts(page.figure)


def test_without_a_test_error_or_with_too_many_methods_there_is_nothing_to_draw(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("darts", 0, [0.9], epochs=4)
    with pytest.raises(NothingToDrawError, match="epoch 1 or later"):
        draw("small", sheet(tmp_path), Options())
    names = tuple(f"m{number}" for number in range(8))
    for name in names:
        write_run(name, 0, [0.9, 0.5])
    with pytest.raises(NothingToDrawError, match="at most 7 methods, got 8"):
        draw("small", sheet(tmp_path), Options(methods=names))
