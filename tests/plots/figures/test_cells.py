"""The derived cell at some epochs, and the strips of its changes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from plots.drawing.cell import COLOURS
from plots.drawing.pages import Options
from plots.figures.cells import changes, draw
from plots.runs.records import NothingToDrawError
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, page_texts, sheet

POOL, CONV = "maxpool3x3", "conv3x3-bn-relu"
CHAIN: dict[str, Any] = {"cell": "c", "matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", CONV, "output"]}
POOLED: dict[str, Any] = {**CHAIN, "cell": "p", "ops": ["input", POOL, "output"]}
LONG: dict[str, Any] = {
    "cell": "l",
    "matrix": [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
    "ops": ["input", POOL, CONV, "output"],
}


def entries(*cells: dict[str, Any]) -> dict[str, list[Any]]:
    return {key: [cell.get(key) for cell in cells] for key in ("cell", "matrix", "ops")}


def test_cells_stand_above_at_the_epochs_asked_for(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 3, [0.5, 0.4, 0.3], entries=entries(CHAIN, LONG, LONG))
    (page,) = draw("digits", sheet(tmp_path), Options(epochs=(0, 2, 9)))
    assert page.name == "cells_digits_space1_darts"
    assert [axes.get_title() for axes in page.figure.axes[:2]] == ["epoch 0, 50.00 %", "epoch 2, 30.00 %"]
    assert len([patch for patch in page.figure.axes[1].patches if str(patch.get_gid()).startswith("edge")]) == 5
    text = page_texts(page.figure)
    assert "Derived cells of DARTS, seed 3, digits, space 1" in text
    assert "2 cells, 1 change, the last in epoch 1" in text
    assert "Not recorded: epoch 9." in text
    assert_apart(page.figure)


def test_strips_show_operations_and_edges_of_every_epoch(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4, 0.3, 0.3], entries=entries(CHAIN, POOLED, LONG, LONG))
    (page,) = draw("digits", sheet(tmp_path), Options(epochs=(0,)))
    operations, edges = (np.asarray(axes.images[0].get_array()) for axes in page.figure.axes[-2:])
    white, pool, conv = (1, 1, 1), to_rgb(COLOURS[POOL]), to_rgb(COLOURS[CONV])
    np.testing.assert_allclose(operations[0], [conv, pool, pool, pool])
    np.testing.assert_allclose(operations[1], [white, white, conv, conv])
    names = [label.get_text() for label in page.figure.axes[-1].get_yticklabels()]
    assert names == ["in → 1", "in → 2", "1 → 2", "1 → out", "2 → out"]
    dark = edges[:, :, 0] < 0.5
    assert dark.tolist() == [
        [True, True, True, True],
        [False, False, True, True],
        [False, False, True, True],
        [True, True, True, True],
        [False, False, True, True],
    ]
    rows = list(csv.DictReader(io.StringIO(page.numbers)))
    assert [row["changed"] for row in rows] == ["0", "1", "1", "0"]
    assert rows[2]["edges"] == "in→1 in→2 1→2 1→out 2→out"


def test_a_change_is_one_of_the_architecture_whatever_stays_of_it(write_run: WriteRun, tmp_path: Path) -> None:
    rewired = {**LONG, "cell": "r", "matrix": [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]}
    write_run("darts", 0, [0.5] * 4, entries=entries(LONG, LONG, rewired, {**rewired, "ops": POOLED["ops"] + ["x"]}))
    run = survey(tmp_path).comparisons[0].methods[0].runs[0]
    assert changes(run.architectures) == [2]


def test_a_line_without_a_whole_cell_is_a_gap_and_no_change(write_run: WriteRun, tmp_path: Path) -> None:
    broken = {**CHAIN, "matrix": [[0, 1]]}
    write_run("darts", 0, [0.5, 0.4, 0.3, 0.2], entries=entries(CHAIN, broken, {}, POOLED))
    run = survey(tmp_path).comparisons[0].methods[0].runs[0]
    cells = run.architectures
    assert [cell is None for cell in cells] == [False, True, True, False]
    assert changes(cells) == []
    (page,) = draw("digits", sheet(tmp_path), Options(epochs=(0, 1)))
    assert "Not recorded: epoch 1." in page_texts(page.figure)


def test_every_method_has_a_page_of_its_first_seed(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("gdas", "darts"):
        for seed in (4, 2):
            write_run(method, seed, [0.5, 0.4], entries=entries(CHAIN, LONG))
    pages = draw("digits", sheet(tmp_path), Options())
    assert [page.name for page in pages] == ["cells_digits_space1_darts", "cells_digits_space1_gdas"]
    assert {row["seed"] for row in csv.DictReader(io.StringIO(pages[0].numbers))} == {"2"}


def test_without_a_cell_or_an_epoch_there_is_nothing_to_draw(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4])
    with pytest.raises(NothingToDrawError, match="no line holds a cell"):
        draw("digits", sheet(tmp_path), Options())
    write_run("gdas", 0, [0.5, 0.4], entries=entries(CHAIN, LONG))
    with pytest.raises(NothingToDrawError, match="no cell at epoch 7; it ends at 1"):
        draw("digits", sheet(tmp_path), Options(epochs=(7,)))


def test_an_epoch_that_is_not_there_is_said_and_the_others_are_drawn(write_run: WriteRun, tmp_path: Path) -> None:
    cell = {"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}
    for method, length in (("darts", 2), ("gdas", 4)):
        entries = {key: [value] * length for key, value in cell.items()}
        write_run(method, 0, [0.5] * length, entries=entries)
    (page,) = draw("digits", sheet(tmp_path), Options(epochs=(3, 9)))
    assert page.name.endswith("gdas")
    short, missing = page.text.splitlines()
    assert short.endswith("darts/seed0 has no cell at epoch 3, 9; it ends at 1")
    assert missing.endswith("gdas/seed0 has no cell at epoch 9; it ends at 3")
