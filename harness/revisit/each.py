"""Going through runs and epochs whose checkpoints are looked at again, and under what conditions that is done.

Nothing here imports torch before there is work to do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError, printable
from harness.records.config import method_name, table_label, table_sha256
from harness.records.journal import ResultError
from harness.records.run_folder import RunFolder, find_runs

if TYPE_CHECKING:
    from harness.revisit.search import Revisited


def revisit_each(
    paths: Sequence[Path],
    epochs: Sequence[int] | None,
    work: Callable[[Revisited], None],
    *,
    bench: str | None = None,
    device: str = "auto",
    optimizer: str | None = None,
    space: str | None = None,
) -> list[RunFolder]:
    """Do some work for every run and epoch asked for; what cannot be done is said on stderr, and the rest done.

    Args:
        paths: run folders, or folders above them.
        epochs: those whose checkpoints are looked at; None for the last of each run.
        work: is given each search as it was then.
        bench: the benchmark, where it came from a file.
        device: auto, cpu or cuda.
        optimizer: the method as `module:Class`, where runs are of one that is not built in.
        space: the space as `module:NAME`, likewise.

    Returns:
        the runs of which something was done.

    Raises:
        UserError: nothing can be done.
        RunFolderError: there is no run.
    """
    from harness.revisit.search import revisit

    runs = {run.path.resolve(): run for path in paths for run in find_runs(path)}
    each: Sequence[int | None] = epochs or [None]
    asked = [(run, epoch) for run in runs.values() for epoch in each]
    done: dict[Path, RunFolder] = {}
    for run, epoch in asked:
        try:
            work(revisit(run, epoch, bench=bench, device=device, optimizer=optimizer, space=space))
        except (UserError, ResultError) as reason:
            if len(asked) == 1:
                raise
            print(printable(f"left out: {reason}"), file=sys.stderr)
        else:
            done[run.path] = run
    if not done:
        raise UserError("nothing could be computed, for the reasons above")
    return list(done.values())


def conditions(then: Revisited) -> dict[str, Any]:
    """Under what conditions something is computed from a checkpoint, as JSON."""
    import torch

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
        "images": search.validation.count,
        "augmented": search.config.validation.augment,
        "refreshed_statistics": search.config.validation.refresh_statistics,
        "checkpoint_sha256": then.checkpoint_sha256,
        "device": torch.cuda.get_device_name() if search.validation.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }
