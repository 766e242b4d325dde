"""The verdicts on the paper's claims: each of the three can be reached, and none without the evidence for it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from harness.commands.compare import main
from harness.errors import UserError
from plots.judgement.claims import (
    CANNOT_TELL,
    CONTRADICTED,
    HOLDS,
    MISSING,
    NOT_SUPPORTED,
    OPEN,
    SUPPORTED,
    Statement,
    Verdict,
    decide,
)
from plots.judgement.claims_text import claims_csv, claims_markdown
from plots.judgement.papers_claims import CLAIMS, ClaimsOf, judge_claims
from plots.runs.survey import survey
from tests.plots.conftest import WriteRun

NAN = float("nan")
DARTS, PENALTY, SMOOTHING, ATTACK, NORM, PARAMETER_FREE = range(6)


def statement(effect: float, p: float) -> Statement:
    return Statement("a below b", 1, (6, 6), effect, "1 against 2", p)


@pytest.mark.parametrize(
    ("statements", "verdict", "outcomes"),
    [
        ([(-1, 0.002), (-0.8, 0.05)], SUPPORTED, [HOLDS, HOLDS]),
        ([(-1, 0.002), (-0.8, 0.051)], CANNOT_TELL, [HOLDS, OPEN]),
        ([(-1, 0.002), (NAN, NAN)], CANNOT_TELL, [HOLDS, MISSING]),
        ([(-1, 0.002), (0.0, 1.0)], CANNOT_TELL, [HOLDS, OPEN]),
        ([(-1, 0.002), (1, 0.04)], NOT_SUPPORTED, [HOLDS, CONTRADICTED]),
        ([(-0.1, 0.9), (1, 0.04)], CANNOT_TELL, [OPEN, OPEN]),
        ([(-0.1, 0.9), (1, 0.025)], NOT_SUPPORTED, [OPEN, CONTRADICTED]),
        ([(NAN, NAN), (1, 0.04)], NOT_SUPPORTED, [MISSING, CONTRADICTED]),
    ],
)
def test_support_needs_every_statement_and_refusal_one_that_is_contradicted_after_holm(
    statements: list[tuple[float, float]], verdict: str, outcomes: list[str]
) -> None:
    found, judged = decide([statement(effect, p) for effect, p in statements])
    assert (found, [one.outcome for one in judged]) == (verdict, outcomes)


def test_a_claim_without_a_statement_is_not_supported_by_nothing() -> None:
    assert decide([])[0] == CANNOT_TELL


def write_seeds(write_run: WriteRun, method: str, seeds: int, late: float, space: int = 1, early: float = 0.1) -> None:
    """Ten epochs, whose errors are `early` until the eighth and then `late`, a little apart for each seed."""
    for seed in range(seeds):
        apart = seed / 10_000
        errors = [0.9, *[early + apart] * 8, *[late + apart] * 2]
        write_run(method, seed, errors, norms=[0.1 + apart, *[None] * 9, 0.1 * (1 + 100 * late) + apart], space=space)


def verdicts(tmp_path: Path) -> tuple[Verdict, ...]:
    (found,) = judge_claims(survey(tmp_path))
    return found.verdicts


def test_there_are_six_claims_about_the_figures() -> None:
    assert [figure for figure, _, _ in CLAIMS] == [
        "figures 3 and 4",
        "figure 3",
        "figure 4",
        "figure 4",
        "figure 5",
        "table 5",
    ]


def test_the_course_of_the_paper_supports_its_claims(write_run: WriteRun, tmp_path: Path) -> None:
    for space in (1, 2):
        ends = {"darts": 0.3, "gdas": 0.28, "nasp": 0.26, "pc_darts": 0.24, "enas": 0.22, "hessian_reg": 0.2}
        for method, late in {**ends, "sdarts_rs": 0.06, "sdarts_adv": 0.05}.items():
            write_seeds(write_run, method, 6, late, space)
    found = verdicts(tmp_path)
    assert [one.verdict for one in found[:NORM]] == [SUPPORTED] * 4
    assert found[NORM].verdict == SUPPORTED
    assert len(found[SMOOTHING].statements) == 10
    assert {one.space for one in found[DARTS].statements} == {1, 2}


def test_the_opposite_course_refutes_them(write_run: WriteRun, tmp_path: Path) -> None:
    ends = {"darts": 0.02, "gdas": 0.02, "nasp": 0.02, "pc_darts": 0.02, "enas": 0.02, "hessian_reg": 0.04}
    for method, late in {**ends, "sdarts_rs": 0.2, "sdarts_adv": 0.3}.items():
        write_seeds(write_run, method, 6, late)
    assert [one.told for one in verdicts(tmp_path)[: NORM + 1]] == [NOT_SUPPORTED] * 5


def test_one_space_against_is_enough_to_refuse(write_run: WriteRun, tmp_path: Path) -> None:
    write_seeds(write_run, "darts", 6, 0.3, space=1)
    write_seeds(write_run, "darts", 6, 0.02, space=2)
    claim = verdicts(tmp_path)[DARTS]
    assert claim.verdict == NOT_SUPPORTED
    assert [one.outcome for one in claim.statements] == [HOLDS, CONTRADICTED]
    assert "Contradicted: mean error of darts lower in the second fifth than in the last, space 2" in claim.shows


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_few_seeds_tell_nothing_however_clear_they_look(write_run: WriteRun, tmp_path: Path, seeds: int) -> None:
    for method, late in (("darts", 0.3), ("hessian_reg", 0.2), ("sdarts_rs", 0.06), ("sdarts_adv", 0.05)):
        write_seeds(write_run, method, seeds, late)
    assert {one.told for one in verdicts(tmp_path)[:NORM]} == {f"cannot tell at n = {seeds}"}


def test_a_missing_baseline_keeps_a_claim_open(write_run: WriteRun, tmp_path: Path) -> None:
    for method in ("darts", "gdas", "nasp", "pc_darts"):
        write_seeds(write_run, method, 6, 0.3)
    write_seeds(write_run, "sdarts_rs", 5, 0.05)
    claim = verdicts(tmp_path)[SMOOTHING]
    assert [one.outcome for one in claim.statements] == [HOLDS, MISSING, HOLDS, HOLDS, HOLDS]
    assert claim.told == "cannot tell at n = 5 to 6"
    assert claim.shows == "5 statements: 4 holds, 1 not recorded."
    assert verdicts(tmp_path)[PENALTY].told == "cannot tell: not recorded"


def test_two_tables_of_one_space_are_judged_apart(write_run: WriteRun, tmp_path: Path) -> None:
    for digest in ("aa", "bb"):
        table = {"label": "digits", "kind": "measured", "sha256": digest * 32}
        write_run("darts", 0, [0.9, 0.5], root=tmp_path / digest, table=table)
    assert [benchmark.spaces for benchmark in judge_claims(survey(tmp_path))] == [(1,), (1,)]


def test_unfinished_runs_do_not_count(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("darts", 0, [0.9, 0.5], epochs=4)
    assert judge_claims(survey(tmp_path)) == []


def test_cells_of_parameter_free_operations_are_counted(write_run: WriteRun, tmp_path: Path) -> None:
    pool, conv = "maxpool3x3", "conv3x3-bn-relu"
    chain = [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    for method, ops in (("darts", [pool, pool]), ("sdarts_rs", [pool, conv]), ("sdarts_adv", [conv, conv])):
        for seed in range(6):
            cells = {"matrix": [chain] * 2, "ops": [["input", *ops, "output"]] * 2}
            write_run(method, seed, [0.9, 0.5], entries=cells)
    claim = verdicts(tmp_path)[PARAMETER_FREE]
    assert claim.verdict == SUPPORTED
    assert claim.statements[0].shown == "100.00 % against 50.00 %"
    assert claim.statements[0].p == pytest.approx(2 / 64)


def written(tmp_path: Path) -> list[ClaimsOf]:
    return judge_claims(survey(tmp_path))


def test_the_table_has_a_row_for_each_claim_and_the_csv_one_for_each_statement(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_seeds(write_run, "darts", 6, 0.3)
    rows = [line for line in claims_markdown(written(tmp_path)).splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 6
    assert rows[1].startswith("| figures 3 and 4 | DARTS returns worse architectures")
    assert rows[1].endswith("| **supported** |")
    assert "10.03 % against 30.02 %, n 6/6, p 0.0022" in rows[1]
    found = list(csv.DictReader(io.StringIO(claims_csv(written(tmp_path)))))
    assert len(found) == 1 + 3 + 5 + 2 + 12 + 3
    assert (found[0]["verdict"], found[0]["outcome"], found[0]["n"]) == (SUPPORTED, HOLDS, "6/6")
    assert found[-1]["p"] == ""


def test_the_command_prints_the_verdicts_and_the_rule(
    write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(write_run, "darts", 2, 0.3)
    assert main([str(tmp_path), "--claims"]) == 0
    said = capsys.readouterr().out
    assert "CANNOT TELL AT N = 2" in said
    assert "A claim is supported where every" in " ".join(said.split())
    assert (tmp_path / "statistics" / "claims.md").is_file()
    assert str(tmp_path / "statistics" / "claims.csv") in said


def test_the_command_refuses_what_it_would_ignore(write_run: WriteRun, tmp_path: Path) -> None:
    write_seeds(write_run, "darts", 2, 0.3)
    with pytest.raises(UserError, match="--claims has tests of its own; leave --baseline away"):
        main([str(tmp_path), "--claims", "--baseline", "darts"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no finished run here"):
        main([str(tmp_path / "empty"), "--claims"])
