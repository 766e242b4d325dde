"""`python -m harness.tabulate`: a table is the same however often its measurement was stopped."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness.tabulate
import optimizers.randomness
from harness.datasets import ImageArrays, load_digits
from harness.errors import UserError, run_command
from harness.table import CellNotInTable, Table
from harness.tabulate import (
    JOB_SIZE,
    Job,
    Recipe,
    Splits,
    TensorFlowRMSProp,
    WorkFolder,
    main,
    measure,
    plan_jobs,
    train_cells,
)
from harness.tfrecord import Evaluation, TFRecordReader
from spaces.cell import Cell
from spaces.search_space import get_space

TINY = ("--channels", "2", "--stacks", "2", "--epochs", "1", "--batch-size", "100", "--repeats", "2", "--cells", "30")
RECIPE = Recipe(channels=2, stacks=2, epochs=1, batch_size=100)
TRAININGS = 60
LONG = ("--epochs", "50")

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return get_space(1).enumerate()[:30]


@pytest.fixture(scope="module")
def jobs(cells: list[Cell]) -> list[Job]:
    return plan_jobs(cells, 2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Three classes of 4x4 images that are easily told apart."""
    generator = np.random.RandomState(0)
    labels = generator.randint(3, size=90)
    images = (labels[:, None, None, None] * 80 + generator.randint(40, size=(90, 1, 4, 4))).astype(np.uint8)
    return Splits.of(ImageArrays(images[:60], labels[:60], images[60:], labels[60:], 3, "toy", (0.4,), (0.3,)))


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
    """What the job files of a work folder hold, without the seconds by the clock."""
    contents = {file.name: json.loads(file.read_bytes()) for file in sorted(folder.glob("job*.json"))}
    for content in contents.values():
        assert content.pop("seconds") > 0
    return contents


def test_plan_has_every_training_once_in_jobs_of_one_graph(cells: list[Cell]) -> None:
    jobs = plan_jobs(cells, 3)
    trainings = [(cell.hash, job.repeat) for job in jobs for cell in job.cells]
    assert len(trainings) == len(set(trainings)) == 3 * len(cells)
    assert [job.number for job in jobs] == list(range(len(jobs)))
    assert [job.repeat for job in jobs] == sorted(job.repeat for job in jobs)
    for job in jobs:
        assert len(job.cells) <= JOB_SIZE
        assert len({cell.matrix.tobytes() for cell in job.cells}) == 1


def test_more_repeats_leave_the_jobs_there_were(cells: list[Cell]) -> None:
    assert plan_jobs(cells, 3)[: len(plan_jobs(cells, 1))] == plan_jobs(cells, 1)


def test_plan_is_the_same_whatever_is_measured(copied: Path, cells: list[Cell], jobs: list[Job]) -> None:
    folder = WorkFolder(copied / "work")
    assert folder.done() == {job.number for job in jobs}
    for number in (0, 3):
        (folder.path / f"job{number:06d}.json").unlink()
    measured = {(cell["hash"], cell["repeat"]) for cell in folder.read(plan_jobs(cells, 2))}
    left_out = {(cell.hash, job.repeat) for job in (jobs[0], jobs[3]) for cell in job.cells}
    assert measured == {(cell.hash, job.repeat) for job in jobs for cell in job.cells} - left_out


def test_measurement_does_not_depend_on_the_jobs_before(jobs: list[Job], splits: Splits) -> None:
    recipe = Recipe(channels=2, stacks=2, epochs=2, batch_size=10)
    first = train_cells(jobs[2].cells, 0, recipe, splits)
    train_cells(jobs[1].cells, 1, recipe, splits)
    torch.rand(5)
    assert train_cells(jobs[2].cells, 0, recipe, splits) == first


