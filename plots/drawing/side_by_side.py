"""All spaces of a benchmark side by side on one page, each with its methods in one panel or a few in each of several.

Where there are too many methods for a panel, each row of panels has up to four of them in colour in front of all
others in grey, and above it what its lines are.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from plots.drawing import style
from plots.drawing.anytime import band_entries, draw_curves, mean_entries
from plots.drawing.few_seeds import few_seeds
from plots.drawing.multiples import MOST_TOGETHER, OTHERS, Draw, draw_behind, groups_of, label_outside
from plots.drawing.pages import Options, missing_spaces
from plots.runs.records import Comparison, Method, NothingToDrawError, Series, counted

PANEL_HEIGHT = 2.1
ROW_HEIGHT = 1.15
LEGEND_LINE = 0.15
"""Inches of a line of a legend above a row, or of the names of the spaces."""
LETTERS = 40
"""Of a label that stands alone in its line."""
ROWS_ABREAST = 2
"""How many groups of methods stand side by side where there is one space only."""

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
    draw = functools.partial(draw_curves, scale=scale, join_gaps=join_gaps, singles=False)
    if together:
        used = _one_panel_each(figure, drawn, draw, labels[0])
        looks = [Line2D([], [], **style.look(name).line) for name in names]
        legends = [style.legend_below(figure, looks, [_count(drawn, name) for name in names], most_columns=4)]
        height = PANEL_HEIGHT
    else:
        used, height = _few_in_front(figure, drawn, groups_of(names), draw, scale, labels[1])
        legends = []
    everything = [line for _, series in drawn for line in series]
    entries = {**band_entries(everything), **mean_entries(everything, singles=False)}
    if not together:
        entries["means of the other methods"] = Line2D([], [], color=OTHERS, linewidth=0.8)
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


def _few_in_front(
    figure: Figure, drawn: Drawn, groups: Sequence[Sequence[str]], draw: Draw, scale: float, label: str
) -> tuple[list[list[Axes]], float]:
    """A row of panels for each group of methods, a column for each space; of one space the groups stand side by side.

    Returns:
        the panels of each space, and inches for all of them.
    """
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(h_pad=0.015)
    across = len(drawn) if len(drawn) > 1 else ROWS_ABREAST
    rows = len(groups) if len(drawn) > 1 else -(-len(groups) // across)
    room = style.PAGE_WIDTH - 0.6 if len(drawn) > 1 else style.PAGE_WIDTH / ROWS_ABREAST - 0.5
    columns = [_legend_columns(figure, group, drawn, room) for group in groups]
    lines = [_legend_lines(group, drawn, count) for group, count in zip(groups, columns, strict=True)]
    abreast = 1 if len(drawn) > 1 else across
    heights = [LEGEND_LINE] * (len(drawn) > 1)
    for row in range(rows):
        heights += [LEGEND_LINE * max(lines[row * abreast : (row + 1) * abreast]), ROW_HEIGHT]
    places = figure.add_gridspec(len(heights), across, height_ratios=heights)
    used: list[list[Axes]] = [[] for _ in drawn]
    if len(drawn) > 1:
        for column, (one, _) in enumerate(drawn):
            _words(figure.add_subplot(places[0, column]), one.space_name)
    for number, group in enumerate(groups):
        row, first = (number, 0) if len(drawn) > 1 else divmod(number, across)
        below = 2 * row + (len(drawn) > 1)
        legend = figure.add_subplot(places[below, :] if len(drawn) > 1 else places[below, first])
        legend.set_axis_off()
        _legend_above(legend, group, drawn, columns[number])
        for column, (_, series) in enumerate(drawn):
            in_front = [line for line in series if line.method.name in group]
            if in_front:
                beside = used[column][0] if used[column] else None
                axes = figure.add_subplot(
                    places[below + 1, first + column], sharex=used[0][0] if used[0] else None, sharey=beside
                )
                draw_behind(axes, [line for line in series if line.method.name not in group], scale)
                draw(axes, in_front)
                used[column].append(axes)
    panels = [axes for column in used for axes in column]
    label_outside(panels, panels[0].get_xlabel(), label)
    return used, sum(heights) + 0.03 * len(heights) + 0.2


def _words(axes: Axes, text: str) -> None:
    """Words in the place of a panel."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", size=7.5)


def _legend_columns(figure: Figure, group: Sequence[str], drawn: Drawn, room: float) -> int:
    """How many of a group's methods fit beside each other in a legend, in inches of room; at least one."""
    for columns in range(len(group), 1, -1):
        legend = _legend_above(figure, group, drawn, columns)
        width = style.width_of(figure, legend)
        legend.remove()
        if width <= room:
            return columns
    return 1


def _legend_lines(group: Sequence[str], drawn: Drawn, columns: int) -> int:
    """How many lines such a legend has."""
    if columns == 1:
        return sum(label.count("\n") + 1 for label in _legend_labels(group, drawn, columns))
    return -(-len(group) // columns)


def _legend_labels(group: Sequence[str], drawn: Drawn, columns: int) -> list[str]:
    """The methods with n; where only one stands in a line, too long a name is broken."""
    labels = [_count(drawn, name) for name in group]
    return labels if columns > 1 else [textwrap.fill(label, LETTERS) for label in labels]


def _legend_above(place: Axes | Figure, group: Sequence[str], drawn: Drawn, columns: int) -> Legend:
    """What the lines of the panels below are."""
    return place.legend(
        [Line2D([], [], **style.look(name).line) for name in group],
        _legend_labels(group, drawn, columns),
        loc="lower left",
        ncols=columns,
        fontsize=6.5,
        handlelength=3.2,
        columnspacing=1.2,
        labelspacing=0.2,
        borderaxespad=0,
        borderpad=0,
    )


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
    few = few_seeds(*(series for _, series in drawn))
    notes = [*few, *missing_spaces(sheet), *absent, *dict.fromkeys(notes)]
    style.lay_out(figure, height, f"{title}, {where}", conditions, legends, notes)
