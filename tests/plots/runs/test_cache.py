"""Copies of what was read: used where files are as they were, and never believed otherwise."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UserError
from harness.records.run_folder import RunFolder, RunFolderError
from plots.runs import cache
from plots.runs.cache import Cache, default_folder
from plots.runs.columns import Columns
from plots.runs.reading import Entry, read_entry
from tests.plots.conftest import WriteRun

ERRORS = [0.9, 0.5, None, 0.25]
ENTRIES = {
    "matrix": [[[0, 1], [0, 0]]] * 4,
    "ops": [["input", "output"]] * 4,
    "cell": ["a", "a", "b", "a"],
    "seconds": [{"train": 2.0}] * 4,
    "parameter_free": [0.5] * 4,
}

Reads = list[Path]


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as unchanged for long, although a test has just written them."""
    monkeypatch.setattr(cache, "SETTLING", -(10**18))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """The runs that were read from their folders, one after another."""
    noted: Reads = []

    def read(folder: RunFolder) -> Entry:
        noted.append(folder.path)
        return read_entry(folder)

    monkeypatch.setattr(cache, "read_entry", read)
    return noted


def asked(folder: Path, run: Path) -> Columns:
    """What a command reads of a run, which leaves its copy behind."""
    opened = Cache(folder)
    columns = opened.read(RunFolder(run)).run.columns
    opened.save()
    return columns


def assert_equal(one: Columns, other: Columns) -> None:
    for name in ("entries", "derived"):
        left, right = getattr(one, name), getattr(other, name)
        assert list(left) == list(right)
        for key in left:
            np.testing.assert_array_equal(left[key], right[key])
    np.testing.assert_array_equal(one.training_seconds, other.training_seconds)
    np.testing.assert_array_equal(one.places, other.places)
    for name in ("epochs", "not_finite", "has_alphas", "last", "architectures"):
        assert getattr(one, name) == getattr(other, name)


def copies(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_run_whose_files_are_as_they_were_is_not_read_again(
    write_run: WriteRun, tmp_path: Path, reads: Reads
) -> None:
    run = write_run("darts", 0, ERRORS, entries=ENTRIES)
    first = asked(tmp_path / "cache", run)
    second = asked(tmp_path / "cache", run)
    assert reads == [run]
    assert first.architectures != ()
    assert_equal(first, second)


def test_entries_that_json_cannot_carry_survive(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    run = write_run("darts", 0, [0.5, 0.4])
    lines = [{"epoch": 0, "trace": float("nan")}, {"epoch": 1, "trace": float("-inf"), "cell": "\ud800\n"}]
    (run / "epochs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first = asked(tmp_path / "cache", run)
    assert first.not_finite == {"trace": (0, 1)}
    assert_equal(first, asked(tmp_path / "cache", run))
    assert reads == [run]


def append_line(run: Path) -> None:
    RunFolder(run).append({"epoch": len(ERRORS), "test_error": 0.1})


def edit_digit(run: Path) -> None:
    """Change a digit, as many bytes as before, and give the file its old date back."""
    log = run / "epochs.jsonl"
    status = log.stat()
    log.write_text(log.read_text().replace('"test_error": 0.25', '"test_error": 0.35'))
    os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (log.stat().st_mtime_ns, log.stat().st_size) == (status.st_mtime_ns, status.st_size)


def rename_seed(run: Path) -> None:
    """Make the lines another seed's by their configuration."""
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "seed": 7}))


