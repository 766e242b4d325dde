"""Searches of a few epochs on digits in any space, built as a run builds them, with nothing that judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.benchmarks.registry import get_benchmark
from harness.judges.none import NoJudge
from harness.records.run_folder import Line, RunFolder
from harness.search.loop import Search
from harness.search.settings import resolve
from harness.search.setup import build, known_method, known_space

SCALE = {"data.images": 16, "data.batch_size": 8, "hessian.every": 0, "perturbation.steps": 2, "selection.samples": 2}


def search_in(
    path: Path, space: str, optimizer: str, epochs: int, settings: Mapping[str, Any] | None = None, seed: int = 0
) -> Search:
    """A search in a space, at the smallest size of its network and two steps an epoch, before its first epoch.

    Args:
        path: the run folder, made if need be.
        space: its name.
        optimizer: the method.
        epochs: length.
        settings: further ones, by dotted key.
        seed: the seed.
    """
    bench, method, searched = get_benchmark("digits"), known_method(optimizer), known_space(space)
    tiny = {f"network.{name}": value for name, value in searched.config_class.tiny.items()}
    scale = {**bench.settings, **tiny, **SCALE}
    # What the digits benchmark says of the cells of NAS-Bench-1Shot1 has no meaning in some spaces.
    known = {f"network.{name}" for name in searched.config_class.__dataclass_fields__}
    scale = {key: value for key, value in scale.items() if not key.startswith("network.") or key in known}
    scale["network.channels"] = 4
    config, _ = resolve(method, searched, scale, settings or {}, epochs)
    record = {"bench": "digits", "space": searched.label, "seed": seed, "scale": "tiny", "threads": 1, "epochs": epochs}
    folder = RunFolder(path)
    if not folder.path.exists():
        folder.create({**record, "optimizer": optimizer}, {})
    return build(folder, record, bench.images(), method, searched, config, NoJudge(), "cpu")


def lines_of(search: Search) -> list[Line]:
    """The lines that it recorded, without what depends on the clock."""
    return [
        {key: value for key, value in line.items() if key not in ("seconds", "check")}
        for line in search.folder.epochs()
    ]
