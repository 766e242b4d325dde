"""`python -m harness.crosscheck FILE`: our index against the official API, on the same file and in the same run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, positive_integer, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print what was found.

    Returns:
        0 if everything is equal, else 1.

    Raises:
        UserError: the file cannot be read, or the official API is not installed.
    """
    options = _parser().parse_args(arguments)
    from harness.tables.comparison import crosscheck

    return crosscheck(options.file, options.cells, options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.crosscheck",
        description="Compare our index with the official NAS-Bench-101 API on the same file: every number of a sample "
        "of cells, and what loading and asking costs. Needs TensorFlow and nasbench (see environment.yml).",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a TFRecord, plain, .xz or .gz")
    parser.add_argument("--cells", type=positive_integer, default=10_000, metavar="N", help="cells to compare (10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (0)")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
