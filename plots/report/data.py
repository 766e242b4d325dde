"""What a report shows, as plain data: `plots/page/*.js` reads it, and nothing else.

Statistics are `plots.judgement`'s, entry by entry as `harness.compare` writes them into `judgement.json`; curves are
rounded to six digits. Errors are fractions, a number that is not there is null. Curves are of all runs, unfinished ones
included; statistics are of finished ones.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from harness import __version__
from harness.records.run_folder import EPOCHS, Line, RunFolder, RunFolderError
from plots.drawing import cell, style
from plots.judgement.caveats import machine, numbers
from plots.judgement.files import plain
from plots.judgement.findings import Block, Judgement, Overall
from plots.judgement.measures import MEASURES, Measure, curve
from plots.judgement.text import power_text, ranks_text, tests_heading
from plots.report.conditions import environments_of, settings_of
from plots.runs.quantities import QUANTITIES, method_curves, run_curve
from plots.runs.records import Array, Comparison, Method, Run, summarise
from plots.runs.survey import Survey

FORMAT = 1
OFFICIAL = "official"
#: the paper's protocol: channels and cells of the supernet
PAPERS_NETWORK = (16, 9)

Data = dict[str, Any]


def report_data(results: Path, found: Survey, judgement: Judgement, base: Path) -> Data:
    """Everything that the page shows.

    Args:
        results: the folder surveyed.
        found: its runs.
        judgement: of the finished ones among them.
        base: the folder that links to raw lines are relative to.
    """
    blocks = {_key(block): block for block in judgement.blocks}
    metric = MEASURES[judgement.question.metric]
    content = {
        "format": FORMAT,
        "harness": __version__,
        "results": results.resolve().name,
        "metric": metric.name,
        "measures": {name: _measure(one) for name, one in MEASURES.items()},
        "quantities": {
            one.name: {"label": one.label, "is_error": one.is_error, "first": one.first, "meaning": one.meaning}
            for one in QUANTITIES.values()
        },
        "comparisons": [_comparison(one, blocks.get(_key(one)), metric, base) for one in found.comparisons],
        "overall": [_overall(one) for one in judgement.overall],
        "left_out": [{"path": str(one.path), "reason": one.reason} for one in judgement.left_out],
        "drawing": _drawing(),
        "environments": environments_of(
            run for one in found.comparisons for method in one.methods for run in method.runs
        ),
    }
    return dict(plain(content))


def _key(one: Comparison | Block) -> tuple[str, int, str, str, str]:
    return one.bench, one.space, one.table, one.table_sha256, one.scale


def _drawing() -> Data:
    """How a cell is drawn: the sizes, labels and colours of `plots.cell`."""
    return {
        "labels": cell.LABELS,
        "colours": cell.COLOURS,
        "plain": cell.PLAIN,
        "box_width": cell.BOX_WIDTH,
        "box_height": cell.BOX_HEIGHT,
        "layer_height": cell.LAYER_HEIGHT,
        "column_width": cell.COLUMN_WIDTH,
        "clearance": cell.CLEARANCE,
        "bends": cell.BENDS,
    }


def _measure(measure: Measure) -> Data:
    return {
        "label": measure.label,
        "is_error": measure.is_error,
        "unit": measure.unit,
        "meaning": measure.meaning,
    }


def _comparison(comparison: Comparison, block: Block | None, metric: Measure, base: Path) -> Data:
    configs = {method.name: _config(method.runs[0]) for method in comparison.methods}
    first = next(iter(configs.values()))
    cells = _Cells()
    ordered = sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    return {
        "bench": comparison.bench,
        "space": comparison.space,
        "table": {
            "label": comparison.table,
            "sha256": comparison.table_sha256,
            "kind": str((first.get("table") or {}).get("kind") or "unknown"),
        },
        "scale": comparison.scale,
        "conditions": comparison.conditions(),
        "warnings": list(_warnings(comparison, configs)),
        "optimum": comparison.optimum,
        "random_search": [_rounded(error) for error in comparison.random_search],
        "machines": sorted({machine(run.path) for method in ordered for run in method.runs}),
        "methods": [_method(method, cells, base) for method in ordered],
        "cells": cells.known,
        "operations": cells.operations,
        "settings": settings_of(configs),
        "block": None if block is None else _block(block, metric),
    }


def _warnings(comparison: Comparison, configs: Mapping[str, Data]) -> Iterator[str]:
    """Why numbers must not be taken for the paper's."""
    kinds = {str((config.get("table") or {}).get("kind") or "unknown") for config in configs.values()}
    if kinds != {OFFICIAL}:
        yield (
            f"Stand-in table: test errors come from {comparison.table} (kind: {', '.join(sorted(kinds))}), not from an "
            "official NAS-Bench-101 file. They cannot be set beside the paper's."
        )
    networks = [(config.get("settings") or {}).get("network") for config in configs.values()]
    sizes = {(one.get("channels"), one.get("cells")) for one in networks if isinstance(one, dict)}
    if sizes and sizes != {PAPERS_NETWORK}:
        yield f"Scaled-down search: {comparison.scale}; the paper's supernet has 16 channels and 9 cells."


