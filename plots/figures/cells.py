"""The derived cell of one seed: drawn at some epochs, and below as strips that show every change over the search.

The cell is the one that the table answers for: without loose ends, its vertices numbered as recorded. A strip has a row
for each vertex, in the colour of its operation, and one for each edge that any cell of the search has. A change is an
epoch whose cell is another architecture than the last one's.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from plots.drawing import style
from plots.drawing.cell import COLOURS, LABELS, PLAIN, draw_cell
from plots.drawing.pages import Options, Page
from plots.drawing.side_by_side import methods_to_draw
from plots.runs.records import Array, Comparison, Method, NothingToDrawError, Run, counted

CELL_HEIGHT = 2.3
ERROR_HEIGHT = 0.75
STRIP_ROW = 0.115
MOST_ACROSS = 6
EDGE = "0.3"

Edge = tuple[int, int | None]
"""From a vertex to another; the output, whose number differs between cells, is None."""


@dataclass(frozen=True)
class DrawnCell:
    """A line's cell.

    Attributes:
        key: the hash that the table knows it by.
        matrix: `[v][v]`.
        ops: `v` labels.
    """

    key: str
    matrix: Sequence[Sequence[int]]
    ops: Sequence[str]

    @property
    def edges(self) -> set[Edge]:
        """All edges."""
        last = len(self.ops) - 1
        return {
            (source, None if target == last else target)
            for source, row in enumerate(self.matrix)
            for target, there in enumerate(row)
            if there
        }


def draw(name: str, sheet: Sequence[Comparison], options: Options) -> list[Page]:
    """A page for each method of each space, of its first seed.

    Raises:
        NothingToDrawError: no line holds a cell, or none of the epochs asked for is recorded.
    """
    pages: list[Page] = []
    without: list[str] = []
    for comparison, methods in methods_to_draw(sheet, options, ()):
        for method in methods:
            run = next((run for run in method.runs if any(cells_of(run))), None)
            if run is None:
                continue
            try:
                file = f"cells_{name}_space{comparison.space}_{method.name}"
                pages.append(_page(file, comparison, method, run, options))
            except NothingToDrawError as reason:
                without.append(str(reason))
    if not pages:
        raise NothingToDrawError("; ".join(without[:3]) or "no line holds a cell, its matrix and operations")
    return [dataclasses.replace(pages[0], text="\n".join(filter(None, [*without, pages[0].text]))), *pages[1:]]


def cells_of(run: Run) -> list[DrawnCell | None]:
    """The cell of each recorded epoch, None where a line holds none that can be drawn."""
    found: list[DrawnCell | None] = []
    for line in run.lines:
        matrix, ops = line.get("matrix"), line.get("ops")
        if (
            isinstance(matrix, list)
            and isinstance(ops, list)
            and len(matrix) == len(ops) >= 2
            and all(isinstance(row, list) and len(row) == len(ops) for row in matrix)
            and all(isinstance(op, str) for op in ops)
        ):
            found.append(DrawnCell(str(line.get("cell")), matrix, ops))
        else:
            found.append(None)
    return found


def changes(cells: Sequence[DrawnCell | None]) -> list[int]:
    """The epochs whose cell is another than the one before."""
    return [
        epoch
        for epoch, (before, now) in enumerate(pairwise(cells), start=1)
        if before is not None and now is not None and before.key != now.key
    ]


def _page(name: str, comparison: Comparison, method: Method, run: Run, options: Options) -> Page:
    cells = cells_of(run)
    last = len(cells) - 1
    asked = options.epochs or sorted({round(share * last) for share in (0, 0.25, 0.5, 1)})
    drawn = {epoch: cell for epoch in asked if epoch <= last and (cell := cells[epoch]) is not None}
    if not drawn:
        raise NothingToDrawError(f"{run.path} has no cell at epoch {', '.join(map(str, asked))}; it ends at {last}")
    missing = [str(epoch) for epoch in asked if epoch not in drawn]
    errors = run.values("test_error")
    changed = changes(cells)
    with style.applied():
        figure = style.new_figure(style.PAGE_WIDTH)
        legend, height = _fill(figure, drawn, cells, errors, changed)
        counts = f"{counted(len({cell.key for cell in cells if cell}), 'cell')}, {counted(len(changed), 'change')}"
        final = f", the last in epoch {changed[-1]}" if changed else ""
        style.lay_out(
            figure,
            height,
            f"Derived cells of {style.look(method.name).label}, seed {run.seed}, {comparison.bench}, "
            f"space {comparison.space}",
            f"{comparison.conditions()} · {counts}{final}",
            [style.legend_below(figure, list(legend.values()), list(legend), most_columns=6)],
            [f"Not recorded: epoch {', '.join(missing)}."] if missing else [],
        )
    text = f"{run.path} has no cell at epoch {', '.join(missing)}; it ends at {last}" if missing else ""
    return Page(name, figure, _csv(comparison, method, run, cells, errors), text)


def _fill(
    figure: Figure, drawn: Mapping[int, DrawnCell], cells: Sequence[DrawnCell | None], errors: Array, changed: list[int]
) -> tuple[dict[str, Patch], float]:
    """Cells above, strips below; gives what the colours are, and inches for all."""
    rows = -(-len(drawn) // MOST_ACROSS)
    across = -(-len(drawn) // rows)
    vertices = max(len(cell.ops) for cell in cells if cell) - 2
    edges = sorted({edge for cell in cells if cell for edge in cell.edges}, key=_edge_order)
    heights = [min(CELL_HEIGHT, 1.6 * style.PAGE_WIDTH / across)] * rows + [
        ERROR_HEIGHT,
        STRIP_ROW * max(1, vertices),
        STRIP_ROW * len(edges),
    ]
    grid = figure.add_gridspec(len(heights), across, height_ratios=heights)
    for number, (epoch, cell) in enumerate(drawn.items()):
        axes = figure.add_subplot(grid[divmod(number, across)])
        draw_cell(axes, cell.matrix, cell.ops)
        error = f", {100 * errors[epoch]:.2f} %" if np.isfinite(errors[epoch]) else ""
        axes.set_title(f"epoch {epoch}{error}", pad=2)
    above = figure.add_subplot(grid[rows, :])
    above.step(np.arange(len(errors)), 100 * errors, where="mid", color=style.NEUTRAL, linewidth=0.9)
    above.set_ylabel("test error (%)")
    for epoch in drawn:
        above.axvline(epoch, color="black", linestyle=":", linewidth=0.6)
    operations = figure.add_subplot(grid[rows + 1, :], sharex=above)
    _strip(operations, _operation_colours(cells, vertices), [str(vertex + 1) for vertex in range(vertices)])
    operations.set_ylabel("vertex")
    connections = figure.add_subplot(grid[rows + 2, :], sharex=above)
    _strip(connections, _edge_colours(cells, edges), [_edge_name(edge) for edge in edges])
    connections.set_ylabel("edge")
    connections.set_xlabel("epoch")
    connections.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
    for axes in (operations, connections):
        for epoch in changed:
            axes.axvline(epoch - 0.5, color="black", linewidth=0.4)
    for axes in (above, operations):
        axes.tick_params(labelbottom=False)
    above.set_xlim(-0.5, len(cells) - 0.5)
    used = dict.fromkeys(op for cell in cells if cell for op in cell.ops[1:-1])
    legend = {LABELS.get(op, op): Patch(facecolor=COLOURS.get(op, PLAIN), edgecolor="0.25") for op in sorted(used)}
    legend["edge"] = Patch(facecolor=EDGE)
    return legend, sum(heights) + 0.25 * rows + 0.55


def _strip(axes: Axes, colours: npt.NDArray[np.float64], names: Sequence[str]) -> None:
    """Rows of colours against epochs, named on the left."""
    axes.imshow(colours, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(names)), names, fontsize=5.5)
    axes.tick_params(axis="y", length=0)
    for position in range(1, len(names)):
        axes.axhline(position - 0.5, color="white", linewidth=0.8)


def _operation_colours(cells: Sequence[DrawnCell | None], vertices: int) -> npt.NDArray[np.float64]:
    """`[vertices, epochs, 3]`, white where a cell has no such vertex."""
    colours = np.ones((max(1, vertices), len(cells), 3))
    for epoch, cell in enumerate(cells):
        for vertex, op in enumerate(cell.ops[1:-1] if cell else ()):
            colours[vertex, epoch] = to_rgb(COLOURS.get(op, PLAIN))
    return colours


def _edge_colours(cells: Sequence[DrawnCell | None], edges: Sequence[Edge]) -> npt.NDArray[np.float64]:
    """`[edges, epochs, 3]`, dark where a cell has the edge."""
    colours = np.full((len(edges), len(cells), 3), 0.94)
    for epoch, cell in enumerate(cells):
        present = cell.edges if cell else set()
        for row, edge in enumerate(edges):
            if edge in present:
                colours[row, epoch] = to_rgb(EDGE)
    return colours


def _edge_order(edge: Edge) -> tuple[float, int]:
    source, target = edge
    return (np.inf if target is None else target, source)


def _edge_name(edge: Edge) -> str:
    source, target = edge
    return f"{'in' if source == 0 else source} → {'out' if target is None else target}"


def _csv(comparison: Comparison, method: Method, run: Run, cells: Sequence[DrawnCell | None], errors: Array) -> str:
    """A row for each epoch: its cell, and whether it changed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["bench", "space", "method", "seed", "epoch", "cell", "changed", "ops", "edges", "test_error"])
    changed = set(changes(cells))
    for epoch, cell in enumerate(cells):
        if cell is not None:
            edges = " ".join(_edge_name(edge).replace(" ", "") for edge in sorted(cell.edges, key=_edge_order))
            error = repr(float(errors[epoch])) if np.isfinite(errors[epoch]) else ""
            writer.writerow(
                [
                    *(comparison.bench, comparison.space, method.name, run.seed, epoch),
                    *(cell.key, int(epoch in changed), " ".join(cell.ops[1:-1]), edges, error),
                ]
            )
    return text.getvalue()
