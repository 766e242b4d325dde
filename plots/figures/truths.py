"""What a table says about a search space: its best cells, the distribution of errors, and what random search finds."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from harness.records.line import nasbench_graph
from plots.drawing import style
from plots.drawing.cell import draw_cell
from plots.runs.spreadsheet import Rows

NAME = "truths"
PANEL_HEIGHT = 2.5

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpaceTruths:
    """What the figure shows; errors are fractions here, percent there.

    Attributes:
        table: the table's label.
        space: 1, 2 or 3.
        conditions: what the numbers are of, in words.
        optimum, best_by_validation: `matrix`, `ops`, `test_error` and `valid_error` of a cell.
        percentiles: test errors at the percentiles 0 to 100 of the cells.
        draws: numbers of draws of random search.
        expected, deviation: its test error after so many draws, chosen by validation error.
        chosen_by_test: the same, were the test error known.
    """

    table: str
    space: int
    conditions: str
    optimum: Mapping[str, Any]
    best_by_validation: Mapping[str, Any]
    percentiles: Sequence[float]
    draws: Sequence[int]
    expected: Sequence[float]
    deviation: Sequence[float]
    chosen_by_test: Sequence[float]


def draw(truths: SpaceTruths) -> Figure:
    """The figure, as wide as a page."""
    with style.applied():
        figure = style.new_figure(style.PAGE_WIDTH)
        best = [("optimum", truths.optimum), ("best by validation", truths.best_by_validation)]
        if truths.optimum["cell"] == truths.best_by_validation["cell"]:
            best = [("optimum, best by validation too", truths.optimum)]
        *panels, distribution, search = figure.subplots(1, len(best) + 2, width_ratios=[*[1.2] * len(best), 1.1, 1.1])
        for axes, (title, cell) in zip(panels, best, strict=True):
            graph = nasbench_graph(cell["matrix"], cell["ops"])
            assert graph is not None
            draw_cell(axes, graph)
            errors = f"test {100 * cell['test_error']:.2f} %\nvalidation {100 * cell['valid_error']:.2f} %"
            axes.set_title(f"{title}\n{errors}", fontsize=6.5, pad=2)
        _draw_distribution(distribution, truths)
        _draw_search(search, truths)
        handles, labels = search.get_legend_handles_labels()
        style.lay_out(
            figure,
            PANEL_HEIGHT,
            f"{truths.table}, space {truths.space}: what the table says",
            truths.conditions,
            [style.legend_below(figure, handles, labels)],
            ["Random search draws as the space's sampler does; its expectation is exact."],
        )
    return figure


def csv_text(truths: SpaceTruths) -> str:
    """The numbers behind the figure, errors as fractions: a row for each percentile and each number of draws."""
    text = io.StringIO()
    writer = Rows(text)
    writer.writerow(["table", "space", "quantity", "at", "test_error", "deviation", "chosen_by_test"])
    start = [truths.table, truths.space]
    writer.writerows([*start, "percentile", at, error, "", ""] for at, error in enumerate(truths.percentiles))
    columns = zip(truths.draws, truths.expected, truths.deviation, truths.chosen_by_test, strict=True)
    writer.writerows([*start, "random_search", *row] for row in columns)
    for name, cell in (("optimum", truths.optimum), ("best_by_validation", truths.best_by_validation)):
        writer.writerow([*start, name, cell["cell"], cell["test_error"], "", ""])
    return text.getvalue()


def _draw_distribution(axes: Axes, truths: SpaceTruths) -> None:
    axes.plot(100 * np.asarray(truths.percentiles), np.arange(101), color=style.NEUTRAL)
    axes.set_xlabel("test error (%)")
    axes.set_ylabel("cells at or below (%)")
    _percent_axis(axes, np.asarray(truths.percentiles))


def _percent_axis(axes: Axes, errors: Array) -> None:
    """A logarithmic axis of percent where the errors allow it."""
    if errors.min() <= 0:
        return
    axes.set_xscale("log")
    low, high = 100 * errors.min(), 100 * errors.max()
    axes.set_xticks([tick for tick in (1, 2, 5, 10, 20, 50) if low * 0.9 <= tick <= high * 1.1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_search(axes: Axes, truths: SpaceTruths) -> None:
    draws = np.asarray(truths.draws)
    expected, deviation = 100 * np.asarray(truths.expected), 100 * np.asarray(truths.deviation)
    optimum = 100 * truths.optimum["test_error"]
    low = np.maximum(expected - deviation, optimum)
    axes.fill_between(draws, low, expected + deviation, color=style.NEUTRAL, alpha=0.15, linewidth=0, label="± s.d.")
    axes.plot(draws, expected, color=style.NEUTRAL, label="random search, chosen by validation error")
    by_test = 100 * np.asarray(truths.chosen_by_test)
    axes.plot(draws, by_test, color=style.NEUTRAL, linestyle="--", label="chosen by test error")
    axes.axhline(optimum, color="black", linestyle=":", linewidth=0.9, label="optimum")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("draws")
    axes.set_ylabel("test error (%)")
