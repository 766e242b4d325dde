"""`python -m harness.plot`: what it writes, prints and refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from harness.cli import run_command
from harness.commands.plot import main
from harness.errors import UserError
from harness.records.run_folder import RunFolder, find_runs, run_path


def write_run(
    results: Path, method: str, seed: int, errors: Sequence[float], norm: float | None = 0.5, table_sha256: str = "ab"
) -> Path:
    folder = RunFolder(run_path(results, "digits", 1, method, seed))
    table = {"label": "digits", "kind": "measured", "sha256": table_sha256}
    config = {"format": 1, "bench": "digits", "space": 1, "optimizer": method, "name": None, "seed": seed}
    folder.create(config | {"epochs": 3, "settings": {}, "table": table, "scale": "4 channels"}, {})
    for epoch, error in enumerate(errors):
        measured = {"test_error": error, "supernet_valid_accuracy": 0.5 + epoch / 10, "spectral_norm": norm}
        folder.append({"epoch": epoch, "alphas": [[0.1]], **measured})
    return folder.path


def test_every_figure_is_written_as_png_pdf_and_csv_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    write_run(tmp_path, "darts", 1, [0.9, 0.5, 0.3, 0.2])
    assert main([str(tmp_path)]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    names = ["anytime_error_digits_space1", "hessian_digits_space1", "supernet_vs_table_digits_space1"]
    assert printed == [tmp_path / "figures" / f"{name}.{kind}" for name in names for kind in ("png", "pdf", "csv")]
    for name in names:
        assert image.imread(tmp_path / "figures" / f"{name}.png").shape[1] >= 3 * 200
        pdf = (tmp_path / "figures" / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert pdf.rstrip().endswith(b"%%EOF")


def test_the_csv_equals_a_plain_recomputation(tmp_path: Path) -> None:
    seeds = np.array([[0.9, 0.3, 0.2, 0.1], [0.9, 0.5, 0.3, 0.2]])
    for seed, errors in enumerate(seeds):
        write_run(tmp_path, "darts", seed, errors.tolist())
    main([str(tmp_path)])
    with (tmp_path / "figures" / "anytime_error_digits_space1.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for column, expected in (
        ("mean", seeds.mean(0)),
        ("low", seeds.min(0)),
        ("high", seeds.max(0)),
        ("seed1", seeds[1]),
    ):
        np.testing.assert_allclose([float(row[column]) for row in rows], expected)


def test_redrawing_gives_the_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    main([str(tmp_path), "--out", str(tmp_path / "one")])
    main([str(tmp_path), "--out", str(tmp_path / "two")])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_overview_lists_what_is_damaged_or_there_twice_and_draws_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write_run(tmp_path, "darts", seed, [0.9, 0.3, 0.2, 0.1]) for seed in range(4)]
    (paths[1] / "epochs.jsonl").write_text("?\n")
    (paths[2] / "config.json").unlink()
    write_run(tmp_path, "darts", 4, [0.9, 0.5, 0.5, 0.5]).rename(paths[0].with_name("seed3.kept"))
    config = json.loads((paths[3].with_name("seed3.kept") / "config.json").read_text()) | {"seed": 3}
    (paths[3].with_name("seed3.kept") / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2].partition(": ")[0] for line in lines] == [
        str(paths[1]),
        str(paths[2]),
        str(paths[3].with_name("seed3.kept")),
    ]
    assert all(line.startswith("left out: ") for line in lines)
    with (tmp_path / "figures" / "anytime_error_digits_space1.csv").open() as file:
        assert [row["seed3"] for row in csv.DictReader(file)] == ["0.9", "0.3", "0.2", "0.1"]


def test_two_tables_of_one_space_have_files_of_their_own_and_a_line_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    write_run(tmp_path, "gdas", 0, [0.9, 0.4, 0.3, 0.2], table_sha256="cd")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "files named digits: table digits ab, 4 channels",
        "files named digits_2: table digits cd, 4 channels",
    ]
    methods = set()
    for name in ("digits", "digits_2"):
        with (tmp_path / "figures" / f"anytime_error_{name}_space1.csv").open() as file:
            methods |= {(name, row["method"]) for row in csv.DictReader(file)}
    assert methods == {("digits", "darts"), ("digits_2", "gdas")}


def test_the_figures_folder_is_no_run(tmp_path: Path) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    before = find_runs(tmp_path)
    main([str(tmp_path)])
    assert find_runs(tmp_path) == before


def test_a_running_search_is_drawn(tmp_path: Path) -> None:
    path = write_run(tmp_path, "darts", 0, [0.9, 0.3])
    with (path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 2, "test_er')
    assert main([str(tmp_path)]) == 0


def test_without_a_hessian_the_other_figures_are_drawn_and_the_command_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1], norm=None)
    assert main([str(tmp_path)]) == 0
    assert not (tmp_path / "figures" / "hessian_digits_space1.png").exists()
    assert "not drawn: hessian_digits_space1: no run has a Hessian" in capsys.readouterr().err


def test_nothing_to_draw_yet_is_an_error_and_leaves_no_folder(tmp_path: Path) -> None:
    write_run(tmp_path, "darts", 0, [0.9], norm=None)
    with pytest.raises(UserError, match="nothing to draw yet"):
        main([str(tmp_path)])
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("case", ["no folder", "no runs", "all damaged", "figures is a file"])
def test_a_mistake_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    results = tmp_path / "results"
    if case != "no folder":
        results.mkdir()
    if case in ("all damaged", "figures is a file"):
        path = write_run(results, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    if case == "all damaged":
        (path / "epochs.jsonl").write_text("?\n")
    if case == "figures is a file":
        (results / "figures").touch()
    assert run_command(lambda: main([str(results)])) == 2
    *before, message = capsys.readouterr().err.splitlines()
    assert message.startswith("error: ")
    assert len(before) == (case == "all damaged")
    assert all(line.startswith("left out: ") for line in before)


@pytest.mark.parametrize("arguments", [[], ["results", "--colour", "blue"], ["results", "more"]])
def test_bad_arguments_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run_command(lambda: main(arguments)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1


def test_figures_are_drawn_by_name_and_the_one_that_cannot_be_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1], norm=None)
    assert main([str(tmp_path), "--figure", "3,5"]) == 0
    printed = capsys.readouterr()
    assert [Path(line).name for line in printed.out.splitlines()] == [
        f"figure3_digits.{kind}" for kind in ("png", "pdf", "csv")
    ]
    assert printed.err == (
        "not drawn: figure 5 of digits: no run has a Hessian (its spectral norm is missing at every epoch)\n"
    )
    assert image.imread(tmp_path / "figures" / "figure3_digits.png").shape[1] >= 3 * 200


def test_every_named_figure_is_listed_and_an_unknown_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--figure", "list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"3", "4", "5", "table5", "cells", "theory"} <= set(listed)
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    assert run_command(lambda: main([str(tmp_path), "--figure", "3,7"])) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "unknown figure '7'; known: " + ", ".join(listed) in message
    assert not (tmp_path / "figures").exists()


def test_a_named_figure_is_drawn_though_one_folder_is_torn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    (write_run(tmp_path, "darts", 1, [0.9, 0.3, 0.2, 0.1]) / "epochs.jsonl").write_text("?\n")
    assert main([str(tmp_path), "--figure", "4"]) == 0
    assert f"left out: {run_path(tmp_path, 'digits', 1, 'darts', 1)}: " in capsys.readouterr().err


def test_a_folder_without_a_run_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: main([str(tmp_path), "--figure", "3"])) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: no run here that can be drawn; make one with `python -m harness.run`\n"
    )


def test_the_table_is_printed_with_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2])
    RunFolder(path).append({"epoch": 3, "test_error": 0.1, "ops": ["input", "maxpool3x3", "output"]})
    assert main([str(tmp_path), "--figure", "table5", "--out", str(tmp_path / "out")]) == 0
    header, row, *paths = capsys.readouterr().out.splitlines()
    assert header.endswith("space 1")
    assert row.split() == ["darts", "100.0", "(n=1)"]
    assert [Path(path).name for path in paths] == [f"table5_digits.{kind}" for kind in ("png", "pdf", "csv")]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--figure", "3,"],
        ["--x", "years"],
        ["--figure", "cells", "--epochs", "5,-1"],
        ["--figure", "3"],
        ["--figure", "4", "--epochs", "1"],
        ["--figure", "5", "--best-by", "table"],
        ["--figure", "1", "--methods", "gdas"],
        *[["--figure", name, "--x", "seconds"] for name in ("theory", "5", "cells", "table5", "4,theory")],
        ["--methods", "gdas"],
        ["--band", "interval"],
    ],
)
def test_named_figures_refuse_mistakes_in_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "gdas", 0, [0.9, 0.3, 0.2, 0.1])
    assert run_command(lambda: main([str(tmp_path), *arguments])) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")


def test_redrawing_a_named_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    for out in ("one", "two"):
        main([str(tmp_path), "--figure", "4,theory", "--out", str(tmp_path / out)])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_option_that_a_figure_would_ignore_is_refused_with_the_figures_that_take_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, "darts", 0, [0.9, 0.3, 0.2, 0.1])
    assert run_command(lambda: main([str(tmp_path), "--figure", "4,theory", "--x", "seconds"])) == 2
    assert capsys.readouterr().err == "error: --x is not of figure theory; it goes with --figure 3, 4\n"


@pytest.mark.parametrize("figure", [[], ["--figure", "quantity:test_error"]])
def test_only_what_is_picked_is_drawn(tmp_path: Path, figure: list[str]) -> None:
    for method in ("darts", "gdas", "pc_darts"):
        write_run(tmp_path, method, 0, [0.9, 0.3, 0.2, 0.1])
    assert main([str(tmp_path), "--only", "*darts", *figure]) == 0
    texts = [path.read_text() for path in (tmp_path / "figures").glob("*.csv")]
    drawn = {row["method"] for text in texts for row in csv.DictReader(text.splitlines())}
    assert drawn == {"darts", "pc_darts"}
    with pytest.raises(UserError, match=r"--only: expected a method that is here.*got 'enas'"):
        main([str(tmp_path), "--only", "enas", *figure])
