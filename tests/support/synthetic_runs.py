"""Run folders made of drawn numbers, as many and as long as a test needs; the lines have all that a search records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.records.run_folder import EPOCHS, Line, RunFolder, run_path

PAPERS_METHODS = ("darts", "enas", "gdas", "nasp", "pc_darts", "sdarts_adv", "sdarts_rs")
TABLE = {"label": "synthetic", "kind": "other", "sha256": "5" * 64, "optimum": {"test_error": 0.03}}
SCALE = "16 channels, 9 cells, drawn numbers"
OPS = ["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "output"]


def write_runs(
    results: Path,
    methods: Sequence[str] = PAPERS_METHODS,
    spaces: Sequence[int] = (1, 2, 3),
    seeds: int = 6,
    epochs: int = 100,
) -> list[Path]:
    """Finished runs of every method, space and seed; method i ends near 5 % plus i tenths, and is i-th in speed.

    Returns:
        the seeds' folders.
    """
    paths = []
    for space in spaces:
        for position, method in enumerate(methods):
            for seed in range(seeds):
                generator = np.random.default_rng([space, position, seed])
                folder = RunFolder(run_path(results, "synthetic", space, method, seed))
                folder.create(_config(method, space, seed, epochs), {"starts": [{"device": "drawn", "cpu": "none"}]})
                lines = [_line(epoch, epochs, position, generator) for epoch in range(epochs + 1)]
                # In one piece: `RunFolder.append` waits for the disk after every line.
                (folder.path / EPOCHS).write_text("".join(json.dumps(line) + "\n" for line in lines))
                paths.append(folder.path)
    return paths


def _config(method: str, space: int, seed: int, epochs: int) -> dict[str, Any]:
    optimizer, _, name = method.partition("@")
    return {
        "format": 1,
        "bench": "synthetic",
        "space": space,
        "optimizer": optimizer,
        "name": name or None,
        "epochs": epochs,
        "scale": SCALE,
        "table": TABLE,
        "settings": {"weights": {"learning_rate": 0.025}, "name": name},
        "seed": seed,
    }


def _line(epoch: int, epochs: int, position: int, generator: np.random.Generator) -> Line:
    share = epoch / max(1, epochs)
    error = 0.05 + 0.001 * position + 0.04 * (1 - share) + float(generator.normal(0, 0.003))
    norm = 0.1 + share + 0.1 * float(generator.random())
    return {
        "epoch": epoch,
        "bench": "synthetic",
        "table": TABLE["label"],
        "scale": SCALE,
        "cell": generator.bytes(16).hex(),
        "matrix": generator.integers(0, 2, (5, 5)).tolist(),
        "ops": OPS,
        "test_error": error,
        "valid_error": error - 0.005 + float(generator.normal(0, 0.001)),
        "repeats": 3,
        "supernet_valid_accuracy": 0.1 + 0.8 * share + 0.01 * float(generator.random()),
        "supernet_valid_loss": 2.3 - 2 * share,
        "train_loss": 2.3 - 2 * share if epoch else None,
        "train_accuracy": 0.1 + 0.8 * share if epoch else None,
        "lambda_max": norm,
        "lambda_min": -norm / 4,
        "spectral_norm": norm,
        "trace": 2 * norm,
        "published_hessian_norm": norm + 0.001,
        "alphas": [generator.normal(0, 1, shape).tolist() for shape in ((5, 3), (1, 3), (1, 4), (1, 5))],
        "seconds": {"train": 1.0 + position, "hessian": 0.5, "validation": 0.1, "table": 0.001},
    }
