"""What trust costs: the checksum of each line and the hash of each checkpoint, as a share of an epoch on `digits`.

    python -m benchmarks.trust                  # DARTS in space 1, 6 epochs
    python -m benchmarks.trust --optimizer sdarts_adv --epochs 10

One search, in this process, at the benchmark's own scale. Both are timed inside of it by the processor's clock, which
other work on the machine does not move, and so is the epoch that they are a part of; a figure is the median over the
epochs after the first. What waits for the disk (`fsync` of file and folder) takes no processor; it is timed by the
clock on the wall, and says how fast the disk is.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch

from harness.launch.plan import plan_all
from harness.launch.pool import Link
from harness.launch.provenance import processor
from harness.launch.request import Request
from harness.launch.seed import run_seed
from harness.records import files, run_folder, seal
from harness.search import loop

Seconds = dict[str, float]


class Epochs:
    """In the place of a job's link: takes the time at every line.

    Attributes:
        spent: what the parts have taken since the last line, by name.
        epochs: the same of each epoch, with `epoch`, the processor's time of all of it.
    """

    def __init__(self) -> None:
        self.spent: Seconds = defaultdict(float)
        self.epochs: list[Seconds] = []
        self._began = time.process_time()

    def tell(self, content: Any) -> None:
        """A line more."""
        now = time.process_time()
        self.epochs.append({**self.spent, "epoch": now - self._began})
        self.spent.clear()
        self._began = now

    def stopped(self) -> bool:
        """Never."""
        return False


def measure(optimizer: str, epochs: int) -> list[Seconds]:
    """What each epoch of a search took, from the one before any training on."""
    heard = Epochs()
    with (
        tempfile.TemporaryDirectory() as results,
        contextlib.ExitStack() as timed,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        request = Request(
            "digits", 1, optimizer, [0], epochs, Path(results), device="cpu", command=["benchmarks.trust"]
        )
        timed.enter_context(_timed(loop, "check_of", heard.spent, "line", time.process_time))
        timed.enter_context(_timed(run_folder, "check_of", heard.spent, "line", time.process_time))
        timed.enter_context(_timed(run_folder, "check_after", heard.spent, "line", time.process_time))
        timed.enter_context(_timed(seal, "sealed", heard.spent, "checkpoint", time.process_time))
        timed.enter_context(_timed(os, "fsync", heard.spent, "disk", time.perf_counter))
        timed.enter_context(_timed(files, "sync_folder", heard.spent, "folder", time.perf_counter))
        (plan,) = plan_all([request])
        (seed,) = plan.pending
        run_seed(seed, cast(Link, heard))
    return heard.epochs


@contextlib.contextmanager
def _timed(module: object, name: str, spent: Seconds, part: str, clock: Callable[[], float]) -> Iterator[None]:
    """Add up what a function of a module takes, wherever the module calls it."""
    function = getattr(module, name)

    def called(*arguments: Any, **named: Any) -> Any:
        began = clock()
        try:
            return function(*arguments, **named)
        finally:
            spent[part] += clock() - began

    setattr(module, name, called)
    try:
        yield
    finally:
        setattr(module, name, function)


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", default="darts")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    _, *measured = measure(options.optimizer, options.epochs)
    medians = {
        part: statistics.median(epoch.get(part, 0.0) for epoch in measured)
        for part in ("epoch", "line", "checkpoint", "disk", "folder")
    }
    epoch = medians["epoch"]
    print(json.dumps({"cpu": processor(), "torch": torch.__version__, "epochs": len(measured), **medians}, indent=1))
    for part, words in (("line", "checksum of the line"), ("checkpoint", "hash of the checkpoint")):
        print(f"{words}: {1000 * medians[part]:.2f} ms of the processor, {100 * medians[part] / epoch:.3f} %")
    share = (medians["line"] + medians["checkpoint"]) / epoch
    print(f"together {100 * share:.3f} % of an epoch of {epoch:.2f} s of the processor ({options.optimizer})")
    waited, names = 1000 * medians["disk"], 1000 * medians["folder"]
    print(f"waiting for the disk: {waited:.1f} ms an epoch, of which {names:.1f} ms for names in folders")


if __name__ == "__main__":
    main()
