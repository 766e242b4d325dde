"""`python -m harness.compare`: what it prints, writes and refuses, and how long it takes."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.cli import FAMILIES, run_command
from harness.commands.compare import main
from harness.errors import UserError
from plots.judgement import findings
from plots.judgement.measures import MEASURES
from plots.runs import cache
from tests.support.synthetic_runs import PAPERS_METHODS, write_runs

ROOT = Path(__file__).parents[3]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_three_files_are_written_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(tmp_path, ["darts", "gdas"], [1], seeds=3, epochs=4)
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    names = ("measures.csv", "tests.csv", "judgement.json")
    assert printed[-3:] == [str(tmp_path / "statistics" / name) for name in names]
    assert all((tmp_path / "statistics" / name).stat().st_size for name in names)
    main([str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == printed


def test_the_csv_has_a_row_for_each_method_and_measure_with_its_seeds(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts", "gdas@cold"], [1, 2], seeds=3, epochs=4)
    main([str(tmp_path), "--out", str(tmp_path / "out")])
    rows = rows_of(tmp_path / "out" / "measures.csv")
    assert [(row["space"], row["method"], row["measure"]) for row in rows] == [
        (space, method, measure) for space in "12" for method in ("darts", "gdas@cold") for measure in MEASURES
    ]
    for row in rows:
        values = np.array([float(row[f"seed{seed}"]) for seed in range(3)])
        assert float(row["mean"]) == pytest.approx(values.mean())
        assert float(row["t_high"]) - values.mean() == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))
        assert (row["n"], row["table"], row["approximate"]) == ("3", "synthetic", "True")


def test_the_files_hold_the_same_tests(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts", "gdas", "nasp"], [1], seeds=6, epochs=4)
    main([str(tmp_path), "--family", "all-pairs", "--metric", "anytime_error"])
    rows = rows_of(tmp_path / "statistics" / "tests.csv")
    (block,) = json.loads((tmp_path / "statistics" / "judgement.json").read_text())["blocks"]
    tests = block["family"]["tests"]
    assert [(row["first"], row["second"], row["measure"], row["tests_in_family"]) for row in rows] == [
        (one["first"], one["second"], "anytime_error", "3") for one in tests
    ]
    assert [float(row["p"]) for row in rows] == [one["p"] for one in tests]
    method = block["methods"][0]["measures"]["final_error"]
    assert method["by_seed"].keys() == {"0", "1", "2", "3", "4", "5"}


def test_json_has_null_where_there_is_no_number(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=2)
    config = json.loads((path / "config.json").read_text())
    del config["table"]["optimum"]
    (path / "config.json").write_text(json.dumps(config))
    main([str(tmp_path)])
    content = json.loads((tmp_path / "statistics" / "judgement.json").read_text(), parse_constant=pytest.fail)
    regret = content["blocks"][0]["methods"][0]["measures"]["regret"]
    assert regret["mean"] == {"value": None, "low": None, "high": None}
    row = next(row for row in rows_of(tmp_path / "statistics" / "measures.csv") if row["measure"] == "regret")
    assert (row["n"], row["mean"], row["seed0"]) == ("0", "", "")


def test_what_was_written_is_no_run_the_next_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(tmp_path, ["darts", "gdas"], [1], seeds=2, epochs=2)
    main([str(tmp_path)])
    main([str(tmp_path)])
    assert "left out" not in capsys.readouterr().out


def test_unfinished_torn_and_foreign_folders_are_listed_and_not_fatal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = write_runs(tmp_path, ["darts", "gdas"], [1], seeds=3, epochs=4)
    lines = (paths[0] / "epochs.jsonl").read_text().splitlines(keepends=True)
    (paths[0] / "epochs.jsonl").write_text("".join(lines[:3]) + lines[3][:20])
    (paths[1] / "epochs.jsonl").write_text("{}\n")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").touch()
    assert main([str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"- {tmp_path}/foreign: holds no run" in out
    assert f"- {paths[0]}: unfinished: 2 of 4 epochs" in out
    assert f"- {paths[1]}: epochs.jsonl:1: not the line of an epoch" in out
    assert main([str(tmp_path), "--epochs", "2"]) == 0
    assert ": unfinished" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([], "expected RESULTS"),
        (["{results}", "--baseline", "enas"], "--baseline: expected one of darts, gdas, got 'enas'"),
        (["{results}", "--metric", "accuracy"], "--metric: expected list or one of final_error, "),
        (["{results}", "--family", "some"], "argument --family: invalid choice: 'some'"),
        (["{results}", "--epochs", "0"], "argument --epochs: expected a whole number of 1 or more, got '0'"),
        (
            ["{results}", "--epochs", "9"],
            "no run counts ({results}/synthetic/space1/darts/seed0: has 2 epochs, not 9; ",
        ),
        (["{results}/synthetic/space1/darts/seed0/empty"], "no run counts (it holds none); `python -m harness.run`"),
        (["{results}", "--out", "{results}/file"], "file: File exists"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    paths = write_runs(tmp_path, ["darts", "gdas"], [1], seeds=2, epochs=2)
    (paths[0] / "empty").mkdir()
    (tmp_path / "file").touch()
    filled = [argument.format(results=tmp_path) for argument in arguments]
    assert run_command(lambda: main(filled)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message.format(results=tmp_path) in error
    assert error.count("\n") == 1


def test_a_default_baseline_that_is_not_there_is_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(tmp_path, ["gdas", "nasp"], [1], seeds=2, epochs=2)
    assert main([str(tmp_path)]) == 0
    assert "No test: darts has no run that counts here; --baseline names another" in capsys.readouterr().out


def test_measures_are_listed_without_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--metric", "list"]) == 0
    assert capsys.readouterr().out.startswith("final_error ")


def test_families_are_those_that_are_computed() -> None:
    assert findings.FAMILIES == FAMILIES


def test_the_readme_shows_what_the_command_prints_of_the_published_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    main(["results/published/demo", "--out", str(tmp_path)])
    printed = capsys.readouterr().out.partition("\n\n`--metric list`")[0]
    shown = (ROOT / "README.md").read_text().partition("$ python -m harness.compare results/published/demo\n")[2]
    assert printed.startswith(shown.partition("```")[0].strip())
    assert shown.partition("```")[0].count("\n") > 20


@pytest.mark.slow
def test_126_runs_of_100_epochs_are_compared_in_under_10_seconds(tmp_path: Path) -> None:
    """Seconds of the processor, imports included, so that other work on the machine does not count."""
    assert len(write_runs(tmp_path, PAPERS_METHODS, (1, 2, 3), seeds=6, epochs=100)) == 126
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "harness.compare", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answer.stdout.count("== synthetic, space") == 4
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10


def test_comparing_loads_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    code = (
        "import sys; from harness.compare import main; main([sys.argv[1]]); "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'matplotlib', 'optimizers'}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.splitlines()[-1] == "[]"


def test_no_run_that_counts_names_the_reasons_and_no_more_than_three(tmp_path: Path) -> None:
    for path in write_runs(tmp_path, ["darts"], [1], seeds=5, epochs=2):
        (path / "epochs.jsonl").write_text("")
    with pytest.raises(UserError, match=r"seed2: unfinished: 0 of 2 epochs, \.\.\.\)"):
        main([str(tmp_path)])


def test_only_some_methods_are_compared_and_the_smaller_family_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_runs(tmp_path, ["darts", "gdas", "gdas@cold", "nasp"], [1], seeds=3, epochs=4)
    main([str(tmp_path), "--only", "gdas*,darts"])
    printed = " ".join(capsys.readouterr().out.split())
    (block,) = json.loads((tmp_path / "statistics" / "judgement.json").read_text())["blocks"]
    assert [method["name"] for method in block["methods"]] == ["darts", "gdas", "gdas@cold"]
    assert len(block["family"]["tests"]) == 2
    assert "--only passed over 1 method: p is adjusted over the tests shown alone" in printed


def test_a_pattern_that_picks_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    assert run_command(lambda: main([str(tmp_path), "--only", "gdas"])) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: --only: expected a method that is here, or a pattern of some, got 'gdas'; known: darts"


def test_the_same_is_written_from_copies_of_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SETTLING", -(10**18))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    results = tmp_path / "results"
    write_runs(results, ["darts", "gdas"], [1, 2], seeds=3, epochs=6)
    for name in ("first", "second"):
        main([str(results), "--out", str(tmp_path / name)])
        monkeypatch.setattr(cache, "read_entry", None)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