def test_weights_are_drawn_by_cell_and_repeat_and_the_order_by_repeat_and_epoch(
    jobs: list[Job], splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[tuple[object, ...]] = []
    plain = optimizers.randomness.keyed_generator

    def watched(*key: object) -> torch.Generator:
        keys.append(key)
        return plain(*key)

    monkeypatch.setattr(optimizers.randomness, "keyed_generator", watched)
    train_cells(jobs[2].cells, 1, Recipe(channels=2, stacks=2, epochs=3, batch_size=10), splits)
    assert [key for key in keys if key[0] == "order"] == [("order", 1, 0), ("order", 1, 1), ("order", 1, 2)]
    weights = [key for key in keys if key[0] != "order"]
    assert {key[:2] for key in weights} == {(cell.hash, 1) for cell in jobs[2].cells}
    assert len(set(weights)) == len(weights)


def test_repeats_differ(jobs: list[Job], splits: Splits) -> None:
    recipe = Recipe(channels=2, stacks=2, epochs=1, batch_size=10)
    accuracies = [
        [cell["train_accuracy"] for cell in train_cells(jobs[2].cells, repeat, recipe, splits)] for repeat in (0, 1)
    ]
    assert accuracies[0] != accuracies[1]


def test_training_learns_what_is_easy(jobs: list[Job], splits: Splits) -> None:
    measured = train_cells(jobs[2].cells, 0, Recipe(channels=4, stacks=2, epochs=12, batch_size=10), splits)
    for cell in measured:
        for name in ("train", "validation", "test"):
            assert cell[f"{name}_accuracy"] > 0.9
            assert cell[f"{name}_accuracy"] * 30 == pytest.approx(round(cell[f"{name}_accuracy"] * 30))
    assert [cell["hash"] for cell in measured] == [cell.hash for cell in jobs[2].cells]
    assert len({cell["training_time"] for cell in measured}) > 1


def test_optimizer_is_tensorflows_rmsprop() -> None:
    recipe = Recipe(momentum=0.8, decay=0.7, epsilon=0.5, weight_decay=0.01)
    parameter = torch.tensor([1.0, -2.0], dtype=torch.float64)
    optimizer = TensorFlowRMSProp([parameter], recipe)
    expected, square, moment = [1.0, -2.0], [1.0, 1.0], [0.0, 0.0]
    for step, gradients in enumerate([[0.5, 3.0], [-1.0, 2.0], [0.25, -4.0]]):
        learning_rate = 0.1 / (step + 1)
        optimizer.step([torch.tensor(gradients, dtype=torch.float64)], learning_rate)
        for i in (0, 1):
            # d/dw of weight_decay * w ** 2 / 2, then tensorflow/core/kernels/training_ops.cc, ApplyRMSProp
            gradient = gradients[i] + 0.01 * expected[i]
            square[i] += (1 - 0.7) * (gradient * gradient - square[i])
            moment[i] = 0.8 * moment[i] + learning_rate * gradient / math.sqrt(square[i] + 0.5)
            expected[i] -= moment[i]
    assert parameter.tolist() == pytest.approx(expected, rel=1e-12)


def test_splits_are_the_halves_of_the_training_images_and_the_test_images() -> None:
    arrays = load_digits()
    splits = Splits.of(arrays)
    assert {name: len(images) for name, images in splits.images.items()} == {
        "train": 600,
        "validation": 600,
        "test": 597,
    }
    assert splits.labels["validation"].tolist() == arrays.train_labels[600:].tolist()
    assert splits.labels["test"].tolist() == arrays.test_labels.tolist()
    pixels = arrays.train_images[601].astype(np.float64) / 255
    expected = (pixels - arrays.mean[0]) / arrays.std[0]
    np.testing.assert_allclose(splits.images["validation"][1].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert float(splits.images["train"].mean()) == pytest.approx(0, abs=1e-5)
    assert float(splits.images["train"].std()) == pytest.approx(1, abs=1e-3)


def test_progress_and_result_are_told(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, answer = finished
    assert answer.stdout == f"{folder / 'table.index'}: 30 of 30 cells, 60 of 60 trainings, digits\n"
    last = answer.stderr.splitlines()[-1]
    assert last.startswith(f"{TRAININGS}/{TRAININGS} cell-trainings, ")
    assert last.endswith(" a second, 0 min left")


def test_mean_errors_of_the_table_equal_a_plain_recomputation(finished: tuple[Path, Any], cells: list[Cell]) -> None:
    folder, _ = finished
    table = Table.open(folder / "table.index")
    assert (table.info.label, table.info.kind, table.info.repeats, table.info.fewest_repeats) == (
        "digits",
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
    monkeypatch.delattr(harness.tabulate, "ProcessPoolExecutor")
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


def test_measurement_killed_several_times_equals_the_uninterrupted_one(
    finished: tuple[Path, Any], tmp_path: Path, start: Start, cells: list[Cell]
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
    tables = [Table.open(folder / "table.index") for folder in (tmp_path, finished[0])]
    for cell in cells:
        ours, expected = (table.query(cell) for table in tables)
        assert ours.test_accuracies == expected.test_accuracies
        assert ours.valid_accuracies == expected.valid_accuracies


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


def test_failure_of_a_job_ends_the_measurement(tmp_path: Path, cells: list[Cell], splits: Splits) -> None:
    nowhere = WorkFolder(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        measure(plan_jobs(cells, 1), nowhere, Recipe(channels=2, stacks=1, epochs=1, batch_size=30), splits, 1)


def test_progress_on_a_terminal_is_one_line_that_is_left_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = harness.tabulate._Progress(12)
    progress.add(3)
    progress.add(9)
    progress.close()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith("\n")
    assert "\r12/12 cell-trainings, " in terminal.getvalue()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["--channels", "3"], "channels"),
        (["--learning-rate", "0.2", "--epochs", "2"], "epochs, learning_rate"),
        (["--cells", "29"], "cells, cells_sha256"),
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
        "--cells 0",
        "--cells -3",
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
        "--space 2 --cells 7773 --channels 2",
        "--write-only",
        "--colour blue",
        "stray",
    ],
)
def test_bad_arguments_are_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(harness.tabulate, "ProcessPoolExecutor")
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


def test_recipe_out_of_range_is_refused_where_it_is_made() -> None:
    with pytest.raises(UserError, match="learning rate: expected a number above 0, got nan"):
        Recipe(learning_rate=math.nan)


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
