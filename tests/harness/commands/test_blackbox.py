"""The command `harness.blackbox`, and docs/black-box.md: its commands and code are run, with fewer repeats."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import run_command
from harness.commands import blackbox, check, compare, plot, run
from harness.errors import UserError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "black-box.md").read_text()

COMMANDS: dict[str, Callable[[list[str]], int | None]] = {
    "harness.blackbox": blackbox.main,
    "harness.check": check.main,
    "harness.compare": compare.main,
    "harness.plot": plot.main,
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def fewer(arguments: list[str]) -> list[str]:
    """The arguments with repeats of a test's size."""
    if "--repeats" in arguments:
        arguments[arguments.index("--repeats") + 1] = "4"
    return arguments


def test_the_pages_commands_and_files_do_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for code in blocks("python"):
        if code.startswith("# "):
            (tmp_path / code.splitlines()[0].removeprefix("# ")).write_text(code)
        else:
            exec(compile(code, "docs/black-box.md", "exec"), {})
    for block in blocks("sh"):
        if "--beside results/published/demo" in block:
            shutil.copytree(ROOT / "results" / "published" / "demo" / "digits", "results/published/demo/digits")
        for line in block.splitlines():
            python, dash_m, command, *arguments = shlex.split(line)
            assert (python, dash_m) == ("python", "-m")
            assert COMMANDS[command](fewer(arguments)) == 0, line
        if "--beside" in block:
            shutil.rmtree("results/published")
    sys.modules.pop("local_search", None)
    written = {path.name for path in (tmp_path / "results" / "figures").iterdir()}
    assert {
        "black_box_nb201_nb201_200epochs.png",
        "black_box_digits_space1_12epochs.pdf",
        "black_box_seconds_digits_space1_12epochs.png",
    } <= written
    numbers = (tmp_path / "results/figures/black_box_seconds_digits_space1_12epochs.csv").read_text()
    rows = list(csv.DictReader(numbers.splitlines()))
    charged = {(row["method"], row["kind"]): row["charged"] for row in rows}
    assert charged["regularised_evolution", "black-box"].startswith("the table's seconds of training")
    assert charged["darts", "one-shot"] == "their own seconds of training the supernet, by the clock"
    out = capsys.readouterr().out
    assert "local_search:LocalSearch: keeps the contract" in out
    assert "random_search" in out


def test_it_says_what_its_repeats_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--space", "nb201", "--bench", "nb201", "--optimizer", "random_search", "--repeats", "3"]
    assert blackbox.main([*arguments, "--evaluations", "5", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "== nb201, nb201: black-box methods" in out
    assert "charged: evaluations alone, since the table has no seconds of training" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected --space and --optimizer"),
        (["--space", "1", "--optimizer", "tpe", "--seconds", "0"], "expected a number of seconds above 0"),
        (["--space", "1", "--optimizer", "tpe", "--repeats", "0"], "expected a whole number of 1 or more"),
        (["--space", "1", "--optimizer", "tpe", "--set", "tpe"], "expected key=value"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: blackbox.main(arguments)) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_one_shot_command_says_where_a_black_box_method_runs() -> None:
    with pytest.raises(UserError, match=r"reinforce is a black-box method.*harness\.blackbox"):
        run.main(["--space", "1", "--optimizer", "reinforce", "--seeds", "1", "--bench", "digits", "--dry-run"])
