"""The paper's figures 3, 4 and 5: all spaces of a benchmark side by side.

Bands are as in the paper, the standard deviation over seeds, or else as asked for; colours are the same on every
figure. Random search and optimum are those that the runs recorded of their table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from plots import style
from plots.anytime import (
    absent_seeds,
    band_entries,
    draw_curves,
    last_epoch,
    mean_entries,
    not_in_table,
    table_lines,
    without_table_lines,
)
from plots.curves import CHOICES, error_series
from plots.hessian import LABELS, left_out, log_axis
from plots.multiples import MOST_TOGETHER, draw_multiples, grid, label_outside
from plots.pages import Options, Page, missing_spaces
from plots.records import (
    DEVIATION,
    INTERVAL,
    Comparison,
    Method,
    NothingToDrawError,
    Series,
    counted,
    csv_text,
    summarise,
)

FIGURE_3 = ("darts", "hessian_reg", "sdarts_rs", "sdarts_adv")
PANEL_HEIGHT = 2.1
ROW_HEIGHT = 0.68

Drawn = list[tuple[Comparison, list[Series]]]


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
        (one, [summarise(method, "spectral_norm", method.values("spectral_norm"), 0, wanted) for method in methods])
        for one, methods in _methods(sheet, options, ())
    ]
    drawn = [(one, [line for line in series if (line.values > 0).any()]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError("no run has a Hessian (its spectral norm is missing at every epoch)")
    notes = [note for _, series in everything for note in left_out(series)]
    with style.applied():
        figure, columns, legends, height = _side_by_side(drawn, 1, True, LABELS, lambda axes, one: [])
        for panels, (_, series) in zip(columns, drawn, strict=True):
            notes += log_axis(panels[0], series)
        _finish(figure, "Figure 5: Hessian of the validation loss", drawn, sheet, legends, height, notes)
    return [Page(f"figure5_{name}", figure, csv_text(*drawn))]


def _anytime(name: str, title: str, sheet: Sequence[Comparison], options: Options, chosen: Sequence[str]) -> Page:
    everything = [(one, error_series(one, methods, options)) for one, methods in _methods(sheet, options, chosen)]
    drawn = [(one, [line for line in series if line.seeds]) for one, series in everything]
    drawn = [(one, series) for one, series in drawn if series]
    if not drawn:
        raise NothingToDrawError("no run has a test error at epoch 1 or later yet")
    notes = [note for _, series in everything for note in absent_seeds(series)]
    if not options.seconds:
        notes += [note for _, series in drawn for note in not_in_table(series)]
    notes += without_table_lines([one for one, _ in drawn])
    if options.seconds and any(one.random_search for one in sheet):
        notes.append("Random search, which counts draws, has no place on an axis of seconds.")
    label = CHOICES[options.chosen_by]
    with style.applied():
        figure, _, legends, height = _side_by_side(
            drawn,
            100,
            False,
            (label, "test error (%)"),
            lambda axes, one: table_lines(axes, one, 0 if options.seconds else _reach(drawn)),
        )
        _finish(figure, title, drawn, sheet, legends, height, notes)
    return Page(name, figure, csv_text(*drawn))


def _reach(drawn: Drawn) -> int:
    return max(last_epoch(series) for _, series in drawn)


def _methods(
    sheet: Sequence[Comparison], options: Options, chosen: Sequence[str]
) -> list[tuple[Comparison, list[Method]]]:
    """The methods to draw of each space, in drawing order: those asked for, or else those that the figure is of.

    Raises:
        NothingToDrawError: none of them is recorded.
    """
    wanted = options.methods or chosen
    found = [(one, sorted(_wanted(one, wanted), key=lambda method: style.drawing_order(method.name))) for one in sheet]
    if not any(methods for _, methods in found):
        raise NothingToDrawError(f"none of {', '.join(wanted)} is recorded")
    return [(one, methods) for one, methods in found if methods]


def _wanted(comparison: Comparison, names: Sequence[str]) -> list[Method]:
    return [method for method in comparison.methods if not names or method.name in names]


def _side_by_side(
    drawn: Drawn,
    scale: float,
    join_gaps: bool,
    labels: tuple[str, str],
    beside: Callable[[Axes, Comparison], list[Line2D]],
) -> tuple[Figure, list[list[Axes]], list[Legend], float]:
    """A column for each space; all methods in one panel, or where they are too many a row for each.

    Args:
        drawn: the curves of each space.
        scale, join_gaps: as in `draw_curves`.
        labels: of the vertical axis, in full and for a small panel.
        beside: draws further lines into a space's panel.

    Returns:
        the figure, the panels of each space, the legends, and inches for the panels.
    """
    names = sorted({line.method.name for _, series in drawn for line in series}, key=style.drawing_order)
    of_method = [{line.method.name: line for line in series} for _, series in drawn]
    together = len(names) <= MOST_TOGETHER
    wide = len(drawn) > 1 or not together
    figure = style.new_figure(style.PAGE_WIDTH if wide else style.COLUMN_WIDTH)
    everything = [line for _, series in drawn for line in series]
    counts = {name: _count([by_name[name] for by_name in of_method if name in by_name]) for name in names}
    if together:
        panels = figure.subplots(1, len(drawn), squeeze=False)[0]
        for axes, (one, series) in zip(panels, drawn, strict=True):
            draw_curves(axes, series, scale, join_gaps, singles=False)
            if len(drawn) > 1:
                axes.set_title(f"space {one.space}", pad=3)
        panels[0].set_ylabel(labels[0])
        used = [[axes] for axes in panels]
        looks = [Line2D([], [], **style.look(name).line) for name in names]
        legends = [style.legend_below(figure, looks, [counts[name] for name in names], most_columns=4)]
        height = PANEL_HEIGHT
    else:
        columns = [[by_name.get(name) for name in names] for by_name in of_method]
        used = draw_multiples(
            figure,
            columns,
            scale,
            lambda axes, one: draw_curves(axes, one, scale, join_gaps, singles=False, plain=True),
            lambda one: counts[one.method.name],
        )
        for panels, (one, _) in zip(used, drawn, strict=True):
            if len(drawn) > 1:
                panels[0].set_title(f"space {one.space}\n{panels[0].get_title()}", pad=2)
        label_outside(used, panels[0].get_xlabel() or "epoch", labels[1])
        legends = []
        height = 0.2 + grid(columns)[0] * (ROW_HEIGHT if len(drawn) > 1 else 1.02)
    entries = {**band_entries(everything), **mean_entries(everything, singles=False, plain=not together)}
    for panels, (one, _) in zip(used, drawn, strict=True):
        for axes in panels:
            entries.update({str(line.get_label()): line for line in beside(axes, one)})
    legends.append(style.legend_below(figure, list(entries.values()), list(entries), most_columns=4))
    return figure, used, legends, height


def _count(lines: Sequence[Series]) -> str:
    """A method's name with its number of seeds in each space, once where it is the same, and the unfinished ones."""
    seeds = [str(line.seeds) for line in lines]
    unfinished = sum(line.unfinished for line in lines)
    note = f" ({unfinished} unfinished)" if unfinished else ""
    return f"{style.look(lines[0].method.name).label}, n={seeds[0] if len(set(seeds)) == 1 else '/'.join(seeds)}{note}"


def _finish(
    figure: Figure,
    title: str,
    drawn: Drawn,
    sheet: Sequence[Comparison],
    legends: Sequence[Legend],
    height: float,
    notes: Sequence[str],
) -> None:
    """Title, conditions, legends and notes."""
    spaces = [one.space for one, _ in drawn]
    epochs = sorted({line.method.epochs for _, series in drawn for line in series})
    lengths = counted(epochs[0], "epoch") if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]} epochs"
    one = drawn[0][0]
    where = f"{one.bench}, space {spaces[0]}" if len(spaces) == 1 else one.bench
    conditions = " · ".join(part for part in (f"table: {one.table}", one.scale, lengths) if part)
    absent = [f"Nothing to draw of space {other.space}." for other in sheet if other.space not in spaces]
    notes = [*missing_spaces(sheet), *absent, *dict.fromkeys(notes)]
    style.lay_out(figure, height, f"{title}, {where}", conditions, legends, notes)
