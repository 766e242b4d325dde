"""Verdicts on the paper's claims: text for a terminal, a table in Markdown, and a CSV file of all statements."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import UserError, printable
from harness.records.files import write_atomically
from harness.records.run_folder import space_name
from plots.judgement.claims import MISSING, RULE, Statement
from plots.judgement.papers_claims import ClaimsOf, judge_claims
from plots.judgement.text import wrapped
from plots.runs.spreadsheet import Rows
from plots.runs.survey import survey

NAME = "claims"


def report_claims(results: Path, out: Path | None) -> None:
    """Print the verdicts that the finished runs at or below a folder allow, write them, and print each file's path.

    Args:
        results: the folder.
        out: where to write; None for `statistics` in the folder.

    Raises:
        UserError: no run is finished.
        RunFolderError: there is no such folder.
    """
    claims = judge_claims(survey(results))
    if not claims:
        raise UserError(f"{results}: no finished run here; `python -m harness.run` makes one")
    print(printable(claims_text(claims)), end="")
    folder = out or results / "statistics"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".csv", claims_csv(claims)), (".md", claims_markdown(claims))):
        write_atomically(folder / f"{NAME}{suffix}", text.encode())
        print(folder / f"{NAME}{suffix}")


def claims_text(claims: Sequence[ClaimsOf]) -> str:
    """Every claim with its verdict, and below it each statement with its numbers."""
    lines = []
    for benchmark in claims:
        lines += [f"== {benchmark.place}: the paper's claims", benchmark.conditions, ""]
        for number, verdict in enumerate(benchmark.verdicts, start=1):
            lines += wrapped(f"{verdict.figure}: {verdict.claim}", f"{number}. ", "   ")
            lines.append(f"   {verdict.told.upper()}")
            lines += [f"   {line}" for line in _statements(verdict.statements)]
            lines.append("")
    return "\n".join([*lines, *wrapped(RULE)]) + "\n"


def claims_markdown(claims: Sequence[ClaimsOf]) -> str:
    """A table for each benchmark, a row for each claim, and the rule."""
    lines = []
    for benchmark in claims:
        lines += [
            f"{benchmark.place} ({benchmark.conditions}):",
            "",
            "| | the paper's claim | this study shows | verdict |",
        ]
        lines.append("|---|---|---|---|")
        for verdict in benchmark.verdicts:
            cells = (verdict.figure, verdict.claim, verdict.shows, f"**{verdict.told}**")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, RULE]) + "\n"


def claims_csv(claims: Sequence[ClaimsOf]) -> str:
    """A row for each statement; a cell without a number is empty."""
    text = io.StringIO()
    writer = Rows(text)
    columns = ["bench", "table", "scale", "figure", "claim", "verdict", "space", "statement", "outcome", "n", "shown"]
    writer.writerow([*columns, "effect", "p", "holm_p"])
    for benchmark in claims:
        for verdict in benchmark.verdicts:
            where = [benchmark.bench, benchmark.table, benchmark.scale, verdict.figure, verdict.claim, verdict.told]
            for statement in verdict.statements:
                measured = [statement.text, statement.outcome, "/".join(map(str, statement.n)), statement.shown]
                numbers = (statement.effect, statement.p, statement.holm_p)
                cells = [number if math.isfinite(number) else "" for number in numbers]
                writer.writerow([*where, statement.space, *measured, *cells])
    return text.getvalue()


def _statements(statements: Sequence[Statement]) -> Iterator[str]:
    """A line or two for each statement."""
    for statement in statements:
        numbers = "" if statement.outcome == MISSING else f": {statement.numbers}"
        text = f"{statement.outcome}, {space_name(statement.space)}: {statement.text}{numbers}"
        yield from wrapped(text, "- ", "  ")
