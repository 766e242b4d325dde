"""The plan of a table's trainings."""

from __future__ import annotations

import pytest

from harness.tabulation.jobs import JOB_SIZE, plan_jobs, shuffled_units
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return get_space(1).cells()[:200]


def test_plan_has_every_training_once_in_jobs_of_one_graph(cells: list[Cell]) -> None:
    jobs = plan_jobs(cells, 3)
    trainings = [(cell.hash, job.repeat) for job in jobs for cell in job.cells]
    assert len(trainings) == len(set(trainings)) == 3 * len(cells)
    assert [job.number for job in jobs] == list(range(len(jobs)))
    assert [job.repeat for job in jobs] == sorted(job.repeat for job in jobs)
    for job in jobs:
        assert len(job.cells) <= JOB_SIZE
        assert len({cell.matrix.tobytes() for cell in job.cells}) == 1


def test_more_repeats_leave_the_jobs_there_were(cells: list[Cell]) -> None:
    assert plan_jobs(cells, 3)[: len(plan_jobs(cells, 1))] == plan_jobs(cells, 1)


def test_units_are_all_jobs_once_repeat_by_repeat_in_no_order_of_graphs(cells: list[Cell]) -> None:
    jobs = plan_jobs(cells, 2)
    units = shuffled_units(jobs, 1)
    assert sorted(job.number for unit in units for job in unit) == [job.number for job in jobs]
    assert all(len(unit) == 1 for unit in units)
    assert [unit[0].repeat for unit in units] == [job.repeat for job in jobs]
    assert [unit[0].number for unit in units] != [job.number for job in jobs]
    assert shuffled_units(jobs, 1) == units


def test_a_larger_unit_holds_jobs_of_one_graph_and_one_repeat(cells: list[Cell]) -> None:
    jobs = plan_jobs(cells, 2)
    units = shuffled_units(jobs, 4)
    assert sorted(job.number for unit in units for job in unit) == [job.number for job in jobs]
    assert max(map(len, units)) == 4
    for unit in units:
        assert len({job.repeat for job in unit}) == 1
        assert len({cell.matrix.tobytes() for job in unit for cell in job.cells}) == 1
