"""The epoch loop: what it records, that it resumes to the bit, and what it refuses."""

from __future__ import annotations

import functools
import json
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.benchmarks.registry import get_benchmark
from harness.errors import UserError
from harness.records.files import write_atomically
from harness.records.run_folder import Line, RunFolder
from harness.search.setup import network_for
from harness.tables.query import CellMetrics, CellNotInTable
from spaces.base import InputShape
from spaces.nb101.cell import Cell
from spaces.nb101.config import SupernetConfig
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet
from tests.support.judging import TableOf
from tests.support.kept_runs import without_seconds
from tests.support.small_searches import EPOCHS, STOPPING, small_search


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    search = small_search(tmp_path_factory.mktemp("whole"))
    search.run()
    return search.folder.epochs()


def test_lines_describe_every_epoch_from_before_training_to_the_last(uninterrupted: list[Line]) -> None:
    assert [line["epoch"] for line in uninterrupted] == list(range(EPOCHS + 1))
    for line in uninterrupted:
        assert Cell(line["matrix"], line["ops"]).hash == line["cell"]
        assert (line["bench"], line["table"], line["scale"]) == ("digits", "digits", "tiny")
        assert 0 <= line["supernet_valid_accuracy"] <= 1
        assert math.isfinite(line["supernet_valid_loss"])
        assert [len(alpha) for alpha in line["alphas"]] == [4, 5, 3, 4]
        assert {"validation", "table"} <= line["seconds"].keys()
    assert uninterrupted[0]["train_loss"] is None
    assert all(line["train_loss"] > 0 for line in uninterrupted[1:])


@pytest.mark.parametrize(
    "optimizer", ["darts_2nd", "gdas", "gdas_rs", "nasp", "pc_darts_adv", "hessian_reg", "r_darts_dp"]
)
def test_every_kind_of_method_searches_and_resumes_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    whole = small_search(tmp_path / "whole", optimizer, network__channels=4)
    whole.run()
    lines = whole.folder.epochs()
    assert [line["epoch"] for line in lines] == list(range(EPOCHS + 1))
    assert all(math.isfinite(line["supernet_valid_loss"]) for line in lines)
    reports: list[Line] = []
    for recorded in (1, 3):
        interrupted = small_search(tmp_path / "resumed", optimizer, network__channels=4)
        interrupted.run(reports.append, functools.partial(lambda most: len(reports) == most, recorded))
        assert len(interrupted.folder.epochs()) == recorded
    resumed = small_search(tmp_path / "resumed", optimizer, network__channels=4)
    resumed.run()
    assert without_seconds(resumed.folder.epochs()) == without_seconds(lines)


def test_hessian_is_taken_at_its_epochs_and_at_both_ends(tmp_path: Path) -> None:
    search = small_search(tmp_path, "darts", hessian__every=3)
    search.run()
    taken = [line["epoch"] for line in search.folder.epochs() if line["lambda_max"] is not None]
    assert taken == [0, 3, 4]
    for line in search.folder.epochs():
        names = ("lambda_max", "lambda_min", "spectral_norm", "trace", "published_hessian_norm")
        assert len({line[name] is None for name in names}) == 1
        if line["lambda_max"] is not None:
            assert line["spectral_norm"] == max(abs(line["lambda_max"]), abs(line["lambda_min"]))


def test_recorded_errors_are_the_tables_for_the_derived_cell(uninterrupted: list[Line]) -> None:
    table = get_benchmark("digits").table(1)
    for line in uninterrupted:
        answer = table.query(line["cell"])
        assert (line["test_error"], line["valid_error"]) == (answer.test_error, answer.valid_error)


def test_a_cell_outside_a_partial_table_has_no_error_rather_than_a_wrong_one(tmp_path: Path) -> None:
    search = small_search(tmp_path, "darts")

    class Empty:
        info = get_benchmark("digits").table(1).info

        def query(self, cell: Cell) -> CellMetrics:
            raise CellNotInTable("no such cell")

    search.judge = TableOf(Empty())
    search.run()
    for name, expected in (("test_error", None), ("valid_error", None), ("repeats", 0)):
        assert {line[name] for line in search.folder.epochs()} == {expected}


def test_the_same_seed_repeats_to_the_bit_and_another_differs(tmp_path: Path, uninterrupted: list[Line]) -> None:
    again, other = small_search(tmp_path / "again"), small_search(tmp_path / "other", seed=1)
    again.run()
    other.run()
    assert without_seconds(again.folder.epochs()) == without_seconds(uninterrupted)
    assert other.folder.epochs()[-1]["alphas"] != uninterrupted[-1]["alphas"]


TINY = {"selection__samples": 8, "selection__finalists": 2}


