"""Any recorded quantity over the search: the mean and a band over seeds of each method, all spaces side by side.

It draws the quantities of the catalogue and those that runs carry in their `config.json`, so that what a probe of
another package records has a figure without further code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from harness.records.catalogue import Quantity
from plots.drawing import style
from plots.drawing.anytime import absent_seeds
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import Drawn, draw_side_by_side, finish, methods_to_draw, missing_methods
from plots.figures.hessian import log_axis
from plots.figures.registry import Named
from plots.runs.records import DEVIATION, INTERVAL, Comparison, NothingToDrawError, csv_text, series_of

PREFIX = "quantity:"
SUMMARY = "any recorded quantity over the search, spaces side by side, such as quantity:entropy"


def named(figure: str) -> Named | None:
    """The figure called `quantity:NAME`; None for a name of another form."""
    name = figure.removeprefix(PREFIX)
    return Named(functools.partial(draw, name), SUMMARY, ("--band",)) if name and name != figure else None


def draw(quantity_name: str, name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """The quantity over the epochs; the arguments after the first are those of every figure.

    Raises:
        NothingToDrawError: the runs record no quantity of that name, or no value of it.
    """
    quantity = _quantity(quantity_name, sheet)
    wanted = INTERVAL if options.interval else DEVIATION
    everything = [
        (one, [series_of(method, quantity, wanted) for method in methods])
        for one, methods in methods_to_draw(sheet, options, ())
    ]
    drawn = [(one, [line for line in series if line.seeds]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError(f"no run has a value of {quantity_name} at epoch {quantity.first_epoch} or later yet")
    notes = missing_methods(sheet, options, ())
    notes += [note for _, series in everything for note in absent_seeds(series)]
    with style.applied():
        figure, columns, legends, height = draw_side_by_side(
            drawn, quantity.factor, not quantity.is_error, (quantity.axis, quantity.axis), lambda axes, one: []
        )
        if quantity.logarithmic and not quantity.percent and _all_positive(drawn):
            for panels, (_, series) in zip(columns, drawn, strict=True):
                notes += log_axis(panels[0], series)
        title = quantity.label[:1].upper() + quantity.label[1:]
        finish(figure, title, drawn, sheet, legends, height, [style.sentence(quantity.meaning), *notes])
    return [Page(f"quantity_{quantity_name}_{name}", figure, csv_text(*drawn))]


def _quantity(name: str, sheet: Sequence[Comparison]) -> Quantity:
    known = {key: quantity for one in reversed(sheet) for key, quantity in one.quantities.items()}
    if name not in known:
        raise NothingToDrawError(f"no run here records a quantity {name!r}; known: {', '.join(known)}")
    return known[name]


def _all_positive(drawn: Drawn) -> bool:
    values = np.concatenate([line.values[np.isfinite(line.values)] for _, series in drawn for line in series])
    return bool((values > 0).all())
