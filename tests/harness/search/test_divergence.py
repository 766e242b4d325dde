"""A search whose numbers are none any more ends with a line that says which and when, and leaves a readable folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import Line
from plots.runs.survey import survey
from tests.support.kept_runs import kept_search


@pytest.mark.parametrize("optimizer", ["darts", "gdas", "sdarts_adv", "darts_es", "darts_2nd", "enas"])
def test_a_learning_rate_far_too_large_ends_the_search_by_name(optimizer: str, tmp_path: Path) -> None:
    small: dict[str, Any] = {}
    if optimizer == "enas":
        small = {"selection__samples": 8, "selection__finalists": 2, "controller__steps": 4}
    search = kept_search(tmp_path, optimizer, weights__learning_rate=1e9, weights__learning_rate_min=1e8, **small)
    reported: list[Line] = []
    search.run(reported.append)
    lines = search.folder.epochs()
    last = lines[-1]
    assert " at epoch 1, step " in last["diverged"] or "at the end of epoch 1" in last["diverged"]
    assert reported == lines
    assert last["epoch"] == len(lines) - 1 == 1
    assert {last[key] for key in ("cell", "test_error", "train_loss", "supernet_valid_loss", "lambda_max")} == {None}
    assert not search.folder.is_finished()
    found = survey(tmp_path)
    assert [one.reason for one in found.left_out] == [f"diverged ({last['diverged']})"]

    retried = kept_search(tmp_path, optimizer, weights__learning_rate=1e9, weights__learning_rate_min=1e8, **small)
    retried.run(lambda line: pytest.fail("a diverged search is not run again"))
    assert retried.folder.epochs() == lines


def test_the_step_is_the_one_whose_loss_was_the_first_not_to_be_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = kept_search(tmp_path)
    step = search.optimizer.step

    def broken(index: Any, training: Any, validation: Any) -> Any:
        result = step(index, training, validation)
        if search.optimizer.epoch == 2 and index == 1:
            result.loss.mul_(math.nan)
        return result

    monkeypatch.setattr(search.optimizer, "step", broken)
    search.run()
    assert search.folder.epochs()[-1]["diverged"] == "training loss at epoch 3, step 2"
    assert [line["epoch"] for line in search.folder.epochs()] == [0, 1, 2, 3]


def test_alphas_that_are_nan_end_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = kept_search(tmp_path)
    end_epoch = search.optimizer.end_epoch

    def broken(validation: Any) -> None:
        end_epoch(validation)
        search.optimizer.alphas[1].data[0] = math.nan

    monkeypatch.setattr(search.optimizer, "end_epoch", broken)
    search.run()
    assert search.folder.epochs()[-1]["diverged"] == "alphas 1 at the end of epoch 1"
