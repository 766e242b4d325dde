"""Studies on a small cluster of this machine, through the deaths of nodes and of the study itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.launch.launching import launch
from harness.launch.request import Request
from harness.records.run_folder import RunFolder
from harness.study.task import Task
from tests.support.ray_nodes import ENVIRONMENT, RayNodes
from tests.support.studies import planned_tasks, recorded

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray (the extra `ray`)")

EPOCHS = 8
LONGEST = 300.0
ROOT = Path(__file__).parents[4]

GATED = """
import time
from pathlib import Path
from optimizers.random_ws import RandomSearch

class Gated(RandomSearch):
    def begin_epoch(self, epoch):
        # At work all the while, so that it counts as alive.
        while epoch == 5 and not Path({gate!r}).exists():
            sum(range(100_000))
            time.sleep(0.02)
        super().begin_epoch(epoch)
"""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RayNodes]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with RayNodes(scratch) as nodes:
        yield nodes


def begin(folder: Path, address: str) -> subprocess.Popen[str]:
    """The study of a folder on a cluster."""
    command = [sys.executable, "-m", "harness.study", "run", str(folder / "small.toml"), "--engine", "ray"]
    return subprocess.Popen(
        [*command, "--address", address, "--results", str(folder / "results")],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(folder)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def journal(folder: Path, event: str) -> list[dict[str, Any]]:
    """What the study's journal says of a kind of event."""
    path = folder / "results" / "studies" / "small" / "journal.jsonl"
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["event"] == event]


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something to come about while a study runs."""
    deadline = time.monotonic() + LONGEST
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def losses(folder: Path) -> int:
    """Attempts that were lost."""
    return sum(line["ending"] == "lost" for line in journal(folder, "ended"))


def lines_of(task: Task) -> int:
    try:
        return (task.path / "epochs.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def scratch_of_attempts(folder: Path) -> list[str]:
    """What attempts left on nodes."""
    return [path.name for path in folder.glob("scratch/one-shot-nas-harness-*/attempt-*") if path.is_dir()]


def test_a_study_comes_through_the_deaths_of_its_process_and_of_nodes_and_a_frozen_one(
    tmp_path: Path, nodes: RayNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its method comes from a module that no node has, and waits in epoch 5 until the gate is open."""
    gate = tmp_path / "gate"
    (tmp_path / "gated_search.py").write_text(GATED.format(gate=str(gate)))
    monkeypatch.syspath_prepend(str(tmp_path))
    method = "gated_search:Gated"
    tasks = planned_tasks(tmp_path, seeds=2, epochs=EPOCHS, run="silent_minutes = 0.3", method=method)

    first = begin(tmp_path, nodes.address)
    wait_until(lambda: sum(map(lines_of, tasks)) >= 2, first)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()

    nodes.ask("add")
    second = begin(tmp_path, nodes.address)
    wait_until(lambda: all(lines_of(task) >= 5 for task in tasks), second)
    lost = losses(tmp_path)
    nodes.ask("kill", 1)
    wait_until(lambda: losses(tmp_path) > lost, second)

    began = len(journal(tmp_path, "began"))
    nodes.ask("add")
    wait_until(lambda: len(journal(tmp_path, "began")) > began, second)
    nodes.ask("freeze", 2)
    wait_until(lambda: any("silent" in line["reason"] for line in journal(tmp_path, "ended")), second)
    gate.touch()
    nodes.ask("thaw", 2)
    out, err = second.communicate(timeout=LONGEST)

    assert second.returncode == 0, (out, err)
    assert "2 of 2 tasks finished" in out
    assert sum("was lost" in line for line in err.splitlines() if line.startswith("node")) == 1, err
    assert "Traceback" not in err
    assert "raylet" not in out + err
    request = Request.from_json({**tasks[0].content["request"], "results": str(tmp_path / "alone"), "seeds": [0, 1]})
    assert launch([request]) == 0
    for task in tasks:
        assert recorded(task.path) == recorded(tmp_path / "alone" / task.key)
        assert len(RunFolder(task.path).epochs()) == EPOCHS + 1
        assert RunFolder(task.path).starts()[-1]["plugin"]["sha256"]
    started, ended = journal(tmp_path, "started"), journal(tmp_path, "ended")
    assert sorted((line["task"], line["attempt"]) for line in started) == sorted(
        (line["task"], line["attempt"]) for line in ended
    )
    assert {line["ending"] for line in ended} == {"finished", "lost"}
    reasons = {line["reason"] for line in ended if line["ending"] == "lost"}
    assert any("the study process died" in reason for reason in reasons)
    assert any("silent" in reason for reason in reasons)
    assert any("died" in reason or "was lost" in reason for reason in reasons - {"the study process died"})
    assert scratch_of_attempts(tmp_path) == []
