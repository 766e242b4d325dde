"""The loop of a study, on an engine that does as it is told: what is started, what is written down, how it ends."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.study import running
from harness.study.attempts import Rules
from harness.study.engine import Attempt, Beat, Began, Ended, Event, Noted
from harness.study.entries import Running, StudyFile
from harness.study.expansion import Expanded
from harness.study.folder import StudyFolder
from harness.study.journal import STUDY_DIED, read_lines
from harness.study.running import Options, run_planned
from harness.study.task import Task
from tests.support.study_engine import Behaviour, ToldEngine, fails, last_epoch, task, well, write_line


def study(**rules: Any) -> StudyFile:
    return StudyFile(Path("toy.toml"), b"format = 1", "toy", "toy", [], [], Running(rules=Rules(**rules)), None)


def run(
    results: Path,
    tasks: Sequence[Task],
    behave: Callable[[Attempt], Iterator[Event | None]] = well,
    seats: int = 2,
    retry_failed: bool = False,
    **rules: Any,
) -> tuple[int, ToldEngine]:
    engine = ToldEngine(behave, seats)
    options = Options(results, retry_failed=retry_failed)
    return run_planned(Expanded(study(**rules), tasks), tasks, engine, options), engine


def journal(results: Path, event: str = "ended") -> list[dict[str, Any]]:
    lines = read_lines(StudyFolder(results, "toy").journal)
    return [line for line in lines if line["event"] == event]


def one_after_the_other(*behaviours: Behaviour) -> Behaviour:
    """The first attempt does the first, the second the second, and so on; the last is done again and again."""

    def behave(attempt: Attempt) -> Iterator[Event | None]:
        return behaviours[min(attempt.number, len(behaviours)) - 1](attempt)

    return behave


@pytest.fixture(autouse=True)
def no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed attempts are tried again at once."""
    monkeypatch.setattr("harness.study.attempts.BACK_OFF", (1e-6, 1e-6, 1e-6))


def test_all_tasks_are_run_once_and_a_second_run_finds_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [task(tmp_path, seed=seed) for seed in range(5)]
    status, engine = run(tmp_path, tasks)
    assert status == 0
    assert sorted(engine.begun) == [(each.key, 1) for each in tasks]
    assert capsys.readouterr().out.endswith("toy: 5 of 5 tasks finished\n")
    again, engine = run(tmp_path, tasks)
    assert (again, engine.begun) == (0, [])


def test_every_attempt_is_a_line_with_start_node_kind_end_and_reason(tmp_path: Path) -> None:
    one = task(tmp_path)
    status, _ = run(tmp_path, [one], one_after_the_other(fails(died=True, text="its process died"), fails(), well))
    assert status == 0
    lines = journal(tmp_path)
    assert [(line["attempt"], line["ending"], line["reason"]) for line in lines] == [
        (1, "lost", "its process died"),
        (2, "failed", "ValueError: no"),
        (3, "finished", ""),
    ]
    assert lines[1]["detail"] == "Traceback\nValueError: no"
    for line in lines:
        assert (line["task"], line["node"], line["kind"], line["engine"]) == (one.key, "here", "a processor", "told")
        assert line["began"] <= line["time"]


def test_what_failed_stands_in_a_table_and_the_others_are_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [task(tmp_path, seed=seed) for seed in range(3)]

    def behave(attempt: Attempt) -> Iterator[Event | None]:
        return (fails(2, "error: expected another value") if attempt.key.endswith("1") else well)(attempt)

    status, engine = run(tmp_path, tasks, behave)
    assert status == 1
    out = capsys.readouterr().out
    assert "toy/space1/darts/seed1  mistake  1         expected another value\n" in out
    assert out.endswith("toy: 2 of 3 tasks finished, 1 failed\n")
    again, engine = run(tmp_path, tasks, behave)
    assert (again, engine.begun) == (1, [])
    mended, engine = run(tmp_path, tasks, retry_failed=True)
    assert (mended, engine.begun) == (0, [(tasks[1].key, 2)])


