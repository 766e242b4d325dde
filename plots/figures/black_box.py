"""Black-box methods: mean regret against exact random search, and errors over seconds beside one-shot methods.

Regret is the test error of what a method would return, chosen by the validation error that it was told, less the least
of the space. The line is the mean over repeats and the band their middle half, of exact random search too, which has
both in closed form.

Over seconds, each method is charged what it says: a one-shot method its own seconds of training the supernet, by the
clock, a black-box method what the table says that its trainings took.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.errors import printable
from harness.records.catalogue import get_quantity
from harness.records.repeats import Repeats
from plots.drawing import looks, style
from plots.judgement.caveats import machine
from plots.runs.black_box import BlackBoxGroup, errors_over_evaluations, errors_over_seconds, survey_black_box
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.records import Array, Comparison, Method, NothingToDrawError, Run
from plots.runs.spreadsheet import Rows
from plots.runs.survey import survey

SUMMARY = "black-box methods: regret over evaluations, and test error over seconds beside one-shot methods"
PANEL_HEIGHT = 2.6
POINTS = 200
"""Points in time at which curves over seconds are summarised."""

TEST_ERROR = get_quantity("test_error")


def write(results: Path, out: Path, picking: Picking = EVERYTHING, beside: Path | None = None) -> list[Path]:
    """Draw what black-box methods recorded at or below a folder, and give the paths written.

    What cannot be drawn is said on stderr.

    Args:
        results: the folder.
        out: where to write.
        picking: which methods are drawn.
        beside: a folder whose one-shot runs stand beside them over seconds; `results` by default.

    Raises:
        RunFolderError: there is no such folder.
    """
    groups, left_out = survey_black_box(results, picking)
    for folder in left_out:
        print(printable(f"left out: {folder}"), file=sys.stderr)
    paths: list[Path] = []
    comparisons = survey(beside or results, picking=picking).comparisons if groups else ()
    for group in groups:
        out.mkdir(parents=True, exist_ok=True)
        paths += style.save(*_over_evaluations(group, out))
        searches = [comparison for comparison in comparisons if _same_table(group, comparison)]
        try:
            paths += style.save(*_over_seconds(group, searches, out))
        except NothingToDrawError as reason:
            print(f"not drawn: black_box_seconds_{group.stem}: {reason}", file=sys.stderr)
    return paths


def draw_over_evaluations(group: BlackBoxGroup) -> Figure:
    """Mean regret over evaluations, both axes logarithmic, as wide as a column."""
    methods = _in_order(group)
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH)
        axes = figure.add_subplot()
        exact = group.random_search
        draws = np.arange(1, len(exact.mean) + 1)
        regrets = 100 * (np.array([exact.mean, exact.low, exact.high]) - group.first.optimum)
        look: dict[str, Any] = {"color": style.NEUTRAL, "linewidth": 1.2, "drawstyle": "steps-post", "zorder": 2.5}
        axes.fill_between(draws, regrets[1], regrets[2], step="post", color=style.NEUTRAL, alpha=0.15, linewidth=0)
        (line,) = axes.plot(draws, regrets[0], dashes=(2, 1), **look)
        handles: list[Line2D] = [line]
        labels = ["random search, exact"]
        lowest = [regrets[0].min()]
        for method in methods:
            errors = errors_over_evaluations(method)
            regret = 100 * (errors - group.first.optimum)
            points = np.arange(1, regret.shape[1] + 1)
            _draw(axes, method.method, points, regret)
            handles.append(Line2D([], [], **looks.look(method.method).line))
            labels.append(_label(method))
            lowest.append(regret.mean(axis=0).min())
        _logarithmic(axes, min(lowest))
        axes.set_xlabel("evaluations")
        axes.set_ylabel("regret (points of test error)")
        style.lay_out(
            figure,
            PANEL_HEIGHT,
            f"Mean regret, {group.place}",
            group.conditions,
            [style.legend_below(figure, handles, labels), _bands(figure)],
            [
                f"Charged: {group.first.charged}.",
                "An incumbent is chosen by the validation error told; its regret is the table's test error less the "
                "least of the space. A band that reaches the bottom goes on to 0.",
                *group.notes,
            ],
        )
    return figure


def draw_over_seconds(group: BlackBoxGroup, comparisons: Sequence[Comparison]) -> Figure:
    """Test error over seconds, logarithmic, as wide as a page.

    Args:
        group: the black-box methods.
        comparisons: one-shot runs of the same table and space.

    Raises:
        NothingToDrawError: the table has no seconds.
    """
    timed = [method for method in _in_order(group) if method.has_seconds]
    if not timed:
        raise NothingToDrawError(f"charged is {group.first.charged}")
    searches = _searches(comparisons)
    with style.applied():
        figure = style.new_figure(style.PAGE_WIDTH)
        axes = figure.add_subplot()
        handles: list[Line2D] = []
        labels = []
        for method in timed:
            points, errors = _over_time(method)
            _draw(axes, method.method, points, 100 * errors)
            handles.append(Line2D([], [], **looks.look(method.method).line))
            labels.append(f"{_label(method)}, black-box")
        for search in searches:
            points, errors = _search_over_time(search)
            _draw(axes, search.name, points, 100 * errors)
            handles.append(Line2D([], [], **looks.look(search.name).line))
            labels.append(f"{looks.look(search.name).label}, one-shot, n={len(search.runs)}")
        optimum = axes.axhline(100 * group.first.optimum, color="black", linewidth=0.9, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        low = 100 * group.first.optimum
        axes.set_ylim(bottom=low - 0.05 * (axes.get_ylim()[1] - low))
        axes.set_xlabel("seconds charged")
        axes.set_ylabel("test error (%)")
        style.lay_out(
            figure,
            PANEL_HEIGHT,
            f"One-shot and black-box over seconds, {group.place}",
            group.conditions,
            [
                style.legend_below(figure, [*handles, optimum], [*labels, "optimum of the space"]),
                _bands(figure),
            ],
            [*_charges(group, searches), *group.notes],
        )
    return figure


def csv_text(group: BlackBoxGroup) -> str:
    """The numbers over evaluations: a row for each method, and for exact random search, and each evaluation."""
    text = io.StringIO()
    writer = Rows(text)
    columns = ["bench", "space", "method", "evaluation", "repeats", "mean_test_error", "mean_regret"]
    writer.writerow([*columns, "standard_error", "low_quartile", "high_quartile", "table", "kind", "charged"])
    end = [group.first.table, group.first.judge_kind, group.first.charged]
    exact = group.random_search
    for place, (mean, low, high) in enumerate(zip(exact.mean, exact.low, exact.high, strict=True)):
        regret = mean - group.first.optimum
        row = [group.bench, group.space, "exact random search", place + 1, "", mean, regret, 0.0, low, high]
        writer.writerow([*row, *end])
    for method in _in_order(group):
        errors = errors_over_evaluations(method)
        for place, (mean, error, low, high) in enumerate(zip(*_summary(errors), strict=True)):
            row = [group.bench, group.space, method.method, place + 1, len(errors), mean, mean - group.first.optimum]
            writer.writerow([*row, error, low, high, *end])
    return text.getvalue()


def csv_over_seconds(group: BlackBoxGroup, comparisons: Sequence[Comparison]) -> str:
    """The numbers over seconds: a row for each method and point in time."""
    text = io.StringIO()
    writer = Rows(text)
    columns = ["bench", "space", "method", "kind", "seconds", "n", "mean_test_error", "standard_error"]
    writer.writerow([*columns, "low_quartile", "high_quartile", "table", "charged"])
    curves = [
        (method.method, "black-box", *_over_time(method), group.first.charged)
        for method in _in_order(group)
        if method.has_seconds
    ]
    curves += [(search.name, "one-shot", *_search_over_time(search), CLOCK) for search in _searches(comparisons)]
    for name, kind, points, errors, charged in curves:
        for at, *summary in zip(points, *_summary(errors), strict=True):
            row = [group.bench, group.space, name, kind, round(float(at), 6), len(errors)]
            writer.writerow([*row, *summary, group.first.table, charged])
    return text.getvalue()


CLOCK = "their own seconds of training the supernet, by the clock"


def _over_evaluations(group: BlackBoxGroup, out: Path) -> tuple[Figure, Path, str]:
    return draw_over_evaluations(group), out / f"black_box_{group.stem}", csv_text(group)


def _over_seconds(group: BlackBoxGroup, searches: Sequence[Comparison], out: Path) -> tuple[Figure, Path, str]:
    figure = draw_over_seconds(group, searches)
    return figure, out / f"black_box_seconds_{group.stem}", csv_over_seconds(group, searches)


def _same_table(group: BlackBoxGroup, comparison: Comparison) -> bool:
    mine = group.first.space, group.first.table_sha256
    return mine == (comparison.space, comparison.table_sha256) and comparison.is_judged


def _in_order(group: BlackBoxGroup) -> list[Repeats]:
    return sorted(group.methods, key=lambda method: looks.drawing_order(method.method))


def _searches(comparisons: Sequence[Comparison]) -> list[Method]:
    """The one-shot methods with seeds whose seconds and errors were recorded, such seeds alone."""
    searches = []
    for comparison in comparisons:
        for method in comparison.methods:
            runs = tuple(run for run in method.runs if len(_ends(run)) and np.isfinite(_ends(run)).all())
            if runs:
                searches.append(Method(method.name, method.epochs, runs))
    return sorted(searches, key=lambda method: looks.drawing_order(method.name))


def _ends(run: Run) -> Array:
    """Seconds of training by the end of epochs 1, 2, ..."""
    return np.cumsum(run.columns.training_seconds[1:])


def _over_time(method: Repeats) -> tuple[Array, Array]:
    """Points in time at which every repeat has an incumbent, and their test errors `[repeats, points]`."""
    first = max(repeat.incumbents.seconds[0] for repeat in method.repeats)
    last = min(repeat.seconds or 0.0 for repeat in method.repeats)
    points = np.geomspace(max(min(first, last), 1e-6), last, POINTS)
    # Rounding must not put the ends outside.
    points[0], points[-1] = min(first, last), last
    return points, errors_over_seconds(method, points)


def _search_over_time(method: Method) -> tuple[Array, Array]:
    """Points in time at which every seed has ended an epoch and none its search, and test errors `[seeds, points]`."""
    ends = [_ends(run) for run in method.runs]
    points = np.geomspace(max(times[0] for times in ends), min(times[-1] for times in ends), POINTS)
    points[0], points[-1] = max(times[0] for times in ends), min(times[-1] for times in ends)
    errors = np.array(
        [
            run.values(TEST_ERROR)[1:][np.searchsorted(times, points, side="right") - 1]
            for run, times in zip(method.runs, ends, strict=True)
        ]
    )
    return points, errors


def _summary(errors: Array) -> tuple[Array, Array, Array, Array]:
    """Mean, its standard error, and quartiles over repeats, each `[points]`."""
    n = len(errors)
    error = errors.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(errors.shape[1], np.nan)
    low, high = np.quantile(errors, (0.25, 0.75), axis=0)
    return errors.mean(axis=0), error, low, high


def _draw(axes: Axes, name: str, points: Array, values: Array) -> None:
    """The mean over repeats and the band of their middle half."""
    look = looks.look(name)
    mean, _, low, high = _summary(values)
    if len(values) > 2:
        axes.fill_between(points, low, high, step="post", color=look.colour, alpha=0.15, linewidth=0, zorder=1)
    marks = [int(np.argmin(np.abs(np.log(points / at)))) for at in np.geomspace(points[0], points[-1], 6)[1:-1]]
    axes.plot(points, mean, **look.line, markevery=sorted(set(marks)), drawstyle="steps-post", zorder=3)


def _label(method: Repeats) -> str:
    ended = len(method.repeats)
    of = f" of {method.asked}" if ended < method.asked else ""
    return f"{looks.look(method.method).label}, n={ended}{of}"


def _logarithmic(axes: Axes, lowest: float) -> None:
    """Both axes logarithmic, as far down as the means go; a mean of 0 makes the vertical one linear."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if lowest > 0:
        axes.set_yscale("log")
        axes.set_ylim(bottom=lowest / 2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _bands(figure: Figure) -> Legend:
    handles = [Line2D([], [], color=style.NEUTRAL), Patch(facecolor=style.NEUTRAL, alpha=0.25, linewidth=0)]
    return style.legend_below(figure, handles, ["mean over repeats or seeds", "band: their middle half"])


def _charges(group: BlackBoxGroup, searches: Sequence[Method]) -> list[str]:
    """What each kind of method was charged."""
    notes = [f"Black-box methods are charged {group.first.charged}, on the machine that made the table."]
    if not searches:
        return [*notes, "No one-shot run here is judged by this table."]
    machines = sorted({machine(run.path) for method in searches for run in method.runs})
    return [
        *notes,
        f"One-shot methods are charged {CLOCK}, on {'; '.join(machines)}: neither measuring nor the training of what "
        "they return. A curve ends with the first seed that does.",
    ]
