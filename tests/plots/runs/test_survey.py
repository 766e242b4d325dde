"""Nothing below a results folder is fatal: what belongs together, and what is listed as left out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import RunFolder, RunFolderError
from plots.judgement.measures import TEST_ERROR
from plots.runs.survey import Survey, survey
from tests.plots.conftest import WriteRun


def left_out(found: Survey, below: Path) -> dict[str, str]:
    return {str(one.path.relative_to(below)): one.reason for one in found.left_out}


def change_config(path: Path, **entries: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | entries))


def test_runs_of_one_bench_space_table_and_scale_are_compared(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("gdas", "darts", "darts@wide"):
        for seed in (10, 2):
            write_run(method, seed, [0.5, 0.4])
    (comparison,) = survey(tmp_path).comparisons
    assert [method.name for method in comparison.methods] == ["darts", "darts@wide", "gdas"]
    assert [run.seed for run in comparison.methods[0].runs] == [2, 10]
    assert (comparison.table, comparison.table_sha256, comparison.scale) == ("digits", "ab" * 32, "4 channels, 3 cells")


@pytest.mark.parametrize(
    "changed",
    [
        {"bench": "other"},
        {"space": 2},
        {"scale": "16 channels"},
        {"table": {"label": "standin"}},
        {"table": {"label": "digits", "sha256": "cd" * 32}},
    ],
)
def test_runs_that_differ_in_their_conditions_are_never_pooled(
    write_run: WriteRun, tmp_path: Path, changed: dict[str, Any]
) -> None:
    write_run("darts", 0, [0.5, 0.4])
    write_run("darts", 1, [0.5, 0.3], **changed)
    found = survey(tmp_path)
    assert [len(one.methods[0].runs) for one in found.comparisons] == [1, 1]
    assert found.left_out == ()


def test_torn_foreign_and_contradictory_folders_are_listed_with_the_reason(write_run: WriteRun, tmp_path: Path) -> None:
    paths = {seed: write_run("darts", seed, [0.5, 0.4, 0.3]) for seed in range(10)}
    (paths[1] / "epochs.jsonl").write_text("?\n")
    (paths[2] / "config.json").write_text("{")
    (paths[3] / "config.json").unlink()
    change_config(paths[4], format=2)
    change_config(paths[5], space="1")
    change_config(paths[6], table={"label": "standin"})
    RunFolder(paths[7]).append({"epoch": 3, "test_error": "0.3"})
    RunFolder(paths[8]).append({"epoch": 3, "valid_error": 4.5})
    change_config(paths[9], table="digits")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "plan.txt").touch()
    (tmp_path / "digits" / "space1" / "darts" / "seed10").mkdir()
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [0]
    reasons = left_out(found, tmp_path)
    expected = {
        "notes": "holds no run",
        "digits/space1/darts/seed1": "epochs.jsonl:1: not the line of an epoch",
        "digits/space1/darts/seed2": "config.json: not JSON",
        "digits/space1/darts/seed3": "config.json: missing",
        "digits/space1/darts/seed4": "expected format 1, got 2",
        "digits/space1/darts/seed5": "config.json: expected space as a whole number, or as a name that begins with a "
        "letter",
        "digits/space1/darts/seed6": "epochs.jsonl:1: does not match its checksum",
        "digits/space1/darts/seed7": "epoch 3: expected a number as test_error, got '0.3'",
        "digits/space1/darts/seed8": "epoch 3: expected valid_error from 0 to 1, got 4.5",
        "digits/space1/darts/seed9": "config.json: expected table as an object, got 'digits'",
        "digits/space1/darts/seed10": "config.json: missing",
    }
    assert reasons.keys() == expected.keys()
    for path, reason in expected.items():
        assert reasons[path].startswith(reason)


def test_a_torn_last_line_leaves_a_run_that_is_not_finished(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run("darts", 0, [0.5, 0.4], epochs=2)
    with (path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 2, "test_er')
    found = survey(tmp_path)
    (run,) = found.comparisons[0].methods[0].runs
    assert (run.recorded, run.is_finished, found.left_out) == (2, False, ())


def test_a_number_that_is_nan_counts_as_missing(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run("darts", 0, [0.5])
    # As a version without checksums may have left it.
    lines = [*RunFolder(path).epochs(), {"epoch": 1, "test_error": float("nan")}]
    (path / "epochs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = survey(tmp_path)
    assert found.left_out == ()
    assert found.comparisons[0].methods[0].runs[0].recorded == 2


def test_a_number_too_large_for_a_float_is_listed(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4], table={"label": "digits", "optimum": {"test_error": 10**400}})
    RunFolder(write_run("darts", 1, [0.5])).append({"epoch": 1, "test_error": 10**400})
    reasons = left_out(survey(tmp_path), tmp_path)
    assert reasons == {"digits/space1/darts/seed1": "epoch 1: expected test_error from 0 to 1, got inf"}


def test_a_file_that_cannot_be_opened_is_listed(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4])
    path = write_run("darts", 1, [0.5, 0.4])
    os.unlink(path / "epochs.jsonl")
    (path / "epochs.jsonl").mkdir()
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [0]
    assert left_out(found, tmp_path)["digits/space1/darts/seed1"].startswith("epochs.jsonl: is a folder")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"settings": {"weights": {"decay": 0.2}}}, "differs in settings (weights.decay) from the seeds of darts that"),
        ({"epochs": 5}, "asked for 5 epochs, the seeds of darts that count for 1"),
    ],
)
def test_of_seeds_that_differ_the_largest_group_counts(
    write_run: WriteRun, tmp_path: Path, changed: dict[str, Any], reason: str
) -> None:
    write_run("darts", 0, [0.5, 0.4], **changed)
    for seed in (1, 2):
        write_run("darts", seed, [0.5, 0.4])
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [1, 2]
    assert left_out(found, tmp_path)["digits/space1/darts/seed0"].startswith(reason)


def test_of_a_seed_there_twice_the_folder_named_for_it_counts(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.1]).rename(tmp_path / "digits" / "space1" / "darts" / "a copy")
    path = write_run("darts", 0, [0.5, 0.4])
    found = survey(tmp_path)
    assert [run.path for run in found.comparisons[0].methods[0].runs] == [path]
    assert left_out(found, tmp_path) == {"digits/space1/darts/a copy": f"seed 0 again, as in {path}"}


def test_a_results_folder_inside_is_another_collection(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.1], root=tmp_path / "published")
    assert survey(tmp_path).left_out == ()
    write_run("darts", 0, [0.5, 0.4])
    found = survey(tmp_path)
    assert [run.values(TEST_ERROR)[1] for run in found.comparisons[0].methods[0].runs] == [0.4]
    assert left_out(found, tmp_path) == {"published": "a results folder of its own; give it instead"}


@pytest.mark.parametrize(
    ("table", "optimum"),
    [
        ({"label": "digits", "optimum": {"test_error": 0.02}}, 0.02),
        ({"label": "digits", "optimum": {"test_error": None}}, None),
        ({"label": "digits", "optimum": 0.02}, None),
        ({"label": "digits"}, None),
    ],
)
def test_the_optimum_of_the_space_is_read_where_it_was_recorded(
    write_run: WriteRun, tmp_path: Path, table: dict[str, Any], optimum: float | None
) -> None:
    write_run("darts", 0, [0.5, 0.4], table=table)
    assert survey(tmp_path).comparisons[0].optimum == optimum


def test_keeping_some_runs_lists_the_others_and_drops_what_is_empty(write_run: WriteRun, tmp_path: Path) -> None:
    for method, seed, bench in (
        ("darts", 0, "digits"),
        ("darts", 1, "digits"),
        ("gdas", 1, "digits"),
        ("nasp", 1, "x"),
    ):
        write_run(method, seed, [0.5, 0.4], bench=bench)
    kept = survey(tmp_path).keep(lambda run: "odd" if run.seed == 1 else None)
    assert [(one.bench, [method.name for method in one.methods]) for one in kept.comparisons] == [("digits", ["darts"])]
    assert [run.seed for run in kept.comparisons[0].methods[0].runs] == [0]
    assert set(left_out(kept, tmp_path)) == {
        "digits/space1/darts/seed1",
        "digits/space1/gdas/seed1",
        "x/space1/nasp/seed1",
    }
    assert {one.reason for one in kept.left_out} == {"odd"}


def test_seeds_that_measured_more_or_less_are_compared(write_run: WriteRun, tmp_path: Path) -> None:
    for seed, hessian in enumerate(({"every": 10}, {"every": 10, "mixture": True}, {"every": 1, "mixture": True})):
        write_run("darts", seed, [0.5, 0.4], settings={"hessian": hessian})
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [0, 1]
    assert [one.path.name for one in found.left_out] == ["seed2"]


def test_a_folder_without_runs_is_an_empty_survey_and_none_an_error(tmp_path: Path) -> None:
    assert survey(tmp_path) == Survey((), ())
    with pytest.raises(RunFolderError, match="no such folder"):
        survey(tmp_path / "nowhere")


def test_a_run_that_failed_before_its_first_line_does_not_count_for_the_others(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("darts", 0, [0.5, 0.4])
    failed = write_run("darts", 1, [0.5, 0.4])
    change_config(failed, epochs=200)
    (failed / "epochs.jsonl").write_text("")
    found = survey(tmp_path)
    assert [run.seed for run in found.comparisons[0].methods[0].runs] == [0]
    assert "asked for 200 epochs" in left_out(found, tmp_path)["digits/space1/darts/seed1"]
