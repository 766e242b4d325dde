"""The order in which tasks start, and what it is worth on many devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.study.attempts import Standing
from harness.study.cost import cost_of, simulate
from harness.study.order import Queue, Waiting
from harness.study.task import Task
from tests.support.study_engine import task

RESULTS = Path("results")

#: minutes of a search of 100 epochs on an H100, by method and space; 126 searches of six seeds take 30 hours
MINUTES = {
    "darts": (6.0, 6.5, 8.0),
    "gdas": (8.0, 9.0, 11.0),
    "nasp": (6.5, 7.0, 8.5),
    "pc_darts": (5.0, 5.5, 6.5),
    "enas": (4.0, 4.5, 5.0),
    "sdarts_rs": (9.0, 10.0, 12.0),
    "sdarts_adv": (38.0, 42.0, 50.0),
}


def searches() -> tuple[list[Task], dict[str, float]]:
    """The 126 searches in the order of their file, and the seconds that each takes."""
    longest = 6 * 50
    scale = (30 * 60 - longest) / (6 * sum(map(sum, MINUTES.values())) - longest)
    tasks, seconds = [], {}
    for name, minutes in MINUTES.items():
        for space in (1, 2, 3):
            for seed in range(6):
                key, group = f"nb101/space{space}/{name}/seed{seed}", ("nb101", f"space{space}", name, "", "cuda")
                tasks.append(_search(key, group))
                seconds[key] = 60 * minutes[space - 1] * (1 if minutes[space - 1] == 50 else scale)
    return tasks, seconds


def _search(key: str, group: tuple[str, ...]) -> Task:
    return Task(key, "search", RESULTS / key, {}, epochs=100, group=group, gpus=1.0)


def test_of_tasks_whose_pace_is_known_the_longest_starts_first_and_priority_before_all() -> None:
    paces = {"short": 1.0, "long": 5.0}
    queue = Queue(lambda each: paces[each.group[2]])
    for place, each in enumerate(
        [
            task(RESULTS, "short"),
            task(RESULTS, "long"),
            task(RESULTS, "long", 1, 9),
            task(RESULTS, "short", 1, priority=1),
        ]
    ):
        queue.add(Waiting(each, each.epochs, place))
    taken = [queue.take(lambda _: True) for _ in range(4)]
    assert [each.key for each in taken if each] == [
        "toy/space1/short/seed1",
        "toy/space1/long/seed1",
        "toy/space1/long/seed0",
        "toy/space1/short/seed0",
    ]
    assert queue.take(lambda _: True) is None


def test_one_task_of_each_unknown_kind_goes_before_a_second_of_any() -> None:
    queue = Queue(lambda _: None)
    for place, each in enumerate([task(RESULTS, name, seed) for name in "ab" for seed in (0, 1)]):
        queue.add(Waiting(each, each.epochs, place))
    taken = [queue.take(lambda _: True) for _ in range(4)]
    assert [each.key.split("/")[2] for each in taken if each] == ["a", "b", "a", "b"]


def test_a_task_that_does_not_fit_lets_the_next_one_start() -> None:
    queue = Queue(lambda _: None)
    for place, each in enumerate([task(RESULTS, "large", cpus=8), task(RESULTS, "small")]):
        queue.add(Waiting(each, each.epochs, place))
    taken = queue.take(lambda each: each.cpus == 1)
    assert taken is not None
    assert taken.key == "toy/space1/small/seed0"
    assert len(queue) == 1


@pytest.mark.parametrize(("devices", "hours"), [(8, 3.9), (32, 1.1)])
@pytest.mark.parametrize("known", [True, False])
def test_126_searches_of_30_hours_end_within_five_percent_of_what_is_to_be_had(
    devices: int, hours: float, known: bool
) -> None:
    tasks, seconds = searches()
    assert max(seconds.values()) == 3000
    assert sum(seconds.values()) / 3600 == pytest.approx(30)
    taken = simulate(tasks, lambda each: seconds[each.key], devices, known) / 3600
    assert taken < 1.05 * hours


def test_more_than_37_devices_buy_nothing() -> None:
    tasks, seconds = searches()
    assert simulate(tasks, lambda each: seconds[each.key], 40) < 1.12 * max(seconds.values())


def test_a_cost_tells_what_is_known_from_what_is_not() -> None:
    tasks = [task(RESULTS, "known", epochs=100), task(RESULTS, "known", 1, 100), task(RESULTS, "unknown")]
    standing = {tasks[1].key: Standing(60)}
    pace = {"known": 36.0}
    cost = cost_of(tasks, lambda each: standing.get(each.key, Standing()), lambda each: pace.get(each.group[2]), 2)
    assert cost.device_hours == pytest.approx(1.4)
    assert cost.unknown == 1
    assert cost.hours == pytest.approx(1.0)
