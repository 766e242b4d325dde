"""Methods are picked by name or by pattern, and a pattern that picks nothing is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun


@pytest.mark.parametrize(
    ("patterns", "picked"),
    [
        ((), ["darts", "sdarts_adv@a[1]", "sdarts_rs"]),
        (("darts",), ["darts"]),
        (("sdarts*",), ["sdarts_adv@a[1]", "sdarts_rs"]),
        (("*@*", "darts"), ["darts", "sdarts_adv@a[1]"]),
        (("sdarts_adv@a[1]",), ["sdarts_adv@a[1]"]),
        (("DARTS",), []),
    ],
)
def test_a_pattern_picks_as_in_a_shell(patterns: tuple[str, ...], picked: list[str]) -> None:
    methods = ["darts", "sdarts_adv@a[1]", "sdarts_rs"]
    assert [method for method in methods if Picking(patterns).picks(method)] == picked


def test_what_is_not_picked_is_not_read_and_no_failure(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "gdas", "nasp"):
        write_run(method, 0, [0.5, 0.4])
    (tmp_path / "digits/space1/gdas/seed0/epochs.jsonl").write_text("?\n")
    found = survey(tmp_path, picking=Picking(("d*",)))
    assert [method.name for method in found.comparisons[0].methods] == ["darts"]
    assert (found.left_out, found.passed_over) == ((), ("gdas", "nasp"))
    assert survey(tmp_path).passed_over == ()


def test_a_collection_inside_stays_out_although_no_run_of_the_outer_one_is_picked(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("darts", 0, [0.5, 0.4])
    write_run("gdas", 0, [0.5, 0.4], root=tmp_path / "older")
    assert survey(tmp_path, picking=Picking(("gdas",))).comparisons == ()


def test_a_pattern_that_picks_nothing_is_refused_with_what_there_is(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.5, 0.4])
    write_run("gdas", 0, [0.5, 0.4])
    picking = Picking(("gdas", "nsap"))
    with pytest.raises(UserError, match=r"--only: expected a method .* got 'nsap'; known: darts, gdas"):
        survey(tmp_path, picking=picking).check(picking)
    survey(tmp_path).check(EVERYTHING)
