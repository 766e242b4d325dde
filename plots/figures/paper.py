"""The paper's figures 3, 4 and 5: all spaces of a benchmark side by side.

Bands are as in the paper, the standard deviation over seeds, or else as asked for; colours are the same on every
figure. Random search and optimum are those that the runs recorded of their table. Figure 4, of all methods, shows
regret on a logarithmic axis, since most of them end within a point or two of each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from plots.drawing.regret import REGRET, above_optimum, log_error_axis, regret_note
from plots.drawing.side_by_side import Drawn, draw_side_by_side, finish, methods_to_draw, missing_methods
from plots.figures.hessian import LABELS, SPECTRAL_NORM, left_out, log_axis
from plots.runs.records import DEVIATION, INTERVAL, Comparison, NothingToDrawError, csv_text, series_of

FIGURE_3 = ("darts", "hessian_reg", "sdarts_rs", "sdarts_adv")


def figure_3(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """Anytime test error of DARTS, the Hessian penalty, SDARTS-RS and SDARTS-ADV."""
    return [_anytime(f"figure3_{name}", "Figure 3: anytime test error", sheet, options, FIGURE_3)]


def figure_4(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """Anytime test error of all methods, as regret to the optimum of the space where the runs recorded it."""
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
    axis = _vertical([one for one, _ in drawn], options.vertical, logarithmic=not chosen)
    shown = [(one, above_optimum(series, axis.zero(one))) for one, series in drawn] if axis.regret else drawn
    with style.applied():
        figure, columns, legends, height = draw_side_by_side(
            shown,
            100,
            any(at_some_epochs(one) for one, _ in drawn),
            axis.labels(options.chosen_by),
            lambda axes, one: table_lines(axes, one, 0 if options.seconds else _reach(drawn), axis.zero(one)),
        )
        if axis.logarithmic:
            for panels, (one, series) in zip(columns, shown, strict=True):
                notes += log_error_axis(panels[0], series, axis.regret, one.space_name if len(shown) > 1 else "")
        title = title.replace("test error", "regret") if axis.regret else title
        finish(figure, title, drawn, sheet, legends, height, [*axis.notes([one for one, _ in drawn]), *notes])
    return Page(name, figure, csv_text(*drawn))


@dataclass(frozen=True)
class _Vertical:
    """What the vertical axis shows.

    Attributes:
        regret: whether it counts from the optimum of the space.
        logarithmic: whether it is logarithmic.
    """

    regret: bool
    logarithmic: bool

    def zero(self, comparison: Comparison) -> float:
        """The error that it counts from."""
        return comparison.optimum if self.regret and comparison.optimum is not None else 0.0

    def labels(self, chosen_by: str | None) -> tuple[str, str]:
        """In full and for a small panel."""
        label = CHOICES[chosen_by]
        return (
            (label.replace("test error", "regret").replace("%", "points"), "regret (points)")
            if self.regret
            else (label, "test error (%)")
        )

    def notes(self, comparisons: Sequence[Comparison]) -> list[str]:
        """How it is to be read."""
        if self.regret:
            return [regret_note(comparisons)]
        return ["The axis is logarithmic."] if self.logarithmic else []


def _vertical(comparisons: Sequence[Comparison], asked: str | None, logarithmic: bool) -> _Vertical:
    """The axis asked for; else regret on a logarithmic axis, or errors where an optimum is not known.

    Raises:
        NothingToDrawError: regret is asked for, and a space has no optimum on record.
    """
    unknown = [one.space_name for one in comparisons if one.optimum is None]
    if asked == REGRET and unknown:
        raise NothingToDrawError(f"no regret, since the runs of {', '.join(unknown)} record no optimum; take --y error")
    if asked is not None:
        return _Vertical(asked == REGRET, asked == REGRET)
    return _Vertical(logarithmic and not unknown, logarithmic)


def _reach(drawn: Drawn) -> int:
    return max(last_epoch(series) for _, series in drawn)