def test_a_diverged_search_is_said_and_never_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def diverges(attempt: Attempt) -> Iterator[Event | None]:
        yield Began(attempt, "here", "a processor")
        yield write_line(attempt, 0)
        yield write_line(attempt, 1, diverged="training loss at epoch 1, step 2")
        yield Ended(attempt, None)

    one = task(tmp_path)
    status, _ = run(tmp_path, [one], diverges)
    again, engine = run(tmp_path, [one], retry_failed=True)
    assert (status, again, engine.begun) == (1, 1, [])
    assert "diverged  1         training loss at epoch 1, step 2 is not finite" in capsys.readouterr().out


def test_a_silent_attempt_is_killed_and_replaced_and_what_it_says_later_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(running, "_now", lambda: clock[0])
    one = task(tmp_path)
    thawed: list[Attempt] = []

    def freezes(attempt: Attempt) -> Iterator[Event | None]:
        thawed.append(attempt)
        yield Began(attempt, "here", "a processor")
        for _ in range(3):
            clock[0] += 60
            yield Beat(attempt)
        while True:
            clock[0] += 60
            yield None

    def goes_on_beside_it(attempt: Attempt) -> Iterator[Event | None]:
        events = well(attempt)
        yield next(events)
        yield next(events)
        yield Ended(thawed[0], None)
        yield from events

    status, engine = run(tmp_path, [one], one_after_the_other(freezes, goes_on_beside_it), silent_minutes=10)
    assert status == 0
    assert engine.killed == [(one.key, 1)]
    (first, second) = journal(tmp_path)
    assert (first["ending"], first["reason"]) == ("lost", "it was silent for 10 minutes, and was replaced")
    assert 13 * 60 <= first["seconds"] <= 14 * 60
    assert second["ending"] == "finished"


def test_a_spent_budget_stops_what_runs_and_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(running, "_now", lambda: clock[0])

    def takes_an_hour(attempt: Attempt) -> Iterator[Event | None]:
        for event in well(attempt):
            clock[0] += 900
            yield event

    tasks = [task(tmp_path, seed=seed) for seed in range(4)]
    status, engine = run(tmp_path, tasks, takes_an_hour, seats=1, budget_hours=2)
    assert status == 3
    assert len(engine.begun) == 2
    assert "the budget of 2 device-hours is spent" in capsys.readouterr().err
    assert [line["ending"] for line in journal(tmp_path)] == ["finished", "stopped"]
    again, engine = run(tmp_path, tasks, takes_an_hour, seats=1, budget_hours=2)
    assert (again, engine.begun) == (3, [])
    more, engine = run(tmp_path, tasks, takes_an_hour, seats=1, budget_hours=100)
    assert more == 0


def test_the_first_signal_lets_attempts_end_and_the_same_command_goes_on(tmp_path: Path) -> None:
    tasks = [task(tmp_path, seed=seed) for seed in range(4)]

    def presses(attempt: Attempt) -> Iterator[Event | None]:
        events = well(attempt)
        yield next(events)
        yield next(events)
        if attempt.key == tasks[0].key:
            signal.raise_signal(signal.SIGTERM)
        yield from events

    before = signal.getsignal(signal.SIGTERM)
    status, engine = run(tmp_path, tasks, presses)
    assert status == 130
    assert len(engine.begun) == 2
    assert signal.getsignal(signal.SIGTERM) is before
    assert [line["ending"] for line in journal(tmp_path)] == ["stopped", "stopped"]
    assert run(tmp_path, tasks)[0] == 0


