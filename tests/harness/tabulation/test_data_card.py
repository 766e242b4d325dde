"""The data card says what the measurements say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from harness.data.datasets import load_digits
from harness.tabulation.data_card import Measurements, data_card, spread
from harness.tabulation.jobs import Job, Scope, WorkFolder, plan_jobs
from harness.tabulation.making import write_table
from harness.tabulation.training import Recipe, Splits
from spaces.nb101.space import get_space

CELLS = get_space(1).cells()[:40]


def made_up(truth: np.ndarray[Any, np.dtype[np.float64]], noise: float, repeats: int, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    return truth[:, None] + noise * generator.standard_normal((len(truth), repeats))


def test_spread_equals_a_plain_recomputation() -> None:
    accuracies = made_up(np.linspace(0.5, 0.9, 30), 0.1, 3)
    found = spread(accuracies)
    means = [sum(row) / 3 for row in accuracies]
    grand = sum(means) / 30
    assert found.between_cells == pytest.approx(math.sqrt(sum((mean - grand) ** 2 for mean in means) / 29))
    within = [sum((x - mean) ** 2 for x in row) / 2 for row, mean in zip(accuracies, means, strict=True)]
    assert found.between_repeats == pytest.approx(math.sqrt(sum(within) / 30))
    pairs = [spearmanr(accuracies[:, i], accuracies[:, j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.repeat_correlation == pytest.approx(sum(pairs) / 3)
    assert found.reliability == pytest.approx(1 - found.between_repeats**2 / 3 / found.between_cells**2)


@pytest.mark.parametrize(("noise", "repeats"), [(0.05, 3), (0.3, 3), (0.3, 2), (1.0, 3)])
def test_noise_ceiling_is_what_the_truth_itself_reaches(noise: float, repeats: int) -> None:
    truth = np.random.default_rng(1).standard_normal(20_000)
    accuracies = made_up(truth, noise, repeats)
    reached = spearmanr(truth, accuracies.mean(axis=1)).statistic
    assert spread(accuracies).ceiling == pytest.approx(reached, abs=0.012)


def test_repeats_that_disagree_leave_nothing_to_predict() -> None:
    accuracies = np.stack([np.arange(20.0), -np.arange(20.0)], axis=1)
    assert spread(accuracies).ceiling == 0


def test_cells_that_are_all_the_same_have_no_reliability() -> None:
    found = spread(np.full((20, 3), 0.5))
    assert found.between_cells == found.between_repeats == 0
    assert math.isnan(found.reliability)
    assert math.isnan(found.ceiling)


def test_noise_of_one_repeat_is_unknown() -> None:
    found = spread(made_up(np.linspace(0.5, 0.9, 30), 0.1, 1))
    assert found.between_cells > 0
    assert all(map(math.isnan, (found.between_repeats, found.repeat_correlation, found.reliability, found.ceiling)))


def measured(job: Job) -> list[dict[str, Any]]:
    return [
        {
            "hash": cell.hash,
            "matrix": cell.matrix.tolist(),
            "ops": list(cell.ops),
            "trainable_parameters": 1000 + index,
            "train_accuracy": 1.0,
            "validation_accuracy": int(cell.hash[:2], 16) / 300 + 0.01 * job.repeat,
            "test_accuracy": int(cell.hash[:2], 16) / 256 - 0.02 * job.repeat,
            "training_time": 1.5,
        }
        for index, cell in enumerate(job.cells)
    ]


def card(folder: Path, done: int | None, repeats: int) -> str:
    jobs = plan_jobs(CELLS, repeats)
    work = WorkFolder(folder)
    for job in jobs[:done]:
        work.write(job, measured(job), 1800.0, "cpu" if job.number else "cuda")
    splits, scope = Splits.of(load_digits()), Scope("space 1", len(CELLS))
    info = write_table(work, jobs, Recipe(), folder / "table.index", "toy", scope)
    found = Measurements.of(work, jobs)
    return " ".join(data_card(info, found, Recipe(), splits, "digits", scope, "make it").split())


def test_card_of_a_complete_table(tmp_path: Path) -> None:
    jobs = plan_jobs(CELLS, 2)
    text = card(tmp_path, None, 2)
    assert text.startswith("# Data card: `table.index` Table 'toy': cells of space 1, ")
    assert "8x8 pixels, 1 channel, 10 classes. 600 for train, 600 for validation, 597 for test" in text
    assert "3 stacks" in text
    assert "12 epochs of 10 batches of 60" in text
    hours = f"{(len(jobs) - 1) / 2:.2g} hours of processor time and 0.5 hours of a GPU"
    assert f"40 of 40 cells (100.0 %): 40 with 2 repeats. 80 trainings, {hours}." in text
    assert "not in the table" not in text
    lowest, highest = (pick(int(cell.hash[:2], 16) / 256 - 0.01 for cell in CELLS) for pick in (min, max))
    assert f"worst cell {lowest:.4f}, best cell {highest:.4f}".replace("0.", ".") in text
    # the two repeats differ by the same in every cell: they agree on the ranks
    assert "| rank correlation between two repeats; test, validation | 1.000, 1.000 |" in text
    assert f"| standard deviation between repeats of a cell | {0.02 / math.sqrt(2):.4f} |".replace("0.", ".") in text
    assert text.endswith("**Make it again.** `make it`")


def test_card_of_an_incomplete_table_says_what_is_missing(tmp_path: Path) -> None:
    jobs = plan_jobs(CELLS, 2)
    first = len(jobs) // 2 - 1
    cells = sum(len(job.cells) for job in jobs[:first])
    text = card(tmp_path, first, 2)
    assert f"{cells} of 40 cells ({100 * cells / 40:.1f} %): {cells} with 1 repeat." in text
    assert f"Table 'toy ({cells} of 40 cells of space 1)'" in text
    assert "The others are not in the table" in text
    assert "| rank correlation between two repeats; test, validation | n/a, n/a |" in text
    assert "| noise ceiling: the best rank correlation with the means of 1 " in text


def test_statistics_of_repeats_are_of_the_cells_that_have_all(tmp_path: Path) -> None:
    jobs = plan_jobs(CELLS, 2)
    text = card(tmp_path, len(jobs) // 2 + 3, 2)
    both = sum(len(job.cells) for job in jobs[:3])
    assert f"40 of 40 cells (100.0 %): {both} with 2 repeats, {40 - both} with 1 repeat." in text
    assert "(means of 2)" in text


def test_card_of_a_few_cells_has_no_statistics(tmp_path: Path) -> None:
    text = card(tmp_path, 1, 1)
    assert len(plan_jobs(CELLS, 1)[0].cells) < 8
    assert "mean" in text
    assert "noise ceiling" not in text
