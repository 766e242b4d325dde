"""A comparison from question to answer: what a command line asks, the runs that count, text and files."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from harness.errors import UserError, printable
from harness.records.files import write_atomically
from plots.judgement import black_box
from plots.judgement.files import write
from plots.judgement.findings import Question
from plots.judgement.judging import judge
from plots.judgement.latex import latex_text
from plots.judgement.measures import MEASURES
from plots.judgement.text import as_text
from plots.runs.black_box import survey_black_box
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.survey import survey


def asked_question(metric: str, family: str, baseline: str | None, epochs: int | None) -> Question:
    """The question that a command line asks; see `Question` for what each part means.

    Raises:
        UserError: there is no such measure.
    """
    if metric not in MEASURES:
        raise UserError(f"--metric: expected list or one of {', '.join(MEASURES)}, got {metric!r}")
    return Question(metric, family, baseline or Question().baseline, epochs)


def check_baseline(baseline: str | None, judged: Iterable[str]) -> None:
    """Refuse a baseline asked for that is none of the methods judged, where any is.

    Raises:
        UserError: it is none of them.
    """
    names = sorted(set(judged))
    if baseline and names and baseline not in names:
        raise UserError(f"--baseline: expected one of {', '.join(names)}, got {baseline!r}")


def compare(
    results: Path,
    question: Question,
    baseline: str | None,
    out: Path | None,
    picking: Picking = EVERYTHING,
    latex: bool = False,
) -> None:
    """Print what the runs at or below a folder show, write it as CSV and JSON, and print the path of each file.

    What black-box methods recorded there comes first.

    Args:
        results: the folder.
        question: what is asked.
        baseline: the method that the command line names to compare with; None where it names none.
        out: where to write; None for `statistics` in the folder.
        picking: which methods are compared.
        latex: whether to write tables for LaTeX, too, as `tables.tex`.

    Raises:
        UserError: no run counts, or there is no such baseline or method.
        RunFolderError: there is no such folder.
    """
    found = survey(results, picking=picking)
    judgement = judge(found, question)
    groups, left_out = survey_black_box(results, picking)
    black_box_methods = {method.method for group in groups for method in group.methods}
    if groups:
        against = baseline if baseline in black_box_methods else None
        print(black_box.as_text(groups, left_out, against), end="")
        for path in black_box.write(groups, out or results / "statistics"):
            print(path)
        if not judgement.blocks:
            check_baseline(baseline, black_box_methods)
            for folder in judgement.left_out:
                print(printable(f"left out: {folder}"), file=sys.stderr)
            return
        print()
    else:
        found.check(picking)
    if not judgement.blocks:
        reasons = "; ".join(f"{one.path}: {one.reason}" for one in judgement.left_out[:3]) or "it holds none"
        raise UserError(
            f"{results}: no run counts ({reasons}{', ...' if len(judgement.left_out) > 3 else ''}); "
            "`python -m harness.run` makes one, --epochs counts unfinished ones"
        )
    judged = {method.name for block in judgement.blocks for method in block.methods}
    check_baseline(baseline, judged | black_box_methods)
    print(printable(as_text(judgement)), end="")
    statistics = out or results / "statistics"
    written = write(judgement, statistics)
    if latex:
        write_atomically(statistics / "tables.tex", latex_text(judgement).encode())
        written.append(statistics / "tables.tex")
    for path in written:
        print(path)
