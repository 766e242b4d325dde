"""The paper's figures 3, 4 and 5: all spaces of a benchmark side by side.

Bands are as in the paper, the standard deviation over seeds, or else as asked for; colours are the same on every
figure. Random search and optimum are those that the runs recorded of their table.
"""

from __future__ import annotations

from collections.abc import Sequence

from plots.drawing import style
from plots.drawing.anytime import (
    absent_seeds,
    at_some_epochs,
    last_epoch,
    table_lines,
    unjudged,
    why_no_errors,
    without_table_lines,
)
from plots.drawing.curves import CHOICES, error_series
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import Drawn, draw_side_by_side, finish, methods_to_draw, missing_methods
from plots.figures.hessian import LABELS, SPECTRAL_NORM, left_out, log_axis
from plots.runs.records import DEVIATION, INTERVAL, Comparison, NothingToDrawError, csv_text, series_of

FIGURE_3 = ("darts", "hessian_reg", "sdarts_rs", "sdarts_adv")


def figure_3(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """Anytime test error of DARTS, the Hessian penalty, SDARTS-RS and SDARTS-ADV."""
    return [_anytime(f"figure3_{name}", "Figure 3: anytime test error", sheet, options, FIGURE_3)]


def figure_4(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """Anytime test error of all methods."""
    return [_anytime(f"figure4_{name}", "Figure 4: anytime test error of all methods", sheet, options, ())]


def figure_5(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """Spectral norm of the Hessian over the search, on a logarithmic axis."""
    wanted = INTERVAL if options.interval else DEVIATION
    everything = [
        (one, [series_of(method, SPECTRAL_NORM, wanted) for method in methods])
        for one, methods in methods_to_draw(sheet, options, ())
    ]
    drawn = [(one, [line for line in series if (line.values > 0).any()]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError("no run has a Hessian (its spectral norm is missing at every epoch)")
    notes = missing_methods(sheet, options, ())
    notes += [note for _, series in everything for note in left_out(series)]
    with style.applied():
        figure, columns, legends, height = draw_side_by_side(drawn, 1, True, LABELS, lambda axes, one: [])
        for panels, (_, series) in zip(columns, drawn, strict=True):
            notes += log_axis(panels[0], series)
        finish(figure, "Figure 5: Hessian of the validation loss", drawn, sheet, legends, height, notes)
    return [Page(f"figure5_{name}", figure, csv_text(*drawn))]


def _anytime(name: str, title: str, sheet: Sequence[Comparison], options: Options, chosen: Sequence[str]) -> Page:
    everything = [
        (one, error_series(one, methods, options)) for one, methods in methods_to_draw(sheet, options, chosen)
    ]
    drawn = [(one, [line for line in series if line.seeds]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError(why_no_errors(sheet))
    notes = missing_methods(sheet, options, chosen)
    notes += [note for _, series in everything for note in absent_seeds(series)]
    if not options.seconds:
        notes += [note for one, series in drawn for note in unjudged(one, series)]
    notes += without_table_lines([one for one, _ in drawn])
    if options.seconds and any(one.random_search for one in sheet):
        notes.append("Random search, which counts draws, has no place on an axis of seconds.")
    label = CHOICES[options.chosen_by]
    with style.applied():
        figure, _, legends, height = draw_side_by_side(
            drawn,
            100,
            any(at_some_epochs(one) for one, _ in drawn),
            (label, "test error (%)"),
            lambda axes, one: table_lines(axes, one, 0 if options.seconds else _reach(drawn)),
        )
        finish(figure, title, drawn, sheet, legends, height, notes)
    return Page(name, figure, csv_text(*drawn))


def _reach(drawn: Drawn) -> int:
    return max(last_epoch(series) for _, series in drawn)
