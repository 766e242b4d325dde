"""Run the repeats of a black-box method that are not recorded yet, one after the other or in some processes.

A repeat depends on its number alone, so that repeats can be added, and a run that was stopped goes on with the first
that is missing. They are recorded in their order, whatever order they end in.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from typing import Any

import numpy as np
from tqdm import tqdm

from harness import __version__
from harness.ask_tell.repeat import run_repeat
from harness.ask_tell.request import Plan, Request, plan, replan
from harness.errors import UserError
from harness.launch.identity import first_difference
from harness.launch.provenance import processor, source_revision
from harness.records.repeats import RepeatsFolder
from harness.records.run_folder import CONFIG, ENVIRONMENT

LIBRARIES = ("numpy", "ConfigSpace", "optuna", "smac")
"""Packages that may decide what a method proposes, whose versions are recorded where they are installed."""


def run(request: Request, workers: int = 1) -> RepeatsFolder:
    """Run what is missing of a request, and give the folder.

    Args:
        request: what is asked for.
        workers: processes side by side; 1 for this one.

    Raises:
        UserError: something cannot be run as asked, or the folder holds something else.
        RunFolderError: the folder was changed, or another process is at it.
    """
    planned = plan(request)
    folder = planned.folder
    planned.begin(0)
    with folder.locked():
        done = _prepare(folder, planned)
        missing = range(done, request.repeats)
        if done:
            print(f"{folder.path}: {done} repeats recorded before" + ("" if missing else ", nothing to do"))
        bar = tqdm(total=request.repeats, initial=done, desc=planned.method.name, unit="repeat", disable=None)
        with bar:
            for repeat, line in zip(missing, _lines(planned, missing, workers), strict=True):
                folder.append({"repeat": repeat, **line})
                bar.update()
    return folder


def _prepare(folder: RepeatsFolder, planned: Plan) -> int:
    """Make the folder, or check that it is of this request and heal it; gives the number of repeats that are there."""
    start = _environment(planned)
    if not (folder.path / CONFIG).exists():
        if folder.recorded().lines:
            raise UserError(f"{folder.path}: holds repeats but no {CONFIG}; move the folder away")
        folder.create(planned.record, {"starts": [start]})
        return 0
    recorded = folder.config()
    difference = first_difference({**recorded, "repeats": 0}, {**planned.record, "repeats": 0})
    if difference:
        raise UserError(f"{folder.path}: holds repeats with {difference}; give these a --name or other --results")
    done = len(folder.heal())
    starts = folder.starts() if (folder.path / ENVIRONMENT).exists() else []
    if starts and done < planned.request.repeats and (changed := _changed(starts[-1], start)):
        print(f"note: {folder.path}: repeats before were made under {changed}", file=sys.stderr)
    if done < planned.request.repeats:
        folder.create({**recorded, "repeats": planned.request.repeats}, {"starts": [*starts, start]})
    return done


def _lines(planned: Plan, repeats: range, workers: int) -> Iterator[dict[str, Any]]:
    """What each of some repeats gave, in their order."""
    if workers == 1 or len(repeats) < 2:
        for repeat in repeats:
            yield _line(planned, repeat)
        return
    with ProcessPoolExecutor(
        min(workers, len(repeats)), get_context("spawn"), initializer=_load, initargs=(planned.request,)
    ) as pool:
        try:
            yield from pool.map(_loaded_line, repeats)
        finally:
            pool.shutdown(cancel_futures=True)


def _line(planned: Plan, repeat: int) -> dict[str, Any]:
    outcome = run_repeat(planned.begin(repeat), planned.evaluator, planned.request.limit)
    if outcome is None:
        raise UserError(
            f"repeat {repeat}: not one evaluation fits into {planned.request.limit.seconds} seconds; raise --seconds"
        )
    return outcome.line


_plans: list[Plan] = []
"""The plan of a worker process."""


def _load(request: Request) -> None:
    _plans.append(replan(request))


def _loaded_line(repeat: int) -> dict[str, Any]:
    return _line(_plans[0], repeat)


def _environment(planned: Plan) -> dict[str, Any]:
    """What a start runs on."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(planned.request.command),
        "harness": __version__,
        "source": source_revision(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "libraries": {name: installed for name in LIBRARIES if (installed := _version(name))},
        "platform": platform.platform(),
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "device": "cpu",
    }


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What of two starts differs that may decide what a method proposes, in words; empty for nothing."""
    keys = ("harness", "source", "python", "libraries")
    return ", ".join(f"{key} {before.get(key)}" for key in keys if before.get(key) != now[key])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
