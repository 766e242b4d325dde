"""A search that is cut off in any space goes on to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.records.run_folder import Line
from tests.support.space_searches import lines_of, search_in

EPOCHS = 4

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "nb201": ("nb201", "sdarts_adv", {}),
    "darts": ("darts", "sdarts_rs", {}),
    "s2": ("s2", "sdarts_adv", {}),
    "s4, whose noise is drawn anew": ("s4", "sdarts_rs", {}),
    "s3, in stages": ("s3", "p_darts_rs", {"stages.added_cells": "0,1", "stages.kept": "2"}),
}


class CutOff(Exception):
    """The process ends."""


@pytest.mark.parametrize("case", CASES)
def test_a_search_that_is_cut_off_goes_on_to_the_same_bits(case: str, tmp_path: Path) -> None:
    space, optimizer, settings = CASES[case]
    whole = search_in(tmp_path / "whole", space, optimizer, EPOCHS, settings)
    whole.run()

    def cut_off(line: Line) -> None:
        if line["epoch"] == 2:
            raise CutOff

    with pytest.raises(CutOff):
        search_in(tmp_path / "cut", space, optimizer, EPOCHS, settings).run(cut_off)
    resumed = search_in(tmp_path / "cut", space, optimizer, EPOCHS, settings)
    resumed.run()

    assert lines_of(resumed) == lines_of(whole)
    assert [line["epoch"] for line in lines_of(whole)] == list(range(EPOCHS + 1))
    for name, tensor in whole.optimizer.weights.parameters.items():
        assert torch.equal(tensor, resumed.optimizer.weights.parameters[name])
    assert lines_of(whole)[1]["alphas"] != lines_of(whole)[-1]["alphas"]
