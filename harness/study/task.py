"""A task: what one run folder, or one part of a table, takes. It is plain data that every engine can send as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SEARCH = "search"
TABLE = "table"


@dataclass(frozen=True)
class Task:
    """One seed of a search, or one unit of a table.

    Attributes:
        key: tells it from the other tasks of a study: the run folder below the results folder, or
            `tables/LABEL/unitN`.
        kind: `SEARCH` or `TABLE`.
        path: what it writes: the run folder of a search, or the work folder of a table.
        content: what `harness.study.worker.perform` is given besides the epoch at which to end; JSON holds all of it.
        epochs: epochs of a search; 0 for a unit of a table.
        jobs: numbers of the jobs of a unit of a table; none for a search.
        group: tasks that are expected to take equally long share it: benchmark, space, method, scale and device.
        entry: number of the entry of the study file that it came from, counted from 1 within its kind.
        priority: tasks of a higher one start first.
        cpus: processors that it takes.
        gpus: GPUs that it takes, or the share of one; 0 where it runs on the processor.
        rungs: epochs at which its variants are compared, and all but the better third end; ascending.
        race: tasks that are compared at a rung share it; empty where nothing is pruned.
        variant: what the seeds of one variant share within a race.
    """

    key: str
    kind: str
    path: Path
    content: Mapping[str, Any] = field(repr=False, hash=False)
    epochs: int = 0
    jobs: tuple[int, ...] = ()
    group: tuple[str, ...] = ()
    entry: int = 1
    priority: int = 0
    cpus: int = 1
    gpus: float = 0.0
    rungs: tuple[int, ...] = ()
    race: tuple[str, ...] = ()
    variant: str = ""

    @property
    def devices(self) -> float:
        """Devices that an attempt holds, for budgets: GPUs where it takes any, processors otherwise."""
        return self.gpus or float(self.cpus)
