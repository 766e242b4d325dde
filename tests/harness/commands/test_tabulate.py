"""`python -m harness.tabulate`: a table is the same however often its measurement was stopped."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness.commands.tabulate
import harness.tabulation.measuring
from harness.cli import run_command
from harness.commands.tabulate import main
from harness.tables.query import CellNotInTable, Table
from harness.tables.tfrecord import Evaluation, TFRecordReader
from harness.tabulation.jobs import Job, WorkFolder, plan_jobs
from harness.tabulation.training import Recipe
from spaces.nb101.cell import CONV1X1, CONV3X3, INPUT, OUTPUT, Cell
from spaces.nb101.space import get_space

TINY = ("--channels", "2", "--stacks", "2", "--epochs", "1", "--batch-size", "100", "--repeats", "2", "--first", "30")
RECIPE = Recipe(channels=2, stacks=2, epochs=1, batch_size=100)
TRAININGS = 60
LABEL = "digits (30 of 2,685 cells of space 1)"
LONG = ("--epochs", "50")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return get_space(1).cells()[:30]


@pytest.fixture(scope="module")
def jobs(cells: list[Cell]) -> list[Job]:
    return plan_jobs(cells, 2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with a table measured in one go, `table.index`, its measurements in `work`, and what was said."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, subprocess.run(command(folder), capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture
def copied(finished: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the finished folder, to spoil."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def command(folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "harness.tabulate", *arguments(folder, *more)]


def arguments(folder: Path, *more: str) -> list[str]:
    return [*TINY, "--workers", "2", "--out", str(folder / "table.index"), "--work", str(folder / "work"), *more]


def run(*given: str) -> int:
    return run_command(lambda: main(list(given)))


def measurements(folder: Path) -> dict[str, Any]:
    """What the job files of a work folder hold, without the seconds by the clock and the checksum that covers them."""
    contents = {file.name: json.loads(file.read_bytes()) for file in sorted(folder.glob("job*.json"))}
    for content in contents.values():
        assert content.pop("seconds") > 0
        assert len(content.pop("sha256")) == 64
    return contents


def test_plan_is_the_same_whatever_is_measured(copied: Path, cells: list[Cell], jobs: list[Job]) -> None:
    folder = WorkFolder(copied / "work")
    assert folder.done() == {job.number for job in jobs}
    for number in (0, 3):
        (folder.path / f"job{number:06d}.json").unlink()
    measured = {(cell["hash"], cell["repeat"]) for cell in folder.read(plan_jobs(cells, 2))}
    left_out = {(cell.hash, job.repeat) for job in (jobs[0], jobs[3]) for cell in job.cells}
    assert measured == {(cell.hash, job.repeat) for job in jobs for cell in job.cells} - left_out


def test_progress_and_result_are_told(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, answer = finished
    assert answer.stdout == f"{folder / 'table.index'}: 30 of 30 cells, 60 of 60 trainings, {LABEL}\n"
    last = answer.stderr.splitlines()[-1]
    assert last.startswith(f"{TRAININGS}/{TRAININGS} cell-trainings, ")
    assert last.endswith(" a second, 0 min left")


def test_data_card_lies_beside_the_table_and_tells_the_command(finished: tuple[Path, Any]) -> None:
    card = " ".join((finished[0] / "table.md").read_text().split())
    assert "30 of 2,685 cells (1.1 %): 30 with 2 repeats. 60 trainings" in card
    told = card.split("**Make it again.** ")[1].strip("`").split()
    assert told[:3] == ["python", "-m", "harness.tabulate"]
    options = vars(harness.commands.tabulate._parser().parse_args(told[3:]))
    wanted = vars(harness.commands.tabulate._parser().parse_args(TINY))
    assert options == wanted


def test_mean_errors_of_the_table_equal_a_plain_recomputation(finished: tuple[Path, Any], cells: list[Cell]) -> None:
    folder, _ = finished
    table = Table.open(folder / "table.index")
    assert (table.info.label, table.info.kind, table.info.repeats, table.info.fewest_repeats) == (
        LABEL,
        "other",
        2,
        2,
    )
    accuracies: dict[str, dict[str, list[float]]] = {"test_accuracy": {}, "validation_accuracy": {}}
    for content in measurements(folder / "work").values():
        for measured in content["cells"]:
            for name, found in accuracies.items():
                found.setdefault(measured["hash"], []).append(measured[name])
    hashes = [cell.hash for cell in cells]
    for errors, name in zip(table.mean_errors(hashes), ("test_accuracy", "validation_accuracy"), strict=True):
        assert all(len(accuracies[name][hash_]) == 2 for hash_ in hashes)
        expected = [1 - sum(accuracies[name][hash_]) / 2 for hash_ in hashes]
        np.testing.assert_allclose(errors, expected, rtol=0, atol=1e-12)
        assert len(set(expected)) > 3


def test_records_are_those_of_the_official_format(finished: tuple[Path, Any], cells: list[Cell]) -> None:
    folder, _ = finished
    with TFRecordReader(folder / "table.tfrecord") as reader:
        records = list(reader.records())
    assert len(records) == TRAININGS
    assert {record.hash for record in records} == {cell.hash for cell in cells}
    for record in records:
        assert Cell(record.matrix, record.ops).hash == record.hash
        assert (record.epochs, record.final.epoch, record.halfway) == (1, 1, Evaluation())
        assert record.final.training_time == record.total_time > 0


def test_finished_measurement_is_not_begun_again(
    finished: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(harness.tabulation.measuring, "ProcessPoolExecutor")
    folder, _ = finished
    assert run(*arguments(folder, "--out", str(tmp_path / "again.index"))) == 0
    assert (tmp_path / "again.tfrecord").read_bytes() == (folder / "table.tfrecord").read_bytes()


def test_partial_table_is_usable_and_says_what_it_covers(
    copied: Path, cells: list[Cell], jobs: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Table.open(copied / "table.index")
    for job in jobs[3:]:
        (copied / "work" / f"job{job.number:06d}.json").unlink()
    assert run(*arguments(copied, "--write-only")) == 0
    known = [cell for job in jobs[:3] for cell in job.cells]
    assert f"{len(known)} of 30 cells, {len(known)} of 60 trainings" in capsys.readouterr().out
    table = Table.open(copied / "table.index")
    assert table.info.label == f"digits ({len(known)} of 2,685 cells of space 1)"
    assert sorted(table.hashes()) == sorted(cell.hash for cell in known)
    assert table.query(known[0]).test_accuracies == whole.query(known[0]).test_accuracies[:1]
    with pytest.raises(CellNotInTable):
        table.query(next(cell for cell in cells if cell not in known))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command in a process group of its own, ready for Ctrl-C; what is left of it is killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def starting(*more: str) -> subprocess.Popen[str]:
        # A shell's background job ignores Ctrl-C, and so would its children.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                command(tmp_path, *more), stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
            )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield starting
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def await_jobs(folder: Path, count: int) -> None:
    """Wait until that many jobs are measured."""
    await_true(lambda: len(list(folder.glob("work/job*.json"))) >= count)


def await_end_of_group(process: subprocess.Popen[str]) -> None:
    """Wait until no process that the command started is left."""
    process.communicate(timeout=60)

    def is_gone() -> bool:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    await_true(is_gone)


def await_true(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_table_of_a_measurement_that_was_killed_several_times_is_the_same_byte_for_byte(
    finished: tuple[Path, Any], tmp_path: Path, start: Start
) -> None:
    for jobs_done in (1, 2, 4):
        process = start("--workers", "1")
        await_jobs(tmp_path, jobs_done)
        process.kill()
        await_end_of_group(process)
    assert len(list(tmp_path.glob("work/job*.json"))) < len(list(finished[0].glob("work/job*.json")))
    process = start()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert measurements(tmp_path / "work") == measurements(finished[0] / "work")
    for name in ("table.tfrecord", "table.index"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()


def test_measurement_that_reaches_its_limit_stops_and_keeps_what_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_the_first(running: list[Future[int]], timeout: float) -> Iterator[Future[int]]:
        assert timeout == 30
        yield next(as_completed(running))
        raise TimeoutError

    monkeypatch.setattr(harness.tabulation.measuring, "as_completed", until_the_first)
    more = (*LONG, "--workers", "1", "--measure-only", "--stop-after", "0.5")
    assert run(*arguments(tmp_path, *more)) == 0
    out, err = capsys.readouterr()
    done = len(list((tmp_path / "work").glob("job*.json")))
    assert 1 <= done < 8
    assert out == f"{tmp_path / 'work'}: {done} of 8 jobs\n"
    assert err.splitlines()[-1] == (
        f"stopped after 0.5 minutes; {tmp_path / 'work'} keeps what is measured, and the same command goes on"
    )
    assert not (tmp_path / "table.index").exists()


def test_listed_cells_make_a_table(tmp_path: Path) -> None:
    cells = [
        Cell([[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]], (INPUT, CONV3X3, operation, OUTPUT))
        for operation in (CONV1X1, CONV3X3)
    ]
    listed = tmp_path / "chosen.jsonl"
    listed.write_text("".join(json.dumps(cell.to_json()) + "\n" for cell in cells))
    more = ("--cells", str(listed), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "table.index"))
    assert run(*TINY, "--workers", "1", *more) == 0
    table = Table.open(tmp_path / "table.index")
    assert (table.info.label, table.info.repeats) == ("digits", 2)
    assert sorted(table.hashes()) == sorted(cell.hash for cell in cells)


@pytest.mark.parametrize("moment", ["workers start", "workers train"])
def test_interrupt_is_one_line_and_leaves_no_process(tmp_path: Path, start: Start, moment: str) -> None:
    process = start(*LONG)
    if moment == "workers start":
        await_true((tmp_path / "work" / "recipe.json").exists)
        time.sleep(0.7)
    else:
        await_jobs(tmp_path, 1)
    os.killpg(process.pid, signal.SIGINT)
    await_end_of_group(process)
    assert process.returncode == 130
    assert (tmp_path / "stderr").read_text() == (
        f"interrupted; {tmp_path / 'work'} keeps what is measured, and the same command goes on\n"
    )


def test_killed_worker_is_one_line_and_ends_the_others(tmp_path: Path, start: Start) -> None:
    process = start(*LONG)
    await_jobs(tmp_path, 1)
    listed = subprocess.run(["ps", "-Aww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    workers = [int(pid) for pid, parent, *command in rows if int(parent) == process.pid and "spawn_main" in command[0]]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    await_end_of_group(process)
    assert process.returncode == 2
    message = (tmp_path / "stderr").read_text()
    assert message.startswith(f"error: {tmp_path / 'work'}: a worker was killed")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["--channels", "3"], "channels"),
        (["--learning-rate", "0.2", "--epochs", "2"], "epochs, learning_rate"),
        (["--first", "29"], "cells, cells_sha256"),
        (["--together", "4"], "job_size"),
    ],
)
def test_work_folder_of_another_recipe_is_refused(
    copied: Path, capsys: pytest.CaptureFixture[str], changed: list[str], named: str
) -> None:
    before = measurements(copied / "work")
    assert run(*arguments(copied, *changed)) == 2
    message = capsys.readouterr().err
    assert message == (
        f"error: {copied / 'work'}: holds measurements made with other {named}; give another --work folder\n"
    )
    assert measurements(copied / "work") == before


def test_more_repeats_are_no_other_recipe(finished: tuple[Path, Any], cells: list[Cell]) -> None:
    WorkFolder(finished[0] / "work").claim(RECIPE, "digits", cells)


@pytest.mark.parametrize("file", ["recipe.json", "job000002.json"])
@pytest.mark.parametrize("content", ["", '{"repeat": 0, "cel', "[]"])
def test_damaged_file_of_the_work_folder_is_named(
    copied: Path, capsys: pytest.CaptureFixture[str], file: str, content: str
) -> None:
    (copied / "work" / file).write_text(content)
    assert run(*arguments(copied, "--write-only")) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {copied / 'work' / file}: damaged; delete ")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "bad",
    [
        "--repeats 0",
        "--repeats two",
        "--workers 0",
        "--workers -1",
        "--first 0",
        "--first -3",
        "--cells missing.jsonl",
        "--stop-after 0",
        "--stop-after soon",
        "--write-only --measure-only",
        "--together 0",
        "--space 4",
        "--images nowhere",
        "--images missing.toml",
        "--channels 0",
        "--stacks 0",
        "--modules 0",
        "--epochs 0",
        "--batch-size 0",
        "--batch-size 601",
        "--learning-rate -0.1",
        "--learning-rate 0",
        "--learning-rate nan",
        "--learning-rate inf",
        "--momentum 1",
        "--decay -0.1",
        "--epsilon -1",
        "--weight-decay -1",
        "--batchnorm-momentum 0",
        "--label nb101",
        "--label NAS-Bench-101",
        "--images nb101",
        "--out table.tfrecord",
        "--space 2 --first 7773 --channels 2",
        "--write-only",
        "--colour blue",
        "stray",
    ],
)
def test_bad_arguments_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(harness.tabulation.measuring, "ProcessPoolExecutor")
    assert run(*TINY, *bad.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert (out, err.count("\n")) == ("", 1)


def test_work_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "work").touch()
    assert run(*arguments(tmp_path)) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {tmp_path / 'work'}: ")
    assert message.count("\n") == 1


def test_table_of_a_benchmark_file_bears_the_benchmarks_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    bench = tmp_path / "some-file.toml"
    bench.write_text('name = "small-digits"\n[images]\nsource = "digits"\n[table]\npath = "none.index"\n')
    assert run(*TINY, "--images", str(bench), "--write-only") == 2
    assert (tmp_path / "data" / "tabulate-small-digits_space1" / "recipe.json").exists()
    assert "nothing measured yet" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_measures_a_table_like_the_cpu(tmp_path: Path, finished: tuple[Path, Any]) -> None:
    assert run(*arguments(tmp_path, "--device", "cuda")) == 0
    ours, expected = (Table.open(folder / "table.index") for folder in (tmp_path, finished[0]))
    assert sorted(ours.hashes()) == sorted(expected.hashes())
    errors = [np.asarray(table.mean_errors(expected.hashes())) for table in (ours, expected)]
    assert np.abs(errors[0] - errors[1]).mean() < 0.02
