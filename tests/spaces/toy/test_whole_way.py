"""A space that nothing else names goes the whole way: searched, killed, resumed, drawn, and on the report page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.commands import plot, report, run
from harness.records.run_folder import RunFolder

ROOT = Path(__file__).parents[3]
EPOCHS = 8
SCALE = {"network.channels": 4, "network.cells": 3, "data.images": 24, "data.batch_size": 8, "hessian.every": 4}


def arguments(results: Path, optimizer: str) -> list[str]:
    sets = [part for key, value in SCALE.items() for part in ("--set", f"{key}={value}")]
    command = f"--bench digits --space toy --optimizer {optimizer} --seeds 1 --epochs {EPOCHS} --name small"
    return [*command.split(), *sets, "--results", str(results), "--device", "cpu"]


def lines_of(results: Path, optimizer: str) -> list[dict[str, Any]]:
    lines = RunFolder(results / "digits" / "toy" / f"{optimizer}@small" / "seed0").epochs()
    return [{key: value for key, value in line.items() if key not in ("seconds", "check")} for line in lines]


@pytest.mark.parametrize("optimizer", ["sdarts_adv", "gdas"])
def test_a_killed_search_goes_on_to_the_same_lines(optimizer: str, tmp_path: Path) -> None:
    assert run.main(arguments(tmp_path / "whole", optimizer)) == 0
    killed = tmp_path / "killed"
    log = killed / "digits" / "toy" / f"{optimizer}@small" / "seed0" / "epochs.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.run", *arguments(killed, optimizer)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 1):
        time.sleep(0.05)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert run.main(arguments(killed, optimizer)) == 0
    lines = lines_of(killed, optimizer)
    assert lines == lines_of(tmp_path / "whole", optimizer)
    assert [line["epoch"] for line in lines] == list(range(EPOCHS + 1))


def test_it_is_drawn_and_reported_without_a_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for optimizer in ("darts", "enas"):
        assert run.main(arguments(tmp_path, optimizer)) == 0
    lines = lines_of(tmp_path, "darts")
    assert all(line["test_error"] is None and line["table"] == "none" for line in lines)
    assert all(0 <= line["parameter_free"] <= 1 for line in lines)
    assert [graph["title"] for graph in lines[-1]["graphs"]] == ["normal", "reduce"]
    assert plot.main([str(tmp_path)]) == 0
    assert (tmp_path / "figures" / "hessian_digits_toy.png").stat().st_size > 0
    assert plot.main([str(tmp_path), "--figure", "cells,quantity:entropy"]) == 0
    out = capsys.readouterr().out
    assert "quantity" in out
    assert report.main([str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert json.dumps("toy") in page or ">toy<" in page or "toy" in page
