"""What a report shows, as plain data: `page_files/*.js` reads it, and nothing else.

Statistics are `plots.judgement`'s, entry by entry as `harness.compare` writes them into `judgement.json`; curves are
rounded to six digits, and thinned where there are many (`plots.report.thinning`). Errors are fractions, a number that
is not there is null. Curves are of all runs, unfinished ones included; statistics are of finished ones.
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
from harness.records.catalogue import Quantity, catalogue
from harness.records.config import NO_JUDGE
from harness.records.line import Drawable
from harness.records.run_folder import EPOCHS, RunFolder, RunFolderError, SpaceLabel, space_names
from plots.drawing import cell, style
from plots.drawing.anytime import at_some_epochs
from plots.judgement.caveats import NO_JUDGE as NO_JUDGE_CAVEAT
from plots.judgement.caveats import machine, numbers
from plots.judgement.files import plain
from plots.judgement.findings import Block, Judgement, Overall
from plots.judgement.measures import MEASURES, Measure, curve
from plots.judgement.text import power_text, ranks_text, tests_heading
from plots.report.conditions import environments_of, settings_of
from plots.report.thinning import Kept, kept_epochs
from plots.runs.columns import Array, Columns
from plots.runs.records import Comparison, Method, Run, series_of
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
    kept = kept_epochs(found.comparisons, _shown(found.comparisons).values())
    cells = [_Cells() for _ in found.comparisons]
    comparisons = [
        _comparison(one, blocks.get(_key(one)), metric, base, epochs, its)
        for one, epochs, its in zip(found.comparisons, kept, cells, strict=True)
    ]
    content = {
        "format": FORMAT,
        "harness": __version__,
        "results": results.resolve().name,
        "metric": metric.name,
        "measures": {name: _measure(one) for name, one in MEASURES.items()},
        "quantities": {name: _quantity(one) for name, one in _shown(found.comparisons).items()},
        "comparisons": comparisons,
        "picked": _picked(found),
        "overall": [_overall(one) for one in judgement.overall],
        "left_out": [{"path": str(one.path), "reason": one.reason} for one in judgement.left_out],
        "drawing": _drawing([architecture for its in cells for architecture in its.architectures]),
        "environments": environments_of(
            run for one in found.comparisons for method in one.methods for run in method.runs
        ),
    }
    # The curves, most of it all, are plain already.
    return {**plain({key: value for key, value in content.items() if key != "comparisons"}), "comparisons": comparisons}


def _key(one: Comparison | Block) -> tuple[str, SpaceLabel, str, str, str]:
    return one.bench, one.space, one.table, one.table_sha256, one.scale


def _shown(comparisons: Sequence[Comparison]) -> dict[str, Quantity]:
    """Name -> quantity: what the page shows somewhere, of the built-in ones and of those that runs carry."""
    everything = catalogue(quantity for comparison in comparisons for quantity in comparison.further)
    return {name: quantity for name, quantity in everything.items() if quantity.panels}


def _quantity(quantity: Quantity) -> Data:
    heading = quantity.heading or quantity.label[:1].upper() + quantity.label[1:]
    return {
        "label": quantity.label,
        "axis": quantity.axis,
        "heading": heading,
        "factor": quantity.factor,
        "percent": quantity.percent,
        "is_error": quantity.is_error,
        "first": quantity.first_epoch,
        "panels": list(quantity.panels),
        "logarithmic": quantity.logarithmic,
        "meaning": quantity.meaning,
    }


def _picked(found: Survey) -> Data:
    """Which methods `--only` left on the page and which it passed over; both empty where it was not asked."""
    shown = {method.name for comparison in found.comparisons for method in comparison.methods}
    return {"shown": sorted(shown) if found.passed_over else [], "passed_over": list(found.passed_over)}


def _drawing(architectures: Sequence[Drawable]) -> Data:
    """How a cell is drawn: the sizes, labels and colours of `plots.drawing.cell`."""
    return {
        "labels": cell.LABELS,
        "colours": cell.operation_colours(architectures),
        "plain": cell.PLAIN,
        "box_width": cell.BOX_WIDTH,
        "box_height": cell.BOX_HEIGHT,
        "layer_height": cell.LAYER_HEIGHT,
        "column_width": cell.COLUMN_WIDTH,
        "labelled_layer_height": cell.LABELLED_LAYER_HEIGHT,
        "labelled_column_width": cell.LABELLED_COLUMN_WIDTH,
        "label_height": cell.LABEL_HEIGHT,
        "label_letter": cell.LABEL_LETTER,
        "label_places": cell.LABEL_PLACES,
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


def _comparison(
    comparison: Comparison, block: Block | None, metric: Measure, base: Path, kept: Kept, cells: _Cells
) -> Data:
    configs = {method.name: _config(method.runs[0]) for method in comparison.methods}
    first = next(iter(configs.values()))
    ordered = sorted(comparison.methods, key=lambda method: style.drawing_order(method.name))
    methods = [_method(method, comparison, cells, base, kept) for method in ordered]
    shown = {
        "bench": comparison.bench,
        "space": comparison.space,
        "place": comparison.place,
        "judged": comparison.is_judged,
        "joined": at_some_epochs(comparison),
        "epochs": kept.epochs,
        "thinned": kept.step if kept.is_thinned else None,
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
        "machines": sorted({run["machine"] for method in methods for run in method["runs"]}),
        "cell_labels": list(cells.labels),
        "settings": settings_of(configs),
        "block": None if block is None else _block(block, metric),
    }
    return {**plain(shown), "methods": methods, "cells": cells.known}


def _warnings(comparison: Comparison, configs: Mapping[str, Data]) -> Iterator[str]:
    """Why numbers must not be taken for the paper's."""
    kinds = {str((config.get("table") or {}).get("kind") or "unknown") for config in configs.values()}
    if kinds == {NO_JUDGE}:
        yield NO_JUDGE_CAVEAT
    elif kinds != {OFFICIAL}:
        kind = kinds.pop() if len(kinds) == 1 else ", ".join(sorted(kinds))
        source = _SOURCES.get(kind, f"Not an official table: test errors come from {{table}} (kind: {kind})")
        yield f"{source.format(table=comparison.table)}. They cannot be set beside the paper's."
    networks = [(config.get("settings") or {}).get("network") for config in configs.values()]
    sizes = {(one.get("channels"), one.get("cells")) for one in networks if isinstance(one, dict)}
    if isinstance(comparison.space, int) and sizes and sizes != {PAPERS_NETWORK}:
        yield f"Scaled-down search: {comparison.scale}; the paper's supernet has 16 channels and 9 cells."
    elif "scaled down" in comparison.scale:
        yield f"Scaled-down search: {comparison.scale}."


