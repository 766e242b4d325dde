"""Jobs are measured by processes whose failures are not lost, and progress is one line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from harness.data.datasets import load_digits
from harness.tabulation.jobs import WorkFolder, plan_jobs
from harness.tabulation.measuring import Progress, measure
from harness.tabulation.training import Recipe, Splits
from spaces.nb101.space import get_space


def test_failure_of_a_job_ends_the_measurement(tmp_path: Path) -> None:
    cells = get_space(1).cells()[:30]
    splits = Splits.of(load_digits())
    nowhere = WorkFolder(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        measure(plan_jobs(cells, 1), nowhere, Recipe(channels=2, stacks=1, epochs=1, batch_size=30), splits, 1)


def test_progress_on_a_terminal_is_one_line_that_is_left_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(12)
    progress.add(3)
    progress.add(9)
    progress.close()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith("\n")
    assert "\r12/12 cell-trainings, " in terminal.getvalue()
