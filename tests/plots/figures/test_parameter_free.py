"""The share of parameter-free operations, after every epoch and as a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from plots.drawing.pages import Options
from plots.figures.parameter_free import draw
from plots.runs.records import NothingToDrawError
from tests.plots.conftest import WriteRun
from tests.support.reading import assert_apart, drawn, sheet

POOL, CONV = "maxpool3x3", "conv3x3-bn-relu"


def ops(*inner: str) -> list[str]:
    return ["input", *inner, "output"]


def test_the_share_is_counted_over_the_operations_of_each_cell(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5] * 4, entries={"ops": [ops(POOL), ops(POOL, CONV), ops(POOL, POOL, CONV, CONV), ops()]})
    write_run("darts", 1, [0.5] * 4, entries={"ops": [ops(CONV), ops(POOL), ops(CONV), ops(CONV, CONV, POOL)]})
    (page,) = draw("digits", sheet(tmp_path), Options())
    rows = list(csv.DictReader(io.StringIO(page.numbers)))
    assert [float(row["mean"]) for row in rows] == pytest.approx([0.5, 0.75, 0.25, 1 / 3])
    assert rows[3]["n"] == "1"  # a cell without an operation has no share
    (line,) = [line for line in drawn(page)[0].lines if line.get_label() == "darts"]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [75, 25, 100 / 3])
    assert_apart(page.figure)


def test_the_table_is_of_finished_seeds_after_the_last_epoch(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, last in enumerate((ops(POOL, POOL), ops(POOL, CONV))):
        write_run("darts", seed, [0.5, 0.4], entries={"ops": [ops(CONV), last]})
    write_run("darts", 2, [0.5], epochs=1, entries={"ops": [ops(POOL)]})
    write_run("gdas", 0, [0.5, 0.4], epochs=5, entries={"ops": [ops(POOL), ops(POOL)]})
    write_run("nasp", 0, [0.5, 0.4], entries={"ops": [ops(CONV), ops(CONV)]}, space=2)
    (page,) = draw("digits", sheet(tmp_path), Options())
    header, *rows = page.text.splitlines()
    assert header.endswith("space 2")
    table = {row.split()[0]: " ".join(row.split()[1:]) for row in rows}
    assert table["darts"] == f"75.0 ± {100 * np.std([1, 0.5], ddof=1):.1f} (n=2) not finished"
    assert table["gdas"] == "not finished not finished"
    assert table["nasp"] == "not finished 0.0 (n=1)"
    assert len(table) == 3


def test_lines_without_a_cell_are_nothing_to_draw(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], entries={"ops": [None, 7]})
    with pytest.raises(NothingToDrawError, match="holds a cell"):
        draw("digits", sheet(tmp_path), Options())
