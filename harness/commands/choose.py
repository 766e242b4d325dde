"""`python -m harness.choose RESULTS`: choose among variants of a method by the supernet's validation accuracy."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the choice for each method that has variants at or below a folder.

    Raises:
        UserError: there is nothing to choose among.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)

    from plots.judgement.choosing import print_choices

    print_choices(options.results)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.choose",
        description="Choose among the variants of a method (OPTIMIZER@NAME), seed by seed, by the supernet's "
        "validation accuracy after the last epoch; then tell the chosen cells' test errors, which the choice does not "
        "see. `python -m harness.run --grid` runs variants.",
    )
    parser.add_argument("results", metavar="RESULTS", type=Path, help="the folder given to `harness.run --results`")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
