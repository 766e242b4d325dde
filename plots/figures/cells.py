"""The derived cell of one seed: drawn at some epochs, and below as strips that show every change over the search.

The cell is the one that the judge answers for. In the spaces of NAS-Bench-101 it has no loose ends, and its vertices
are numbered as recorded: a strip has a row for each vertex, in the colour of its operation, and one for each edge that
any cell of the search has. Where operations are on the edges, a strip has a row for each edge, in the colour of its
operation. A change is an epoch whose cell is another architecture than the last one's.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from harness.records.catalogue import get_quantity
from harness.records.line import Drawable
from plots.drawing import style
from plots.drawing.cell import LABELS, PLAIN, draw_cell, is_labelled, operation_colours
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import methods_to_draw
from plots.runs.records import Array, Comparison, Method, NothingToDrawError, Run, counted
from plots.runs.spreadsheet import Rows

CELL_HEIGHT = 2.3
ERROR_HEIGHT = 0.75
STRIP_ROW = 0.115
MOST_ACROSS = 6
EDGE = "0.3"

Place = tuple[int, float, int]
"""A row of a strip: the number of the graph, and a node with -1, or an edge by its ends, the target first. The last
node, whose number differs between cells of NAS-Bench-101, is infinity."""


def draw(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """A page for each method of each space, of its first seed.

    Raises:
        NothingToDrawError: no line holds a cell, or none of the epochs asked for is recorded.
    """
    pages: list[Page] = []
    without: list[str] = []
    for comparison, methods in methods_to_draw(sheet, options, ()):
        for method in methods:
            run = next((run for run in method.runs if any(run.architectures)), None)
            if run is None:
                continue
            try:
                file = f"cells_{name}_{comparison.folder}_{method.name}"
                pages.append(_page(file, comparison, method, run, options))
            except NothingToDrawError as reason:
                without.append(str(reason))
    if not pages:
        raise NothingToDrawError("; ".join(without[:3]) or "no line holds a cell that can be drawn")
    return [dataclasses.replace(pages[0], text="\n".join(filter(None, [*without, pages[0].text]))), *pages[1:]]


def changes(cells: Sequence[Drawable | None]) -> list[int]:
    """The epochs whose cell is another than the one before."""
    return [
        epoch
        for epoch, (before, now) in enumerate(pairwise(cells), start=1)
        if before is not None and now is not None and before.key != now.key
    ]


def _page(name: str, comparison: Comparison, method: Method, run: Run, options: Options) -> Page:
    cells = run.architectures
    last = len(cells) - 1
    asked = options.epochs or sorted({round(share * last) for share in (0, 0.25, 0.5, 1)})
    drawn = {epoch: cell for epoch in asked if epoch <= last and (cell := cells[epoch]) is not None}
    if not drawn:
        raise NothingToDrawError(f"{run.path} has no cell at epoch {', '.join(map(str, asked))}; it ends at {last}")
    missing = [str(epoch) for epoch in asked if epoch not in drawn]
    errors = run.values(get_quantity("test_error"))
    changed = changes(cells)
    with style.applied():
        figure = style.new_figure(style.PAGE_WIDTH)
        legend, height = _fill(figure, drawn, cells, errors, changed)
        counts = f"{counted(len({cell.key for cell in cells if cell}), 'cell')}, {counted(len(changed), 'change')}"
        final = f", the last in epoch {changed[-1]}" if changed else ""
        style.lay_out(
            figure,
            height,
            f"Derived cells of {style.look(method.name).label}, seed {run.seed}, {comparison.place}",
            f"{comparison.conditions()} · {counts}{final}",
            [style.legend_below(figure, list(legend.values()), list(legend), most_columns=6)],
            [f"Not recorded: epoch {', '.join(missing)}."] if missing else [],
        )
    text = f"{run.path} has no cell at epoch {', '.join(missing)}; it ends at {last}" if missing else ""
    return Page(name, figure, _csv(comparison, method, run, cells, errors), text)


def _fill(
    figure: Figure, drawn: Mapping[int, Drawable], cells: Sequence[Drawable | None], errors: Array, changed: list[int]
) -> tuple[dict[str, Patch], float]:
    """Cells above, strips below; gives what the colours are, and inches for all."""
    colours = operation_colours(cells)
    panels = [(epoch, graph) for epoch, cell in drawn.items() for graph in cell.graphs]
    rows = -(-len(panels) // MOST_ACROSS)
    across = -(-len(panels) // rows)
    marks = [_marks(cell) for cell in cells]
    nodes, edges = _rows(marks, of_edges=False), _rows(marks, of_edges=True)
    strips = [strip for strip in (nodes, edges) if strip]
    judged = bool(np.isfinite(errors).any())
    heights = [min(CELL_HEIGHT, 1.6 * style.PAGE_WIDTH / across)] * rows
    heights += [ERROR_HEIGHT] * judged + [STRIP_ROW * len(strip) for strip in strips]
    grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
    for number, (epoch, graph) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(number, across)])
        draw_cell(axes, graph, colours)
        error = f", {100 * errors[epoch]:.2f} %" if np.isfinite(errors[epoch]) else ""
        axes.set_title(" ".join(filter(None, [graph.title, f"epoch {epoch}{error}"])), pad=2)
    below = _strips(figure, grid, rows, cells, errors if judged else None, strips, colours)
    for epoch in drawn if judged else ():
        below[0].axvline(epoch, color="black", linestyle=":", linewidth=0.6)
    for axes in below[judged:]:
        for epoch in changed:
            axes.axvline(epoch - 0.5, color="black", linewidth=0.4)
    used = sorted({label for mark in marks for label in mark.values() if label})
    legend = {LABELS.get(label, label): Patch(facecolor=colours.get(label, PLAIN), edgecolor="0.25") for label in used}
    if any(not label for mark in marks for label in mark.values()):
        legend["edge"] = Patch(facecolor=EDGE)
    return legend, sum(heights) + 0.25 * rows + 0.55


def _strips(
    figure: Figure,
    grid: GridSpec,
    first: int,
    cells: Sequence[Drawable | None],
    errors: Array | None,
    strips: Sequence[Sequence[Place]],
    colours: Mapping[str, str],
) -> list[Axes]:
    """Errors, where there are any, and strips over the epochs, one below another from a row of the grid on."""
    axes: list[Axes] = []
    if errors is not None:
        axes.append(figure.add_subplot(grid[first, :]))
        axes[0].step(np.arange(len(errors)), 100 * errors, where="mid", color=style.NEUTRAL, linewidth=0.9)
        axes[0].set_ylabel("test error (%)")
    example = next(cell for cell in cells if cell)
    marks = [_marks(cell) for cell in cells]
    for places in strips:
        axes.append(figure.add_subplot(grid[first + len(axes), :], sharex=axes[0] if axes else None))
        names = [_name(example, place) for place in places]
        _strip(axes[-1], _colours(marks, places, colours), names)
        axes[-1].set_ylabel("vertex" if places[0][2] < 0 else "edge")
    if not axes:
        return []
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
    for one in axes[:-1]:
        one.tick_params(labelbottom=False)
    axes[0].set_xlim(-0.5, len(cells) - 0.5)
    return axes


def _strip(axes: Axes, colours: npt.NDArray[np.float64], names: Sequence[str]) -> None:
    """Rows of colours against epochs, named on the left."""
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(names)), names, fontsize=5.5)
    axes.tick_params(axis="y", length=0)
    for position in range(1, len(names)):
        axes.axhline(position - 0.5, color="white", linewidth=0.8)


def _marks(cell: Drawable | None) -> dict[Place, str]:
    """What the strips show of a cell: a label for each vertex or edge with an operation, none for a bare edge."""
    marks: dict[Place, str] = {}
    for number, graph in enumerate(cell.graphs if cell else ()):
        last = len(graph.nodes) - 1
        if not is_labelled(graph):
            marks |= {(number, node, -1): label for node, label in enumerate(graph.nodes[1:-1], start=1)}
        for source, target, label in graph.edges:
            place = (number, np.inf if target == last else target, source)
            marks[place] = f"{marks[place]} / {label}" if place in marks else label
    return marks


def _rows(marks: Sequence[Mapping[Place, str]], of_edges: bool) -> list[Place]:
    """The rows of a strip of edges or of vertices, in order."""
    return sorted({place for mark in marks for place in mark if (place[2] >= 0) == of_edges})


def _colours(
    marks: Sequence[Mapping[Place, str]], places: Sequence[Place], colours: Mapping[str, str]
) -> npt.NDArray[np.float64]:
    """`[rows, epochs, 3]`: the colour of an operation, dark for a bare edge; white or light where there is none."""
    drawn = np.full((len(places), len(marks), 3), 0.94 if places[0][2] >= 0 else 1.0)
    for epoch, mark in enumerate(marks):
        for row, place in enumerate(places):
            if place in mark:
                drawn[row, epoch] = to_rgb(colours.get(mark[place], PLAIN) if mark[place] else EDGE)
    return drawn


def _name(example: Drawable, place: Place) -> str:
    """What a row is called: by the nodes' labels where operations are on edges, else by number, with `in` and `out`."""
    number, target, source = place
    graph = example.graphs[min(number, len(example.graphs) - 1)]
    if source < 0:
        name = f"{target:g}"
    elif is_labelled(graph):
        last = len(graph.nodes) - 1
        end = last if np.isinf(target) else min(int(target), last)
        name = f"{graph.nodes[min(source, last)]} → {graph.nodes[end]}"
    else:
        name = f"{'in' if source == 0 else source} → {'out' if np.isinf(target) else f'{target:g}'}"
    return f"{graph.title} {name}".strip()


def _csv(comparison: Comparison, method: Method, run: Run, cells: Sequence[Drawable | None], errors: Array) -> str:
    """A row for each epoch: its cell, and whether it changed."""
    text = io.StringIO()
    writer = Rows(text)
    writer.writerow(["bench", "space", "method", "seed", "epoch", "cell", "changed", "ops", "edges", "test_error"])
    changed = set(changes(cells))
    for epoch, cell in enumerate(cells):
        if cell is not None:
            marks = _marks(cell)
            operations = [label for place, label in sorted(marks.items()) if label]
            edges = [_name(cell, place).replace(" ", "") for place in sorted(marks) if place[2] >= 0]
            error = repr(float(errors[epoch])) if np.isfinite(errors[epoch]) else ""
            writer.writerow(
                [
                    *(comparison.bench, comparison.space, method.name, run.seed, epoch),
                    *(cell.key, int(epoch in changed), " ".join(operations), " ".join(edges), error),
                ]
            )
    return text.getvalue()
