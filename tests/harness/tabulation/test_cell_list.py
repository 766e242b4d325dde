"""Cells named in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.tabulation.cell_list import read_cells
from spaces.nb101.cell import CONV3X3, INPUT, OUTPUT, Cell
from spaces.nb101.space import get_space

SPACE = get_space(1)
CHAIN = Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], (INPUT, CONV3X3, OUTPUT))


def read(path: Path, *lines: str) -> list[Cell]:
    path = path / "cells.txt"
    path.write_text("\n".join(lines) + "\n")
    return read_cells(path, SPACE)


def test_hashes_of_the_space_and_described_cells_of_any_may_be_mixed(tmp_path: Path) -> None:
    first, second = SPACE.cells()[5:7]
    described = json.dumps({"epoch": 3, "matrix": CHAIN.matrix.tolist(), "ops": CHAIN.ops})
    found = read(tmp_path, second.hash, "", described, f"  {first.hash} ")
    assert found == [second, CHAIN, first]
    assert found[0].matrix.tolist() == second.matrix.tolist()


def test_a_cell_named_twice_is_taken_once_in_the_place_of_its_first_line(tmp_path: Path) -> None:
    first, second = SPACE.cells()[5:7]
    assert read(tmp_path, second.hash, first.hash, json.dumps(second.to_json())) == [second, first]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (CHAIN.hash, f"no cell of space 1 has the hash {CHAIN.hash}"),
        ("abc", "expected a hash of 32 digits, or a JSON object with matrix and ops, got 'abc'"),
        ('{"matrix": [[0, 1], [0, 0]]}', "expected a hash of 32 digits"),
        ("[1, 2]", "expected a hash of 32 digits"),
        ('{"matrix": [[0, 0], [0, 0]], "ops": ["input", "output"]}', "no path"),
    ],
)
def test_a_line_that_names_no_cell_is_told_by_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(UserError, match=r"cells\.txt:2: ") as told:
        read(tmp_path, SPACE.cells()[0].hash, line)
    assert complaint in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_without_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no cell"):
        read(tmp_path, "", " ")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="expected lines of text"):
        read_cells(path, SPACE)
