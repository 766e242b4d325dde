"""All spaces of a benchmark side by side on one page, each with its methods in one panel or in a panel each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from plots.drawing import style
from plots.drawing.anytime import band_entries, draw_curves, mean_entries
from plots.drawing.multiples import MOST_TOGETHER, Draw, draw_multiples, grid, label_outside
from plots.drawing.multiples import PANEL_HEIGHT as BLOCK_HEIGHT
from plots.drawing.pages import Options, missing_spaces
from plots.runs.records import Comparison, Method, NothingToDrawError, Series, counted

PANEL_HEIGHT = 2.1
ROW_HEIGHT = 0.68

Drawn = list[tuple[Comparison, list[Series]]]


def methods_to_draw(
    sheet: Sequence[Comparison], options: Options, chosen: Sequence[str]
) -> list[tuple[Comparison, list[Method]]]:
    """The methods to draw of each space, in drawing order: those asked for, or else those that the figure is of.

    Raises:
        NothingToDrawError: none of them is recorded.
    """
    found = [
        (one, sorted(_wanted(one, options, chosen), key=lambda method: style.drawing_order(method.name)))
        for one in sheet
    ]
    if not any(methods for _, methods in found):
        names = ", ".join(sorted({method.name for one in sheet for method in one.methods}))
        wanted = ", ".join(options.methods or chosen)
        raise NothingToDrawError(f"none of {wanted} is recorded; recorded: {names} (--methods draws them)")
    return [(one, methods) for one, methods in found if methods]


def missing_methods(sheet: Sequence[Comparison], options: Options, chosen: Sequence[str]) -> list[str]:
    """Notes on the methods that a figure is of and that no space has, and on variants that stand for their method."""
    taken = {method.name for one in sheet for method in _wanted(one, options, chosen)}
    asked = options.methods or chosen
    stand_ins = sorted(name for name in taken if asked and name not in asked)
    present = taken | {name.partition("@")[0] for name in stand_ins}
    missing = [style.look(name).label for name in asked if name not in present]
    notes = [style.sentence(f"Not recorded: {', '.join(missing)}")] if missing else []
    if stand_ins:
        notes.append(f"The one variant recorded stands for its method: {', '.join(stand_ins)}.")
    return notes


def _wanted(comparison: Comparison, options: Options, chosen: Sequence[str]) -> list[Method]:
    """The methods asked for by name; else those that the figure is of, or the one variant that there is of each."""
    if options.methods or not chosen:
        return [method for method in comparison.methods if not options.methods or method.name in options.methods]
    found = []
    for name in chosen:
        exact = [method for method in comparison.methods if method.name == name]
        variants = [method for method in comparison.methods if method.name.partition("@")[0] == name]
        found += exact or (variants if len(variants) == 1 else [])
    return found


def draw_side_by_side(
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
    together = len(names) <= MOST_TOGETHER
    figure = style.new_figure(style.COLUMN_WIDTH if together and len(drawn) == 1 else style.PAGE_WIDTH)
    draw = functools.partial(draw_curves, scale=scale, join_gaps=join_gaps, singles=False, plain=not together)
    if together:
        used = _one_panel_each(figure, drawn, draw, labels[0])
        looks = [Line2D([], [], **style.look(name).line) for name in names]
        legends = [style.legend_below(figure, looks, [_count(drawn, name) for name in names], most_columns=4)]
        height = PANEL_HEIGHT
    else:
        used = _one_row_a_method(figure, drawn, names, draw, scale, labels[1])
        legends = []
        height = 0.2 + (ROW_HEIGHT * len(names) if len(drawn) > 1 else BLOCK_HEIGHT * grid([drawn[0][1]])[0])
    everything = [line for _, series in drawn for line in series]
    entries = {**band_entries(everything), **mean_entries(everything, singles=False, plain=not together)}
    for panels, (one, _) in zip(used, drawn, strict=True):
        for axes in panels:
            entries.update({str(line.get_label()): line for line in beside(axes, one)})
    legends.append(style.legend_below(figure, list(entries.values()), list(entries), most_columns=4))
    return figure, used, legends, height


def _one_panel_each(figure: Figure, drawn: Drawn, draw: Draw, label: str) -> list[list[Axes]]:
    """All methods of a space in one panel."""
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (one, series) in zip(panels, drawn, strict=True):
        draw(axes, series)
        if len(drawn) > 1:
            axes.set_title(one.space_name, pad=3)
    panels[0].set_ylabel(label)
    return [[axes] for axes in panels]


def _one_row_a_method(
    figure: Figure, drawn: Drawn, names: Sequence[str], draw: Draw, scale: float, label: str
) -> list[list[Axes]]:
    """A column of small panels for each space; a single space takes as many columns as fit."""
    of_method = [{line.method.name: line for line in series} for _, series in drawn]
    columns = [[by_name.get(name) for name in names] for by_name in of_method]
    used = draw_multiples(figure, columns, scale, draw, lambda one: _count(drawn, one.method.name))
    for panels, (one, _) in zip(used, drawn, strict=True):
        if len(drawn) > 1:
            panels[0].set_title(f"{one.space_name}\n{panels[0].get_title()}", pad=2)
    label_outside(used, used[0][0].get_xlabel(), label)
    return used


def _count(drawn: Drawn, name: str) -> str:
    """A method's name with its number of seeds in each space, once where it is the same, and the unfinished ones."""
    lines = [line for _, series in drawn for line in series if line.method.name == name]
    seeds = [str(line.seeds) for line in lines]
    unfinished = sum(line.unfinished for line in lines)
    note = f" ({unfinished} unfinished)" if unfinished else ""
    return f"{style.look(name).label}, n={seeds[0] if len(set(seeds)) == 1 else '/'.join(seeds)}{note}"


def finish(
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
    where = one.place if len(spaces) == 1 else one.bench
    conditions = " · ".join(part for part in (one.judge, one.scale, lengths) if part)
    absent = [f"Nothing to draw of {other.space_name}." for other in sheet if other.space not in spaces]
    notes = [*missing_spaces(sheet), *absent, *dict.fromkeys(notes)]
    style.lay_out(figure, height, f"{title}, {where}", conditions, legends, notes)
