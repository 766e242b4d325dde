"""The share of parameter-free operations in the derived cell (the paper's table 5), after every epoch.

A space says which of its operations have parameters; in those of NAS-Bench-101 the max-pooling alone has none.
Counted are the operations of the cell as it is trained, without loose ends. Collapse to parameter-free operations is
one way in which a search decays (section 5.6.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.records.catalogue import get_quantity
from plots.drawing import style
from plots.drawing.anytime import absent_seeds
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import Drawn, draw_side_by_side, finish, methods_to_draw, missing_methods
from plots.judgement.text import in_columns
from plots.runs.records import (
    DEVIATION,
    INTERVAL,
    Comparison,
    NothingToDrawError,
    csv_text,
    series_of,
)

PARAMETER_FREE_SHARE = get_quantity("parameter_free_share")
LABELS = (PARAMETER_FREE_SHARE.axis, "parameter-free (%)")


def draw(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """The share over the epochs, and a table of it after the last one.

    Raises:
        NothingToDrawError: no line holds a cell with an operation.
    """
    wanted = INTERVAL if options.interval else DEVIATION
    everything = [
        (one, [series_of(method, PARAMETER_FREE_SHARE, wanted) for method in methods])
        for one, methods in methods_to_draw(sheet, options, ())
    ]
    drawn = [(one, [line for line in series if line.seeds]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError("no line of epoch 1 or later holds a cell with an operation")
    notes = missing_methods(sheet, options, ())
    notes += [note for _, series in everything for note in absent_seeds(series)]
    with style.applied():
        figure, used, legends, height = draw_side_by_side(drawn, 100, False, LABELS, lambda axes, one: [])
        for panels in used:
            panels[0].set_ylim(-3, 103)
        finish(figure, "Table 5: parameter-free operations", drawn, sheet, legends, height, notes)
    return [Page(f"table5_{name}", figure, csv_text(*drawn), "\n".join(as_text(drawn)))]


def as_text(drawn: Drawn) -> list[str]:
    """A row for each method, a column for each space: mean and standard deviation after the last epoch, with n.

    Seeds that are not finished do not count.
    """
    names = sorted({line.method.name for _, series in drawn for line in series}, key=style.drawing_order)
    rows = [["parameter-free operations after the last epoch (%)", *(one.space_name for one, _ in drawn)]]
    for name in names:
        row = [name]
        for _, series in drawn:
            last = [
                value
                for line in series
                if line.method.name == name
                for run, value in zip(line.method.runs, line.values[:, -1], strict=True)
                if run.is_finished and np.isfinite(value)
            ]
            deviation = f" ± {100 * np.std(last, ddof=1):.1f}" if len(last) > 1 else ""
            row.append(f"{100 * np.mean(last):.1f}{deviation} (n={len(last)})" if last else "not finished")
        rows.append(row)
    return list(in_columns(rows))
