"""`python -m harness.report`: what it writes and refuses, how large, and how long it takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import run_command
from harness.commands.report import main
from tests.support.report_runs import write_trouble
from tests.support.synthetic_runs import PAPERS_METHODS, write_runs

ROOT = Path(__file__).parents[3]
MOST_BYTES = 6_000_000
MOST_SECONDS = 20


def test_the_page_is_written_beside_the_runs_and_its_path_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trouble(tmp_path)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert main([str(tmp_path), "--out", str(tmp_path / "new" / "page.html")]) == 0
    assert (tmp_path / "new" / "page.html").stat().st_size


def test_the_page_is_no_run_the_next_time(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=2)
    main([str(tmp_path)])
    main([str(tmp_path)])
    assert '"left_out":[]' in (tmp_path / "report.html").read_text()


def test_statistics_answer_the_question_asked(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts", "gdas", "nasp"], [1], seeds=3, epochs=4)
    main([str(tmp_path), "--metric", "anytime_error", "--baseline", "nasp", "--epochs", "2"])
    text = (tmp_path / "report.html").read_text().partition('id="data">')[2].partition("</script>")[0]
    data = json.loads(text)
    assert data["metric"] == "anytime_error"
    block = data["comparisons"][0]["block"]
    assert [(test["first"], test["second"]) for test in block["family"]["tests"]] == [
        ("darts", "nasp"),
        ("gdas", "nasp"),
    ]
    assert {method["epochs"] for method in block["methods"]} == {2}


def test_a_folder_without_any_run_that_counts_is_shown_with_the_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=2)
    (path / "epochs.jsonl").write_text("?\n")
    assert main([str(tmp_path)]) == 0
    assert "no run can be shown; the page lists why" in capsys.readouterr().err
    assert "not the line of an epoch" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["{results}/empty"], "{results}/empty: holds no run; `python -m harness.run --results {results}/empty`"),
        ([], "the following arguments are required: RESULTS"),
        (["{results}", "--out", "{results}/file/page.html"], "File exists"),
        (["{results}/file"], "{results}/file: is a file; expected the folder given to `harness.run --results`"),
        (["{results}", "--out", "{results}/empty"], "--out: expected a file, such as {results}/empty/report.html, got"),
        (["{results}", "--tensorboard", "{results}/file"], "--tensorboard: expected a folder, got the file {results}"),
        (["{results}", "--metric", "accuracy"], "--metric: expected list or one of final_error, "),
        (["{results}", "--baseline", "enas"], "--baseline: expected one of darts, got 'enas'"),
        (["{results}", "--port", "80"], "--port goes with --serve"),
        (["{results}", "--serve", "--port", "-1"], "argument --port: expected a port from 0 to 65,535, got '-1'"),
        (["{results}", "--serve", "--port", "65536"], "argument --port: expected a port from 0 to 65,535, got '65536'"),
        (["nowhere", "--serve"], "nowhere: no such folder"),
        (["{results}", "--serve", "--out", "x"], "argument --out: not allowed with argument --serve"),
        (["{results}/empty", "--tensorboard", "{results}/events"], "{results}/empty: holds no run whose lines"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=2)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    if "--tensorboard" in arguments:
        pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")
    filled = [argument.format(results=tmp_path) for argument in arguments]
    assert run_command(lambda: main(filled)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message.format(results=tmp_path) in error
    assert error.count("\n") == 1


def test_reporting_loads_neither_torch_nor_optimizers(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    code = (
        "import sys, json; from harness.report import main; main([sys.argv[1]]); "
        "loaded = {name.partition('.')[0] for name in sys.modules}; "
        "print(json.dumps(sorted(loaded & {'torch', 'optimizers', 'spaces'})))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert json.loads(answer.stdout.splitlines()[-1]) == []


@pytest.mark.slow
def test_126_runs_of_100_epochs_are_written_in_under_20_seconds_and_6_megabytes(tmp_path: Path) -> None:
    """Seconds of the processor, imports included, so that other work on the machine does not count."""
    assert len(write_runs(tmp_path, PAPERS_METHODS, (1, 2, 3), seeds=6, epochs=100)) == 126
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "harness.report", str(tmp_path)], check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MOST_SECONDS
    assert (tmp_path / "report.html").stat().st_size < MOST_BYTES


@pytest.mark.parametrize("damaged", [2, 6])
def test_what_is_left_out_is_said_and_of_many_their_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: int
) -> None:
    paths = write_runs(tmp_path, ["darts"], [1], seeds=damaged + 1, epochs=2)
    for path in paths[1:]:
        (path / "epochs.jsonl").write_text("?\n")
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    if damaged == 2:
        assert [line.partition(": epochs.jsonl:1")[0] for line in lines] == [f"left out: {path}" for path in paths[1:]]
    else:
        assert lines == ["left out: 6 folders; the page lists them with the reasons"]


def test_only_the_methods_picked_are_on_the_page_which_says_how_many_were_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(tmp_path, ["darts", "gdas", "gdas@cold"], [1], seeds=2, epochs=3)
    main([str(tmp_path), "--only", "gdas*"])
    text = (tmp_path / "report.html").read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [method["name"] for method in data["comparisons"][0]["methods"]] == ["gdas", "gdas@cold"]
    assert data["picked"] == {"shown": ["gdas", "gdas@cold"], "passed_over": ["darts"]}
    assert data["left_out"] == []
    capsys.readouterr()
    assert run_command(lambda: main([str(tmp_path), "--only", "sdarts*"])) == 2
    assert "--only: expected a method that is here" in capsys.readouterr().err
