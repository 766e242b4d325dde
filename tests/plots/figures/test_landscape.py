from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from harness.cli import run_command
from harness.commands.plot import main
from harness.errors import UserError
from plots.figures import landscape
from tests.support.checkpoint_results import write_landscape


def cone(x: float, y: float) -> float:
    return max(0.1, 0.9 - 0.4 * float(np.hypot(x, y)))


def hill(x: float, y: float) -> float:
    return 0.8 - 0.05 * float(np.hypot(x, y))


def texts(figure: Any) -> str:
    return " ".join([text.get_text() for text in figure.texts] + [axes.get_title() for axes in figure.axes])


def test_methods_stand_side_by_side_on_one_scale_of_height_and_colour(tmp_path: Path) -> None:
    write_landscape(tmp_path, "sdarts_adv", hill)
    write_landscape(tmp_path, "darts", cone)
    [group] = landscape.gather(tmp_path)
    figure = landscape.draw(group)
    surfaces = [axes for axes in figure.axes if axes.name == "3d"]
    contours = [axes for axes in figure.axes if axes.name != "3d" and axes.get_aspect() == 1]
    assert [axes.get_title().splitlines()[0] for axes in surfaces] == ["DARTS", "SDARTS-ADV"]
    assert [axes.get_zlim() for axes in surfaces] == [(10, 90)] * 2  # type: ignore[attr-defined]
    drawn = [axes.collections for axes in contours] + [axes.collections for axes in surfaces]
    assert {collections[0].get_clim() for collections in drawn} == {(10, 90)}
    mean = np.mean([cone(x, y) for x in range(-2, 3) for y in range(-2, 3)])
    assert f"90.0 %, mean {100 * mean:.1f} %" in surfaces[0].get_title()


def test_bench_scale_epoch_seed_and_table_are_named(tmp_path: Path) -> None:
    write_landscape(tmp_path, "darts", cone, seed=3, epoch=50)
    [group] = landscape.gather(tmp_path)
    written = re.sub(r"\s+", " ", texts(landscape.draw(group)))
    assert "Figure 1: accuracy around the alphas, digits, space 1, epoch 50, seed 3" in written
    assert "table: digits · 8 channels · on 400 validation images" in written
    assert "x: gradient of the validation loss" in written


@pytest.mark.parametrize("methods", [1, 3, 6])
def test_any_number_of_methods_fits_within_the_page(methods: int, tmp_path: Path) -> None:
    for number in range(methods):
        write_landscape(tmp_path, f"darts@a-variant-of-a-long-name-{number}", cone)
    [group] = landscape.gather(tmp_path)
    figure = landscape.draw(group)
    assert figure.get_size_inches()[0] == pytest.approx(3.25 if methods < 3 else 6.75)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    figure.draw(renderer)
    titles = [axes.title.get_window_extent(renderer) for axes in figure.axes if axes.get_title()]
    assert len(titles) == methods
    for place, one in enumerate(titles):
        assert one.x0 >= 0
        assert one.x1 <= figure.bbox.width
        assert not any(one.overlaps(other) for other in titles[place + 1 :])


def test_each_epoch_and_seed_has_a_figure_of_its_own_with_its_numbers(tmp_path: Path) -> None:
    write_landscape(tmp_path, "darts", cone)
    write_landscape(tmp_path, "darts", hill, epoch=0)
    write_landscape(tmp_path, "darts", hill, seed=1)
    paths = landscape.write(tmp_path, tmp_path / "figures")
    names = ["seed0_epoch0", "seed0_epoch30", "seed1_epoch30"]
    expected = [f"landscape_digits_space1_{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")]
    assert [path.name for path in paths] == expected
    assert image.imread(paths[3]).shape[1] == pytest.approx(650, abs=1)
    with paths[5].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    for row in rows:
        assert float(row["accuracy"]) == pytest.approx(cone(float(row["x"]), float(row["y"])))
        assert (row["method"], row["epoch"], row["scale"], row["images"]) == ("darts", "30", "8 channels", "400")


@pytest.mark.parametrize(("key", "value"), [("radius", 1.0), ("scale", "4 channels"), ("images", 30)])
def test_landscapes_that_cannot_be_compared_are_refused(key: str, value: object, tmp_path: Path) -> None:
    write_landscape(tmp_path, "darts", cone)
    write_landscape(tmp_path, "nasp", cone, **{key: value})
    with pytest.raises(UserError, match=f"differ in {key} .*cannot share a figure"):
        landscape.write(tmp_path, tmp_path / "figures")


def test_two_folders_of_one_seed_are_refused(tmp_path: Path) -> None:
    path = write_landscape(tmp_path, "darts", cone)
    other = path.parents[2] / "seed1" / "landscape" / path.name
    other.parent.mkdir(parents=True)
    other.write_bytes(path.read_bytes())
    (other.parents[1] / "config.json").write_bytes((path.parents[1] / "config.json").read_bytes())
    with pytest.raises(UserError, match="are both seed 0 of darts"):
        landscape.write(tmp_path, tmp_path / "figures")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "expected an entry x, got none"),
        ({"accuracy": [[0.5], "x"]}, "expected accuracy.1 as a list, got 'x'"),
        ({"accuracy": [[0.5]]}, "expected accuracy as 5 rows of 5 numbers"),
        ({"radius": "far"}, "expected radius as a finite number, got 'far'"),
        ({"images": -1}, "expected images as a whole number of 0 or more, got -1"),
        ({"seed": 1}, "is of seed 1, its folder is of 0"),
        ({"epoch": 31}, "is of epoch 31, its folder is of 30"),
    ],
)
def test_a_damaged_landscape_is_left_out_by_name_and_the_others_drawn(
    damage: str | dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_landscape(tmp_path, "darts", cone)
    write_landscape(tmp_path, "nasp", cone)
    content = json.loads(path.read_text())
    path.write_text(damage if isinstance(damage, str) else json.dumps({**content, **damage}))
    [group] = landscape.gather(tmp_path)
    assert list(group.of_methods) == ["nasp"]
    err = capsys.readouterr().err
    assert err.startswith(f"left out: {path}: ")
    assert message in err
    assert err.count("\n") == 1


def test_figure_1_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_landscape(tmp_path, "darts", cone)
    assert main([str(tmp_path), "--figure", "1"]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.suffix for path in printed] == [".png", ".pdf", ".csv"]
    assert all(path.parent == tmp_path / "figures" and path.exists() for path in printed)


def test_figure_1_without_a_landscape_says_what_computes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: main([str(tmp_path), "--figure", "1"])) == 2
    error = capsys.readouterr().err
    assert "figure 1: no landscape to draw" in error
    assert "`python -m harness.landscape RUN` computes one" in error
    assert not (tmp_path / "figures").exists()