@pytest.mark.parametrize(("name", "settings"), [("random_ws", TINY), ("enas", {**TINY, "controller__steps": 4})])
def test_a_method_without_alphas_is_recorded_without_a_hessian_and_resumes_exactly(
    name: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    whole, interrupted = (
        small_search(tmp_path / "whole", name, **settings),
        small_search(tmp_path / "cut", name, **settings),
    )
    whole.run()
    lines = whole.folder.epochs()
    assert [line["epoch"] for line in lines] == list(range(EPOCHS + 1))
    assert all(line["alphas"] == [] and line["lambda_max"] is None for line in lines)
    table = get_benchmark("digits").table(1)
    for line in lines:
        assert line["test_error"] == table.query(Cell(line["matrix"], line["ops"])).test_error
        assert 0 <= line["supernet_valid_accuracy"] <= 1
    assert len({line["cell"] for line in lines}) > 1
    interrupted.run(stopped=lambda: len(interrupted.folder.epochs()) == 3)
    assert len(interrupted.folder.epochs()) == 3
    small_search(tmp_path / "cut", name, **settings).run()
    assert without_seconds(interrupted.folder.epochs()) == without_seconds(lines)


def test_after_an_early_stop_every_line_is_of_the_earlier_cell_and_nothing_trains(tmp_path: Path) -> None:
    stopping = small_search(tmp_path / "es", "darts_es", **STOPPING)
    plain = small_search(tmp_path / "darts", "darts", hessian__every=1, hessian__mixture=False)
    stopping.run()
    plain.run(stopped=lambda: len(plain.folder.epochs()) == 4)
    lines, without = stopping.folder.epochs(), plain.folder.epochs()
    assert [line["epoch"] for line in lines] == list(range(EPOCHS + 1))
    assert without_seconds(lines[:3]) == without_seconds(without[:3])
    measured = ("alphas", "cell", "matrix", "ops", "test_error", "valid_error", "repeats")
    for line in lines[3:]:
        assert (line["stopped_after"], line["returned_epoch"]) == (3, 1)
        for key in (*measured, "supernet_valid_accuracy", "supernet_valid_loss"):
            assert line[key] == lines[1][key]
    assert lines[1]["alphas"] != lines[2]["alphas"] != without[3]["alphas"]
    for key in ("train_loss", "train_accuracy", "lambda_max", "trace"):
        assert lines[3][key] == without[3][key] != lines[1][key]
    assert lines[4]["lambda_max"] == lines[1]["lambda_max"]
    assert (lines[4]["train_loss"], lines[4]["train_accuracy"], lines[4]["seconds"]) == (None, None, {})
    assert stopping.optimizer.derive().key == lines[1]["cell"]
    # The weights are those of the epoch it stopped after.
    for name, tensor in stopping.optimizer.weights.parameters.items():
        assert torch.equal(tensor, plain.optimizer.weights.parameters[name])


def test_a_search_that_never_stops_early_is_the_one_without_it(tmp_path: Path) -> None:
    patient, plain = small_search(tmp_path / "es", "darts_es"), small_search(tmp_path / "darts", "darts")
    patient.run()
    plain.run()
    curvature = ("lambda_max", "lambda_min", "spectral_norm", "trace", "published_hessian_norm")
    for line, theirs in zip(
        without_seconds(patient.folder.epochs()), without_seconds(plain.folder.epochs()), strict=True
    ):
        if line["epoch"] % 2:  # every epoch is watched before the last, though recorded would be every other
            assert theirs["lambda_max"] is None
            theirs.update({key: line[key] for key in curvature})
        assert line["lambda_max"] is not None
        assert line == theirs


@pytest.mark.parametrize("recorded", [1, 2, 3, 4])
def test_resumed_before_or_after_an_early_stop_the_lines_are_the_same(recorded: int, tmp_path: Path) -> None:
    whole, cut = (small_search(tmp_path / name, "darts_es", **STOPPING) for name in ("whole", "cut"))
    whole.run()
    cut.run(stopped=lambda: len(cut.folder.epochs()) == recorded)
    assert len(cut.folder.epochs()) == recorded
    resumed = small_search(tmp_path / "cut", "darts_es", **STOPPING)
    resumed.run()
    assert without_seconds(resumed.folder.epochs()) == without_seconds(whole.folder.epochs())
    assert resumed.optimizer.derive() == whole.optimizer.derive()


def test_measuring_does_not_change_the_search(tmp_path: Path, uninterrupted: list[Line]) -> None:
    unmeasured = small_search(tmp_path, hessian__every=0)
    unmeasured.run()
    assert [line["alphas"] for line in unmeasured.folder.epochs()] == [line["alphas"] for line in uninterrupted]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_anywhere_and_resumed_the_lines_equal_the_uninterrupted_ones(
    tmp_path: Path, uninterrupted: list[Line]
) -> None:
    generator = random.Random(3)
    started = time.monotonic()
    small_search(tmp_path / "timing").run()
    length = time.monotonic() - started
    kills = 0
    for trial in range(5):
        path = tmp_path / str(trial)
        while not (RunFolder(path).epochs() and RunFolder(path).epochs()[-1]["epoch"] == EPOCHS):
            kills += killed_after(generator.uniform(0, 0.7 * length), functools.partial(run_small_search, path))
            recorded = without_seconds(RunFolder(path).epochs())
            assert recorded == without_seconds(uninterrupted)[: len(recorded)]
        assert without_seconds(RunFolder(path).epochs()) == without_seconds(uninterrupted)
    assert kills >= 5


def run_small_search(path: Path) -> None:
    small_search(path).run()


def killed_after(seconds: float, work: Callable[[], None]) -> bool:
    """Do some work in a forked process, kill it after a time, and say whether it was still at it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


@pytest.mark.parametrize("when", ["before the checkpoint", "between checkpoint and line", "within the line"])
def test_stopped_at_the_worst_moment_nothing_but_the_epoch_in_flight_is_lost(
    when: str, tmp_path: Path, uninterrupted: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = small_search(tmp_path)

    class PowerCut(Exception):
        pass

    def cut(line: Line) -> None:
        if line["epoch"] == 2:
            if when == "within the line":
                with (tmp_path / "epochs.jsonl").open("a") as file:
                    file.write(json.dumps(line)[:100])
            raise PowerCut

    def record(epoch: int, line: Line) -> None:
        if when == "before the checkpoint" and epoch == 2:
            raise PowerCut
        original_record(epoch, line)

    def append(folder: RunFolder, line: Line) -> str:
        cut(line)
        return original_append(folder, line)

    original_record, original_append = search._record, RunFolder.append
    with monkeypatch.context() as patch:
        patch.setattr(search, "_record", record)
        patch.setattr(RunFolder, "append", append)
        with pytest.raises(PowerCut):
            search.run()
    resumed = small_search(tmp_path)
    resumed.run()
    assert without_seconds(resumed.folder.epochs()) == without_seconds(uninterrupted)


def test_stopping_gives_up_the_epoch_in_flight_and_resuming_repeats_it(
    tmp_path: Path, uninterrupted: list[Line]
) -> None:
    search = small_search(tmp_path)
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 7

    search.run(stopped=stopped)
    assert [line["epoch"] for line in search.folder.epochs()] == [0, 1, 2]
    small_search(tmp_path).run()
    assert without_seconds(search.folder.epochs()) == without_seconds(uninterrupted)


def test_a_full_disk_loses_nothing_recorded(
    tmp_path: Path, uninterrupted: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = small_search(tmp_path)

    def full(path: Path, data: bytes) -> None:
        if len(search.folder.epochs()) == 3:
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, data)

    with monkeypatch.context() as patch:
        patch.setattr("harness.search.checkpoint.write_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            search.run()
    assert without_seconds(search.folder.epochs()) == without_seconds(uninterrupted)[:3]
    small_search(tmp_path).run()
    assert without_seconds(search.folder.epochs()) == without_seconds(uninterrupted)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_or_missing_checkpoint_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    search = small_search(tmp_path, "darts")
    search.run()
    before = (tmp_path / "epochs.jsonl").read_bytes()
    if content is None:
        search.folder.checkpoint.unlink()
    else:
        search.folder.checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoint\.pt.*move the folder away") as caught:
        small_search(tmp_path, "darts").run()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "epochs.jsonl").read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    small_search(tmp_path, "darts").run()
    with pytest.raises(UserError, match="not a checkpoint of this configuration"):
        small_search(tmp_path, "darts", network__channels=3).run()


def test_lines_that_do_not_fit_the_checkpoint_are_refused(tmp_path: Path) -> None:
    search = small_search(tmp_path, "darts")
    search.run()
    lines = (tmp_path / "epochs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "epochs.jsonl").write_text("".join(lines[:2]))
    with pytest.raises(UserError, match="checkpoint is of epoch 4, but 2 lines are recorded"):
        small_search(tmp_path, "darts").run()


def test_a_torch_without_triton_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    for module in ("spaces.nb101.fast.gpu", "spaces.nb101.fast.kernels"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    plain, gpu = Supernet(get_space(1), SupernetConfig(), InputShape(3, 10)), torch.device("cuda")
    with pytest.raises(
        UserError,
        match=r"^compute\.fuse: expected Triton, which comes with torch for CUDA on Linux, and found none; "
        r"use --set compute\.fuse=false$",
    ):
        network_for(plain, gpu, fuse=True)
    assert network_for(plain, gpu, fuse=False) is plain


def test_on_a_cpu_the_network_is_the_one_with_a_derivative_of_its_own_unless_told_otherwise() -> None:
    plain, cpu = Supernet(get_space(1), SupernetConfig(channels=2, cells=3), InputShape(1, 10)), torch.device("cpu")
    faster = network_for(plain, cpu, fuse=True)
    assert isinstance(faster, DirectSupernet)
    assert (faster.space, faster.config, faster.shape) == (plain.space, plain.config, plain.shape)
    assert network_for(plain, cpu, fuse=False) is plain
