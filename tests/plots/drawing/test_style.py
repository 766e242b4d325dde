"""Pages in the size of print, without overlaps; the user's settings are left alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.drawing import style


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
