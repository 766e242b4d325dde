"""Studies of small searches on digits, and what `harness.run` would record of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.records.run_folder import EPOCHS
from harness.study.expansion import expand
from harness.study.file import read_study
from harness.study.task import Task

SMALL = """{ "network.channels" = 2, "data.images" = 24, "data.batch_size" = 12, "hessian.every" = 0 }"""


def study_file(
    folder: Path, seeds: int = 2, epochs: int = 3, run: str = "", more: str = "", method: str = "random_ws"
) -> Path:
    """A study of a method, random search if no other, with so many seeds, written into a folder."""
    path = folder / "small.toml"
    path.write_text(
        f'format = 1\nname = "small"\nbench = "digits"\n[[search]]\noptimizers = ["{method}"]\nspaces = [1]\n'
        f'seeds = {seeds}\nepochs = {epochs}\nset = {SMALL[:-2]}, "selection.samples" = 5 }}\n{more}\n'
        f'[run]\ndevice = "cpu"\n{run}\n'
    )
    return path


def planned_tasks(folder: Path, **options: Any) -> list[Task]:
    """The tasks of such a study, with results beside its file."""
    return list(expand(read_study(study_file(folder, **options)), folder / "results").tasks)


def recorded(path: Path) -> list[dict[str, Any]]:
    """The lines of a run, without seconds and the checksums that hold them."""
    lines = [json.loads(line) for line in (path / EPOCHS).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "check")} for line in lines]
