"""A page of very many runs shows every so many epochs, and those as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.records.catalogue import get_quantity
from plots.report import thinning
from plots.report.thinning import kept_epochs
from plots.report.writing import Report
from plots.runs.records import Comparison, Method, Run
from tests.support.report_runs import read_lines
from tests.support.synthetic_runs import write_runs

ERROR = get_quantity("test_error")


def comparison_of(runs: int, epochs: int, recorded: int | None = None) -> Comparison:
    """Runs of one method, all with the same lines."""
    lines = [{"epoch": epoch, "test_error": 0.1} for epoch in range((epochs if recorded is None else recorded) + 1)]
    run = Run.of_lines(Path("seed0"), 0, epochs, lines)
    return Comparison("digits", 1, "digits", "", (Method("darts", epochs, (run,) * runs),))


def test_a_page_of_200_runs_has_all_epochs() -> None:
    (kept,) = kept_epochs([comparison_of(200, 30)], [ERROR])
    assert (kept.epochs, kept.is_thinned) == (list(range(31)), False)


def test_a_page_of_more_runs_has_every_second_at_least_and_both_ends() -> None:
    first, second = kept_epochs([comparison_of(100, 31), comparison_of(101, 20)], [ERROR])
    assert (first.epochs, first.step) == ([0, 1, *range(2, 31, 2), 31], 2)
    assert (second.epochs[-1], second.step) == (20, 2)


def test_the_more_runs_the_fewer_epochs_down_to_ten_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinning, "MOST_NUMBERS", 20_000)
    steps = [kept_epochs([comparison_of(runs, 100)], [ERROR])[0].step for runs in (201, 400, 4000)]
    assert steps == [4, 7, 10]
    (short,) = kept_epochs([comparison_of(4000, 12)], [ERROR])
    assert short.epochs == list(range(13))


def test_runs_that_have_only_begun_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = kept_epochs([comparison_of(201, 100, recorded=0)], [ERROR])
    assert kept.epochs == [0]


def test_a_thinned_page_has_the_values_of_its_epochs_and_the_statistics_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_runs(tmp_path, ["darts", "gdas"], [1], seeds=3, epochs=41)
    log = paths[1] / "epochs.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:24]))

    def comparison() -> dict[str, Any]:
        (one,) = Report(tmp_path, tmp_path).data()["comparisons"]
        return dict(one)

    whole = comparison()
    monkeypatch.setattr(thinning, "MOST_RUNS", 5)
    monkeypatch.setattr(thinning, "MOST_NUMBERS", 2000)
    thin = comparison()
    epochs = thin["epochs"]
    assert (whole["thinned"], whole["epochs"]) == (None, list(range(42)))
    assert thin["thinned"] == 3
    assert {0, 1, 41} <= set(epochs)
    assert thin["block"] == whole["block"]
    for full, some in zip(whole["methods"], thin["methods"], strict=True):
        pairs = [(full["mean_seconds"], some["mean_seconds"])]
        for name, mean in full["means"].items():
            pairs += [(mean[key], some["means"][name][key]) for key in ("mean", "low", "high")]
        for one, other in zip(full["runs"], some["runs"], strict=True):
            assert (other["epochs"], other["finished"]) == (one["epochs"], one["finished"])
            pairs.append((one["seconds"], other["seconds"]))
            pairs += [(curve, other["curves"][name]) for name, curve in one["curves"].items()]
            drawn = [[cells["cells"][at] for at in run["cells"]] for cells, run in ((whole, one), (thin, other))]
            pairs.append((drawn[0], drawn[1]))
        for values, shown in pairs:
            assert shown == [values[epoch] for epoch in epochs if epoch < len(values)]
    cells = [line["cell"] for line in read_lines(paths[0])]
    changed = [epoch for epoch in range(1, 42) if cells[epoch] != cells[epoch - 1]]
    assert next(run for run in thin["methods"][0]["runs"] if run["seed"] == 0)["changes"] == changed
