"""Run folders made of given numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import RunFolder, run_path

WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write one seed below `tmp_path`: test errors given from epoch 0 on, and what else differs from the defaults.

    `entries` are further entries of the lines, each with a value for every epoch.
    """

    def write(
        method: str,
        seed: int,
        test_errors: Sequence[float | None],
        *,
        norms: Sequence[float | None] | None = None,
        alphas: bool = True,
        bench: str = "digits",
        space: int = 1,
        epochs: int | None = None,
        root: Path = tmp_path,
        settings: dict[str, Any] | None = None,
        table: dict[str, Any] | None = None,
        scale: str = "4 channels, 3 cells",
        entries: dict[str, Sequence[Any]] | None = None,
    ) -> Path:
        optimizer, _, name = method.partition("@")
        table = table or {"label": "digits", "kind": "measured", "sha256": "ab" * 32}
        folder = RunFolder(run_path(root, bench, space, method, seed))
        config = {
            "format": 1,
            "bench": bench,
            "space": space,
            "optimizer": optimizer,
            "name": name or None,
            "seed": seed,
            "epochs": len(test_errors) - 1 if epochs is None else epochs,
            "settings": settings or {"weights": {"decay": 0.1}},
            "table": table,
            "scale": scale,
        }
        folder.create(config, {})
        (folder.path / "epochs.jsonl").touch()
        for epoch, error in enumerate(test_errors):
            folder.append(
                {
                    "epoch": epoch,
                    "bench": bench,
                    "table": table["label"],
                    "scale": scale,
                    "test_error": error,
                    "supernet_valid_accuracy": 1 - 0.5 / (epoch + 1),
                    "spectral_norm": norms[epoch] if norms else None,
                    "alphas": [[0.0, 0.1]] if alphas else [],
                    **{key: values[epoch] for key, values in (entries or {}).items()},
                }
            )
        return folder.path

    return write
