"""A table judge answers with the table's own numbers, whatever the table is of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from harness.benchmarks.registry import get_benchmark
from harness.judges.base import UNKNOWN, JudgeInfo, Verdict
from harness.judges.table import TableJudge
from harness.tables.query import CellMetrics, CellNotInTable, Table
from harness.tables.space_table import SpaceTable, cell_of, of_space
from harness.tables.truths import Truths
from spaces.base import Architecture
from spaces.nb101.cell import Cell
from spaces.nb101.space import get_space
from tests.support.cell_architecture import CellArchitecture
from tests.support.two_groups import TwoGroupsArchitecture

SKIPS = TwoGroupsArchitecture({"normal": (0, 0, 0), "reduce": (0, 0, 0)})


@pytest.fixture(scope="module")
def table() -> Table:
    return get_benchmark("digits").table(1)


def test_answers_are_the_tables_at_every_epoch(table: Table) -> None:
    judge = TableJudge(SpaceTable(table, get_space(1)))
    for cell in get_space(1).cells()[::500]:
        metrics = table.query(cell)
        verdict = Verdict(metrics.test_error, metrics.valid_error, 3)
        assert verdict == judge.judge(CellArchitecture(cell), 0, last=False)
        assert verdict == judge.judge(CellArchitecture(cell), 7, last=True)
        assert json.loads(json.dumps(verdict.record())) == {
            "test_error": metrics.test_error,
            "valid_error": metrics.valid_error,
            "repeats": 3,
        }


def test_truths_are_those_of_the_space(table: Table) -> None:
    assert TableJudge(SpaceTable(table, get_space(1))).truths(5) == Truths(table, get_space(1)).record(5)


def test_architecture_that_the_table_does_not_hold_is_unknown(table: Table) -> None:
    held = set(table.hashes())
    stranger = next(cell for cell in get_space(2).cells() if cell.hash not in held)
    verdict = TableJudge(SpaceTable(table, get_space(1))).judge(CellArchitecture(stranger), 3, last=True)
    assert verdict == UNKNOWN
    assert verdict.record() == {"test_error": None, "valid_error": None, "repeats": 0}


def test_info_tells_where_the_numbers_come_from(table: Table) -> None:
    info = SpaceTable(table, get_space(1), kind="measured").info
    assert info == JudgeInfo("digits", "measured", table.info.source_sha256, noise_known=True)
    assert SpaceTable(table, get_space(1)).info.kind == "stand-in"


def test_cells_can_be_looked_up_by_another_than_the_index(table: Table) -> None:
    asked: list[Cell] = []

    class Official:
        info = table.info

        def query(self, cell: Cell, /) -> CellMetrics:
            asked.append(cell)
            raise CellNotInTable("not there")

    cell = get_space(1).cells()[0]
    assert SpaceTable(table, get_space(1), answering=Official).lookup(CellArchitecture(cell)) == UNKNOWN
    assert asked == [cell]


def test_table_of_another_kind_of_space_needs_two_answers() -> None:
    class Strings:
        info = JudgeInfo("strings", "measured", "0" * 64)

        def lookup(self, architecture: Architecture) -> Verdict:
            return Verdict(0.25, 0.5, 1) if architecture.key == SKIPS.key else UNKNOWN

        def truths(self, epochs: int) -> dict[str, Any]:
            return {"optimum": {"test_error": 0.25}}

    judge = TableJudge(of_space(Strings(), space=None))
    assert judge.info.label == "strings"
    assert judge.judge(SKIPS, 4, last=False).test_error == 0.25
    assert judge.truths(3) == {"optimum": {"test_error": 0.25}}


def test_architecture_of_another_space_is_no_cell() -> None:
    with pytest.raises(TypeError, match="expected an architecture of a NAS-Bench-101 space, got TwoGroupsArchitecture"):
        cell_of(SKIPS)


def test_a_judge_by_table_needs_no_torch_to_be_imported() -> None:
    code = (
        "import sys, harness.judges.table, harness.judges.none, harness.judges.registry; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
