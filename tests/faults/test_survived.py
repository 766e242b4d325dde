"""Every fault of the table that is to be survived is, as promised; a file of its own, so that two cores share them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.case import Survival
from tests.faults.table import CASES

SURVIVED = [case for case in CASES if isinstance(case, Survival)]


@pytest.mark.parametrize("case", SURVIVED, ids=[f"{case.group}-{number}" for number, case in enumerate(SURVIVED)])
def test_a_fault_is_survived_as_promised(case: Survival, tmp_path: Path) -> None:
    case.meet(tmp_path)
