"""What the commands that revisit runs have in common: their arguments, and going through runs and epochs.

Nothing here imports torch before there is work to do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import OneLineParser, UserError
from harness.records.run_folder import RunFolder, find_runs

if TYPE_CHECKING:
    from harness.revisit.search import Revisited


def add_arguments(parser: OneLineParser) -> None:
    """The arguments that say which runs and epochs, on what, and where figures go."""
    add = parser.add_argument
    add("runs", metavar="RUN", type=Path, nargs="+", help="a seed's folder, or one above: then all seeds below it")
    add(
        "--epoch",
        type=_epoch,
        nargs="+",
        metavar="E",
        help="epochs whose checkpoints are there, `harness.run --keep` keeps them (default: the last)",
    )
    add("--bench", metavar="FILE.toml", help="the benchmark, where it is not a built-in one")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: cuda where there is one")
    add("--out", metavar="DIR", type=Path, help="where the figure goes (default: RESULTS/figures)")


def revisit_each(options: argparse.Namespace, work: Callable[[Revisited], None]) -> list[RunFolder]:
    """Do some work for every run and epoch asked for; what cannot be done is said on stderr, and the rest done.

    Returns:
        the runs of which something was done.

    Raises:
        UserError: nothing can be done.
        RunFolderError: there is no run.
    """
    from harness.revisit.search import revisit

    runs = {run.path.resolve(): run for path in options.runs for run in find_runs(path)}
    asked = [(run, epoch) for run in runs.values() for epoch in options.epoch or [None]]
    done: dict[Path, RunFolder] = {}
    for run, epoch in asked:
        try:
            work(revisit(run, epoch, bench=options.bench, device=options.device))
        except UserError as reason:
            if len(asked) == 1:
                raise
            print(f"left out: {reason}", file=sys.stderr)
        else:
            done[run.path] = run
    if not done:
        raise UserError("nothing could be computed, for the reasons above")
    return list(done.values())


def conditions(then: Revisited) -> dict[str, Any]:
    """Under what conditions something is computed from a checkpoint, as JSON."""
    import torch

    from plots.runs.records import method_name, table_label, table_sha256

    search = then.search
    return {
        "format": 1,
        "bench": then.record["bench"],
        "space": then.record["space"],
        "method": method_name(then.record),
        "seed": then.record["seed"],
        "epoch": then.epoch,
        "table": table_label(then.record),
        "table_sha256": table_sha256(then.record),
        "scale": then.record["scale"],
        "images": search.validation.n,
        "augmented": search.task.config.validation.augment,
        "refreshed_statistics": search.task.config.validation.refresh_statistics,
        "checkpoint_sha256": then.checkpoint_sha256,
        "device": torch.cuda.get_device_name() if search.validation.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def draw_for(runs: Sequence[RunFolder], out: Path | None, write: Callable[[Path, Path], list[Path]]) -> None:
    """Draw what the results folders of some runs hold, and print the path of each file.

    Args:
        runs: the runs.
        out: where to write; None for the results folder's `figures`.
        write: draws what lies at or below a folder, and gives the paths written.
    """
    from plots.runs.records import results_folder

    for home in sorted({results_folder(run.path) for run in runs}):
        for path in write(home, out or home / "figures"):
            print(path)


def _epoch(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected an epoch, 0 or more, got {text!r}")
    return number
