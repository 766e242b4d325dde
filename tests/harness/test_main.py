"""`python -m harness` and `oneshot`: the same commands behind one name."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness.commands
from harness import __version__
from harness.__main__ import SUMMARIES, main

ROOT = Path(__file__).parents[2]


def harness_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `python -m harness` says."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_every_command_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    listed = {line[0]: line[1] for line in lines if len(line) == 2}
    assert set(SUMMARIES) == {module.name for module in pkgutil.iter_modules(harness.commands.__path__)}
    assert all(listed[name] == summary for name, summary in SUMMARIES.items())


def test_listing_does_not_wait_for_torch() -> None:
    code = (
        "import sys, json\nfrom harness.__main__ import main\nmain([])\nprint(json.dumps(sorted(sys.modules)), "
        "file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "matplotlib", "spaces"} & set(json.loads(answer.stderr))


def test_a_command_is_the_same_behind_both_names() -> None:
    answer = harness_command("run", "--bench", "list", "--json")
    assert answer.returncode == 0
    assert "digits" in [bench["name"] for bench in json.loads(answer.stdout)["benches"]]
    assert harness_command("run", "--help").stdout.startswith("usage: python -m harness.run ")


def test_a_commands_failure_is_one_line_and_its_status() -> None:
    answer = harness_command("run", "--bench", "nothing", "--space", "1", "--optimizer", "darts", "--seeds", "x")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: --seeds")


def test_an_unknown_command_is_refused_with_a_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plto"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "did you mean plot?" in error


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"oneshot {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_their_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="needs the extra completion")
    assert main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in SUMMARIES)
    assert "--optimizer" in script


def test_completion_for_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "fish"]) == 2
    assert capsys.readouterr().err == "error: --completion: expected one of bash, zsh, tcsh, got 'fish'\n"
