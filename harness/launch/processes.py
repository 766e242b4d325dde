"""Seeds side by side in one pool, whichever request they are of.

Every seed runs in a process of its own with a fixed number of threads, so that it computes to the bit what it would
compute alone. This process alone writes to the terminal.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.launch.pool import EXIT_INTERRUPTED, Failure, Job, Pool
from harness.launch.progress import Progress
from harness.launch.seed import Seed, run_seed
from harness.records.run_folder import Line

OnEpoch = Callable[[Path, Line], None]
"""Is told the run folder of a seed and its new line, as `epochs.jsonl` holds it."""


def run_seeds(seeds: Sequence[Seed], workers: int, on_epoch: OnEpoch | None = None) -> int:
    """Run seeds in their order, telling how they get on; one that fails says why, and the others go on.

    Args:
        seeds: what to run.
        workers: how many side by side.
        on_epoch: called in this process with each new line, after it was recorded.

    Returns:
        exit status: 0, 2 if a seed failed for a reason the user can mend, 1 if for another, 130 if interrupted.
    """
    by_key = {str(seed.path): seed for seed in seeds}
    progress, failures = Progress(), list[Failure]()

    def told(key: str, line: Line) -> None:
        progress.line(by_key[key], line)
        if on_epoch is not None:
            on_epoch(by_key[key].path, line)

    def ended(key: str, failure: Failure | None) -> None:
        seed = by_key[key]
        progress.end(seed)
        if failure:
            failures.append(failure)
            progress.say(f"{seed.label}: {failure.text}", error=not failure.died)

    pool = Pool(workers, told, ended, lambda key: progress.begin(by_key[key]))
    try:
        pool.run([Job(key, run_seed, seed) for key, seed in by_key.items()])
    finally:
        progress.close()
    if not pool.interrupted:
        return max((failure.status for failure in failures), default=0)
    command = shlex.join(seeds[0].request.command)
    print(f"interrupted; every recorded epoch is kept. The same command goes on from there: {command}", file=sys.stderr)
    return EXIT_INTERRUPTED
