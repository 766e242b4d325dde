"""Which node the engine gives a task to, and what it says of those that it leaves out; no cluster is needed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.study.attempts import Rules
from harness.study.engine import Attempt, Began, Noted, Told
from harness.study.entries import Running
from harness.study.ray.cluster import Cluster
from harness.study.ray.engine import RayEngine
from harness.study.ray.nodes import Machine, Node, Placed
from harness.study.ray.probe import need_of
from harness.study.task import Task

MACHINE = Machine("one", "1", torch="2.6.0", cpu="EPYC", instructions="AVX512")


class RayError(Exception):
    """Stands for Ray's."""


def said(text: str) -> Any:
    """A module in whose store lies a text alone."""

    def get(reference: Any) -> str:
        if isinstance(reference, Exception):
            raise reference
        return text

    return SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError))


def engine(*machines: Machine, text: str = "", **run: Any) -> RayEngine:
    """An engine that knows some nodes of two processors."""
    made = RayEngine("127.0.0.1:1", None, Running(rules=Rules(), **run))
    made._cluster = Cluster(said(text), "127.0.0.1:1", "study")
    made._code = "1"
    for number, machine in enumerate(machines):
        made._nodes[str(number)] = Node(str(number), "127.0.0.1", 2, 0, machine)
    return made


@pytest.fixture
def task(tmp_path: Path) -> Task:
    request = {"optimizer": "darts", "imports": []}
    group = ("digits", "space1", "darts", "8 channels", "cpu")
    return Task("digits/space1/darts/seed0", "search", tmp_path / "seed0", {"request": request}, group=group)


def begun(task: Task, **start: str) -> None:
    """Let a run have begun on a kind of machine."""
    task.path.mkdir()
    (task.path / "env.json").write_text(json.dumps({"starts": [{"device": "cpu", **start}]}))
    (task.path / "epochs.jsonl").write_text('{"epoch": 0}\n')


def notes(engine: RayEngine) -> list[str]:
    return [event.text for event in engine._events if isinstance(event, Noted)]


def test_a_new_search_goes_to_the_emptiest_node(task: Task) -> None:
    two = engine(MACHINE, MACHINE)
    two._nodes["0"].take(task, 1)
    node = two._node_for(task)
    assert node is not None
    assert node.id == "1"
    assert two.seats(task) == 4


def test_a_search_goes_on_on_its_own_kind_alone_unless_kinds_are_mixed(task: Task) -> None:
    begun(task, cpu="EPYC", instructions="AVX2", torch="2.6.0")
    other = engine(MACHINE)
    assert not other.takes(task)
    assert not other.takes(task)
    [note] = notes(other)
    assert note.startswith("searches that began on EPYC, AVX2, torch 2.6.0 wait for such a node; mixed_kinds = true")
    both = engine(MACHINE, dataclasses.replace(MACHINE, instructions="AVX2"))
    node = both._node_for(task)
    assert node is not None
    assert node.id == "1"
    assert notes(both) == []
    assert engine(MACHINE, mixed_kinds=True).takes(task)


def test_a_run_of_which_nothing_is_recorded_goes_anywhere(task: Task) -> None:
    begun(task, cpu="Xeon", instructions="AVX2", torch="2.5.0")
    (task.path / "epochs.jsonl").unlink()
    assert engine(MACHINE).takes(task)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({**dataclasses.asdict(MACHINE), "code": "2"}, "node one is left out: it has version 2, this study runs 1"),
        ({"error": "no such benchmark file"}, "node 127.0.0.1 is left out: no such benchmark file"),
    ],
)
def test_a_node_that_cannot_take_part_is_left_out_in_a_line(task: Task, text: dict[str, Any], reason: str) -> None:
    asking = engine(MACHINE, text=json.dumps(text))
    asking._nodes["0"].machine = None
    asking._know(asking._nodes["0"], object())
    assert notes(asking)[0] == reason
    assert not asking.takes(task)


def test_a_node_without_the_project_is_left_out_in_a_line(task: Task) -> None:
    asking = engine(MACHINE)
    asking._nodes["0"].machine = None
    asking._know(asking._nodes["0"], RayError("ModuleNotFoundError:\nNo module named 'harness'"))
    assert notes(asking)[0] == "node 127.0.0.1 is left out: ModuleNotFoundError: No module named 'harness'"
    assert "no node can take a task of this study" in notes(asking)[1]
    assert not asking.takes(task)


def test_a_node_with_other_data_is_left_out_of_what_needs_it(task: Task) -> None:
    machine = dataclasses.replace(MACHINE, unfit={need_of(task): "its images are others"})
    asking = engine(MACHINE, text=json.dumps(dataclasses.asdict(machine)))
    asking._know(asking._nodes["0"], object())
    assert notes(asking) == ["node one is left out of digits/space1: its images are others"]
    assert not asking.takes(task)
    assert asking.takes(dataclasses.replace(task, group=("nb101", *task.group[1:])))


def test_what_the_keeper_tells_is_passed_on_once_and_of_running_attempts_alone(task: Task) -> None:
    running = engine(MACHINE)
    attempt = Attempt(task, 2)
    running._running[object()] = Placed(attempt, running._nodes["0"])
    whose = {"task": task.key, "attempt": 2}
    line = {"epoch": 0}
    told = [
        [1, {"event": "told", "task": task.key, "attempt": 1, "content": line}],
        [2, {"event": "began", **whose}],
        [3, {"event": "told", **whose, "content": line}],
    ]
    running._take_in(told[:2])
    running._take_in(told)
    assert running._events == [Began(attempt, "one", "EPYC, AVX512, torch 2.6.0"), Told(attempt, line)]


def test_no_more_attempts_start_than_were_asked_for(task: Task) -> None:
    one = engine(MACHINE)
    one.workers = 1
    assert one.takes(task)
    assert one.seats(task) == 1
    one._running[object()] = Placed(Attempt(task, 1), one._nodes["0"])
    assert one.full()
    assert not one.takes(task)


def test_tasks_run_on_processors_where_the_study_says_so(task: Task) -> None:
    assert engine(MACHINE).elsewhere(Running(device="cpu")) == "cpu"
    assert engine(MACHINE).elsewhere(Running(gpus=0.0)) == "cpu"
