"""Processes that are killed: at any moment of writing, at random, or with their owner."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.launch.request import Request
from tests.faults.case import Survival
from tests.support.seeds_here import asked, begun, folder_of, forked, lines_of, quiet, search

ROOT = Path(__file__).parents[2]

POINTS = 22
"""Renames, and waits for the disk, of a search of two epochs from its first file to its last line."""

AT_RANDOM = 40


def cases() -> list[Survival]:
    """Every way to be killed."""
    ends = "the same command goes on, and the run ends as one never stopped, to the bit, seconds aside"
    return [
        *(
            Survival(
                "SIGKILL while a search writes", f"before its rename or fsync number {point}", ends, _killed_at(point)
            )
            for point in range(1, POINTS + 1)
        ),
        Survival(
            "SIGKILL while a search writes",
            "before each rename and fsync that a resumed search comes to, one after the other",
            ends,
            _killed_at_each,
        ),
        Survival("SIGKILL at random", f"{AT_RANDOM} times over searches of five methods", ends, _killed_at_random),
        Survival(
            "killed processes",
            "the owner of searches, outright",
            "the searches end by themselves, without a word",
            _owner_killed,
        ),
        Survival(
            "killed processes",
            "the resource tracker of the searches' server",
            "the searches go on, and Ctrl-C ends them without a traceback",
            _tracker_killed,
        ),
    ]


def _killed_at(point: int) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        whole = begun(folder / "whole", epochs=2, recorded=None)
        request = asked(folder / "killed", epochs=2, keep=[1])
        assert forked(lambda: _search_until(request, point)) == -signal.SIGKILL
        _check_ends_like(whole, request)

    return meet


def _killed_at_each(folder: Path) -> None:
    whole = begun(folder / "whole", epochs=2, recorded=None)
    request = asked(folder / "killed", epochs=2, keep=[1])
    kills = 0
    # The n-th start is killed at the n-th point that it comes to, so that each gets a little further.
    while forked(functools.partial(_search_until, request, 3 + kills)) == -signal.SIGKILL:
        kills += 1
    assert kills > 2
    _check_ends_like(whole, request)


def _killed_at_random(folder: Path) -> None:
    draw = random.Random(0)
    kills = 0
    for optimizer in ("darts", "gdas", "sdarts_adv", "darts_es", "random_ws"):
        whole = begun(folder / f"{optimizer}-whole", optimizer, epochs=8, recorded=None)
        request = asked(folder / optimizer, optimizer, epochs=8, keep=[1])
        while kills < AT_RANDOM and not _is_finished(request):
            kills += _killed_after(request, draw.uniform(0, 1.5))
        _check_ends_like(whole, request)
    for seed in range(1, 100):
        if kills == AT_RANDOM:
            break
        whole = begun(folder / f"{seed}-whole", seed=seed, epochs=8, recorded=None)
        request = asked(folder / str(seed), seed=seed, epochs=8, keep=[1])
        while kills < AT_RANDOM and not _is_finished(request):
            kills += _killed_after(request, draw.uniform(0, 1))
        _check_ends_like(whole, request)
    assert kills == AT_RANDOM


def _search_until(request: Request, point: int) -> int:
    """Search, and be killed before the rename, or the wait for the disk, of that number, counted from 1."""
    calls = 0

    def killing(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return called

    os.fsync = killing(os.fsync)
    Path.replace = killing(Path.replace)  # type: ignore[method-assign]
    with quiet():
        search(request)
    return 0


def _killed_after(request: Request, seconds: float) -> int:
    """Search in a process that is killed after so many seconds, if it has not ended by then; whether it was killed."""

    def work() -> int:
        with quiet():
            search(request)
        return 0

    return int(forked(work, seconds) == -signal.SIGKILL)


def _is_finished(request: Request) -> bool:
    folder = folder_of(request)
    return (folder.path / "config.json").exists() and folder.is_finished()


def _check_ends_like(whole: Request, request: Request) -> None:
    with quiet():
        search(request)
    assert lines_of(request) == lines_of(whole)
    assert folder_of(request).is_finished()
    left = [path.name for path in folder_of(request).path.rglob("*") if path.name.endswith(".tmp")]
    assert not left


def _owner_killed(folder: Path) -> None:
    with _owner() as process:
        assert process.stdout is not None
        job = int(process.stdout.readline())
        process.kill()
        while _is_alive(job):
            time.sleep(0.02)
        assert process.communicate()[1] == ""


def _tracker_killed(folder: Path) -> None:
    with _owner() as process:
        assert process.stdout is not None
        process.stdout.readline()
        trackers = [child for child in _children(process.pid) if "resource_tracker" in _command_of(child)]
        assert trackers
        for tracker in trackers:
            os.kill(tracker, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate()
        assert out == "stopped\nNone\n"
        assert "Traceback" not in err
        assert "KeyError" not in err


def _owner() -> subprocess.Popen[str]:
    """A process that owns a pool with one job, and tells the job's number."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.pool_jobs", "waits"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _command_of(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
