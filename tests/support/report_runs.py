"""A results folder with all that a report must cope with: two spaces, an unfinished, a torn and a foreign folder, names
that are HTML, and numbers that JSON does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.records.run_folder import Line
from tests.support.synthetic_runs import write_runs

#: what an optimizer and a variant may be called in a `config.json` that somebody else wrote
HOSTILE = "<script>alert(1)</script>"
HOSTILE_NAME = "</script><img src=x onerror=alert(2)>\"'&\u2028"
METHODS = ("darts", "gdas", "sdarts_rs")
EPOCHS = 12


def write_study(results: Path, seeds: int = 3) -> list[Path]:
    """Runs of three methods in spaces 1 and 2, with all optional entries.

    Returns:
        the folders, by space, method and seed.
    """
    paths = write_runs(results, METHODS, (1, 2), seeds, EPOCHS)
    for path in paths:
        edit_config(path, _with_random_search)
        edit_lines(path, _with_theory)
    return paths


def write_trouble(results: Path) -> dict[str, Path]:
    """`write_study`, and beside it: an unfinished run, a torn one, a foreign folder, hostile names and a NaN.

    Returns:
        the folders by what they are: unfinished, torn, foreign, hostile, nan.
    """
    paths = write_study(results)
    unfinished, torn, with_nan = paths[0], paths[4], paths[5]
    log = unfinished / "epochs.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:5]) + lines[5][:30])
    (torn / "epochs.jsonl").write_text('{"epoch": 0}\n?\n')
    edit_lines(
        with_nan, lambda line: {**line, "test_error": float("nan") if line["epoch"] == 3 else line["test_error"]}
    )
    edit_lines(with_nan, lambda line: {**line, "trace": float("inf") if line["epoch"] == 4 else line["trace"]})
    foreign = results / "holiday"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("not a run")
    (hostile,) = write_runs(results, ["hostile"], [1], 1, EPOCHS)
    edit_config(hostile, lambda config: {**config, "optimizer": HOSTILE, "name": HOSTILE_NAME})
    return {"unfinished": unfinished, "torn": torn, "foreign": foreign, "hostile": hostile, "nan": with_nan}


def edit_config(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite a run's configuration."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(change(config)))


def edit_lines(path: Path, change: Callable[[Line], Line]) -> None:
    """Rewrite each line of a run."""
    log = path / "epochs.jsonl"
    log.write_text("".join(json.dumps(change(line)) + "\n" for line in read_lines(path)))


def read_lines(path: Path) -> list[Line]:
    """A run's lines."""
    return [json.loads(line) for line in (path / "epochs.jsonl").read_text().splitlines()]


def _with_random_search(config: dict[str, Any]) -> dict[str, Any]:
    errors = [0.09 / (draw + 1) + 0.04 for draw in range(EPOCHS)]
    return {**config, "table": {**config["table"], "random_search": {"test_error": errors}}}


def _with_theory(line: Line) -> Line:
    return {
        **line,
        "trace": line["trace"] - 1,
        "projection_loss": line["supernet_valid_loss"] + 0.25,
        "projection_accuracy": 0.5,
        "mixture_distance": 0.5,
        "mixture_spectral_norm": 3.0 if line["epoch"] % 2 == 0 else None,
        "entropy": 1 - line["epoch"] / (2 * EPOCHS),
    }
