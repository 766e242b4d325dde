"""Measure a table: train cells from scratch, all of a space or chosen ones, and write what was measured.

python -m harness.tabulate --images digits --space 1 --repeats 3 --out data/digits_space1.index
python -m harness.tabulate --images cifar10-jpeg.toml --cells chosen.jsonl --device cuda
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, positive_integer, positive_number, run_command
from harness.tabulation.jobs import JOB_SIZE
from harness.tabulation.making import Tabulation, tabulate
from harness.tabulation.measuring import CUDA_WORKERS
from harness.tabulation.training import Recipe


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, then write the table.

    Returns:
        0, or 130 after Ctrl-C.

    Raises:
        UserError, OSError: as `tabulate`.
    """
    options = vars(_parser().parse_args(arguments))
    recipe = Recipe(**{field.name: options.pop(field.name) for field in dataclasses.fields(Recipe)})
    return tabulate(Tabulation(recipe=recipe, **options))


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.tabulate",
        description="Make a table by training cells from scratch, all of a space or those of a file. "
        "Stop it at any time; the same command goes on, and --write-only makes a table of what there is.",
    )
    add = parser.add_argument
    add(
        "--images",
        default="digits",
        metavar="BENCH",
        help="benchmark whose images are used, by name or .toml file (default: digits)",
    )
    add("--space", type=int, choices=(1, 2, 3), default=1, help="search space (default: 1)")
    add("--repeats", type=positive_integer, default=3, metavar="N", help="trainings of each cell (default: 3)")
    add(
        "--cells",
        type=Path,
        metavar="FILE",
        help="train these cells instead of a whole space: a line each, a hash of --space, or JSON with matrix and ops",
    )
    add("--first", type=positive_integer, metavar="N", help="only the first N cells, for a trial")
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="the index to write (default: in the data folder); a .tfrecord beside it",
    )
    add("--work", type=Path, metavar="DIR", help="where measurements collect (default: beside the index)")
    add(
        "--workers",
        type=positive_integer,
        metavar="N",
        help=f"processes, of one thread each (default: one a core; {CUDA_WORKERS} that share a GPU)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where cells are trained (default: cpu)")
    add(
        "--together",
        type=positive_integer,
        default=JOB_SIZE,
        metavar="N",
        help=f"cells of a job, trained together; fewer take less memory (default: {JOB_SIZE})",
    )
    add(
        "--stop-after",
        type=positive_number("a number of minutes"),
        metavar="MINUTES",
        help="stop measuring then, and write the table of what there is",
    )
    add("--label", metavar="NAME", help="what results call the table (default: the benchmark's name)")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--write-only", action="store_true", help="measure nothing more")
    parts.add_argument("--measure-only", action="store_true", help="write no table yet")
    for name, default in dataclasses.asdict(Recipe()).items():
        kind = int if isinstance(default, int) else float
        add(f"--{name.replace('_', '-')}", type=kind, default=default, metavar="X", help=f"recipe (default: {default})")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
