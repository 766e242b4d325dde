"""An attempt on its node: what it records is what `harness.run` records, however it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.launch.launching import launch
from harness.launch.request import Request
from harness.records.run_folder import RunFolder
from harness.study.ray.baggage import Baggage
from harness.study.ray.keeper import RECORDED, STALE, Keeper
from harness.study.ray.parcel import unpacked
from harness.study.standing import job_file
from harness.study.task import TABLE, Task
from harness.tabulation.units import measure_unit
from tests.support.keeping import DirectLine, hosted
from tests.support.studies import planned_tasks, recorded


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    yield scratch
    left = [path.name for path in scratch.rglob("attempt-*")]
    assert left == []


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return planned_tasks(tmp_path, seeds=1)[0]


def accuracies(file: Path) -> list[dict[str, Any]]:
    """What a job measured, without its times."""
    cells = json.loads(file.read_bytes())["cells"]
    return [{key: value for key, value in cell.items() if "time" not in key} for cell in cells]


def run_alone(task: Task, results: Path) -> Path:
    """The same seed as `harness.run` runs it."""
    request = Request.from_json({**task.content["request"], "results": str(results), "seeds": [0]})
    assert launch([request]) == 0
    return results / task.key


def test_an_attempt_records_what_harness_run_does(task: Task, tmp_path: Path) -> None:
    keeper = Keeper()
    line = DirectLine(keeper, task.key, 1)
    assert hosted(keeper, task, line) is None
    alone = run_alone(task, tmp_path / "alone")
    assert recorded(task.path) == recorded(alone)
    assert RunFolder(task.path).config() == RunFolder(alone).config()
    assert len(RunFolder(task.path).starts()) == 1
    assert [len(RunFolder(path).recorded().lines) for path in (task.path, alone)] == [4, 4]
    assert line.said[0] == "began"
    assert set(line.verdicts) == {RECORDED}
    told = [event["content"]["epoch"] for _, event in keeper.fetch(0)]
    assert told == [0, 1, 2, 3]


def test_an_attempt_goes_on_from_what_is_recorded_with_a_start_of_its_own(task: Task, tmp_path: Path) -> None:
    keeper = Keeper()
    first = DirectLine(keeper, task.key, 1)
    assert hosted(keeper, task, first, until=1) is None
    assert len(RunFolder(task.path).epochs()) == 2
    assert hosted(keeper, task, DirectLine(keeper, task.key, 2), sync_seconds=1e6) is None
    assert recorded(task.path) == recorded(run_alone(task, tmp_path / "alone"))
    assert len(RunFolder(task.path).starts()) == 2


def test_an_attempt_that_was_replaced_is_ended_and_nothing_of_it_is_written(task: Task) -> None:
    keeper = Keeper()
    line = DirectLine(keeper, task.key, 1)

    def replace(parcel: bytes) -> None:
        lines = unpacked(parcel)[0]["lines"]
        if lines and json.loads(lines[0])["epoch"] == 1:
            keeper.close(task.key, 1)

    line.before = replace
    assert hosted(keeper, task, line) is None
    assert line.verdicts[-1] == STALE
    assert len(RunFolder(task.path).epochs()) == 1


def test_a_unit_of_a_table_that_was_begun_here_is_ended_elsewhere_as_it_would_be_here(tmp_path: Path) -> None:
    more = (
        '[[table]]\nimages = "digits"\nspace = 1\nrepeats = 1\nfirst = 12\nout = "t.index"\n'
        "recipe = { epochs = 1, channels = 2, stacks = 1 }"
    )
    task = planned_tasks(tmp_path, seeds=1, more=more)[-1]
    assert task.kind == TABLE
    assert len(task.jobs) > 1
    here = tmp_path / "here"
    for folder in (here, task.path):
        folder.mkdir()
    measure_unit(task.content, here, lambda told: None, lambda: False)
    begun = job_file(here, task.jobs[0])
    (task.path / begun.name).write_bytes(begun.read_bytes())

    keeper = Keeper()
    groups = Baggage().content_of(task)
    assert hosted(keeper, task, DirectLine(keeper, task.key, 1), content=groups) is None
    told = [number for _, event in keeper.fetch(0) for number in event["content"]["jobs"]]
    assert sorted(told) == sorted(set(task.jobs) - {task.jobs[0]})
    for number in task.jobs:
        assert accuracies(job_file(task.path, number)) == accuracies(job_file(here, number))
