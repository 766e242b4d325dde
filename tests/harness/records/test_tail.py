"""The ends of files of lines."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.records.run_folder import EPOCHS
from harness.records.tail import last_line, last_lines


def test_the_last_whole_line_is_found_however_long_and_a_torn_one_passed_over(tmp_path: Path) -> None:
    path = tmp_path / EPOCHS
    lines = [json.dumps({"epoch": epoch, "alphas": "x" * 40_000}) for epoch in range(5)]
    path.write_text("\n".join(lines) + '\n{"epoch": 5, "torn')
    line = last_line(tmp_path)
    assert line is not None
    assert line["epoch"] == 4
    assert [each["epoch"] for each in last_lines(path, 3)] == [2, 3, 4]
    assert [each["epoch"] for each in last_lines(path, 9)] == [0, 1, 2, 3, 4]


def test_what_is_no_line_of_an_epoch_is_none(tmp_path: Path) -> None:
    assert last_line(tmp_path) is None
    for content in ("", "torn", "[1]\n", '{"epoch": true}\n', "not JSON\n"):
        (tmp_path / EPOCHS).write_text(content)
        assert last_line(tmp_path) is None


def test_a_pipe_in_the_place_of_the_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / EPOCHS)
    assert last_line(tmp_path) is None