_SOURCES = {
    "measured": "A table of another benchmark: test errors come from {table}, whose architectures were all trained for "
    "it, and not from an official NAS-Bench-101 file",
    "stand-in": "Stand-in table: test errors come from {table}, not from an official NAS-Bench-101 file",
    "surrogate": "Estimated errors: test errors are what the surrogate {table} predicts, and nobody measured them",
    "trained": "No table: test errors are of architectures that were trained from scratch ({table})",
}
"""Where test errors come from, by the kind of what judged, where that is no official table."""


def _method(method: Method, comparison: Comparison, cells: _Cells, base: Path, kept: Kept) -> Data:
    look = style.look(method.name)
    quantities = _shown([comparison]).values()
    means = {}
    for quantity in quantities:
        one = series_of(method, quantity)
        if one.seeds:
            means[quantity.name] = {
                "mean": _drawn(one.mean, quantity, kept),
                "low": _drawn(one.low, quantity, kept),
                "high": _drawn(one.high, quantity, kept),
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
        "mean_seconds": _column(kept.of(_mean_seconds(method))),
        "runs": [_run(run, [*quantities], cells, base, kept) for run in method.runs],
    }


def _mean_seconds(method: Method) -> Array:
    """[epochs from 0] seconds of training until the end of an epoch; NaN from the first epoch that a seed lacks them.

    Each epoch adds the mean over the seeds that have it, so that a seed that is not finished moves no point back.
    """
    by_seed = [np.diff(_seconds(run), prepend=0.0) for run in method.runs]
    epochs = max((len(one) for one in by_seed), default=0)
    return np.cumsum([np.mean([one[epoch] for one in by_seed if epoch < len(one)]) for epoch in range(epochs)])


