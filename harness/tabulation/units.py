"""Jobs of a table in units of half a minute or more, each as JSON, so that any process can measure it.

A job of nine cells takes a few seconds, too few for a process of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.tabulation.jobs import Job, WorkFolder, shuffled_units
from harness.tabulation.measuring import CUDA_JOBS, measure_together
from harness.tabulation.training import Recipe, Splits

if TYPE_CHECKING:
    from harness.tabulation.making import Prepared

JOBS_OF_A_UNIT = 9
"""On a processor; a job takes three to four seconds there."""

GROUPS_OF_A_UNIT = 4
"""On a GPU, each of up to `CUDA_JOBS` jobs that are trained together."""


def units(prepared: Prepared) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """The units of a table: the numbers of their jobs, and what `measure_unit` is given.

    They depend on the table and the device alone, never on what has been measured.
    """
    wanted = prepared.wanted
    together, count = (CUDA_JOBS, GROUPS_OF_A_UNIT) if wanted.device == "cuda" else (1, JOBS_OF_A_UNIT)
    groups = iter(shuffled_units(prepared.jobs, together))
    common = {"images": wanted.images, "recipe": dataclasses.asdict(wanted.recipe), "device": wanted.device}
    while unit := list(itertools.islice(groups, count)):
        numbers = tuple(job.number for group in unit for job in group)
        yield numbers, {**common, "groups": [[_to_json(job) for job in group] for group in unit]}


def measure_unit(
    content: Mapping[str, Any],
    work: Path,
    told: Callable[[dict[str, Any]], None],
    stopped: Callable[[], bool],
) -> None:
    """Measure the jobs of a unit that are not measured yet, in this process, on one thread.

    Args:
        content: what `units` gave.
        work: where measurements are written.
        told: called after each group with its job numbers, cells, and seconds by the clock.
        stopped: asked before each group whether to end.

    Raises:
        UserError: the images cannot be loaded.
        OSError: a measurement cannot be written.
    """
    import torch

    from harness.benchmarks.registry import get_benchmark

    torch.set_num_threads(1)
    recipe, device, folder = Recipe(**content["recipe"]), content["device"], WorkFolder(work)
    splits = Splits.of(get_benchmark(content["images"]).images()).to(device)
    done = folder.done()
    for group in content["groups"]:
        jobs = [job for each in group if (job := _from_json(each)).number not in done]
        if stopped():
            return
        if jobs:
            seconds = measure_together(jobs, recipe, splits, folder, device)
            cells = sum(len(job.cells) for job in jobs)
            told({"jobs": [job.number for job in jobs], "cells": cells, "seconds": round(seconds, 3)})


def _to_json(job: Job) -> dict[str, Any]:
    cells: Sequence[dict[str, Any]] = [{"matrix": cell.matrix.tolist(), "ops": list(cell.ops)} for cell in job.cells]
    return {"number": job.number, "repeat": job.repeat, "cells": cells}


def _from_json(content: Mapping[str, Any]) -> Job:
    from spaces.nb101.cell import Cell

    cells = tuple(Cell(cell["matrix"], cell["ops"]) for cell in content["cells"])
    return Job(content["number"], content["repeat"], cells)
