"""What fits a node, and on which kind of machine a search may go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.study.ray.nodes import Machine, Node, began_on, check_fits, is_of_kind
from harness.study.task import Task

ONE = Machine("a", "1", torch="2.6.0", cpu="EPYC", instructions="AVX512", gpu="H100")


def task(key: str = "seed0", cpus: int = 1, gpus: float = 0.0) -> Task:
    return Task(key, "search", Path(key), {}, cpus=cpus, gpus=gpus)


def start(**changed: Any) -> dict[str, Any]:
    return {"cpu": "EPYC", "instructions": "AVX512", "torch": "2.6.0", "device": "cpu", **changed}


@pytest.mark.parametrize(
    ("began", "goes_on"),
    [
        (start(), True),
        (start(instructions="AVX2"), False),
        (start(cpu="Xeon"), False),
        (start(torch="2.7.0"), False),
        (start(device="H100", cpu="Xeon"), True),
        (start(device="A100"), False),
        ({"cpu": "EPYC", "device": "cpu"}, True),
        ({}, True),
    ],
)
def test_a_search_goes_on_on_the_kind_of_machine_it_began_on(began: dict[str, Any], goes_on: bool) -> None:
    later = start(cpu="other", device="cpu")
    assert is_of_kind(ONE, began_on([began, later])) is goes_on


def test_a_kind_in_words_names_what_decides_the_last_bits() -> None:
    assert ONE.kind(on_gpu=False) == "EPYC, AVX512, torch 2.6.0"
    assert ONE.kind(on_gpu=True) == "H100, torch 2.6.0"


@pytest.mark.parametrize(
    ("cpus", "gpus", "wanted", "count"),
    [
        (4, 0, task(cpus=2), 2),
        (4, 0, task(cpus=8), 0),
        (16, 2, task(gpus=0.5), 4),
        (3, 2, task(gpus=0.5), 3),
        (16, 1, task(gpus=0.33), 3),
        (16, 1, task(gpus=0.3), 3),
        (16, 4, task(gpus=2), 2),
        (16, 0, task(gpus=0.5), 0),
    ],
)
def test_so_many_tasks_fit_a_node(cpus: int, gpus: int, wanted: Task, count: int) -> None:
    node = Node("1", "10.0.0.1", cpus, gpus, ONE)
    assert node.count(wanted) == count
    taken = [task(f"seed{number}", wanted.cpus, wanted.gpus) for number in range(count)]
    for each in taken:
        assert node.has_room(each)
        node.take(each, 1)
    assert not node.has_room(wanted)
    if taken:
        node.give_back(taken[0], 1)
        assert node.has_room(wanted)


def test_a_node_that_is_left_out_unknown_or_silent_takes_nothing() -> None:
    node = Node("1", "10.0.0.1", 4, 0)
    assert not node.has_room(task())
    node.machine = ONE
    node.take(task(), 1)
    assert node.has_room(task())
    node.silent.add(("seed0", 1))
    assert not node.has_room(task())
    node.give_back(task(), 1)
    assert node.has_room(task())
    node.left_out = "another version"
    assert not node.has_room(task())


def test_a_task_that_no_node_can_take_is_refused_with_what_there_is() -> None:
    nodes = [Node("1", "10.0.0.1", 4, 0), Node("2", "10.0.0.2", 8, 1)]
    check_fits(nodes, [task(cpus=8), task(gpus=1)])
    with pytest.raises(UserError, match=r"cpus = 1 and gpus = 2 is more than any node .*10\.0\.0\.2: 8 CPUs, 1 GPUs"):
        check_fits(nodes, [task(), task(gpus=2)])
    with pytest.raises(UserError, match="cpus = 9 is more"):
        check_fits(nodes, [task(cpus=9)])