def test_attempts_that_a_killed_study_process_left_open_are_closed_as_lost(tmp_path: Path) -> None:
    one = task(tmp_path)

    class StudyDied(BaseException):
        pass

    def dies(attempt: Attempt) -> Iterator[Event | None]:
        yield Began(attempt, "there", "a processor")
        yield write_line(attempt, 0)
        raise StudyDied

    with pytest.raises(StudyDied):
        run(tmp_path, [one], dies)
    assert journal(tmp_path) == []
    with (StudyFolder(tmp_path, "toy").journal).open("a") as file:
        file.write('{"event": "ended", "torn')
    status, engine = run(tmp_path, [one])
    assert (status, engine.begun) == (0, [(one.key, 2)])
    first, second = journal(tmp_path)
    assert (first["attempt"], first["ending"], first["reason"], first["node"]) == (1, "lost", STUDY_DIED, "there")
    assert (second["attempt"], second["ending"]) == (2, "finished")
    lines = (one.path / "epochs.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2, 3]


def test_two_runs_of_a_study_at_once_are_refused_with_who_holds_it(tmp_path: Path) -> None:
    with StudyFolder(tmp_path, "toy").locked(), pytest.raises(UserError, match=r"being run by process \d+ on .* since"):
        run(tmp_path, [task(tmp_path)])
    with StudyFolder(tmp_path, "other").locked():
        assert run(tmp_path, [task(tmp_path)])[0] == 0


def test_a_note_of_an_engine_is_a_line_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def notes(attempt: Attempt) -> Iterator[Event | None]:
        yield Noted("a node was lost")
        yield from well(attempt)

    assert run(tmp_path, [task(tmp_path)], notes)[0] == 0
    assert capsys.readouterr().err == "a node was lost\n"


def variant(results: Path, name: str, seed: int) -> Task:
    return task(results, name, seed, epochs=9, rungs=(3, 6), race=("1", "darts", "space1"))


def of_accuracy(accuracies: dict[str, float]) -> Behaviour:
    """Record up to the rung, the supernet's accuracy being that of the variant."""

    def behave(attempt: Attempt) -> Iterator[Event | None]:
        yield Began(attempt, "here", "a processor")
        for epoch in range(last_epoch(attempt) + 1, (attempt.until or attempt.task.epochs) + 1):
            yield write_line(attempt, epoch, supernet_valid_accuracy=accuracies[attempt.task.variant])
        yield Ended(attempt, None)

    return behave


@pytest.mark.parametrize("seats", [1, 3])
def test_at_each_rung_the_better_third_goes_on_whatever_ran_first(tmp_path: Path, seats: int) -> None:
    accuracies = {name: 0.1 * place for place, name in enumerate("abcdefg")}
    tasks = [variant(tmp_path, name, seed) for name in accuracies for seed in (0, 1)]
    status, _ = run(tmp_path, tasks, of_accuracy(accuracies), seats)
    assert status == 0
    epochs = {name: last_epoch(Attempt(variant(tmp_path, name, 1), 1)) for name in accuracies}
    assert epochs == {"a": 3, "b": 3, "c": 3, "d": 3, "e": 6, "f": 6, "g": 9}
    pruned = {(line["task"].split("/")[2], line["rung"]) for line in journal(tmp_path, "pruned")}
    assert pruned == {("a", 3), ("b", 3), ("c", 3), ("d", 3), ("e", 6), ("f", 6)}
    again, engine = run(tmp_path, tasks, of_accuracy(accuracies), seats)
    assert (again, engine.begun) == (0, [])


def test_a_stopped_race_goes_on_to_the_same_end(tmp_path: Path) -> None:
    accuracies = {name: 0.1 * place for place, name in enumerate("abcd")}
    tasks = [variant(tmp_path, name, 0) for name in accuracies]
    assert run(tmp_path, tasks[:1], of_accuracy(accuracies))[0] in (0, 1)
    (tmp_path / "toy").rename(tmp_path / "aside")
    behave = of_accuracy(accuracies)
    stopped: list[Attempt] = []

    def stops_once(attempt: Attempt) -> Iterator[Event | None]:
        for event in behave(attempt):
            if attempt.until == 6 and not stopped:
                stopped.append(attempt)
                signal.raise_signal(signal.SIGINT)
            yield event

    StudyFolder(tmp_path, "toy").journal.unlink()
    assert run(tmp_path, tasks, stops_once)[0] == 130
    assert run(tmp_path, tasks, behave)[0] == 0
    epochs = [last_epoch(Attempt(each, 1)) for each in tasks]
    assert epochs == [3, 3, 6, 9]
