"""What a report's data are: the numbers of `harness.compare`, curves of every run, and nothing that is no number."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from harness.commands.compare import main as compare
from harness.records.run_folder import RunFolder
from plots.drawing import style
from plots.judgement.findings import Judgement, Question
from plots.judgement.judging import judge
from plots.judgement.measures import TEST_ERROR
from plots.report.writing import Report
from plots.runs.reading import Entry, read_entry
from plots.runs.records import series_of
from plots.runs.survey import Survey, survey
from tests.support.report_runs import EPOCHS, HOSTILE, edit_config, edit_lines, read_lines, write_study, write_trouble
from tests.support.synthetic_runs import write_runs


def data_of(results: Path) -> dict[str, Any]:
    return Report(results, results).data()


def method_of(data: dict[str, Any], name: str, comparison: int = 0) -> dict[str, Any]:
    return next(one for one in data["comparisons"][comparison]["methods"] if one["name"] == name)


def test_statistics_are_those_of_harness_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trouble(tmp_path)
    data = json.loads(json.dumps(data_of(tmp_path)))
    compare([str(tmp_path)])
    printed = " ".join(capsys.readouterr().out.split())
    written = json.loads((tmp_path / "statistics" / "judgement.json").read_text())
    assert len(written["blocks"]) == 2
    for block, comparison in zip(written["blocks"], data["comparisons"], strict=True):
        assert {key: comparison["block"][key] for key in block} == block
        assert comparison["block"]["tests_heading"] in printed
        assert comparison["block"]["power"] in printed
    for overall, shown in zip(written["overall"], data["overall"], strict=True):
        assert {key: shown[key] for key in overall} == overall
        assert shown["ranks_text"] in printed
    assert data["left_out"] == written["left_out"]


def test_curves_means_and_bands_are_those_of_the_figures(tmp_path: Path) -> None:
    write_study(tmp_path)
    data = data_of(tmp_path)
    for space, comparison in enumerate(survey(tmp_path).comparisons):
        for method in comparison.methods:
            shown = method_of(data, method.name, space)
            series = series_of(method, TEST_ERROR)
            for name, values in (("mean", series.mean), ("low", series.low), ("high", series.high)):
                assert shown["means"]["test_error"][name][1:] == pytest.approx(values[1:].tolist(), rel=1e-5)
            assert shown["means"]["test_error"]["band"] == series.band
            for run, its in zip(method.runs, shown["runs"], strict=True):
                assert its["curves"]["test_error"][1:] == pytest.approx(run.values(TEST_ERROR)[1:].tolist(), rel=1e-5)
                assert its["seconds"][-1] == pytest.approx(
                    sum(line["seconds"]["train"] for line in read_lines(run.path)[1:])
                )


def test_a_method_looks_as_on_the_figures(tmp_path: Path) -> None:
    write_study(tmp_path)
    for method in data_of(tmp_path)["comparisons"][0]["methods"]:
        look = style.look(method["name"])
        assert (method["label"], method["colour"], method["dashes"]) == (look.label, look.colour, list(look.dashes[1]))


def test_the_theory_is_derived_from_the_lines(tmp_path: Path) -> None:
    write_study(tmp_path)
    curves = method_of(data_of(tmp_path), "darts")["runs"][0]["curves"]
    assert curves["projection_gap"] == [pytest.approx(0.25, abs=1e-5)] * (EPOCHS + 1)
    assert curves["bound"] == [1.5 if epoch % 2 == 0 else None for epoch in range(EPOCHS + 1)]
    assert curves["entropy"] == pytest.approx([1 - epoch / (2 * EPOCHS) for epoch in range(EPOCHS + 1)], abs=1e-5)


def test_what_older_records_lack_is_absent(tmp_path: Path) -> None:
    write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=3)
    method = method_of(data_of(tmp_path), "darts")
    assert {"projection_gap", "bound", "entropy"}.isdisjoint(method["means"])
    assert {"projection_gap", "bound", "entropy"}.isdisjoint(method["runs"][0]["curves"])


def test_unfinished_torn_and_foreign_folders_are_listed_and_unfinished_ones_drawn(tmp_path: Path) -> None:
    trouble = write_trouble(tmp_path)
    data = data_of(tmp_path)
    reasons = {one["path"]: one["reason"] for one in data["left_out"]}
    assert reasons.keys() == {str(trouble[name]) for name in ("unfinished", "torn", "foreign")}
    assert reasons[str(trouble["unfinished"])] == f"unfinished: 4 of {EPOCHS} epochs"
    assert reasons[str(trouble["torn"])].startswith("epochs.jsonl:2: not the line of an epoch")
    assert reasons[str(trouble["foreign"])] == "holds no run"
    run = method_of(data, "darts")["runs"][0]
    assert (run["finished"], run["epochs"], len(run["curves"]["test_error"])) == (False, 4, 5)


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    write_trouble(tmp_path)
    data = data_of(tmp_path)
    json.dumps(data, allow_nan=False)
    run = next(run for run in method_of(data, "gdas")["runs"] if run["seed"] == 2)
    assert [epoch for epoch, value in enumerate(run["curves"]["test_error"]) if value is None] == [0, 3]
    assert [epoch for epoch, value in enumerate(run["curves"]["trace"]) if value is None] == [4]


@pytest.mark.parametrize(
    "entries",
    [
        {"seconds": 3},
        {"matrix": [[0, 1], [0]], "ops": ["input", "output"]},
        {"matrix": [[0, 2], [0, 0]], "ops": ["input", "output"]},
        {"matrix": [], "ops": []},
        {"matrix": [[0, 1], [0, 0]], "ops": ["input", 3]},
        {"alphas": "none"},
    ],
)
def test_an_entry_of_another_kind_is_a_gap_and_not_fatal(tmp_path: Path, entries: dict[str, Any]) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=3)
    edit_lines(path, lambda line: {**line, **entries})
    run = method_of(data_of(tmp_path), "darts")["runs"][0]
    assert set(entries).isdisjoint(run["curves"])
    assert all(cell is None for cell in run["cells"]) == ("matrix" in entries)


@pytest.mark.parametrize("entry", [{"trace": "large"}, {"spectral_norm": []}])
def test_a_curvature_that_is_no_number_leaves_the_run_out_and_says_so(tmp_path: Path, entry: dict[str, Any]) -> None:
    _, damaged = write_runs(tmp_path, ["darts"], [1], seeds=2, epochs=3)
    edit_lines(damaged, lambda line: {**line, **entry})
    data = data_of(tmp_path)
    assert len(method_of(data, "darts")["runs"]) == 1
    (left_out,) = data["left_out"]
    assert left_out["path"] == str(damaged)
    assert next(iter(entry)) in left_out["reason"]


def test_a_missing_or_foreign_environment_and_random_search_are_not_fatal(tmp_path: Path) -> None:
    first, second = write_runs(tmp_path, ["darts"], [1], seeds=2, epochs=3)
    (first / "env.json").unlink()
    (second / "env.json").write_text('{"starts": 3}')
    edit_config(
        first, lambda config: {**config, "table": {**config["table"], "random_search": {"test_error": [0.1, "x"]}}}
    )
    data = data_of(tmp_path)
    assert data["environments"] == []
    assert data["comparisons"][0]["machines"] == ["an unknown machine"]
    assert data["comparisons"][0]["random_search"] == []


def test_random_search_and_optimum_are_those_recorded(tmp_path: Path) -> None:
    write_study(tmp_path)
    comparison = data_of(tmp_path)["comparisons"][0]
    assert comparison["optimum"] == 0.03
    assert comparison["random_search"][:2] == pytest.approx([0.13, 0.085])


def test_cells_are_those_of_the_lines(tmp_path: Path) -> None:
    path = write_study(tmp_path)[0]
    comparison = data_of(tmp_path)["comparisons"][0]
    run = comparison["methods"][0]["runs"][0]
    for line, number in zip(read_lines(path), run["cells"], strict=True):
        ((title, nodes, edges),) = comparison["cells"][number]
        assert title == ""
        assert [comparison["cell_labels"][at] for at in nodes] == line["ops"]
        assert sorted(edge[:2] for edge in edges) == np.argwhere(np.triu(line["matrix"], 1)).tolist()


def test_links_lead_from_the_page_to_the_lines(tmp_path: Path) -> None:
    results, pages = tmp_path / "my results#1?%", tmp_path / "pages"
    pages.mkdir()
    write_runs(results, ["darts"], [1], seeds=1, epochs=1)
    (run,) = Report(results, pages).data()["comparisons"][0]["methods"][0]["runs"]
    assert ":" not in run["lines"]
    assert os.path.samefile(pages / unquote(run["lines"]), results / "synthetic/space1/darts/seed0/epochs.jsonl")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("other", "Not an official table: test errors come from synthetic (kind: other)"),
        ("measured", "A table of another benchmark: test errors come from synthetic"),
        ("stand-in", "Stand-in table: test errors come from synthetic"),
        ("surrogate", "Estimated errors: test errors are what the surrogate synthetic predicts"),
        ("trained", "No table: test errors are of architectures that were trained"),
    ],
)
def test_where_errors_come_from_is_said_by_the_kind_of_table(tmp_path: Path, kind: str, says: str) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    edit_config(path, lambda config: {**config, "table": {**config["table"], "kind": kind}})
    (warning,) = data_of(tmp_path)["comparisons"][0]["warnings"]
    assert warning.startswith(says)
    assert warning.endswith(". They cannot be set beside the paper's.")


def test_other_tables_and_small_networks_are_warned_of(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    assert [text.split(":")[0] for text in data_of(tmp_path)["comparisons"][0]["warnings"]] == ["Not an official table"]

    def official(config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "table": {**config["table"], "kind": "official"}}

    edit_config(path, official)
    assert data_of(tmp_path)["comparisons"][0]["warnings"] == []
    edit_config(path, lambda config: {**config, "settings": {"network": {"channels": 4, "cells": 9}}})
    assert [text.split(":")[0] for text in data_of(tmp_path)["comparisons"][0]["warnings"]] == ["Scaled-down search"]


def test_the_papers_supernet_is_named_in_its_own_spaces_alone(tmp_path: Path) -> None:
    (path,) = write_runs(tmp_path, ["darts"], [1], seeds=1, epochs=1)
    small = {"space": "nb201", "settings": {"network": {"channels": 8, "cells_per_stage": 1}}}
    edit_config(path, lambda config: {**config, **small, "table": {**config["table"], "kind": "official"}})
    assert data_of(tmp_path)["comparisons"][0]["warnings"] == []
    scale = {"scale": "8 channels; supernet scaled down, table in full"}
    edit_config(path, lambda config: {**config, **scale})
    edit_lines(path, lambda line: {**line, **scale})
    assert data_of(tmp_path)["comparisons"][0]["warnings"] == [
        "Scaled-down search: 8 channels; supernet scaled down, table in full."
    ]


def test_settings_are_told_apart_by_whether_methods_differ(tmp_path: Path) -> None:
    darts, gdas = write_runs(tmp_path, ["darts", "gdas"], [1], seeds=1, epochs=1)
    edit_config(darts, lambda config: {**config, "settings": {"weights": {"decay": 0.1, "momentum": 0.9}}})
    edit_config(gdas, lambda config: {**config, "settings": {"weights": {"decay": 0.2, "momentum": 0.9}}})
    settings = data_of(tmp_path)["comparisons"][0]["settings"]
    assert settings["shared"] == {"weights.momentum": "0.9"}
    assert settings["differing"] == {"weights.decay": {"darts": "0.1", "gdas": "0.2"}}


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_study(tmp_path)
    read: list[Path] = []
    judged: list[Question] = []

    def noted_read(folder: RunFolder) -> Entry:
        read.append(folder.path)
        return read_entry(folder)

    def noted_judge(found: Survey, question: Question) -> Judgement:
        judged.append(question)
        return judge(found, question)

    monkeypatch.setattr("plots.runs.cache.read_entry", noted_read)
    monkeypatch.setattr("plots.report.writing.judge", noted_judge)
    edit_config(paths[0], lambda config: {**config, "epochs": EPOCHS + 1})
    edit_config(paths[1], lambda config: {**config, "epochs": EPOCHS + 1})
    live = Report(tmp_path, tmp_path)
    first = live.data()
    assert (len(read), len(judged)) == (len(paths), 1)
    assert live.data()["version"] == first["version"] == live.version()
    assert (len(read), len(judged)) == (len(paths), 1)
    log = paths[0] / "epochs.jsonl"
    log.write_text(log.read_text() + json.dumps({**read_lines(paths[0])[-1], "epoch": EPOCHS + 1}) + "\n")
    second = live.data()
    assert second["version"] != first["version"]
    assert read[len(paths) :] == [paths[0]]
    assert len(judged) == 2, "the run is finished now, and counts"
    fresh = {key: value for key, value in data_of(tmp_path).items() if key != "written"}
    assert {key: value for key, value in second.items() if key != "written"} == fresh


def test_a_hostile_name_is_kept_as_it_is(tmp_path: Path) -> None:
    write_trouble(tmp_path)
    names = [method["name"] for method in data_of(tmp_path)["comparisons"][0]["methods"]]
    assert any(name.startswith(HOSTILE) for name in names)


def test_a_seed_that_stopped_early_moves_no_mean_back_in_time(tmp_path: Path) -> None:
    paths = write_runs(tmp_path, ["darts"], [1], seeds=2, epochs=6)
    edit_lines(paths[0], lambda line: {**line, "seconds": {"train": 100.0}})
    log = paths[0] / "epochs.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    seconds = method_of(data_of(tmp_path), "darts")["mean_seconds"]
    assert seconds[3] == pytest.approx((300 + 3) / 2)
    assert bool(np.all(np.diff(seconds) > 0))
    assert not math.isnan(seconds[-1])
