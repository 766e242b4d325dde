"""Folders of black-box methods with given curves, written as `harness.ask_tell` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.records.repeats import RepeatsFolder, repeats_path

Curve = Sequence[tuple[int, float, float, float]]
"""Evaluation, validation error, test error and seconds of each incumbent."""


def write_repeats(
    results: Path,
    method: str,
    curves: Sequence[Curve],
    evaluations: int = 10,
    seconds: float | None = 100.0,
    **config: Any,
) -> RepeatsFolder:
    """A folder of digits, space 1, with a repeat for each curve; `config` overrides entries of `config.json`."""
    content = {
        "bench": "digits",
        "space": 1,
        "optimizer": method,
        "name": None,
        "repeats": len(curves),
        "evaluations": evaluations,
        "seconds": None,
        "observed": "mean",
        "epochs": 12,
        "charged": "made-up seconds",
        "settings": {},
        "table": {
            "label": "digits",
            "kind": "measured",
            "sha256": "24a3a1338c1d99c0962137a0345e77beaa5d6c76b21dc4f99e0363f452cf2992",
            "optimum": {"test_error": 0.02},
            "random_search": {
                "test_error": [0.1 / n + 0.02 for n in range(1, evaluations + 1)],
                "deviation": [0.01] * evaluations,
                "low_quartile": [0.09 / n + 0.02 for n in range(1, evaluations + 1)],
                "high_quartile": [0.11 / n + 0.02 for n in range(1, evaluations + 1)],
            },
        },
    }
    folder = RepeatsFolder(repeats_path(results, "digits", 1, method))
    folder.create({**content, **config}, {"starts": []})
    for number, curve in enumerate(curves):
        columns = {
            "evaluation": [point[0] for point in curve],
            "valid_error": [point[1] for point in curve],
            "test_error": [point[2] for point in curve],
        }
        if seconds is not None:
            columns["seconds"] = [point[3] for point in curve]
        folder.append({"repeat": number, "evaluations": evaluations, "seconds": seconds, "incumbents": columns})
    return folder
