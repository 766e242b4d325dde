from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import short_training

BENCH = """
name = "trial"
[images]
source = "digits"
[settings]
"network.channels" = 4
"network.cells" = 3
[judge]
kind = "train"
[judge.recipe]
epochs = 1
channels = 4
cells = 3
training_images = 60
validation_images = 40
test_images = 40
"""


def test_cells_are_trained_once_and_the_coefficient_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = tmp_path / "trial.toml"
    bench.write_text(BENCH)
    command = ["--bench", str(bench), "--cells", "3", "--times", "2", "--folder", str(tmp_path / "kept")]
    assert short_training.main([*command[:2], "--cells", "2", *command[4:]]) == 0
    before = sorted((tmp_path / "kept").glob("*/*.json"))
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["cells"] == 2
    assert len(before) == 2 * 2 + 2
    assert short_training.main(command) == 0
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert measured["errors"][:2] == first["errors"]
    assert measured["n"] == 3
    assert len(list((tmp_path / "kept").glob("*/*.json"))) == 2 * 3 + 2
    assert {path.stat().st_mtime_ns for path in before} <= {
        path.stat().st_mtime_ns for path in (tmp_path / "kept").glob("*/*.json")
    }
