"""Every fault of the table that is to be refused ends in one line, and the page of all faults is up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import run_command
from tests.faults.case import Case
from tests.faults.table import CASES, PAGE, page

REFUSED = [case for case in CASES if isinstance(case, Case)]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{case.group}-{number}" for number, case in enumerate(REFUSED)])
def test_a_fault_is_one_line_and_the_promised_status(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command(lambda: case.make(tmp_path))
    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines)) == (case.status, 1), case.fault
    assert lines[0].startswith("error: ")
    assert case.words in lines[0]
    assert len(lines[0]) < 1000


def test_the_page_of_faults_is_that_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.faults.table`"


def test_no_fault_stands_in_the_table_twice_and_there_are_two_hundred() -> None:
    assert len({(case.group, case.fault) for case in CASES}) == len(CASES) >= 200
