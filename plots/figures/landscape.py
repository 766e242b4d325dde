"""Validation accuracy of the supernet around the alphas (the paper's figure 1), as surface and contour of each method.

All panels of a figure have one scale, in height and in colour, so that methods can be compared: a sharp cone means that
the weights fit the present alphas alone.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.records.results import Landscape, read_landscape
from harness.records.run_folder import LANDSCAPE
from plots.drawing import style
from plots.figures.checkpoint_results import Results, gather_results, write_figures
from plots.runs.spreadsheet import Rows

NAME = "landscape"
COLOURS = "viridis"
MOST_COLUMNS = 4
BAR_HEIGHT, TITLE_LINE = 0.4, 0.12
HEIGHTS = {1: (1.7, 2.2), 2: (1.3, 1.65), 3: (1.6, 2.1), 4: (1.3, 1.65)}
"""Inches of a surface and of a contour, by how many stand side by side."""

LEVELS = 10

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One method's panel.

    Attributes:
        x, y: coordinates, [points].
        accuracy: percent, [y, x].
    """

    x: Array
    y: Array
    accuracy: Array


def gather(results: Path) -> list[Results[Landscape]]:
    """The landscapes at or below a folder, those that may share a figure together.

    Raises:
        RunFolderError: there is no such folder.
        UserError: two that would share a figure disagree.
    """
    return gather_results(results, LANDSCAPE, read_landscape, also=("radius",))


def write(results: Path, out: Path) -> list[Path]:
    """Draw every landscape at or below a folder.

    Returns:
        the paths written; none where there is no landscape. Same errors as `gather`.
    """
    return write_figures(gather(results), out, NAME, draw, csv_text)


def draw(results: Results[Landscape]) -> Figure:
    """The figure: for each method a surface, and a contour below it."""
    panels = {method: _panel(landscape) for method, landscape in results.of_methods.items()}
    values = np.concatenate([panel.accuracy.ravel() for panel in panels.values()])
    low, high = _limits(values)
    norm = Normalize(low, high)
    columns = min(len(panels), MOST_COLUMNS)
    rows = -(-len(panels) // columns)
    titles = {method: _title(method, panel) for method, panel in panels.items()}
    lines = max(title.count("\n") for title in titles.values()) + 1
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH if columns < 3 else style.PAGE_WIDTH)
        grid = figure.add_gridspec(2 * rows, columns, height_ratios=[*HEIGHTS[columns]] * rows)
        contours = []
        for place, (method, panel) in enumerate(panels.items()):
            row, column = divmod(place, columns)
            surface: Any = figure.add_subplot(grid[2 * row, column], projection="3d")
            _draw_surface(surface, panel, norm)
            surface.set_title(titles[method], pad=-2)
            contours.append(figure.add_subplot(grid[2 * row + 1, column]))
            _draw_contour(contours[-1], panel, norm, first=column == 0)
        bar = figure.colorbar(
            ScalarMappable(norm, COLOURS),
            ax=contours,
            location="bottom",
            fraction=0.05,
            shrink=0.6,
            pad=0.02,
            aspect=25 if columns < 3 else 50,
        )
        bar.set_label("validation accuracy (%)")
        bar.outline.set_linewidth(0.5)
        style.lay_out(
            figure,
            (sum(HEIGHTS[columns]) + TITLE_LINE * lines) * rows + BAR_HEIGHT,
            f"Figure 1: accuracy around the alphas, {results.title}",
            results.conditions(),
            [],
            [
                "x: gradient of the validation loss; y: random, orthogonal to it; both of length 1 over all alphas. "
                "Weights and batch norm statistics fixed. Dot: the search's alphas, whose accuracy comes first; the "
                "mean is that of all points."
            ],
        )
    return figure


def csv_text(results: Results[Landscape]) -> str:
    """The numbers behind the figure: a row for each method and point, accuracy as a fraction."""
    text = io.StringIO()
    writer = Rows(text)
    writer.writerow(
        ["bench", "space", "method", "seed", "epoch", "x", "y", "accuracy", "loss", "images", "table", "scale"]
    )
    for method, landscape in results.of_methods.items():
        start = [*results.start_of_row, method, landscape.conditions.seed, landscape.conditions.epoch]
        for y, accuracies, losses in zip(landscape.y, landscape.accuracy, landscape.loss, strict=True):
            for x, accuracy, loss in zip(landscape.x, accuracies, losses, strict=True):
                writer.writerow([*start, x, y, accuracy, "" if loss is None else loss, *results.end_of_row])
    return text.getvalue()


def _panel(landscape: Landscape) -> Panel:
    x, y, accuracy = (np.array(values, np.float64) for values in (landscape.x, landscape.y, landscape.accuracy))
    return Panel(x, y, 100 * accuracy)


def _limits(values: Array) -> tuple[float, float]:
    """Whole tens of percent around all values, or whole percents where these are close together."""
    step = 10.0 if np.ptp(values) > 20 else 1.0
    low, high = float(np.floor(values.min() / step) * step), float(np.ceil(values.max() / step) * step)
    return low, high if high > low else low + step


def _title(method: str, panel: Panel) -> str:
    centre = panel.accuracy[len(panel.y) // 2, len(panel.x) // 2]
    label = textwrap.fill(style.look(method).label, 20)
    return f"{label}\n{centre:.1f} %, mean {panel.accuracy.mean():.1f} %"


def _draw_surface(axes: Any, panel: Panel, norm: Normalize) -> None:
    x, y = np.meshgrid(panel.x, panel.y)
    axes.plot_surface(
        x, y, panel.accuracy, cmap=COLOURS, norm=norm, rcount=len(panel.y), ccount=len(panel.x), linewidth=0.1,
        edgecolor=(0, 0, 0, 0.25), antialiased=True,
    )  # fmt: skip
    axes.set_zlim(norm.vmin, norm.vmax)
    axes.view_init(elev=28, azim=-58)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.15)
    for axis, label in ((axes.xaxis, "x"), (axes.yaxis, "y"), (axes.zaxis, "")):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_tick_params(labelsize=6, pad=-3.5)
        axis.set_pane_color((1, 1, 1, 0))
        axis._axinfo["grid"].update(linewidth=0.3)
        axis.set_label_text(label)
        axis.labelpad = -10


def _draw_contour(axes: Axes, panel: Panel, norm: Normalize, first: bool) -> None:
    levels = np.linspace(float(norm.vmin or 0), float(norm.vmax or 0), LEVELS + 1)
    axes.contourf(panel.x, panel.y, panel.accuracy, levels, cmap=COLOURS, norm=norm)
    axes.contour(panel.x, panel.y, panel.accuracy, levels, colors="black", linewidths=0.3, alpha=0.6)
    axes.plot(0, 0, marker="o", color="white", markeredgecolor="black", markersize=3.5)
    axes.set_aspect("equal")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.set_xlabel("x")
    if first:
        axes.set_ylabel("y")
    else:
        axes.tick_params(labelleft=False)
