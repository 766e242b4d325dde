"""The run folder keeps every whole line, whatever stops the writer."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import run_folder
from harness.records.files import write_atomically
from harness.records.run_folder import RunFolder, RunFolderError, find_folders, find_runs, run_path


def new_run(path: Path, lines: int = 0, **config: object) -> RunFolder:
    run = RunFolder(path)
    run.create({"seed": 0, "epochs": 3} | config, {"python": "3"})
    for epoch in range(lines):
        run.append({"epoch": epoch})
    return run


def log_of(run: RunFolder) -> Path:
    return run.path / "epochs.jsonl"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    run = new_run(tmp_path / "a" / "seed0")
    run.append({"epoch": 0, "test_error": 0.25, "alphas": [[0.1]]})
    run.append({"epoch": 1, "test_error": None})
    assert run.epochs() == [{"epoch": 0, "test_error": 0.25, "alphas": [[0.1]]}, {"epoch": 1, "test_error": None}]
    assert run.config() == {"seed": 0, "epochs": 3}
    assert run.environment() == {"python": "3"}
    assert run.checkpoint.parent == run.path


def test_a_run_is_finished_at_the_last_epoch_asked_for(tmp_path: Path) -> None:
    run = new_run(tmp_path, lines=3)
    assert not run.is_finished()
    run.append({"epoch": 3})
    assert run.is_finished()
    assert not new_run(tmp_path / "empty").is_finished()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused_before_anything_is_written(tmp_path: Path, number: float) -> None:
    run = new_run(tmp_path, lines=1)
    before = log_of(run).read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        run.append({"epoch": 1, "test_error": number})
    assert log_of(run).read_bytes() == before


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 60))
def test_a_log_cut_anywhere_keeps_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    run = new_run(tmp_path_factory.mktemp("run"), lines=4)
    whole = log_of(run).read_bytes()
    log_of(run).write_bytes(whole[:cut])
    expected = whole[:cut].count(b"\n")
    assert [line["epoch"] for line in run.epochs()] == list(range(expected))
    assert run.heal() == run.epochs()
    assert log_of(run).read_bytes() == b"".join(whole.splitlines(keepends=True)[:expected])
    run.append({"epoch": expected})
    assert len(run.epochs()) == expected + 1


def test_reading_leaves_a_torn_line_in_place(tmp_path: Path) -> None:
    run = new_run(tmp_path, lines=1)
    torn = log_of(run).read_bytes() + b'{"epoch": 1, "te'
    log_of(run).write_bytes(torn)
    assert len(run.epochs()) == 1
    assert log_of(run).read_bytes() == torn


def test_a_line_is_never_glued_to_a_torn_one(tmp_path: Path) -> None:
    run = new_run(tmp_path, lines=1)
    with log_of(run).open("ab") as file:
        file.write(b'{"epoch": 1')
    with pytest.raises(ValueError, match="torn line; heal"):
        run.append({"epoch": 1})
    run.heal()
    run.append({"epoch": 1})
    assert len(run.epochs()) == 2


def test_healing_a_run_without_a_log_makes_none(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    assert run.heal() == []
    assert not log_of(run).exists()


@pytest.mark.parametrize("text", [b"?", b"[1]", b"3", b'{"error": 1}', b"\xff\xfe", b""])
def test_a_whole_line_that_is_no_epoch_is_named_by_its_number(tmp_path: Path, text: bytes) -> None:
    run = new_run(tmp_path, lines=1)
    with log_of(run).open("ab") as file:
        file.write(text + b"\n")
    with pytest.raises(RunFolderError, match=r"epochs\.jsonl:2: not the line of an epoch"):
        run.epochs()


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_repeated_or_missing_epoch_is_named(tmp_path: Path, epoch: int) -> None:
    run = new_run(tmp_path, lines=1)
    run.append({"epoch": epoch})
    with pytest.raises(RunFolderError, match=f":2: expected epoch 1, got {epoch}"):
        run.heal()


class FullDisk(io.FileIO):
    """Takes some bytes of a write, then has no room."""

    room = 5

    def write(self, data: object) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(bytes(data)[: self.room])  # type: ignore[call-overload]
        self.room -= taken
        return taken


def test_a_full_disk_leaves_no_part_of_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path, lines=2)
    before = log_of(run).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(run_folder, "open_own", lambda path, mode: FullDisk(path, mode.replace("b", "")))
        with pytest.raises(OSError, match="No space left"):
            run.append({"epoch": 2})
    assert log_of(run).read_bytes() == before
    run.append({"epoch": 2})
    assert len(run.epochs()) == 3


class SlowDisk(io.FileIO):
    """Takes three bytes at a time."""

    def write(self, data: object) -> int:
        return super().write(bytes(data)[:3])  # type: ignore[call-overload]


def test_short_writes_are_continued_until_the_line_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(run_folder, "open_own", lambda path, mode: SlowDisk(path, mode.replace("b", "")))
        run.append({"epoch": 0, "cell": "0123456789abcdef"})
    assert run.epochs() == [{"epoch": 0, "cell": "0123456789abcdef"}]


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_line_that_may_not_be_on_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    run = new_run(tmp_path, lines=1)

    def fail(_descriptor: int) -> None:
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(type(failure)):
            run.append({"epoch": 1})
    assert len(run.epochs()) == 1


def test_the_file_size_limit_of_the_system_leaves_no_part_of_the_line(tmp_path: Path) -> None:
    run = new_run(tmp_path, lines=1)
    before = log_of(run).read_bytes()
    code = (
        "import resource, sys; from pathlib import Path; from harness.records.run_folder import RunFolder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "try: RunFolder(Path(sys.argv[1])).append({'epoch': 1, 'cell': 'x' * 100})\n"
        "except OSError as error: print(error.errno)"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == errno.EFBIG
    assert log_of(run).read_bytes() == before


def test_a_folder_is_held_by_one_writer(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "seed0")
    with run.locked(), pytest.raises(RunFolderError, match="seed0: another process is running this seed"), run.locked():
        pass
    with run.locked():
        pass


def test_another_process_is_kept_out_too(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.records.run_folder import RunFolder, RunFolderError\n"
        "try:\n with RunFolder(Path(sys.argv[1])).locked(): print('in')\n"
        "except RunFolderError: print('out')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with RunFolder(tmp_path).locked():
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "out\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "in\n"


def test_runs_are_found_at_and_below_a_folder_by_method_and_number_of_seed(tmp_path: Path) -> None:
    for method in ("gdas", "darts"):
        for seed in (10, 2):
            new_run(run_path(tmp_path, "digits", 1, method, seed), lines=1, seed=seed)
    found = [run.path for run in find_runs(tmp_path)]
    assert [(path.parent.name, path.name) for path in found] == [
        ("darts", "seed2"),
        ("darts", "seed10"),
        ("gdas", "seed2"),
        ("gdas", "seed10"),
    ]
    assert [run.path for run in find_runs(found[0])] == [found[0]]


def test_a_folder_that_recorded_nothing_is_no_run(tmp_path: Path) -> None:
    new_run(tmp_path / "seed0")
    (tmp_path / "figures").mkdir()
    with pytest.raises(RunFolderError, match="no finished or running search"):
        find_runs(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    for find in (find_runs, find_folders):
        with pytest.raises(RunFolderError, match="nowhere: no such folder"):
            find(tmp_path / "nowhere")


def test_one_bad_folder_hides_no_other(tmp_path: Path) -> None:
    """Torn, half made and strange ones are found with the whole ones, in order, and what holds no run is told apart."""
    method = tmp_path / "digits" / "space1" / "darts"
    for seed in (10, 2):
        new_run(method / f"seed{seed}", lines=1)
    for name, content in (("seed3/epochs.jsonl", "?"), ("seed4/config.json", "{"), ("seed5/.lock", ""), ("old/x", "")):
        (method / name).parent.mkdir()
        (method / name).write_text(content)
    (tmp_path / "config.json").write_text("[]")
    for written in ("notes/2026/plan.txt", "figures/a.png", "statistics/a.csv", ".cache/b", "digits/readme.txt"):
        (tmp_path / written).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / written).touch()
    (method / "seed2" / "extra").mkdir()
    (method / "seed2" / "extra" / "notes.txt").touch()
    found, foreign = find_folders(tmp_path)
    assert [run.path for run in found] == [tmp_path, *(method / f"seed{seed}" for seed in (2, 3, 4, 5, 10))]
    assert foreign == [method / "old", tmp_path / "notes"]


def test_where_there_is_no_run_all_folders_with_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes" / "old").mkdir(parents=True)
    (tmp_path / "notes" / "old" / "plan.txt").touch()
    (tmp_path / "readme.txt").touch()
    assert find_folders(tmp_path) == ([], [tmp_path / "notes"])


def test_a_folder_that_cannot_be_opened_is_no_run_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_run(tmp_path / "seed0", lines=1)
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, foreign = find_folders(tmp_path)
    assert ([run.path.name for run in found], foreign) == (["seed0"], [tmp_path / "closed"])


@pytest.mark.parametrize("seed", [None, "3", True])
def test_a_configuration_without_its_seed_is_named(tmp_path: Path, seed: object) -> None:
    new_run(tmp_path / "seed0", lines=1, seed=seed)
    with pytest.raises(RunFolderError, match=r"config\.json: expected a whole number as seed"):
        find_runs(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "missing"), ("{", "not JSON"), ("[]", "expected a JSON object"), ("", "not JSON")]
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match=rf"config\.json: {message}"):
        RunFolder(tmp_path).config()


def test_an_atomic_write_that_fails_keeps_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    write_atomically(path, b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_reading_runs_loads_no_other_module_of_ours() -> None:
    code = (
        "import sys, json, harness.records.run_folder\n"
        "ours = {'torch', 'numpy', 'optimizers', 'spaces', 'plots'}\n"
        "print(json.dumps(sorted(name for name in sys.modules if name.partition('.')[0] in ours | {'harness'})))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [
        "harness",
        "harness.records",
        "harness.records.chain",
        "harness.records.files",
        "harness.records.lock",
        "harness.records.run_folder",
    ]
