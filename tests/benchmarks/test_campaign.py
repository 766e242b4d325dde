"""A campaign goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import campaign
from benchmarks.campaign import JOURNAL, Campaign, Stage


def begun(out: Path, *stages: Stage, minutes: float = 5) -> Campaign:
    class Given(Campaign):
        def stages(self) -> Iterator[Stage]:
            yield from stages

    return Given(campaign._parser().parse_args(["--out", str(out), "--minutes", str(minutes)]))


def journal(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]


def writing(path: Path) -> tuple[str, ...]:
    return ("-c", f"open({str(path)!r}, 'a').write('x')")


def test_what_has_passed_is_not_done_again_and_what_failed_is(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    failing = ("-c", f"open({str(marks) + '_failing'!r}, 'a').write('x'); raise SystemExit(3)")
    stages = Stage("passes", writing(marks), 60), Stage("fails", failing, 60)
    for _ in range(2):
        assert not begun(tmp_path / "out", *stages).run()
    assert marks.read_text() == "x"
    assert Path(f"{marks}_failing").read_text() == "xx"
    assert [(one["stage"], one["status"]) for one in journal(tmp_path / "out")] == [
        ("passes", "passed"),
        ("fails", "failed"),
        ("fails", "failed"),
    ]


def test_a_stage_that_passed_under_another_command_is_done(tmp_path: Path) -> None:
    for mark in ("one", "other"):
        assert begun(tmp_path / "out", Stage("stage", writing(tmp_path / mark), 60)).run()
    assert (tmp_path / "other").exists()


def test_a_rehearsal_keeps_to_itself_and_a_campaign_without_a_gpu_is_refused(tmp_path: Path) -> None:
    options = campaign._parser().parse_args(["--out", str(tmp_path), "--rehearse"])
    assert Campaign(options).out == tmp_path / "rehearsal"
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="expected a GPU"):
            campaign.main(["--out", str(tmp_path)])


def test_a_search_that_is_cut_off_is_interrupted_and_to_be_continued(tmp_path: Path) -> None:
    waiting = f"""
import time
try:
    time.sleep(60)
except KeyboardInterrupt:
    open({str(tmp_path / "ended")!r}, "w").close()
"""
    out = tmp_path / "out"
    assert not begun(out, Stage("search", ("-c", waiting), 2, resumes=True)).run()
    assert (tmp_path / "ended").exists()
    assert journal(out)[0]["status"] == "to be continued"
    assert begun(out, Stage("search", writing(tmp_path / "mark"), 60, resumes=True)).run()
    assert journal(out)[1]["status"] == "passed"


def test_nothing_is_begun_without_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not begun(tmp_path, Stage("late", writing(tmp_path / "mark"), 60), minutes=0.5).run()
    assert not (tmp_path / "mark").exists()
    assert "late: no time left" in capsys.readouterr().out


def test_every_stage_of_the_real_one_is_a_command_that_exists(tmp_path: Path) -> None:
    """Modules and test files are there; the searches name known methods."""
    from optimizers.registry import get_method

    options = campaign._parser().parse_args(["--out", str(tmp_path), "--device", "cuda"])
    stages = list(Campaign(options).stages())
    assert [stage.name for stage in stages][:3] == ["tests", "resumed", "speed, steps"]
    for stage in stages:
        assert stage.command[0] == "-m"
        for argument in stage.command:
            assert not argument.startswith("tests/") or Path(argument).exists()
    for stage in stages[-len(campaign.SEARCHES) :]:
        assert get_method(stage.command[stage.command.index("--optimizer") + 1])
        assert stage.resumes