def test_a_line_more_is_read(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    run = write_run("darts", 0, ERRORS)
    asked(tmp_path / "cache", run)
    append_line(run)
    assert asked(tmp_path / "cache", run).epochs == len(ERRORS) + 1
    assert reads == [run, run]


@pytest.mark.parametrize("change", [edit_digit, rename_seed])
def test_what_does_not_match_its_checksums_any_more_is_refused(
    write_run: WriteRun, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    run = write_run("darts", 0, ERRORS)
    asked(tmp_path / "cache", run)
    change(run)
    for _ in range(2):
        with pytest.raises(RunFolderError, match="checksum"):
            asked(tmp_path / "cache", run)


def test_a_run_that_cannot_be_used_is_never_kept(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    run = write_run("darts", 0, ERRORS, entries={"table": ["another"] * 4})
    for _ in range(2):
        with pytest.raises(UserError, match="recorded with table"):
            asked(tmp_path / "cache", run)
    assert copies(tmp_path / "cache") == []
    assert reads == [run, run]


def test_files_that_have_just_changed_are_not_kept(
    write_run: WriteRun, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SETTLING", 3600 * 10**9)
    run = write_run("darts", 0, ERRORS)
    for _ in range(2):
        asked(tmp_path / "cache", run)
    assert reads == [run, run]


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run("darts", 0, ERRORS)

    def read(folder: RunFolder) -> Entry:
        entry = read_entry(folder)
        append_line(folder.path)
        return entry

    monkeypatch.setattr(cache, "read_entry", read)
    asked(tmp_path / "cache", run)
    monkeypatch.undo()
    assert asked(tmp_path / "cache", run).epochs == len(ERRORS) + 1


def test_a_damaged_copy_is_passed_over(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    run = write_run("darts", 0, ERRORS, entries=ENTRIES)
    right = asked(tmp_path / "cache", run)
    (copy,) = copies(tmp_path / "cache")
    content = copy.read_bytes()
    damaged = [content[:end] for end in (0, 10, len(content) // 2, len(content) - 1)]
    for place in range(0, len(content), len(content) // 24):
        flipped = bytearray(content)
        flipped[place] ^= 4
        damaged.append(bytes(flipped))
    for number, what in enumerate(damaged, 1):
        copy.write_bytes(what)
        assert_equal(asked(tmp_path / "cache", run), right)
        assert len(reads) == 1 + number


def test_a_copy_of_another_folder_is_passed_over(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    one, other = write_run("darts", 0, ERRORS), write_run("gdas", 0, ERRORS[::-1])
    asked(tmp_path / "cache", one)
    (copy,) = copies(tmp_path / "cache")
    asked(tmp_path / "cache", other)
    (its,) = set(copies(tmp_path / "cache")) - {copy}
    shutil.copy(copy, its)
    assert asked(tmp_path / "cache", other).entries["test_error"][0] == ERRORS[-1]
    assert reads == [one, other, other]


def test_a_copy_that_other_code_made_is_passed_over(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run("darts", 0, ERRORS)
    monkeypatch.setattr(cache, "code_digest", lambda: "of an earlier version")
    asked(tmp_path / "cache", run)
    monkeypatch.undo()
    monkeypatch.setattr(cache, "SETTLING", -(10**18))
    (copy,) = copies(tmp_path / "cache")
    before = copy.read_bytes()
    asked(tmp_path / "cache", run)
    assert copy.read_bytes() != before, "read and written anew"


def test_a_cache_that_cannot_be_written_to_means_no_copies(write_run: WriteRun, tmp_path: Path, reads: Reads) -> None:
    run = write_run("darts", 0, ERRORS)
    (tmp_path / "cache").write_text("a file in the place of the folder")
    for _ in range(2):
        assert asked(tmp_path / "cache", run).epochs == len(ERRORS)
    assert reads == [run, run]


def test_a_cache_of_another_user_is_not_believed(
    write_run: WriteRun, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run("darts", 0, ERRORS)
    asked(tmp_path / "cache", run)
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / "cache").stat().st_uid + 1)
    asked(tmp_path / "cache", run)
    assert reads == [run, run]


def test_a_results_folder_is_left_as_it_is_and_found_through_a_link(
    write_run: WriteRun, tmp_path: Path, reads: Reads
) -> None:
    run = write_run("darts", 0, ERRORS, root=tmp_path / "results")
    before = sorted((tmp_path / "results").rglob("*"))
    asked(tmp_path / "cache", run)
    assert sorted((tmp_path / "results").rglob("*")) == before
    (tmp_path / "link").symlink_to(tmp_path / "results")
    asked(tmp_path / "cache", tmp_path / "link" / run.relative_to(tmp_path / "results"))
    assert reads == [run]


def test_seeds_share_a_file_in_which_one_that_went_away_is_not_kept(
    write_run: WriteRun, tmp_path: Path, reads: Reads
) -> None:
    runs = [write_run("darts", seed, ERRORS) for seed in range(3)]
    for run in runs:
        asked(tmp_path / "cache", run)
    (copy,) = copies(tmp_path / "cache")
    with_three = copy.stat().st_size
    shutil.rmtree(runs[0])
    append_line(runs[1])
    asked(tmp_path / "cache", runs[1])
    assert copy.stat().st_size < with_three
    asked(tmp_path / "cache", runs[2])
    assert reads == [*runs, runs[1]]


def test_copies_that_nothing_used_for_long_are_removed_and_other_files_left(
    write_run: WriteRun, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    asked(folder, write_run("darts", 0, ERRORS))
    (old,) = copies(folder)
    foreign = folder / "notes.txt"
    foreign.write_text("mine")
    for path in (old, foreign):
        os.utime(path, (0, 0))
    asked(folder, write_run("gdas", 0, ERRORS))
    assert not old.exists()
    assert foreign.exists()
    assert len(copies(folder)) == 2


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "")
    assert default_folder() is None
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "one-shot-nas-harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "one-shot-nas-harness"
