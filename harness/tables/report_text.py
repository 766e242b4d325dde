"""What a table says of a space, as lines of text and as what a figure draws: `python -m harness.table`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.tables.truths import PUBLISHED_MINIMA, Floats, Truths

if TYPE_CHECKING:
    from spaces.nb101.cell import Cell

DRAWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
#: Distances from the optimum within which cells are counted, in percentage points.
CLOSE = (0.1, 0.5, 1.0)


def report_lines(truths: Truths) -> list[str]:
    """The whole report."""
    return [
        *_heading(truths),
        *_optima(truths),
        *_distribution(truths),
        *_random_search(truths),
        *_noise(truths),
        *_published(truths),
    ]


def figure_content(truths: Truths) -> dict[str, Any]:
    """The fields of `plots.figures.truths.SpaceTruths`, random search at 60 numbers of draws."""
    draws = np.unique(np.geomspace(1, DRAWS[-1], 60).round().astype(int)).tolist()
    expected, deviation = truths.random_search(draws)
    by_test, _ = truths.random_search(draws, chosen_by=truths.test)
    return {
        "table": f"{truths.table.info.label}{_kind(truths)}",
        "space": truths.space.number,
        "conditions": f"{_coverage(truths)}, {truths.epochs} epochs, {_repeats(truths)}",
        "optimum": truths.described(truths.best_by_test),
        "best_by_validation": truths.described(truths.best_by_validation),
        "percentiles": np.percentile(truths.test, range(101)).tolist(),
        "draws": draws,
        "expected": expected.tolist(),
        "deviation": deviation.tolist(),
        "chosen_by_test": by_test.tolist(),
    }


def _heading(truths: Truths) -> list[str]:
    info = truths.table.info
    lines = [
        f"{info.label}{_kind(truths)}, space {truths.space.number}: {_coverage(truths)}, {truths.epochs} epochs, "
        f"{_repeats(truths)}"
    ]
    if truths.share < 1:
        lines.append(f"These are {_percent(truths.share)} of the sampler's draws; all below is of them alone.")
    return lines


def _kind(truths: Truths) -> str:
    """A table whose name resembles the official one's must not pass for it."""
    return "" if truths.table.info.is_official else " (not NAS-Bench-101)"


def _coverage(truths: Truths) -> str:
    """How many of the space's cells the table holds."""
    cells = len(truths.hashes)
    return f"all {cells:,} cells" if truths.share == 1 else f"{cells:,} of {len(truths.space.cells()):,} cells"


def _repeats(truths: Truths) -> str:
    counts = truths.repeats
    least, most = int(counts.min()), int(counts.max())
    return f"{most} repeats" if least == most > 1 else "1 repeat" if most == 1 else f"{least} to {most} repeats"


def _optima(truths: Truths) -> list[str]:
    lines = [""]
    for name, place in (
        ("optimum, by test error", truths.best_by_test),
        ("best by validation error", truths.best_by_validation),
    ):
        test, valid = _percent(truths.test[place]), _percent(truths.valid[place])
        cell = truths.table.cell(truths.hashes[place])
        lines.append(f"{name}: test {test}, validation {valid}, cell {cell.hash}")
        lines.extend(f"    {line}" for line in _vertices(cell))
    return [*lines, "Errors are means over a cell's repeats. Regret counts from the optimum by test error."]


def _vertices(cell: Cell) -> list[str]:
    """A cell in words: each vertex with what feeds it."""
    last = len(cell.ops) - 1
    names = ["input", *(f"{vertex} {op}" for vertex, op in enumerate(cell.ops[1:-1], start=1)), "output"]
    short = {0: "input", last: "output"}
    return [
        f"{names[vertex]:20} <- {', '.join(short.get(parent, str(parent)) for parent in cell.parents[vertex])}"
        for vertex in range(1, last + 1)
    ]


def _distribution(truths: Truths) -> list[str]:
    columns = ["least" if q == 0 else "most" if q == 100 else "median" if q == 50 else f"{q} %" for q in PERCENTILES]
    lines = ["", "error, percent" + "".join(f"{name:>9}" for name in [*columns, "mean", "s.d."])]
    for name, values in (("test", truths.test), ("validation", truths.valid)):
        numbers = [*np.percentile(values, PERCENTILES), values.mean(), values.std()]
        lines.append(f"{name:14}" + "".join(f"{100 * number:9.2f}" for number in numbers))
    optimum = truths.test[truths.best_by_test]
    near = [int((truths.test <= optimum + points / 100).sum()) for points in CLOSE]
    counts = ", ".join(f"{points:g}: {count:,}" for points, count in zip(CLOSE, near, strict=True))
    return [*lines, f"cells within so many percentage points of the optimum (it included): {counts}"]


def _random_search(truths: Truths) -> list[str]:
    uniform = np.full(len(truths.test), 1 / len(truths.test))
    columns: list[Floats] = [
        *truths.random_search(DRAWS),
        truths.random_search(DRAWS, uniform)[0],
        truths.random_search(DRAWS, chosen_by=truths.test)[0],
    ]
    lines = [
        "",
        "random search: test error of the cell with the least validation error among n draws, percent (exact)",
        f"{'n':>8}{'expected':>12}{'s.d.':>9}{'every cell as likely':>24}{'chosen by test error':>24}",
    ]
    for row, draws in enumerate(DRAWS):
        expected, deviation, alike, oracle = (100 * column[row] for column in columns)
        lines.append(f"{draws:8,}{expected:12.3f}{deviation:9.3f}{alike:24.3f}{oracle:24.3f}")
    return [
        *lines,
        "Draws are the sampler's, parents and operations uniform with loose ends, but for the third column.",
    ]


def _noise(truths: Truths) -> list[str]:
    noise = truths.noise()
    if noise.test is None or noise.valid is None:
        return ["", f"noise between repeats: n/a, {noise.reason}"]
    return [
        "",
        f"noise between repeats (s.d. pooled over cells): test {_percent(noise.test)}, "
        f"validation {_percent(noise.valid)}.",
        "The optimum is the least of many means that carry such noise, so it flatters its cell.",
    ]


def _published(truths: Truths) -> list[str]:
    test, valid = PUBLISHED_MINIMA[truths.space.number]
    own_test, own_valid, cells = truths.published_rule()
    lines = [
        "",
        f"minima stated by the published code, of NAS-Bench-101: test {_percent(test)}, validation {_percent(valid)}.",
        "They are the best single repeat, not the best mean, and are taken over the cells that its enumeration finds,",
        "which misses most graphs (search_space.py:130-146); so a search can go below them.",
        f"By that rule this table has test {_percent(own_test)}, validation {_percent(own_valid)}, of {cells:,} cells.",
    ]
    if not truths.table.info.is_official:
        lines.append(f"{truths.table.info.label} is another table, so the published numbers say nothing about it.")
    return lines


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3f} %"