def _method(method: Method, cells: _Cells, base: Path) -> Data:
    look = style.look(method.name)
    means = {}
    for quantity in QUANTITIES.values():
        values = method_curves(method, quantity)
        one = summarise(method, quantity.name, values, quantity.first)
        if one.seeds:
            means[quantity.name] = {
                "mean": _column(one.mean),
                "low": _column(one.low),
                "high": _column(one.high),
                "band": one.band,
                "seeds": one.seeds,
            }
    return {
        "name": method.name,
        "label": look.label.replace(r"\$", "$"),
        "colour": look.colour,
        "dashes": list(look.dashes[1]),
        "epochs": method.epochs,
        "has_alphas": method.has_alphas,
        "means": means,
        "mean_seconds": _column(_mean_seconds(method)),
        "runs": [_run(run, cells, base) for run in method.runs],
    }


def _mean_seconds(method: Method) -> Array:
    """[epochs from 0] seconds of training until the end of an epoch; NaN from the first epoch that a seed lacks them.

    Each epoch adds the mean over the seeds that have it, so that a seed that is not finished moves no point back.
    """
    by_seed = [np.diff(_seconds(run), prepend=0.0) for run in method.runs]
    epochs = max((len(one) for one in by_seed), default=0)
    return np.cumsum([np.mean([one[epoch] for one in by_seed if epoch < len(one)]) for epoch in range(epochs)])


def _seconds(run: Run) -> Array:
    return curve(run, len(run.lines) - 1).seconds if run.lines else np.empty(0)


def _run(run: Run, cells: _Cells, base: Path) -> Data:
    log = run.path / EPOCHS
    curves = {quantity.name: run_curve(run, quantity) for quantity in QUANTITIES.values()}
    return {
        "seed": run.seed,
        "path": str(run.path),
        "lines": quote(os.fsencode(os.path.relpath(log.resolve(), base.resolve()))),
        "epochs": run.lines[-1]["epoch"] if run.lines else None,
        "asked": run.epochs,
        "finished": run.is_finished,
        "machine": machine(run.path),
        "seconds": _column(_seconds(run)),
        "cells": [cells.number(line) for line in run.lines],
        "curves": {name: _column(values) for name, values in curves.items() if np.isfinite(values).any()},
    }


class _Cells:
    """Distinct cells, each written once: the matrix row by row as 0s and 1s, and the positions of its operations."""

    def __init__(self) -> None:
        self.known: list[list[Any]] = []
        self.operations: list[str] = []
        self._numbers: dict[tuple[str, tuple[int, ...]], int] = {}

    def number(self, line: Line) -> int | None:
        """Where a line's cell stands; None where the line has none that can be drawn."""
        matrix: Any = line.get("matrix")
        operations: Any = line.get("ops")
        if not _is_cell(matrix, operations):
            return None
        for operation in operations:
            if operation not in self.operations:
                self.operations.append(operation)
        bits = "".join(str(entry) for row in matrix for entry in row)
        key = bits, tuple(map(self.operations.index, operations))
        if key not in self._numbers:
            self._numbers[key] = len(self.known)
            self.known.append([bits, list(key[1])])
        return self._numbers[key]


def _is_cell(matrix: Any, operations: Any) -> bool:
    """Whether this is an adjacency matrix of 0s and 1s with an operation for each vertex."""
    if not isinstance(matrix, list) or not isinstance(operations, list) or len(matrix) != len(operations):
        return False
    square = bool(matrix) and all(isinstance(row, list) and len(row) == len(matrix) for row in matrix)
    binary = square and all(type(entry) is int and entry in (0, 1) for row in matrix for entry in row)
    return binary and all(isinstance(one, str) for one in operations)


def _block(block: Block, metric: Measure) -> Data:
    """A block as `harness.compare` writes it, with the sentences that it prints."""
    return {
        **dataclasses.asdict(block),
        "tests_heading": tests_heading(block.family, metric) if block.family.tests else "",
        "power": power_text(block.family, metric, block.spread),
    }


def _overall(overall: Overall) -> Data:
    seeds = {space: numbers(its) for space, its in overall.seeds.items()}
    return {**dataclasses.asdict(overall), "seeds_text": seeds, "ranks_text": ranks_text(overall)}


def _config(run: Run) -> Data:
    """A run's configuration, empty where it went away meanwhile."""
    try:
        return RunFolder(run.path).config()
    except (OSError, RunFolderError):
        return {}


def _column(values: Sequence[float] | Array) -> list[float | None]:
    return [_rounded(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
