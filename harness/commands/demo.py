"""`python -m harness.demo`: the main job on the embedded benchmark, start to figures, in minutes on a laptop."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, positive_integer, run_command

OPTIMIZERS = ("darts", "sdarts_rs", "sdarts_adv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Search space 1 on digits with DARTS and both SDARTS, then draw the figures.

    Returns:
        the status of the first search that failed, or 0.
    """
    options = _parser().parse_args(arguments)
    started = time.monotonic()

    from harness.launch.launching import launch
    from harness.launch.request import Request
    from plots.figures.writing import draw_overview

    for optimizer in OPTIMIZERS:
        command = ["--bench", "digits", "--space", "1", "--optimizer", optimizer, "--seeds", str(options.seeds)]
        command += ["--epochs", str(options.epochs), "--results", str(options.results)]
        print(f"$ python -m harness.run {' '.join(command)}", flush=True)
        request = Request(
            bench="digits",
            space=1,
            optimizer=optimizer,
            seeds=range(options.seeds),
            epochs=options.epochs,
            results=options.results,
            command=["python", "-m", "harness.run", *command],
        )
        if status := launch([request]):
            return status
    results = options.results / "digits"
    print(f"$ python -m harness.plot {results}", flush=True)
    draw_overview(results, None)
    print(f"done in {time.monotonic() - started:.0f} s; look at the figures in {results / 'figures'}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog="python -m harness.demo", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    parser.add_argument("--epochs", type=positive_integer, default=100, metavar="N", help="default: 100")
    parser.add_argument("--seeds", type=positive_integer, default=2, metavar="N", help="default: 2")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
