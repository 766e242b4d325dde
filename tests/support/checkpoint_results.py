"""Results computed from checkpoints, made of given numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.records.run_folder import CORRELATION, LANDSCAPE, RunFolder, run_path

CONDITIONS = {
    "format": 1,
    "bench": "digits",
    "space": 1,
    "seed": 0,
    "epoch": 30,
    "table": "digits",
    "table_sha256": "ab",
    "scale": "8 channels",
    "images": 400,
}


def write_result(results: Path, kind: str, method: str, content: dict[str, Any]) -> Path:
    """A run folder with one result; the file's path."""
    whole = {**CONDITIONS, "method": method, **content}
    folder = RunFolder(run_path(results, whole["bench"], whole["space"], method, whole["seed"]))
    folder.create({"seed": whole["seed"]}, {})
    path = folder.result(kind, whole["epoch"])
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(whole))
    return path


def write_landscape(results: Path, method: str, accuracy: Callable[[float, float], float], **content: Any) -> Path:
    """A landscape of 5 by 5 points, of a function of x and y."""
    steps = [-2.0, -1.0, 0.0, 1.0, 2.0]
    values = [[accuracy(x, y) for x in steps] for y in steps]
    grid = {
        "x": steps,
        "y": steps,
        "radius": 2.0,
        "accuracy": values,
        "loss": [[1 - one for one in row] for row in values],
    }
    return write_result(results, LANDSCAPE, method, {**grid, **content})


def write_correlation(results: Path, method: str, cells: int = 30, **content: Any) -> Path:
    """A rank correlation of drawn numbers."""
    generator = np.random.default_rng(len(method))
    sampled = []
    for cell in range(cells):
        error = 0.02 + 0.2 * float(generator.random())
        supernet = {"accuracy": float(generator.random()), "loss": float(generator.random())}
        measured = {"stored": supernet, "batch": {"accuracy": 1 - error, "loss": None if cell == 0 else error}}
        sampled.append({"cell": f"{cell:032x}", "test_error": error, "valid_error": error, **measured})
    estimate = {"value": 0.25, "low": 0.125, "high": 0.375}
    found = {"n": cells, "spearman": estimate, "kendall": {"value": None, "low": None, "high": None}}
    correlations = {name: {"all": {"error": found}, "top": {"error": found}} for name in ("stored", "batch")}
    numbers = {"sampled": sampled, "correlations": correlations, "top_share": 0.25, "top_test_error": 0.06}
    return write_result(results, CORRELATION, method, {**numbers, **content})
