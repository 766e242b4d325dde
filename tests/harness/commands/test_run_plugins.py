"""Runs of methods from outside: their seeds are processes of their own, which must find them as well."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.records.run_folder import RunFolder
from plots.runs.survey import survey
from tests.support.plugin_files import REGISTERED, SIGN, install, write_modules

ROOT = Path(__file__).parents[3]

TINY = [
    *("--bench", "digits", "--space", "1", "--epochs", "1", "--seeds", "2", "--name", "tiny"),
    *("--set", "network.channels=2", "--set", "data.images=10", "--set", "hessian.every=0"),
]


def run(folder: Path, *arguments: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`python -m harness.run` from a folder."""
    environment = {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harness.run", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_module_of_the_current_directory_is_searched_with_and_drawn(tmp_path: Path) -> None:
    write_modules(tmp_path, my_module=SIGN)
    answer = run(tmp_path, *TINY, "--optimizer", "my_module:SignDarts_adv", "--set", "sign.scale=0.5")
    assert answer.returncode == 0, answer.stderr
    for seed in (0, 1):
        folder = RunFolder(tmp_path / f"results/digits/space1/my_module.SignDarts_adv@tiny/seed{seed}")
        assert folder.is_finished()
        config = folder.config()
        assert config["optimizer"] == "my_module:SignDarts_adv"
        assert config["settings"]["sign"] == {"scale": 0.5}
        assert config["settings"]["perturbation"]["kind"] == "adversarial"
        digest = hashlib.sha256((tmp_path / "my_module.py").read_bytes()).hexdigest()
        (start,) = folder.environment()["starts"]
        assert start["plugin"] == {"file": str(tmp_path / "my_module.py"), "sha256": digest}
    (comparison,) = survey(tmp_path / "results").comparisons
    assert [method.name for method in comparison.methods] == ["my_module:SignDarts_adv@tiny"]
    again = run(tmp_path, *TINY, "--optimizer", "my_module:SignDarts_adv", "--set", "sign.scale=0.5")
    assert "seed 1: finished before (1 epochs), skipped" in again.stdout


def test_a_method_of_an_installed_package_is_searched_with_by_name(tmp_path: Path) -> None:
    installed, here = tmp_path / "installed", tmp_path / "here"
    installed.mkdir()
    here.mkdir()
    write_modules(installed, wide_module=REGISTERED, zero_module="1 / 0\n")
    install(installed, "wide", broad_darts="wide_module:WideDarts", zero="zero_module:X", gdas="wide_module:WideDarts")
    answer = run(here, *TINY, "--optimizer", "broad_darts_rs", path=installed)
    assert answer.returncode == 0, answer.stderr
    config = RunFolder(here / "results/digits/space1/broad_darts_rs@tiny/seed1").config()
    assert config["settings"]["perturbation"]["kind"] == "uniform"

    listed = run(here, "--optimizer", "list", path=installed)
    assert listed.returncode == 0
    assert "\nbroad_darts " in listed.stdout
    zero, gdas = sorted(listed.stderr.splitlines(), key=lambda line: "built-in" in line)
    assert "optimizer 'zero' of the package wide 1.2 (zero_module:X) cannot be loaded, ZeroDivisionError" in zero
    assert gdas.startswith("note: optimizer 'gdas' is the built-in one, not that of wide 1.2")

    shadowed = run(here, *TINY, "--optimizer", "gdas", "--dry-run", path=installed)
    assert shadowed.returncode == 0
    assert shadowed.stderr.startswith("note: optimizer 'gdas' is the built-in one, not that of wide 1.2")
    assert json.loads(shadowed.stdout[shadowed.stdout.index("\n{") :])["gumbel"]


def test_a_plug_in_that_cannot_be_used_is_one_line_and_status_2(tmp_path: Path) -> None:
    write_modules(tmp_path, zero="1 / 0\n")
    answer = run(tmp_path, *TINY, "--optimizer", "zero:Mine")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: zero:Mine: zero cannot be imported, ZeroDivisionError")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
