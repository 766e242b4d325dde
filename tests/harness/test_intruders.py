"""Other modules under this project's generic names: refused in one line, before anything is imported from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.__main__ import SUMMARIES
from harness.intruders import COMPANION_PACKAGES, refuse_intruders

ROOT = Path(__file__).parents[2]


def python(*arguments: str, cwd: Path, path: str) -> subprocess.CompletedProcess[str]:
    """What Python says in a folder, with a search path."""
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def check_refused(answer: subprocess.CompletedProcess[str], intruder: Path) -> None:
    """One line that names the intruder, and nothing of it was run."""
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert str(intruder) in answer.stderr
    assert answer.stdout == ""


def test_the_projects_own_packages_are_let_pass() -> None:
    refuse_intruders()


@pytest.mark.parametrize("name", COMPANION_PACKAGES)
def test_another_installed_package_is_named(tmp_path: Path, name: str) -> None:
    intruder = tmp_path / "site" / name / "__init__.py"
    intruder.parent.mkdir(parents=True)
    intruder.write_text("print('imported')\n")
    answer = python("-m", "harness.run", "--bench", "list", cwd=tmp_path, path=f"{tmp_path / 'site'}:{ROOT}")
    check_refused(answer, intruder)


@pytest.mark.parametrize("command", SUMMARIES)
def test_every_command_refuses_a_module_of_the_current_folder(tmp_path: Path, command: str) -> None:
    intruder = tmp_path / "optimizers.py"
    intruder.write_text("print('imported')\n")
    check_refused(python("-m", f"harness.{command}", "--help", cwd=tmp_path, path=str(ROOT)), intruder)


def test_a_folder_without_python_does_not_stand_in_the_way_of_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    answer = python("-m", "harness.run", "--bench", "list", cwd=tmp_path, path=str(ROOT))
    assert answer.returncode == 0


def test_a_package_installed_over_ours_is_told_from_it(tmp_path: Path) -> None:
    for package in ("harness", *COMPANION_PACKAGES):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    intruder = tmp_path / "spaces" / "__init__.py"
    intruder.write_text('"""Spaces of another kind."""\nprint("imported")\n')
    answer = python("-m", "harness.run", "--bench", "list", cwd=tmp_path, path=str(tmp_path))
    check_refused(answer, intruder)
    assert "installed over" in answer.stderr
