"""`python -m harness.compare RESULTS`: what the runs at or below a folder show about their methods."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import OneLineParser, UserError, positive_integer, run_command

if TYPE_CHECKING:
    from plots.judgement.findings import Question

# As in plots.findings, which takes a second to import; a test holds them together.
FAMILIES = ("baseline", "all-pairs")


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison, write it as CSV and JSON, and print the path of each file.

    Raises:
        UserError: no run counts, or there is no such measure or baseline.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)

    from plots.judgement.files import write
    from plots.judgement.judging import judge
    from plots.judgement.text import as_text, measures_text
    from plots.runs.survey import survey

    if options.metric == "list":
        print(measures_text(), end="")
        return 0
    question = asked_question(options)
    if options.results is None:
        raise UserError("expected RESULTS, the folder given to `harness.run --results` (see --help)")
    judgement = judge(survey(options.results), question)
    if not judgement.blocks:
        reasons = "; ".join(f"{one.path}: {one.reason}" for one in judgement.left_out[:3]) or "it holds none"
        raise UserError(
            f"{options.results}: no run counts ({reasons}{', ...' if len(judgement.left_out) > 3 else ''}); "
            "`python -m harness.run` makes one, --epochs counts unfinished ones"
        )
    check_baseline(options, (method.name for block in judgement.blocks for method in block.methods))
    print(as_text(judgement), end="")
    for path in write(judgement, options.out or options.results / "statistics"):
        print(path)
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
    add_question(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: RESULTS/statistics)")
    return parser


def add_question(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is asked of the runs."""
    add = parser.add_argument
    add(
        "--metric",
        default="final_error",
        metavar="NAME",
        help="the measure that is tested and ranked (default: final_error); `list` prints them",
    )
    add(
        "--family",
        choices=FAMILIES,
        default="baseline",
        help="the tests that Holm adjusts together: each method against one, or all pairs (default: baseline)",
    )
    add("--baseline", metavar="METHOD", help="that one, with its @NAME (default: darts)")
    add(
        "--epochs",
        type=positive_integer,
        metavar="N",
        help="judge every run after epoch N, also unfinished ones (default: finished runs, after their last)",
    )


def asked_question(options: argparse.Namespace) -> Question:
    """What those arguments ask.

    Raises:
        UserError: there is no such measure.
    """
    from plots.judgement.findings import Question
    from plots.judgement.measures import MEASURES

    if options.metric not in MEASURES:
        raise UserError(f"--metric: expected list or one of {', '.join(MEASURES)}, got {options.metric!r}")
    return Question(options.metric, options.family, options.baseline or "darts", options.epochs)


def check_baseline(options: argparse.Namespace, judged: Iterable[str]) -> None:
    """Refuse a baseline asked for that is none of the methods judged, where any is.

    Raises:
        UserError: it is none of them.
    """
    names = sorted(set(judged))
    if options.baseline and names and options.baseline not in names:
        raise UserError(f"--baseline: expected one of {', '.join(names)}, got {options.baseline!r}")


if __name__ == "__main__":
    sys.exit(run_command(main))
