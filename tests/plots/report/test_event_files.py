"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.commands.report import main
from harness.errors import UserError
from plots.report.event_files import scalars, write_event_files
from tests.support.report_runs import edit_config, edit_lines, read_lines, write_trouble
from tests.support.synthetic_runs import write_runs

ROOT = Path(__file__).parents[3]


def read_back(folder: Path) -> Any:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")
    accumulator = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator


def write(results: Path, out: Path) -> list[Path]:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    return list(write_event_files(results, out))


def test_every_number_of_every_line_is_read_back_at_its_epoch(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path / "runs", ["darts"], [1], seeds=1, epochs=3)
    (folder,) = write(tmp_path / "runs", tmp_path / "events")
    assert folder == tmp_path / "events" / "synthetic" / "space1" / "darts" / "seed0"
    events = read_back(folder)
    lines = read_lines(path)
    for tag in ("test_error", "supernet_valid_loss", "trace", "seconds/train", "repeats"):
        name, _, key = tag.partition("/")
        expected = [line[name][key] if key else line[name] for line in lines]
        found = events.Scalars(tag)
        assert [event.step for event in found] == [0, 1, 2, 3]
        assert [event.value for event in found] == pytest.approx(expected, rel=1e-6)
    assert [event.step for event in events.Scalars("train_loss")] == [1, 2, 3]
    assert "epoch" not in events.Tags()["scalars"]


def test_events_stand_at_the_time_of_the_search(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path / "runs", ["darts"], [1], seeds=1, epochs=2)
    started = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    (path / "env.json").write_text(json.dumps({"starts": [{"started": started.isoformat()}]}))
    (folder,) = write(tmp_path / "runs", tmp_path / "events")
    times = [event.wall_time for event in read_back(folder).Scalars("test_error")]
    each = sum(read_lines(path)[0]["seconds"].values())
    assert times == pytest.approx([started.timestamp() + each * (epoch + 1) for epoch in range(3)])


def test_writing_again_replaces_our_files_and_no_others(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", ["darts"], [1], seeds=1, epochs=2)
    (folder,) = write(tmp_path / "runs", tmp_path / "events")
    (other,) = [folder / "events.out.tfevents.1.other"]
    other.touch()
    write(tmp_path / "runs", tmp_path / "events")
    assert len(list(folder.iterdir())) == 2
    assert other.exists()
    assert len(read_back(folder).Scalars("test_error")) == 3


def test_unfinished_runs_are_written_and_torn_ones_and_nans_are_not_fatal(tmp_path: Path) -> None:
    trouble = write_trouble(tmp_path / "runs")
    folders = write(tmp_path / "runs", tmp_path / "events")
    assert all(folder.is_relative_to(tmp_path / "events") for folder in folders)
    assert len(list((tmp_path / "events").rglob("events.out.tfevents.*"))) == len(folders) == 18
    unfinished = tmp_path / "events" / trouble["unfinished"].relative_to(tmp_path / "runs")
    assert [event.step for event in read_back(unfinished).Scalars("test_error")] == [0, 1, 2, 3, 4]
    with_nan = tmp_path / "events" / trouble["nan"].relative_to(tmp_path / "runs")
    assert 3 not in [event.step for event in read_back(with_nan).Scalars("test_error")]


def test_a_name_that_climbs_stays_below_the_folder_given(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path / "runs", ["darts"], [1], seeds=1, epochs=1)
    edit_config(path, lambda config: {**config, "optimizer": "../../up"})
    (folder,) = write(tmp_path / "runs", tmp_path / "a" / "events")
    assert os.path.normpath(folder).startswith(str(tmp_path / "a" / "events") + os.sep)


def test_scalars_are_the_finite_numbers() -> None:
    line = {"epoch": 2, "a": 1, "b": None, "c": True, "d": float("nan"), "e": "x", "f": [1], "g": {"h": 0.5, "i": None}}
    assert scalars(line) == {"a": 1.0, "g/h": 0.5}


def test_the_command_prints_the_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    write_runs(tmp_path / "runs", ["darts", "gdas"], [1], seeds=1, epochs=1)
    assert main([str(tmp_path / "runs"), "--tensorboard", str(tmp_path / "events")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(tmp_path / "events/synthetic/space1" / name / "seed0") for name in ("darts", "gdas")]


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    code = (
        "import sys; sys.modules['tensorboard'] = None; from harness.cli import run_command; "
        "from harness.report import main; sys.exit(run_command(lambda: main(sys.argv[1:])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), "--tensorboard", str(tmp_path / "events")]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --tensorboard needs the tensorboard package")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "events").exists()


def test_two_runs_that_would_share_a_log_folder_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    write_runs(tmp_path / "runs", ["darts"], [1], seeds=1, epochs=1)
    (other,) = write_runs(tmp_path / "runs" / "synthetic", ["darts"], [1], seeds=1, epochs=1)
    other.rename(tmp_path / "runs" / "synthetic" / "space1" / "darts" / "seed1")
    moved = tmp_path / "runs" / "synthetic" / "space1" / "darts" / "seed1"
    edit_config(moved, lambda config: {**config, "scale": "another"})
    edit_lines(moved, lambda line: {**line, "scale": "another"})
    with pytest.raises(UserError, match="would both be"):
        list(write_event_files(tmp_path / "runs", tmp_path / "events"))
