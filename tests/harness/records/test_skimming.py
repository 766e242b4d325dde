"""Lines read without their alphas are the lines, and whatever is unusual is left to the full reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records import skimming
from harness.records.run_folder import RunFolder, RunFolderError
from harness.records.skimming import epochs_without_alphas

CONFIG = {"bench": "digits", "space": 1, "optimizer": "darts", "name": None, "seed": 0, "settings": {}}
#: digits of every form that a number's text has
ALPHAS = [[[0.1, -1e-05, 1e22, 5e-324], [0.0, -0.0, 3]], [[1.7976931348623157e308]], []]
LINE = {
    "bench": 'a "name", with: , "alphas": [1]',
    "test_error": 0.25,
    "alphas": ALPHAS,
    "seconds": {"train": 1.5, "Other": None},
    "zeta": "é\u2028",
    "Upper": [1, 2],
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "seed0")
    made.create(CONFIG, {})
    for epoch in range(4):
        made.append({"epoch": epoch, **LINE, "alphas": [] if epoch == 3 else ALPHAS})
    return made


@pytest.fixture
def full_readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were read in full."""
    noted: list[Path] = []
    epochs = RunFolder.epochs

    def read(self: RunFolder) -> list[dict[str, Any]]:
        noted.append(self.path)
        return epochs(self)

    monkeypatch.setattr(RunFolder, "epochs", read)
    return noted


def without_alphas(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "alphas": bool(line.get("alphas"))} for line in lines]


def test_lines_are_those_of_the_full_reading_but_for_the_alphas(folder: RunFolder, full_readings: list[Path]) -> None:
    skimmed = epochs_without_alphas(folder)
    assert full_readings == []
    assert skimmed == without_alphas(folder.epochs())
    assert [line["alphas"] for line in skimmed] == [True, True, True, False]


def test_a_torn_last_line_is_left_out(folder: RunFolder, full_readings: list[Path]) -> None:
    log = folder.path / "epochs.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert len(epochs_without_alphas(folder)) == 3
    assert full_readings == []


def edited(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    "change",
    [
        edited("5e-324", "5e-323"),
        edited("-0.0", "0.0"),
        edited("1e+22", "1e+23"),
        edited('"test_error": 0.25', '"test_error": 0.35'),
        edited('"epoch": 1', '"epoch": 2'),
        edited('"check": "', '"check": "0'),
        lambda text: "".join(text.splitlines(keepends=True)[1:]),
        lambda text: text.replace("0.25", "NaN", 1),
        edited("{", "["),
    ],
)
def test_lines_that_were_changed_are_refused(folder: RunFolder, change: Callable[[str], str]) -> None:
    log = folder.path / "epochs.jsonl"
    before = log.read_text()
    assert change(before) != before
    log.write_text(change(before))
    with pytest.raises(RunFolderError):
        epochs_without_alphas(folder)


@pytest.mark.parametrize(
    "change",
    [
        # The same content in other letters, which the checksum does not mind.
        edited("0.1, -1e-05", "0.1,   -0.00001"),
        edited('"alphas": [[[', '"alphas" : [[['),
        edited('"alphas": ', '"alphas": [2], "alphas": '),
    ],
)
def test_the_same_content_in_other_letters_is_read_in_full(
    folder: RunFolder, full_readings: list[Path], change: Callable[[str], str]
) -> None:
    before = folder.epochs()
    log = folder.path / "epochs.jsonl"
    log.write_text(change(log.read_text()))
    full_readings.clear()
    assert epochs_without_alphas(folder) == before
    assert full_readings == [folder.path]


def test_an_entry_of_that_name_within_another_is_read_in_full(folder: RunFolder, full_readings: list[Path]) -> None:
    folder.append({"epoch": 4, "inner": {"alphas": [1], "beta": 2}, "alphas": [3]})
    folder.append({"epoch": 5, "inner": {"beta": 2, "alphas": [1]}})
    assert epochs_without_alphas(folder) == RunFolder(folder.path).recorded().lines
    assert full_readings == [folder.path]


def test_lines_without_checksums_and_folders_without_lines_are_left_to_the_full_reading(
    folder: RunFolder, full_readings: list[Path]
) -> None:
    log = folder.path / "epochs.jsonl"
    lines = folder.epochs()
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert epochs_without_alphas(folder) == lines
    log.unlink()
    assert epochs_without_alphas(folder) == []


def test_a_line_that_somebody_else_wrote_for_another_seed_is_refused(folder: RunFolder) -> None:
    folder.create({**CONFIG, "seed": 1}, {})
    with pytest.raises(RunFolderError, match="checksum"):
        epochs_without_alphas(folder)
    assert skimming._skimmed(folder) is None
