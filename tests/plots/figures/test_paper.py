"""The paper's figures 3, 4 and 5: what is on them, of which spaces, and what they say is missing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from plots.drawing import style
from plots.drawing.multiples import OTHERS
from plots.drawing.pages import Options, sheets
from plots.figures.paper import FIGURE_3, figure_3, figure_4, figure_5
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, drawn, legend_texts, page_texts, sheet

TABLE = {
    "label": "digits",
    "kind": "measured",
    "sha256": "ab" * 32,
    "optimum": {"test_error": 0.02},
    "random_search": {"test_error": [0.3, 0.25, 0.2]},
}


def line_of(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return list(np.asarray(line.get_xdata(), float)), list(np.asarray(line.get_ydata(), float))


def write_three_seeds(write_run: WriteRun, method: str, space: int, **more: object) -> None:
    for seed, error in enumerate((0.1, 0.2, 0.6)):
        write_run(method, seed, [0.9, 0.5, error], space=space, table=TABLE, norms=[0.1, None, 1 + seed], **more)


def test_figure_3_is_of_the_four_methods_and_the_spaces_stand_side_by_side(write_run: WriteRun, tmp_path: Path) -> None:
    for space in (1, 2, 3):
        for method in (*FIGURE_3, "gdas"):
            write_three_seeds(write_run, method, space)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    assert page.name == "figure3_digits"
    assert [axes.get_title() for axes in drawn(page)] == ["space 1", "space 2", "space 3"]
    assert legend_texts(page.figure)[:4] == ["DARTS, n=3", "SDARTS-RS, n=3", "SDARTS-ADV, n=3", "Hessian reg., n=3"]
    assert "gdas" not in page.numbers
    colours = {line.get_label(): line.get_color() for line in drawn(page)[1].lines}
    assert all(colours[method] == style.look(method).colour for method in FIGURE_3)
    assert "Not recorded" not in page_texts(page.figure)


def test_the_band_is_the_standard_deviation_and_named_with_n(write_run: WriteRun, tmp_path: Path) -> None:
    write_three_seeds(write_run, "darts", 1)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    assert "band: ± one standard deviation of 3 seeds" in legend_texts(page.figure)
    *_, last = csv.DictReader(io.StringIO(page.numbers))
    assert float(last["mean"]) == pytest.approx(0.3)
    assert float(last["high"]) - float(last["mean"]) == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1))
    (page,) = figure_3("digits", sheet(tmp_path), Options(interval=True))
    assert "band: 95 % t-interval of the mean of 3 seeds" in legend_texts(page.figure)
    (half,) = [float(row["high"]) - 0.3 for row in csv.DictReader(io.StringIO(page.numbers)) if row["epoch"] == "2"]
    assert half == pytest.approx(4.302653 * np.std([0.1, 0.2, 0.6], ddof=1) / 3**0.5)


def test_random_search_and_optimum_are_those_of_the_space(write_run: WriteRun, tmp_path: Path) -> None:
    write_three_seeds(write_run, "darts", 1)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    (axes,) = drawn(page)
    assert line_of(axes, "random search, a trained cell an epoch") == ([1, 2], [30, 25])
    assert line_of(axes, "optimum of the space")[1] == [2, 2]
    assert {"optimum of the space", "random search, a trained cell an epoch"} <= set(legend_texts(page.figure))


def test_what_is_missing_is_said(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run("darts", seed, [0.9, 0.5], space=2)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    text = page_texts(page.figure)
    assert "Not recorded: spaces 1 and 3." in text
    assert "Not recorded: Hessian reg., SDARTS-RS, SDARTS-ADV." in text
    assert "Optimum: not recorded by these runs." in text
    assert "Random search: not recorded by these runs." in text
    assert "space 2" in text
    assert "band: range of 2 seeds" in legend_texts(page.figure)


def test_many_methods_stand_in_front_of_the_others_a_few_at_a_time(write_run: WriteRun, tmp_path: Path) -> None:
    names = [*FIGURE_3, "gdas", "nasp", "pc_darts", "enas"]
    for space in (1, 3):
        for method in names[: None if space == 1 else -1]:
            write_three_seeds(write_run, method, space)
    (page,) = figure_4("digits", sheet(tmp_path), Options())
    panels = drawn(page)
    in_front = [[str(line.get_label()) for line in axes.lines if line.get_label() in names] for axes in panels]
    assert in_front == [
        ["darts", "sdarts_rs", "sdarts_adv"],
        ["darts", "sdarts_rs", "sdarts_adv"],
        ["pc_darts", "gdas", "nasp", "enas"],
        ["pc_darts", "gdas", "nasp"],
        ["hessian_reg"],
        ["hessian_reg"],
    ]
    for axes, front in zip(panels, in_front, strict=True):
        colours = {line.get_label(): line.get_color() for line in axes.lines}
        assert all(colours[name] == style.look(name).colour for name in front)
        grey = [line for line in axes.lines if line.get_color() == OTHERS]
        in_space = 8 if axes.get_subplotspec().colspan.start == 0 else 7  # type: ignore[union-attr]
        assert len(grey) == in_space - len(front)
        assert any(line.get_label() == "optimum of the space" for line in axes.lines)
    rows = [axes.get_legend() for axes in page.figure.axes if axes.get_legend()]
    named = [[text.get_text() for text in legend.get_texts()] for legend in rows if legend]
    assert named[1] == ["PC-DARTS, n=3", "GDAS, n=3", "NASP, n=3", "ENAS, n=3"]
    assert "means of the other methods" in legend_texts(page.figure)


@pytest.mark.parametrize("spaces", [1, 2])
def test_long_names_above_a_row_stay_on_the_page(write_run: WriteRun, tmp_path: Path, spaces: int) -> None:
    for space in range(1, spaces + 1):
        for number in range(8):
            write_run(f"sdarts_adv@without_weight_decay_{number}", 0, [0.9, 0.5], space=space, epochs=3)
    (page,) = figure_4("digits", sheet(tmp_path), Options())
    with style.applied():
        page.figure.draw_without_rendering()
    legends = [legend.get_window_extent() for axes in page.figure.axes if (legend := axes.get_legend())]
    assert len(legends) == 2
    assert all(0 <= box.x0 < box.x1 <= page.figure.bbox.x1 for box in legends)
    assert_apart(page.figure)


def test_figure_4_shows_regret_to_the_optimum_of_each_space(write_run: WriteRun, tmp_path: Path) -> None:
    for space in (1, 2):
        write_three_seeds(write_run, "darts", space)
    write_run("gdas", 0, [0.9, 0.5, 0.02], table=TABLE)
    (page,) = figure_4("digits", sheet(tmp_path), Options())
    first, _ = drawn(page)
    assert first.get_yscale() == "symlog"
    np.testing.assert_allclose(line_of(first, "darts")[1], [48, 28])
    np.testing.assert_allclose(line_of(first, "gdas")[1], [48, 0], atol=1e-9)
    assert first.get_ylim()[0] < 0 < first.get_ylim()[1]
    assert line_of(first, "optimum of the space")[1] == [0, 0]
    np.testing.assert_allclose(line_of(first, "random search, a trained cell an epoch")[1], [28, 23])
    text = page_texts(page.figure)
    assert "anytime regret" in text
    assert "(space 1 2.00 %, space 2 2.00 %)" in text
    rows = [row for row in csv.DictReader(io.StringIO(page.numbers)) if row["method"] == "gdas"]
    assert [float(row["mean"]) for row in rows] == [0.9, 0.5, 0.02]


def test_without_an_optimum_figure_4_shows_errors_on_a_logarithmic_axis(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.5, 0.1])
    (page,) = figure_4("digits", sheet(tmp_path), Options())
    (axes,) = drawn(page)
    assert axes.get_ylabel() == "test error of the derived cell (%)"
    low, middle, high = axes.transData.transform([(0, 10), (0, 20), (0, 40)])[:, 1]
    assert high - middle == pytest.approx(middle - low, rel=0.01)
    with pytest.raises(NothingToDrawError, match="the runs of space 1 record no optimum"):
        figure_4("digits", sheet(tmp_path), Options(vertical="regret"))


def test_the_vertical_axis_is_the_one_asked_for(write_run: WriteRun, tmp_path: Path) -> None:
    write_three_seeds(write_run, "darts", 1)
    (page,) = figure_4("digits", sheet(tmp_path), Options(vertical="error"))
    assert drawn(page)[0].get_yscale() == "linear"
    np.testing.assert_allclose(line_of(drawn(page)[0], "darts")[1], [50, 30])
    (page,) = figure_3("digits", sheet(tmp_path), Options(vertical="regret"))
    np.testing.assert_allclose(line_of(drawn(page)[0], "darts")[1], [48, 28])


def test_a_peak_of_the_first_epochs_leaves_the_panel_and_is_named(write_run: WriteRun, tmp_path: Path) -> None:
    for method, early in (("darts", 0.9), ("gdas", 0.05)):
        write_run(method, 0, [0.9, early, *[0.05] * 18, 0.04], table=TABLE)
    (page,) = figure_4("digits", sheet(tmp_path), Options())
    assert drawn(page)[0].get_ylim()[1] < 5
    assert "Above 4, and so beyond the panels, until epoch 1 at the latest: DARTS (mean up to 88)." in page_texts(
        page.figure
    )


def test_seeds_too_few_to_rank_are_said_on_the_figure(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        for method in ("darts", "sdarts_rs"):
            write_run(method, seed, [0.9, 0.5, 0.1], norms=[0.1, 0.2, 0.3], table=TABLE)
    for draw in (figure_3, figure_4, figure_5):
        (page,) = draw("digits", sheet(tmp_path), Options())
        assert "n = 2 ranks nothing" in page_texts(page.figure)


def test_over_seconds_a_curve_ends_with_its_fastest_seed_and_random_search_has_no_line(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed, pace in enumerate((1.0, 2.0)):
        seconds = [{}, *[{"train": pace}] * 4]
        errors = [0.9, 0.4, 0.3, 0.2, 0.1]
        write_run("darts", seed, errors, table=TABLE, entries={"seconds": seconds})
    (page,) = figure_4("digits", sheet(tmp_path), Options(seconds=True))
    rows = list(csv.DictReader(io.StringIO(page.numbers)))
    both = {round(float(row["seconds"]), 2): float(row["mean"]) for row in rows if row["n"] == "2"}
    assert min(both) == pytest.approx(2.0)
    assert max(both) == pytest.approx(4.0)
    assert both[2.0] == pytest.approx((0.3 + 0.4) / 2)
    assert both[3.0] == pytest.approx((0.2 + 0.4) / 2)
    assert both[4.0] == pytest.approx((0.1 + 0.3) / 2)
    assert {row["n"] for row in rows if float(row["seconds"]) < 2} == {"1"}
    (axes,) = drawn(page)
    assert axes.get_xlabel() == "seconds of training"
    assert not [line for line in axes.lines if str(line.get_label()).startswith("random")]
    assert "has no place on an axis of seconds" in page_texts(page.figure)


@pytest.mark.parametrize(
    ("chosen_by", "expected"), [(None, [0.4, 0.1, 0.3]), ("supernet", [0.4, 0.1, 0.1]), ("table", [0.4, 0.4, 0.3])]
)
def test_the_best_cell_so_far_is_chosen_by_validation(
    write_run: WriteRun, tmp_path: Path, chosen_by: str | None, expected: list[float]
) -> None:
    entries = {"supernet_valid_accuracy": [0.99, 0.5, 0.7, 0.6], "valid_error": [0.0, 0.3, 0.4, 0.2]}
    write_run("darts", 0, [0.05, 0.4, 0.1, 0.3], entries=entries)
    (page,) = figure_4("digits", sheet(tmp_path), Options(chosen_by=chosen_by))
    rows = list(csv.DictReader(io.StringIO(page.numbers)))
    assert [float(row["mean"]) for row in rows if row["epoch"] != "0"] == expected
    if chosen_by:
        assert chosen_by in drawn(page)[0].get_ylabel()


def test_figure_5_has_a_logarithmic_axis_and_names_methods_without_a_hessian(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_three_seeds(write_run, "darts", 1)
    write_three_seeds(write_run, "darts", 2)
    write_run("enas", 0, [0.9, 0.5, 0.4], alphas=False, table=TABLE)
    (page,) = figure_5("digits", sheet(tmp_path), Options())
    first, second = drawn(page)
    assert (first.get_yscale(), second.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(line_of(first, "darts"), [[0.0, 2.0], [0.1, 2.0]])
    assert "Without architecture parameters, so without a Hessian: ENAS." in page_texts(page.figure)


def test_without_a_value_there_is_nothing_to_draw(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("gdas", 0, [0.9, 0.5])
    for draw, message in (
        (figure_3, "none of darts, hessian_reg, sdarts_rs, sdarts_adv is recorded"),
        (figure_5, "no run has a Hessian"),
    ):
        with pytest.raises(NothingToDrawError, match=message):
            draw("digits", sheet(tmp_path), Options())
    with pytest.raises(NothingToDrawError, match="seconds of training"):
        figure_4("digits", sheet(tmp_path), Options(seconds=True))


def test_only_the_methods_asked_for_are_drawn(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "gdas", "nasp"):
        write_run(method, 0, [0.9, 0.5])
    (page,) = figure_3("digits", sheet(tmp_path), Options(methods=("gdas", "sdarts_rs")))
    assert legend_texts(page.figure)[0] == "GDAS, n=1"
    assert "Not recorded: SDARTS-RS." in page_texts(page.figure)
    assert "darts" not in {row["method"] for row in csv.DictReader(io.StringIO(page.numbers))}


def test_two_tables_of_one_space_have_sheets_of_their_own(write_run: WriteRun, tmp_path: Path) -> None:
    for digest in ("aa", "bb"):
        write_run("darts", 0, [0.9, 0.5], root=tmp_path / digest, table={**TABLE, "sha256": digest * 32})
    write_run("darts", 0, [0.9, 0.5], root=tmp_path / "aa", space=2)
    write_run("darts", 0, [0.9, 0.5], root=tmp_path / "other", bench="nb")
    found = [(name, [one.space for one in some]) for name, some in sheets(survey(tmp_path))]
    assert found == [("digits", [1, 2]), ("digits_2", [1]), ("nb", [1])]


@pytest.mark.parametrize(("methods", "spaces"), [(1, 1), (13, 1), (7, 3), (13, 2)])
def test_nothing_overlaps_at_its_printed_size(write_run: WriteRun, tmp_path: Path, methods: int, spaces: int) -> None:
    names = ["darts", *(f"method{number}" for number in range(methods - 1))]
    for method in names:
        for space in range(1, spaces + 1):
            write_three_seeds(write_run, method, space)
    for draw in (figure_4, figure_5):
        (page,) = draw("digits", sheet(tmp_path), Options())
        assert page.figure.get_size_inches()[0] == (style.COLUMN_WIDTH if methods == 1 else style.PAGE_WIDTH)
        assert_apart(page.figure)


def test_over_seconds_every_method_reaches_its_last_epoch_and_holds_each_cell_until_the_next(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for method, pace in (("darts", 100.0), ("gdas", 0.3)):
        write_run(method, 0, [0.9, 0.5, 0.4, 0.1], entries={"seconds": [{}, *[{"train": pace}] * 3]})
    (page,) = figure_4("digits", sheet(tmp_path), Options(seconds=True))
    axes = page.figure.axes[0]
    x, y = line_of(axes, "gdas")
    finite = [(when, error) for when, error in zip(x, y, strict=True) if np.isfinite(error)]
    np.testing.assert_allclose(finite[-1], (0.9, 10))
    drawstyles = {line.get_drawstyle() for line in axes.lines if line.get_label() in ("darts", "gdas")}
    assert drawstyles == {"steps-post"}


def test_one_variant_stands_for_its_method_on_figure_3_and_two_are_named_instead(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_three_seeds(write_run, "darts@79d1bebd", 1)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    assert "The one variant recorded stands for its method: darts@79d1bebd." in page_texts(page.figure)
    assert "Not recorded: Hessian reg., SDARTS-RS, SDARTS-ADV." in page_texts(page.figure)
    write_three_seeds(write_run, "darts@b2", 1)
    with pytest.raises(NothingToDrawError, match=r"recorded: darts@79d1bebd, darts@b2 \(--methods draws them\)"):
        figure_3("digits", sheet(tmp_path), Options())


def test_an_abbreviated_name_ends_a_note_with_one_full_stop(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "sdarts_rs", "sdarts_adv"):
        write_three_seeds(write_run, method, 1)
    (page,) = figure_3("digits", sheet(tmp_path), Options())
    assert "Not recorded: Hessian reg. " in f"{page_texts(page.figure)} "
    assert ".." not in page_texts(page.figure)
    assert any("space\N{NO-BREAK SPACE}1" in text.get_text() for text in page.figure.texts)
