"""Jobs side by side: what reaches their owner, and what neither a signal nor a death can spoil."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.launch.pool import Failure, Job, Link, Pool, start_server
from tests.support import pool_jobs

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", autouse=True)
def server() -> None:
    """The server that the searches of other tests are forked from, too."""
    start_server(["harness.launch.seed_imports"])


class Owner:
    """Remembers what it hears; `react` is called with each content that is told."""

    def __init__(self, workers: int, react: Callable[[Any], None] = lambda content: None) -> None:
        self.heard: dict[str, list[Any]] = {}
        self.ends: dict[str, Failure | None] = {}
        self.begun: list[str] = []
        self.most = 0
        self.react = react
        self.pool = Pool(workers, self.told, self.ended, self.began)

    def began(self, key: str) -> None:
        self.begun.append(key)
        self.most = max(self.most, len(self.begun) - len(self.ends))

    def told(self, key: str, content: Any) -> None:
        self.heard.setdefault(key, []).append(content)
        self.react(content)

    def ended(self, key: str, failure: Failure | None) -> None:
        self.ends[key] = failure


def jobs(function: Callable[[Any, Link], None], arguments: dict[str, Any]) -> list[Job]:
    return [Job(key, function, argument) for key, argument in arguments.items()]


def wait_for_end(process: int) -> None:
    """Wait until a process that is not our child is gone."""
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def test_all_that_jobs_tell_arrives_in_its_order_and_no_more_run_than_asked_for() -> None:
    owner = Owner(2)
    told = {key: [f"{key}{number}" for number in range(50)] for key in "abcde"}
    owner.pool.run(jobs(pool_jobs.tells, told))
    assert owner.heard == told
    assert owner.ends == dict.fromkeys(told)
    assert owner.begun == list(told)
    assert owner.most == 2
    assert not owner.pool.interrupted


def test_a_job_has_the_environment_that_its_owner_has_when_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Owner(1)
    for value in ("first", "second"):
        monkeypatch.setenv("POOL_TEST", value)
        owner.pool.run(jobs(pool_jobs.tells_variable, {value: "POOL_TEST"}))
    monkeypatch.delenv("POOL_TEST")
    owner.pool.run(jobs(pool_jobs.tells_variable, {"unset": "POOL_TEST"}))
    assert owner.heard == {"first": ["first"], "second": ["second"], "unset": [None]}


def test_a_message_larger_than_a_pipe_holds_arrives() -> None:
    owner = Owner(1)
    owner.pool.run(jobs(pool_jobs.tells, {"large": ["x" * 2_000_000]}))
    assert owner.heard == {"large": ["x" * 2_000_000]}


def test_jobs_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="keys of their own"):
        Owner(1).pool.run([Job("same", pool_jobs.tells, []), Job("same", pool_jobs.tells, [])])


def test_a_job_that_fails_says_why_and_the_others_go_on() -> None:
    owner = Owner(2)
    failing = jobs(pool_jobs.raises, {kind: kind for kind in ("mistake", "files", "fault")})
    owner.pool.run([*failing, Job("well", pool_jobs.tells, ["done"])])
    assert owner.ends["mistake"] == Failure(2, "error: expected another value")
    files, fault = owner.ends["files"], owner.ends["fault"]
    assert files == Failure(
        2, "error: /no/such/folder/file: No such file or directory; what was recorded is kept", passing=True
    )
    assert fault is not None
    assert fault.status == 1
    assert fault.text.startswith("Traceback")
    assert "ZeroDivisionError: of the program" in fault.text
    assert (owner.heard, owner.ends["well"]) == ({"well": ["done"]}, None)


@pytest.mark.parametrize("killed", [pool_jobs.signals_itself, pool_jobs.dies_in_a_message])
def test_a_job_that_is_killed_even_while_it_writes_keeps_nobody_waiting(
    killed: Callable[[Any, Any], None],
) -> None:
    owner = Owner(2)
    owner.pool.run([Job("killed", killed, signal.SIGKILL), Job("well", pool_jobs.tells, ["done"])])
    failure = owner.ends["killed"]
    assert failure is not None
    assert (failure.status, failure.died) == (1, True)
    assert failure.text == "its process died (exit status -9); run the command again to go on"
    assert owner.ends["well"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_jobs_do_not_hear_the_signals_themselves(number: int) -> None:
    owner = Owner(1)
    owner.pool.run([Job("a", pool_jobs.signals_itself, number)])
    assert (owner.heard, owner.ends) == ({"a": ["alive"]}, {"a": None})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_the_jobs_and_starts_no_other(number: int) -> None:
    before = signal.getsignal(number)

    def press_when_both_run(content: Any) -> None:
        if len(owner.heard) == 2 and content != "stopped":
            signal.raise_signal(number)

    owner = Owner(2, press_when_both_run)
    owner.pool.run(jobs(pool_jobs.waits_for_stop, dict.fromkeys("abc")))
    assert owner.pool.interrupted
    assert owner.begun == ["a", "b"]
    assert owner.ends == {"a": None, "b": None}
    assert {heard[-1] for heard in owner.heard.values()} == {"stopped"}
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_all_at_once() -> None:
    def press_twice(content: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    owner = Owner(1, press_twice)
    owner.pool.run(jobs(pool_jobs.heeds_nothing, dict.fromkeys("ab")))
    assert owner.begun == ["a"]
    assert owner.ends == {}
    wait_for_end(owner.heard["a"][0])


@pytest.fixture
def owning_process(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that owns a pool with one job, and the job's process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.pool_jobs", request.param],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("owning_process", ["waits"], indirect=True)
def test_jobs_stop_where_their_owner_is_killed_outright(owning_process: tuple[subprocess.Popen[str], int]) -> None:
    process, job = owning_process
    process.kill()
    wait_for_end(job)
    _, err = process.communicate()
    assert err == ""


@pytest.mark.parametrize("owning_process", ["waits"], indirect=True)
def test_ctrl_c_in_a_terminal_which_all_processes_get_is_no_traceback(
    owning_process: tuple[subprocess.Popen[str], int],
) -> None:
    process, job = owning_process
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "stopped\nNone\n", "")
    wait_for_end(job)


@pytest.mark.parametrize("owning_process", ["heedless"], indirect=True)
def test_ctrl_c_twice_is_no_traceback_either(owning_process: tuple[subprocess.Popen[str], int]) -> None:
    process, job = owning_process
    os.killpg(process.pid, signal.SIGINT)
    # Two signals that come before the first is taken count as one.
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.05)
    out, err = process.communicate()
    assert (out, err) == ("", "")
    wait_for_end(job)
