"""The supernet's error of sampled cells against the table's, one panel for each method.

Above, batch norm has the statistics that the search's own validation accuracy is measured with, and below each batch's
own. Coefficients are rank correlations of the supernet's validation error with the table's test error.
"""

from __future__ import annotations

import io
import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from harness.records.results import Correlation, Estimate, read_correlation
from harness.records.run_folder import CORRELATION
from plots.drawing import style
from plots.figures.checkpoint_results import Results, gather_results, write_figures
from plots.runs.spreadsheet import Rows

NAME = "correlation"
RHO, TAU = "\N{GREEK SMALL LETTER RHO}", "\N{GREEK SMALL LETTER TAU}"
MOST_COLUMNS = 4
PANEL_HEIGHT, TITLE_LINE = 1.35, 0.12
LABELS = {"stored": "the search's statistics", "batch": "each batch's statistics"}
TICKS = (0.5, 1, 2, 3, 5, 10, 20, 30, 50, 70, 100)


def gather(results: Path) -> list[Results[Correlation]]:
    """The rank correlations at or below a folder, those that may share a figure together.

    Raises:
        RunFolderError: there is no such folder.
        UserError: two that would share a figure disagree.
    """
    return gather_results(results, CORRELATION, read_correlation, also=("top_share", "top_test_error"))


def write(results: Path, out: Path) -> list[Path]:
    """Draw every rank correlation at or below a folder.

    Returns:
        the paths written; none where there is nothing to draw. Same errors as `gather`.
    """
    return write_figures(gather(results), out, NAME, draw, csv_text)


def draw(results: Results[Correlation]) -> Figure:
    """The figure: for each method two panels, one above the other."""
    contents = results.of_methods
    columns = min(len(contents), MOST_COLUMNS)
    rows = -(-len(contents) // columns)
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH if columns < 3 else style.PAGE_WIDTH)
        panels = figure.subplots(2 * rows, columns, sharex="row", sharey=True, squeeze=False)
        for place, (method, content) in enumerate(contents.items()):
            row, column = divmod(place, columns)
            for offset, statistics in enumerate(LABELS):
                axes = panels[2 * row + offset, column]
                _draw_panel(axes, content, statistics)
                name = f"{textwrap.fill(style.look(method).label, 24)}\n" if not offset else ""
                axes.set_title(f"{name}{statistics} statistics\n{_coefficients(content, statistics)}", pad=2)
                axes.set_xlabel("supernet error (%)")
                if not column:
                    axes.set_ylabel("test error (%)")
        for axes in panels[-2:, len(contents) - columns * (rows - 1) :].flat:
            axes.set_axis_off()
        _error_axis(panels[0, 0], [100 * cell.test_error for result in contents.values() for cell in result.sampled])
        legend = style.legend_below(
            figure,
            [_dots("0.2"), _dots("0.65")],
            [f"table's best {100 * next(iter(contents.values())).top_share:.0f} % of the space", "other cells"],
        )
        style.lay_out(
            figure,
            (2 * PANEL_HEIGHT + 5 * TITLE_LINE) * rows,
            f"Cells at the supernet's weights, {results.title}",
            results.conditions(),
            [legend],
            [
                f"{RHO}, {TAU}: Spearman's and Kendall's correlation over all cells, with 95 % bootstrap intervals. "
                f"Batch norm: stored, {LABELS['stored']}; batch, {LABELS['batch']}. "
                "Cells: drawn uniformly over parents and operations."
            ],
        )
    return figure


def csv_text(results: Results[Correlation]) -> str:
    """The numbers behind the figure: a row for each method and cell, errors as fractions."""
    text = io.StringIO()
    writer = Rows(text)
    measured = [f"{statistics}_{name}" for statistics in LABELS for name in ("error", "loss")]
    place = ["bench", "space", "method", "seed", "epoch"]
    writer.writerow([*place, "cell", "test_error", "valid_error", *measured, "images", "table", "scale"])
    for method, result in results.of_methods.items():
        start = [*results.start_of_row, method, result.conditions.seed, result.conditions.epoch]
        for cell in result.sampled:
            supernet = [cell.supernet[statistics] for statistics in LABELS]
            numbers = [number for its in supernet for number in (1 - its.accuracy, its.loss)]
            writer.writerow([*start, cell.cell, cell.test_error, cell.valid_error, *numbers, *results.end_of_row])
    return text.getvalue()


def _draw_panel(axes: Axes, result: Correlation, statistics: str) -> None:
    table = np.array([cell.test_error for cell in result.sampled])
    supernet = np.array([1 - cell.supernet[statistics].accuracy for cell in result.sampled])
    top = table <= result.top_test_error
    for chosen, colour in ((~top, "0.65"), (top, "0.2")):
        axes.plot(100 * supernet[chosen], 100 * table[chosen], ".", markersize=4, color=colour, markeredgewidth=0)
    axes.margins(x=0.05)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _coefficients(result: Correlation, statistics: str) -> str:
    orders = ((RHO, result.spearman), (TAU, result.kendall))
    return "\n".join(f"{symbol} {_estimate(estimates[statistics])}" for symbol, estimates in orders)


def _estimate(estimate: Estimate) -> str:
    if estimate.value is None:
        return "n/a"
    interval = "" if estimate.low is None or estimate.high is None else f" [{estimate.low:.2f}, {estimate.high:.2f}]"
    return f"{estimate.value:.2f}{interval}"


def _error_axis(axes: Axes, errors: list[float]) -> None:
    """A logarithmic axis where the errors allow it."""
    if min(errors) <= 0:
        return
    axes.set_yscale("log")
    low, high = min(errors) * 0.95, max(errors) * 1.05
    axes.set_ylim(low, high)
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _dots(colour: str) -> Line2D:
    return Line2D([], [], linestyle="", marker=".", color=colour, markersize=6, markeredgewidth=0)
