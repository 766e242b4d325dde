"""`python -m harness.compare RESULTS`: what the runs at or below a folder show about their methods."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.cli import OneLineParser, add_only, add_question, run_command
from harness.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison, write it as CSV and JSON, and print the path of each file.

    Raises:
        UserError: no run counts, or there is no such measure, baseline or method.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)

    if options.claims:
        if options.results is None:
            raise UserError("expected RESULTS, the folder given to `harness.run --results` (see --help)")
        asked = {name: getattr(options, name) for name in ("metric", "family", "baseline", "epochs", "only")}
        if given := [name for name, value in asked.items() if value != _parser().get_default(name)]:
            raise UserError(f"--claims has tests of its own; leave --{given[0]} away")
        if options.latex:
            raise UserError("--claims writes Markdown and CSV; leave --latex away")
        from plots.judgement.claims_text import report_claims

        report_claims(options.results, options.out)
        return 0

    from plots.judgement.comparing import asked_question, compare
    from plots.judgement.text import measures_text
    from plots.runs.picking import Picking

    if options.metric == "list":
        print(measures_text(), end="")
        return 0
    question = asked_question(options.metric, options.family, options.baseline, options.epochs)
    if options.results is None:
        raise UserError("expected RESULTS, the folder given to `harness.run --results` (see --help)")
    compare(options.results, question, options.baseline, options.out, Picking(tuple(options.only)), options.latex)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.compare",
        description="Compare the methods of every search at or below a folder, for each benchmark and space: means and "
        "medians with their intervals, exact tests with what they can and cannot detect, ranks. Finished runs count; "
        "what was left out is listed. CSV and JSON hold every number, errors as fractions.",
    )
    parser.add_argument(
        "results", metavar="RESULTS", type=Path, nargs="?", help="the folder given to `harness.run --results`"
    )
    add_only(parser)
    add_question(parser)
    parser.add_argument(
        "--claims",
        action="store_true",
        help="instead, what the runs say about the six claims of the SmoothDARTS paper on its figures 3, 4, 5 and "
        "table 5: supported, not supported, or cannot tell at this n",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: RESULTS/statistics)")
    parser.add_argument("--latex", action="store_true", help="write tables for LaTeX, too, as tables.tex")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
