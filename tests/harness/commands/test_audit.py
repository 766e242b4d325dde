"""`harness.audit` says which runs of a folder are not as they were written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness.commands.audit import main
from harness.errors import UserError
from harness.records.run_folder import RunFolder, RunFolderError
from tests.support.kept_runs import kept_run
from tests.support.synthetic_runs import write_runs


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("recorded")
    for seed in (0, 1):
        kept_run(results, seed=seed)
    return results


def folder_of(results: Path, seed: int) -> RunFolder:
    return RunFolder(results / "digits" / "space1" / "darts" / f"seed{seed}")


def test_runs_as_they_were_written_are_verified(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(recorded)]) == 0
    assert capsys.readouterr().out == "2 runs: 2 verified, 0 unchecked, 0 failing\n"


def test_runs_from_before_there_were_checksums_are_said_to_be_unchecked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], 1, 3)
    assert main([str(tmp_path)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"unchecked {path}: 4 of 4 lines, from before there were checksums"
    assert last == "1 runs: 0 verified, 1 unchecked, 0 failing"


@pytest.mark.parametrize(
    "fault",
    [
        "digit",
        "lines of another seed",
        "checkpoint of another seed",
        "flipped bit",
        "kept checkpoint of another epoch",
        "kept checkpoint of another seed",
        "nested record",
        "starts",
        "landscape",
        "pipe",
    ],
)
def test_a_run_that_is_not_as_it_was_written_fails_and_no_other(
    fault: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    folder, other = folder_of(tmp_path, 0), folder_of(tmp_path, 1)
    log = folder.path / "epochs.jsonl"
    if fault == "digit":
        log.write_text(log.read_text().replace('"epoch": 2,', '"epoch": 2, "x": 1,'))
    elif fault == "lines of another seed":
        shutil.copy(other.path / "epochs.jsonl", log)
    elif fault == "checkpoint of another seed":
        shutil.copy(other.checkpoint, folder.checkpoint)
    elif fault == "flipped bit":
        content = bytearray(folder.checkpoint.read_bytes())
        content[len(content) // 2] ^= 1
        folder.checkpoint.write_bytes(content)
    elif fault == "kept checkpoint of another epoch":
        shutil.copy(folder.kept(0), folder.kept(2))
    elif fault == "kept checkpoint of another seed":
        shutil.copy(other.kept(2), folder.kept(2))
    elif fault == "nested record":
        (folder.path / "config.json").write_text("[" * 100_000)
    elif fault == "starts":
        (folder.path / "env.json").write_text("{}")
    elif fault == "landscape":
        folder.result("landscape", 2).parent.mkdir()
        folder.result("landscape", 2).write_text("[]")
    else:
        (folder.path / "env.json").unlink()
        os.mkfifo(folder.path / "env.json")
    assert main([str(tmp_path)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"FAILS {folder.path}: ")
    assert last == "2 runs: 1 verified, 0 unchecked, 1 failing"


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run here"):
        main([str(tmp_path)])
    with pytest.raises(UserError, match="DIR"):
        main([])