def _seconds(run: Run) -> Array:
    return curve(run, run.recorded - 1).seconds if run.recorded else np.empty(0)


def _run(run: Run, quantities: Sequence[Quantity], cells: _Cells, base: Path, kept: Kept) -> Data:
    log = run.path / EPOCHS
    curves = {quantity.name: _drawn(run.values(quantity), quantity, kept) for quantity in quantities}
    places = run.columns.places
    return {
        "seed": run.seed,
        "path": str(run.path),
        "lines": quote(os.fsencode(os.path.relpath(log.resolve(), base.resolve()))),
        "epochs": run.last_epoch,
        "asked": run.epochs,
        "finished": run.is_finished,
        "machine": machine(run.path),
        "seconds": _column(kept.of(_seconds(run))),
        "cells": [cells.number(run.columns, place) for place in kept.of(places).tolist()],
        "changes": (np.flatnonzero(np.diff(places)) + 1).tolist() if kept.is_thinned else None,
        "curves": {name: values for name, values in curves.items() if any(value is not None for value in values)},
    }


class _Cells:
    """Distinct architectures, each written once: its graphs as [title, nodes, edges], labels by their positions.

    Attributes:
        known: the architectures.
        architectures: the same, as they were read.
        labels: label of a node or an edge -> its position.
    """

    def __init__(self) -> None:
        self.known: list[list[Any]] = []
        self.architectures: list[Drawable] = []
        self.labels: dict[str, int] = {}
        self._numbers: dict[object, int] = {}
        self._read: dict[str, int | None] = {}

    def number(self, columns: Columns, place: int) -> int | None:
        """Where an architecture of a run stands, by its place in the run's; None for none."""
        if place < 0:
            return None
        text = columns.architectures[place]
        if text not in self._read:
            self._read[text] = self._number(columns.drawable(place))
        return self._read[text]

    def _number(self, architecture: Drawable | None) -> int | None:
        if architecture is None:
            return None
        if architecture.graphs not in self._numbers:
            self._numbers[architecture.graphs] = len(self.known)
            self.architectures.append(architecture)
            self.known.append(
                [
                    [
                        graph.title,
                        [self._label(node) for node in graph.nodes],
                        [[source, target, self._label(label)] for source, target, label in graph.edges],
                    ]
                    for graph in architecture.graphs
                ]
            )
        return self._numbers[architecture.graphs]

    def _label(self, label: str) -> int:
        return self.labels.setdefault(label, len(self.labels))


def _block(block: Block, metric: Measure) -> Data:
    """A block as `harness.compare` writes it, with the sentences that it prints."""
    return {
        **dataclasses.asdict(block),
        "tests_heading": tests_heading(block.family, metric) if block.family.tests else "",
        "power": power_text(block.family, metric, block.spread),
    }


def _overall(overall: Overall) -> Data:
    seeds = {space: numbers(its) for space, its in overall.seeds.items()}
    together = " together" if len(overall.spaces) > 1 else ""
    return {
        **dataclasses.asdict(overall),
        "place": f"{overall.bench}, {space_names(overall.spaces)}{together}",
        "seeds_text": seeds,
        "ranks_text": ranks_text(overall),
    }


def _config(run: Run) -> Data:
    """A run's configuration, empty where it went away meanwhile."""
    try:
        return RunFolder(run.path).config()
    except (OSError, RunFolderError):
        return {}


def _drawn(values: Array, quantity: Quantity, kept: Kept) -> list[float | None]:
    """A curve as the page draws it, at the epochs that are kept: nothing before the quantity's first epoch."""
    before = sum(epoch < quantity.first_epoch for epoch in kept.epochs)
    drawn = kept.of(values)
    return [None] * min(before, len(drawn)) + _column(drawn[before:])


def _column(values: Sequence[float] | Array) -> list[float | None]:
    return [_rounded(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
