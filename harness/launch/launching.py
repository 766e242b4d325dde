"""Launching searches: plan what is asked for, run all seeds that are not finished, tell how they ended.

Ctrl-C (or SIGTERM) lets each seed finish the step it is in; what was recorded stays, and the same command goes on from
there. A second Ctrl-C ends all at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UserError
from harness.launch.plan import Plan, describe_all, plan_all
from harness.launch.pool import start_server
from harness.launch.processes import OnEpoch, run_seeds
from harness.launch.request import Request
from harness.launch.summary import has_diverged, summary


def launch(requests: Sequence[Request], dry_run: bool = False) -> int:
    """Run all seeds that are not finished, those of all requests in one pool.

    Returns:
        exit status: 0, 2 if a seed failed for a reason the user can mend, 1 if for another or if one has diverged,
        130 if interrupted.

    Raises:
        UserError: something cannot be run as asked; then nothing is.
    """
    if dry_run:
        describe_all(requests)
        return 0
    start_server(["harness.launch.seed_imports"])
    return launch_plans(plan_all(requests))


def launch_plans(plans: Sequence[Plan], on_epoch: OnEpoch | None = None) -> int:
    """Run all seeds of some plans that are not finished, in one pool, and tell how each ended.

    Args:
        plans: what to run.
        on_epoch: called with each new line, as by `run_seeds`.

    Returns:
        exit status, as of `launch`.

    Raises:
        UserError: a results folder cannot be written; then nothing is run.
    """
    for results in dict.fromkeys(seed.request.results for plan in plans for seed in plan.seeds):
        _check_writable(results)
    status = _run(plans, on_epoch)
    for plan in plans:
        for seed in plan.seeds:
            print(summary(seed))
    return status or int(any(has_diverged(seed) for plan in plans for seed in plan.seeds))


def _run(plans: Sequence[Plan], on_epoch: OnEpoch | None) -> int:
    """Run the pending seeds of all plans in their order, as many side by side as the most modest plan allows."""
    busy = [plan for plan in plans if plan.pending]
    pending = [seed for plan in busy for seed in plan.pending]
    return run_seeds(pending, min(plan.workers for plan in busy), on_epoch) if pending else 0


def _check_writable(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{results}: cannot be written ({error.strerror}); give another --results") from None
