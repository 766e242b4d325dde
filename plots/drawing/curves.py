"""The test error over a search as a figure may ask for it: over epochs or seconds, of the epoch's cell or the best."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from plots.drawing.pages import Options
from plots.judgement.measures import Curve, best_so_far, curve
from plots.runs.records import DEVIATION, INTERVAL, Array, Comparison, Method, NothingToDrawError, Series, summarise

POINTS = 200

CHOICES = {
    None: "test error of the derived cell (%)",
    "supernet": "test error, best by supernet (%)",
    "table": "test error, best by table (%)",
}
"""What the vertical axis says, by how the cell is chosen."""


def error_series(comparison: Comparison, methods: Sequence[Method], options: Options) -> list[Series]:
    """Test errors of methods that share a panel.

    Over seconds a method's curve ends with its fastest seed, so that each point is over the same seeds; it has a point
    there besides those that all methods have. Before a seed's first epoch has ended it has no value.

    Raises:
        NothingToDrawError: seconds are asked for, and no run recorded them.
    """
    quantity = "test_error" if options.chosen_by is None else f"test_error_best_by_{options.chosen_by}"
    wanted = INTERVAL if options.interval else DEVIATION
    curves = {method.name: [_chosen(curve(run, run.recorded), options) for run in method.runs] for method in methods}
    if not options.seconds:
        return [
            summarise(method, quantity, _stacked([one.test_error for one in curves[method.name]]), 1, wanted)
            for method in methods
        ]
    ends = [one.seconds[-1] for method in methods for one in curves[method.name]]
    if not np.isfinite(ends).any():
        raise NothingToDrawError(f"no run of {comparison.space_name} recorded its seconds of training")
    shared = np.linspace(0, np.nanmax(ends), POINTS + 1)[1:]
    found = []
    for method in methods:
        fastest = np.nanmin([one.seconds[-1] for one in curves[method.name]], initial=np.inf)
        grid = np.unique([*shared, fastest]) if np.isfinite(fastest) else shared
        values = np.stack([_at(one, np.where(grid <= fastest, grid, np.nan)) for one in curves[method.name]])
        found.append(summarise(method, quantity, values, 0, wanted, grid))
    return found


def _chosen(one: Curve, options: Options) -> Curve:
    """The curve of the best cell so far, by what it is chosen by; the untrained line 0 is not among them."""
    if options.chosen_by is None:
        return one
    scores = -one.supernet_accuracy if options.chosen_by == "supernet" else one.valid_error
    best = best_so_far(scores[1:], one.test_error[1:])
    return dataclasses.replace(one, test_error=np.concatenate([one.test_error[:1], best]))


def _at(one: Curve, seconds: Array) -> Array:
    """The test error of the cell that a search would return at each time, NaN before its first epoch has ended."""
    epochs = np.searchsorted(one.seconds, seconds, side="right") - 1
    there = np.isfinite(seconds) & (epochs >= 1) & (epochs < len(one.test_error)) & np.isfinite(one.seconds[-1])
    return np.where(there, one.test_error[np.where(there, epochs, 0)] if len(one.test_error) else np.nan, np.nan)


def _stacked(rows: Sequence[Array]) -> Array:
    """[seeds, epochs], NaN beyond a seed's last epoch."""
    values = np.full((len(rows), max(map(len, rows), default=0)), np.nan)
    for row, given in zip(values, rows, strict=True):
        row[: len(given)] = given
    return values
