"""The anytime-error figure, and the panels of supernet against table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.drawing import anytime, style
from plots.figures import decay, hessian
from plots.runs.records import NothingToDrawError, series_of
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import legend_texts, page_texts
from tests.support.run_lines import without_checksums


def mean_line(figure: Figure, method: str) -> Line2D:
    (line,) = [line for line in figure.axes[0].lines if line.get_label() == method]
    return line


def test_the_curve_is_the_mean_in_percent_over_epochs_from_1(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2])
    write_run("darts", 1, [0.9, 0.3, 0.1])
    (comparison,) = survey(tmp_path).comparisons
    figure, (series,) = anytime.draw(comparison)
    line = mean_line(figure, "darts")
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [35, 15])
    assert line.get_color() == style.look("darts").colour
    np.testing.assert_allclose(series.mean, [0.9, 0.35, 0.15])
    assert "%" in figure.axes[0].get_ylabel()


def test_single_seeds_are_faint_and_in_percent(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2])
    write_run("darts", 1, [0.9, 0.3, 0.1])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    faint = [line for line in figure.axes[0].lines if line.get_label() != "darts"]
    np.testing.assert_allclose(np.asarray([line.get_ydata() for line in faint], float), [[40, 20], [30, 10]])
    assert all((line.get_alpha() or 1) < 0.5 for line in faint)


def test_the_legend_names_methods_with_n_and_the_band(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(4):
        write_run("sdarts_rs", seed, [0.9, 0.4, 0.2 + seed / 100])
    write_run("darts", 0, [0.9, 0.4, 0.2])
    write_run("darts", 1, [0.9, 0.4], epochs=2)
    write_run("gdas", 0, [0.9, 0.4, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert legend_texts(figure) == [
        "DARTS, n=2 (1 unfinished)",
        "SDARTS-RS, n=4",
        "GDAS, n=1",
        "band: 95 % t-interval of the mean of 4 seeds",
        "band: range of 2 seeds",
        "mean over seeds",
        "single seeds",
    ]
    assert len(figure.axes[0].collections) == 2


def test_one_seed_has_no_band_and_says_so(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert legend_texts(figure) == ["DARTS, n=1", "one seed, no band"]
    assert len(figure.axes[0].collections) == 0


def test_the_page_states_benchmark_table_scale_and_epochs(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2], table={"label": "standin"}, scale="2 channels, 1 cell", space=3)
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert "digits, space 3" in page_texts(figure)
    assert "table: standin · 2 channels, 1 cell · 2 epochs" in page_texts(figure)


def test_epochs_are_in_the_legend_where_they_differ(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2])
    write_run("gdas", 0, [0.9, 0.4])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert legend_texts(figure)[:2] == ["DARTS, 2 epochs, n=1", "GDAS, 1 epoch, n=1"]


def test_cells_outside_the_table_are_gaps_and_counted(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, None, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    np.testing.assert_array_equal(mean_line(figure, "darts").get_ydata(), [40, np.nan, 20])
    assert "1 of 3 cells are not in the table" in page_texts(figure)


def test_a_seed_that_has_just_begun_is_named_and_not_counted(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4])
    write_run("darts", 7, [0.9], epochs=1)
    write_run("darts", 8, [], epochs=1)
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert legend_texts(figure)[0] == "DARTS, n=1"
    assert "Without a value yet: DARTS seed 7, 8." in page_texts(figure)


def test_without_an_epoch_there_is_nothing_to_draw(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9], epochs=3)
    (comparison,) = survey(tmp_path).comparisons
    for module in (anytime, decay):
        with pytest.raises(NothingToDrawError, match="epoch 1 or later"):
            module.draw(comparison)


def test_a_single_epoch_is_drawn_without_warning(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4], norms=[0.1, 0.1])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    style.save(figure, tmp_path / "one", "")
    assert mean_line(figure, "darts").get_marker() == "o"


def test_supernet_and_table_errors_share_a_panel_for_each_method(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "sdarts_rs", "gdas"):
        write_run(method, 0, [0.9, 0.2, 0.1])
        write_run(method, 1, [0.9, 0.4, 0.0])
    (comparison,) = survey(tmp_path).comparisons
    figure, series = decay.draw(comparison)
    style.save(figure, tmp_path / "decay", "")
    assert [axes.get_title() for axes in figure.axes] == ["DARTS, n=2", "SDARTS-RS, n=2", "GDAS, n=2"]
    lines = {line.get_label(): np.asarray(line.get_ydata(), float) for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["supernet_valid_error"], [25, 50 / 3])
    np.testing.assert_allclose(lines["test_error"], [30, 5])
    assert [one.quantity for one in series[:2]] == ["supernet_valid_error", "test_error"]
    assert figure.axes[0].lines[1].get_color() == style.look("darts").colour


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_every_method_has_its_panel_however_many_there_are(write_run: WriteRun, tmp_path: Path, count: int) -> None:
    names = ["darts", "sdarts_rs", "sdarts_adv", "gdas", "nasp", "enas", "other"][:count]
    for name in names:
        write_run(name, 0, [0.9, 0.2, 0.1])
    (comparison,) = survey(tmp_path).comparisons
    figure, series = decay.draw(comparison)
    assert [axes.get_title() for axes in figure.axes if axes.axison] == [
        f"{style.look(name).label}, n=1" for name in sorted(names, key=style.drawing_order)
    ]
    assert len(series) == 2 * count


def test_long_names_stay_on_the_page(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "sdarts_adv@without_weight_decay_and_a_longer_name"):
        for seed in range(2):
            write_run(method, seed, [0.9, 0.2, 0.1], epochs=100 + len(method))
    (comparison,) = survey(tmp_path).comparisons
    for module in (anytime, decay):
        figure, _ = module.draw(comparison)
        with style.applied():
            figure.draw_without_rendering()
            parts = [*figure.axes, *figure.legends, *(axes.title for axes in figure.axes)]
            boxes = [part.get_tightbbox(figure.canvas.get_renderer()) for part in parts]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes), [(box.x0, box.x1) for box in boxes]


def test_optimum_and_random_search_are_drawn_where_the_runs_recorded_them(write_run: WriteRun, tmp_path: Path) -> None:
    table = {"label": "digits", "optimum": {"test_error": 0.02}, "random_search": {"test_error": [0.5, 0.3, 0.1]}}
    write_run("darts", 0, [0.9, 0.4, 0.2], table=table)
    (comparison,) = survey(tmp_path).comparisons
    assert (comparison.optimum, comparison.random_search) == (0.02, (0.5, 0.3, 0.1))
    figure, _ = anytime.draw(comparison)
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert np.asarray(lines["optimum of the space"].get_ydata()).tolist() == [2.0, 2.0]
    random_search = lines["random search, a trained cell an epoch"]
    assert np.asarray(random_search.get_xydata()).tolist() == [[1, 50.0], [2, 30.0]]


def test_runs_that_recorded_no_optimum_are_drawn_without(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert not {"optimum of the space"} & {str(line.get_label()) for line in figure.axes[0].get_lines()}


def test_from_eight_methods_on_each_has_a_panel_of_its_own(write_run: WriteRun, tmp_path: Path) -> None:
    for number in range(8):
        write_run(f"m{number}", 0, [0.9, 0.4, 0.2], norms=[0.1, None, 0.3])
    (comparison,) = survey(tmp_path).comparisons
    for module in (anytime, hessian):
        figure, series = module.draw(comparison)
        panels = [axes for axes in figure.axes if axes.axison]
        assert [axes.get_title() for axes in panels] == [f"m{number}, n=1" for number in range(8)]
        assert figure.get_size_inches()[0] == style.PAGE_WIDTH
        assert len({axes.get_ylim() for axes in panels}) == 1
        assert len(series) == 8
    write_run("m0", 1, [0.9, 0.4, 0.2])
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert "means of the other methods" in legend_texts(figure)


def test_what_the_table_holds_is_noted_where_it_was_not_recorded(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.4, 0.2], table={"label": "x", "optimum": {"test_error": 0.1}, "random_search": 3})
    (comparison,) = survey(tmp_path).comparisons
    figure, _ = anytime.draw(comparison)
    assert "Random search: not recorded by these runs." in page_texts(figure)
    assert "Optimum:" not in page_texts(figure)


def test_a_number_that_is_nan_is_a_damaged_line_and_not_a_cell_outside_the_table(
    write_run: WriteRun, tmp_path: Path
) -> None:
    path = write_run("darts", 0, [0.5, 0.4, 0.75, None, 0.2])
    without_checksums(path)
    lines = path / "epochs.jsonl"
    lines.write_text(lines.read_text().replace('"test_error": 0.75', '"test_error": NaN'))
    (comparison,) = survey(tmp_path).comparisons
    notes = anytime.not_in_table([series_of(method, anytime.TEST_ERROR) for method in comparison.methods])
    assert notes == [
        "1 of 4 cells are not in the table and are left out.",
        "1 test error of 4 not finite (damaged lines), left out.",
    ]
