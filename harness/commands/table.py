"""`python -m harness.table`: print what a table says about a search space, and draw it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import OneLineParser, positive_integer, run_command

if TYPE_CHECKING:
    from harness.tables.query import Table
    from harness.tables.truths import Truths


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the truths of a space, and draw them.

    Raises:
        UserError: the table cannot be read, or has no cell of the space or of the epoch budget.
    """
    options = _parser().parse_args(arguments)

    from harness.tables.report_text import report_lines
    from harness.tables.truths import Truths

    truths = Truths(_table(options), options.space, options.epochs)
    for line in [*report_lines(truths), *_draw(truths, options.out)]:
        print(line)
    return 0


def _table(options: argparse.Namespace) -> Table:
    if options.table is not None:
        from harness.tables.open import open_table

        return open_table(options.table)
    from harness.benchmarks.registry import get_benchmark

    return get_benchmark(options.bench).table(options.space)


def _draw(truths: Truths, out: Path) -> list[Path]:
    """Draw the figure, and say where it lies."""
    from harness.tables.report_text import figure_content
    from plots.drawing import style
    from plots.figures.truths import NAME, SpaceTruths, csv_text, draw

    content = SpaceTruths(**figure_content(truths))
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"{NAME}_{truths.table.info.label}_space{truths.space.number}"
    return style.save(draw(content), stem, csv_text(content))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.table",
        description="What a table says about a search space: the optimum, the distribution of errors, what random "
        "search would find (exact), the noise between repeats, and the published minima.",
    )
    parser.add_argument("--space", type=int, choices=(1, 2, 3), required=True, help="search space")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bench", default="nb101", metavar="NAME|FILE.toml", help="whose table (default: nb101)")
    source.add_argument("--table", type=Path, metavar="INDEX", help="an index made by `python -m harness.prepare`")
    parser.add_argument(
        "--epochs", type=positive_integer, metavar="N", help="epoch budget (default: the table's largest)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("results/figures"),
        help="where the figure goes, with the best cell drawn (default: results/figures)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
