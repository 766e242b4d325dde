"""One look for each method, the same on every figure and in every process; pages without overlaps."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.drawing import style

LITERATURE = ["darts", "sdarts_rs", "sdarts_adv", "pc_darts", "gdas", "nasp", "enas", "random_ws"]
FAMILY = [
    "darts_2nd",
    "hessian_reg",
    "darts_es",
    "r_darts_l2",
    "r_darts_dp",
    "pc_darts_rs",
    "pc_darts_adv",
    "gdas_rs",
    "gdas_adv",
]


def brightness(colour: str) -> float:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_paper_s_methods_have_a_colour_each() -> None:
    colours = [style.look(name).colour for name in LITERATURE]
    assert len(set(colours)) == len(colours)


def test_no_two_known_methods_look_the_same_without_colour() -> None:
    looks = [style.look(name) for name in LITERATURE + FAMILY]
    shapes = [(one.dashes, one.marker, one.hollow) for one in looks]
    assert len(set(shapes)) == len(shapes)


def test_every_colour_stands_out_from_white_paper() -> None:
    assert all(brightness(style.look(name).colour) < 0.75 for name in [*LITERATURE, *FAMILY, "a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("method", "label"),
    [
        ("darts", "DARTS"),
        ("sdarts_rs", "SDARTS-RS"),
        ("pc_darts", "PC-DARTS"),
        ("sdarts_adv@one_step", "SDARTS-ADV @one_step"),
        ("my_method", "my_method"),
        ("cost_$x$", r"cost_\$x\$"),
    ],
)
def test_display_names(method: str, label: str) -> None:
    assert style.look(method).label == label


def test_colours_are_fixed() -> None:
    assert style.look("darts").colour == "#d55e00"
    assert style.look("sdarts_rs").colour == "#0173b2"
    assert style.look("sdarts_adv").colour == "#029e73"


def test_an_unknown_method_looks_the_same_in_another_process() -> None:
    code = "from plots.drawing import style; print(style.look('my_method'), style.look('darts@x'))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == f"{style.look('my_method')} {style.look('darts@x')}"


def test_an_unknown_method_looks_like_no_known_one() -> None:
    known = {(style.look(name).marker, style.look(name).hollow) for name in LITERATURE + FAMILY}
    assert all((style.look(f"m{i}").marker, style.look(f"m{i}").hollow) not in known for i in range(50))


@pytest.mark.parametrize("optimizer", [*LITERATURE, "my_method"])
def test_a_variant_has_its_base_s_colour_and_a_line_of_its_own(optimizer: str) -> None:
    base, variant = style.look(optimizer), style.look(f"{optimizer}@wide")
    assert variant.colour == base.colour
    assert variant.dashes != base.dashes


def test_methods_are_drawn_in_the_literature_s_order_then_by_name() -> None:
    names = ["zeta", "sdarts_adv", "darts@x", "alpha", "darts"]
    assert sorted(names, key=style.drawing_order) == ["darts", "darts@x", "sdarts_adv", "alpha", "zeta"]


def test_the_user_s_settings_are_put_back() -> None:
    before = matplotlib.rcParams["font.size"]
    with style.applied():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert 7 <= matplotlib.rcParams["font.size"] <= 9
    assert matplotlib.rcParams["font.size"] == before


def page(entries: int, words: int) -> Figure:
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1e-5])
        axes.set_xlabel("epoch")
        axes.set_ylabel("error")
        handles = [Line2D([], []) for _ in range(entries)]
        labels = [f"SDARTS-ADV @variant{i}, n=6 (1 unfinished)" for i in range(entries)]
        legends = [style.legend_below(figure, handles, labels), style.legend_below(figure, handles[:1], ["band"])]
        style.lay_out(figure, 2.0, "Title", "many words " * words, legends, ["a note " * words, "another"])
    return figure


@pytest.mark.parametrize(("entries", "words"), [(1, 1), (8, 12)])
def test_nothing_on_a_page_overlaps_or_sticks_out(entries: int, words: int) -> None:
    figure = page(entries, words)
    parts = [*figure.texts, *figure.legends, figure.axes[0]]
    with style.applied():
        figure.draw_without_rendering()
        found = [part.get_tightbbox() for part in parts]
    boxes = [box for box in found if box is not None]
    assert len(boxes) == len(parts)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


def test_saving_twice_gives_the_same_bytes_and_embeds_vector_fonts(tmp_path: Path) -> None:
    paths = style.save(page(3, 2), tmp_path / "one_space1", "epoch\n1\n")
    again = style.save(page(3, 2), tmp_path / "two_space1", "epoch\n1\n")
    assert [path.name for path in paths] == ["one_space1.png", "one_space1.pdf", "one_space1.csv"]
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    pdf = paths[1].read_bytes()
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    assert b"CreationDate" not in pdf
