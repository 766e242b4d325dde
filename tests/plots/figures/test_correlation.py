from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UserError
from plots.figures import correlation
from tests.support.checkpoint_results import write_correlation


def test_each_method_has_a_panel_for_either_kind_of_statistics_with_its_cells(tmp_path: Path) -> None:
    paths = {name: write_correlation(tmp_path, name) for name in ("enas", "darts")}
    [group] = correlation.gather(tmp_path)
    figure = correlation.draw(group)
    titles = [axes.get_title() for axes in figure.axes]
    rho = "\N{GREEK SMALL LETTER RHO} 0.25 [0.12, 0.38]"
    assert [title.splitlines()[0] for title in titles] == ["DARTS", "ENAS", *["batch statistics"] * 2]
    assert all(rho in title and "n/a" in title for title in titles)
    sampled = json.loads(paths["enas"].read_text())["sampled"]
    others, top = figure.axes[1].lines
    for line, chosen in ((others, False), (top, True)):
        cells = [cell for cell in sampled if (cell["test_error"] <= 0.06) == chosen]
        assert np.asarray(line.get_xdata()).tolist() == pytest.approx(
            [100 * (1 - cell["stored"]["accuracy"]) for cell in cells]
        )
        assert np.asarray(line.get_ydata()).tolist() == pytest.approx([100 * cell["test_error"] for cell in cells])


@pytest.mark.parametrize("methods", [1, 5])
def test_any_number_of_methods_fits_within_the_page(methods: int, tmp_path: Path) -> None:
    for number in range(methods):
        write_correlation(tmp_path, f"darts@a-variant-of-a-long-name-{number}")
    [group] = correlation.gather(tmp_path)
    figure = correlation.draw(group)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    figure.draw(renderer)
    titles = [axes.title.get_window_extent(renderer) for axes in figure.axes if axes.get_title()]
    assert len(titles) == 2 * methods
    for place, one in enumerate(titles):
        assert one.x0 >= 0
        assert one.x1 <= figure.bbox.width
        assert not any(one.overlaps(other) for other in titles[place + 1 :])
    written = re.sub(r"\s+", " ", " ".join(text.get_text() for text in figure.texts))
    assert "digits, space 1, epoch 30, seed 0" in written
    assert "table: digits · 8 channels · on 400 validation images" in written


def test_the_csv_has_a_row_for_each_cell(tmp_path: Path) -> None:
    path = write_correlation(tmp_path, "darts", cells=12)
    paths = correlation.write(tmp_path, tmp_path / "figures")
    assert [one.name for one in paths] == [
        f"correlation_digits_space1_seed0_epoch30.{kind}" for kind in ("png", "pdf", "csv")
    ]
    with paths[2].open() as file:
        rows = list(csv.DictReader(file))
    for row, cell in zip(rows, json.loads(path.read_text())["sampled"], strict=True):
        assert row["cell"] == cell["cell"]
        assert float(row["test_error"]) == cell["test_error"]
        assert float(row["stored_error"]) == pytest.approx(1 - cell["stored"]["accuracy"])
        assert row["batch_loss"] == ("" if cell["batch"]["loss"] is None else str(cell["batch"]["loss"]))


def test_a_damaged_result_is_left_out_by_name_and_the_others_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_correlation(tmp_path, "darts", sampled=[{"cell": "x"}])
    write_correlation(tmp_path, "enas")
    [group] = correlation.gather(tmp_path)
    assert list(group.of_methods) == ["enas"]
    err = capsys.readouterr().err
    assert err == (
        f"left out: {path}: expected an entry sampled.0.test_error, got none; move it away and compute it again\n"
    )


def test_results_on_other_tables_are_refused(tmp_path: Path) -> None:
    write_correlation(tmp_path, "darts")
    write_correlation(tmp_path, "enas", table_sha256="cd")
    with pytest.raises(UserError, match="differ in table_sha256"):
        correlation.write(tmp_path, tmp_path / "figures")
