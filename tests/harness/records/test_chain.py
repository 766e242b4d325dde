"""What is read is what was written: a line that was changed, moved or taken from another run is named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import RunFolder, RunFolderError

IDENTITY = {"bench": "digits", "space": 1, "optimizer": "darts", "name": None, "seed": 0, "epochs": 3}


def recorded_run(path: Path, lines: int = 4, **config: object) -> RunFolder:
    run = RunFolder(path)
    run.create({**IDENTITY, **config}, {"starts": []})
    for epoch in range(lines):
        run.append({"epoch": epoch, "test_error": 0.25 + epoch / 100, "alphas": [(0.5, 0.25)], "cell": "é"})
    return run


def log_of(run: RunFolder) -> Path:
    return run.path / "epochs.jsonl"


def edit(run: RunFolder, change: Callable[[list[str]], list[str]]) -> None:
    log_of(run).write_text("".join(change(log_of(run).read_text().splitlines(keepends=True))))


def strip_checks(run: RunFolder, first: int = 0) -> None:
    """Leave the lines from one on as a version without checksums wrote them."""
    edit(
        run,
        lambda lines: [re.sub(r', "check": "\w+"', "", line) if n >= first else line for n, line in enumerate(lines)],
    )


def test_lines_are_read_without_their_checksums(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    assert all("check" not in line for line in run.epochs())
    assert all(
        re.fullmatch(r"[0-9a-f]{16}", json.loads(line)["check"]) for line in log_of(run).read_text().splitlines()
    )
    assert run.recorded().unchecked == 0


@pytest.mark.parametrize("number", ["0.28", "NaN", "1e999", "-Infinity", '"0.27"', "null"])
def test_another_number_in_a_line_is_named(number: str, tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    edit(run, lambda lines: [line.replace('"test_error": 0.27', f'"test_error": {number}') for line in lines])
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:3: .*put the file back") as caught:
        run.epochs()
    assert "\n" not in str(caught.value)
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:3"):
        run.heal()


@pytest.mark.parametrize(
    "config", [{"seed": 1}, {"bench": "nb101"}, {"space": 2}, {"optimizer": "gdas"}, {"name": "x"}, {"settings": {}}]
)
def test_the_lines_of_another_run_are_refused(config: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = recorded_run(tmp_path / "ours"), recorded_run(tmp_path / "theirs", **config)
    log_of(ours).write_bytes(log_of(theirs).read_bytes())
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:1: does not match its checksum.*config\.json"):
        ours.epochs()


def test_a_line_without_its_checksum_after_one_that_has_it_is_refused(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    strip_checks(run, first=2)
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:3: lacks the checksum"):
        run.epochs()


def test_lines_from_before_there_were_checksums_are_read_and_said_to_be_unchecked(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    lines = run.epochs()
    strip_checks(run)
    assert run.epochs() == lines
    assert run.recorded().unchecked == 4


def test_lines_from_before_are_vouched_for_once_the_run_goes_on(tmp_path: Path) -> None:
    run = recorded_run(tmp_path, lines=2)
    strip_checks(run)
    run.append({"epoch": 2, "test_error": 0.5})
    assert (len(run.epochs()), run.recorded().unchecked) == (3, 0)
    edit(run, lambda lines: [line.replace("0.26", "0.16") for line in lines])
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:3: does not match its checksum: it, a line before it"):
        run.epochs()


def test_the_order_of_entries_and_the_spaces_between_them_do_not_matter(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    lines = run.epochs()
    edit(
        run,
        lambda texts: [json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n" for text in texts],
    )
    assert run.epochs() == lines


def test_what_is_no_regular_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    for name in ("config.json", "epochs.jsonl"):
        path = tmp_path / name
        path.rename(tmp_path / "aside")
        os.mkfifo(path)
        with pytest.raises(RunFolderError, match=rf"{name}: is a pipe; expected a regular file"):
            run.epochs()
        path.unlink()
        path.symlink_to("/dev/zero")
        with pytest.raises(RunFolderError, match=rf"{name}: is a device; expected a regular file"):
            run.epochs()
        path.unlink()
        path.symlink_to(path)
        with pytest.raises(RunFolderError, match=rf"{name}: is a link that leads to itself"):
            run.epochs()
        path.unlink()
        with path.open("wb") as file:
            file.truncate(2**35)
        with pytest.raises(RunFolderError, match=rf"{name}: has 34,359,738,368 bytes; expected at most"):
            run.epochs()
        path.unlink()
        (tmp_path / "aside").rename(path)
    assert len(run.epochs()) == 4


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"seed": ' + "9" * 5000 + "}"])
def test_a_configuration_that_python_cannot_parse_is_named(text: str, tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"config\.json: not JSON"):
        run.config()


@pytest.mark.parametrize("content", ["{}", '{"starts": null}', '{"starts": [3]}', '{"starts": {}}'])
def test_starts_that_are_none_are_named(content: str, tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    (tmp_path / "env.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"env\.json: expected starts as a list of objects"):
        run.starts()


def test_a_line_is_not_written_through_a_link(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run")
    victim = tmp_path / "victim"
    log_of(run).rename(victim)
    log_of(run).symlink_to(victim)
    before = victim.read_bytes()
    with pytest.raises(OSError, match="symbolic links"):
        run.append({"epoch": 4})
    assert victim.read_bytes() == before


def test_what_killed_writers_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    left = [tmp_path / ".checkpoint.pt.4711.tmp", tmp_path / "checkpoints" / ".epoch2.pt.12.tmp"]
    ours = [tmp_path / ".notes.tmp", tmp_path / "checkpoints" / "epoch2.pt"]
    for path in (*left, *ours):
        path.touch()
    with run.locked():
        assert [path.exists() for path in (*left, *ours)] == [False, False, True, True]
