"""The trainings that a table takes, in jobs, and the folder where their measurements collect.

A job trains cells that share a graph. Its measurements are one file, written at once, so that a run can be stopped at
any moment and goes on where it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.records.files import UnreadableFileError, parse_json, read_regular, write_atomically

if TYPE_CHECKING:
    from harness.tabulation.training import Recipe
    from spaces.nb101.cell import Cell

RECIPE = "recipe.json"

_MENDING = "delete it, and the same command measures it again"

_JOB_FILE = re.compile(r"job(\d{6,12})\.json")

_MOST_BYTES = 64 << 20
"""Of a file in the folder."""

JOB_SIZE = 9
"""Cells trained together: 9 = 3 * 3 cells that differ in two vertices only keep the gathering of slices cheap."""


@dataclass(frozen=True)
class Scope:
    """What a complete table would cover: its name, and how many cells that is."""

    name: str
    cells: int


@dataclass(frozen=True)
class Job:
    """Cells of one graph whose repeat number `repeat` is trained together."""

    number: int
    repeat: int
    cells: tuple[Cell, ...] = field(repr=False)


def plan_jobs(cells: Sequence[Cell], repeats: int, size: int = JOB_SIZE) -> list[Job]:
    """Split cells into jobs: the first repeat of all cells, then the second, and so on.

    The plan depends on its arguments alone, never on what has been measured.
    """
    by_graph: dict[bytes, list[Cell]] = {}
    for cell in cells:
        by_graph.setdefault(bytes([len(cell.ops)]) + cell.matrix.tobytes(), []).append(cell)
    chunks: list[tuple[Cell, ...]] = []
    for group in by_graph.values():
        group.sort(key=lambda cell: cell.ops)
        parts = math.ceil(len(group) / size)
        bounds = [len(group) * part // parts for part in range(parts + 1)]
        chunks += [tuple(group[low:high]) for low, high in itertools.pairwise(bounds)]
    return [
        Job(repeat * len(chunks) + index, repeat, chunk)
        for repeat in range(repeats)
        for index, chunk in enumerate(chunks)
    ]


def shuffled_units(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """Jobs in the order in which they are run: repeat by repeat, shuffled within one.

    So the cells that are measured when a run is stopped are a random sample of all.

    Returns:
        units of up to `size` jobs that may be trained together: of one graph and one repeat.
    """
    units: list[list[Job]] = []
    for job in jobs:
        last = units[-1][-1] if units else None
        if last and len(units[-1]) < size and last.repeat == job.repeat and _same_graph(last, job):
            units[-1].append(job)
        else:
            units.append([job])
    random.Random(0).shuffle(units)
    return sorted(units, key=lambda unit: unit[0].repeat)


def _same_graph(left: Job, right: Job) -> bool:
    return bool(left.cells[0].matrix.tobytes() == right.cells[0].matrix.tobytes())


@dataclass(frozen=True)
class WorkFolder:
    """Where the measurements of a table collect, one file a job."""

    path: Path

    def claim(self, recipe: Recipe, images: str, cells: Sequence[Cell], job_size: int = JOB_SIZE) -> None:
        """Take the folder for a recipe, or check that it was taken for the same.

        Raises:
            UserError: it holds measurements of another recipe, other images or other cells.
            OSError: the folder cannot be made or written.
        """
        self.check(recipe, images, cells, job_size)
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / RECIPE
        if not file.exists():
            write_atomically(file, json.dumps(_claimed(recipe, images, cells, job_size), indent=1).encode())

    def check(self, recipe: Recipe, images: str, cells: Sequence[Cell], job_size: int = JOB_SIZE) -> None:
        """Check that the folder is free, or was taken for the same recipe, images and cells.

        Raises:
            UserError: it was taken for others.
        """
        file = self.path / RECIPE
        if not file.exists():
            return
        wanted = _claimed(recipe, images, cells, job_size)
        found = _read_json(file, "delete the folder, or give another as --work")
        if found != wanted:
            differing = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
            raise UserError(
                f"{self.path}: holds measurements made with other {', '.join(differing)}; give another --work folder"
            )

    def done(self) -> set[int]:
        """Numbers of the jobs that are measured."""
        named = (_JOB_FILE.fullmatch(file.name) for file in self.path.glob("job*.json"))
        return {int(match[1]) for match in named if match}

    def write(self, job: Job, measured: list[dict[str, Any]], seconds: float, device: str) -> None:
        """Keep one job's measurements, and what they took: seconds by the clock of a core, or of a GPU."""
        content = {"repeat": job.repeat, "seconds": round(seconds, 3), "device": device, "cells": measured}
        write_atomically(self._file(job), json.dumps({**content, "sha256": _digest(content)}).encode())

    def read(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Measurements in the order of the jobs, each with its `repeat`; jobs not yet measured are left out.

        Raises:
            UserError: a file is damaged.
        """
        done = self.done()
        for job in jobs:
            if job.number in done:
                content = self._content(job)
                for measured in content["cells"]:
                    yield {**measured, "repeat": content["repeat"]}

    def unchecked(self, jobs: Sequence[Job]) -> int:
        """How many measured jobs have no checksum, since an earlier version wrote them.

        Raises:
            UserError: a file is damaged.
        """
        done = self.done()
        return sum("sha256" not in self._content(job) for job in jobs if job.number in done)

    def seconds(self, jobs: Sequence[Job]) -> dict[str, float]:
        """What the measured jobs took by the clock, per device.

        Raises:
            UserError: a file is damaged.
        """
        done, seconds = self.done(), Counter[str]()
        for job in jobs:
            if job.number in done:
                content = self._content(job)
                seconds[content["device"]] += content["seconds"]
        return dict(seconds)

    def _content(self, job: Job) -> dict[str, Any]:
        """A job's measurements, held against the plan and against their checksum, which older files lack.

        Raises:
            UserError: the file is damaged, of another job, or was changed.
        """
        file = self._file(job)
        content = _read_json(file, _MENDING)
        if "sha256" in content and content["sha256"] != _digest(content):
            raise UserError(f"{file}: changed since it was written (its checksum is another); {_MENDING}")
        cells = content.get("cells")
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise UserError(f"{file}: damaged (no list of cells); {_MENDING}")
        if content.get("repeat") != job.repeat or [cell.get("hash") for cell in cells] != [
            cell.hash for cell in job.cells
        ]:
            raise UserError(f"{file}: holds other cells, or another repeat of them, than job {job.number}; {_MENDING}")
        for cell in cells:
            for name in ("train_accuracy", "validation_accuracy", "test_accuracy"):
                accuracy = cell.get(name)
                if isinstance(accuracy, bool) or not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
                    raise UserError(f"{file}: expected {name} from 0 to 1, got {str(accuracy)[:40]}; {_MENDING}")
        seconds = content.get("seconds")
        if (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not isinstance(content.get("device"), str)
        ):
            raise UserError(f"{file}: damaged (no seconds, or no device); {_MENDING}")
        return content

    def _file(self, job: Job) -> Path:
        return self.path / f"job{job.number:06d}.json"


def _claimed(recipe: Recipe, images: str, cells: Sequence[Cell], job_size: int) -> dict[str, Any]:
    """What says which measurements a folder is for."""
    digest = hashlib.sha256("\n".join(cell.hash for cell in cells).encode()).hexdigest()
    about = {"images": images, "cells": len(cells), "cells_sha256": digest, "job_size": job_size}
    return {**dataclasses.asdict(recipe), **about}


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a job's measurements, whatever checksum stands among them."""
    plain = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _read_json(file: Path, mending: str) -> dict[str, Any]:
    try:
        content = parse_json(read_regular(file, _MOST_BYTES))
    except UnreadableFileError as error:
        raise UserError(f"{file}: {error}; {mending}") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{file}: damaged; {mending}")
    return content
