"""Findings as tables for a paper in LaTeX, with the rules of `booktabs`; conditions stand in each caption.

A table says how many seeds it has, on what benchmark, table and scale, and what is adjusted for, so that a number
cannot be copied without its conditions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.records.run_folder import space_name
from plots.judgement.findings import Block, Judgement, MethodSummary
from plots.judgement.measures import MEASURES, Measure
from plots.judgement.text import tests_heading
from plots.runs.records import counted

MARKS = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "·": r"$\cdot$",
    }
)


def latex_text(judgement: Judgement) -> str:
    """A table of the tested measure for each benchmark and space, and one of its tests where there are any."""
    metric = MEASURES[judgement.question.metric]
    parts = ["% Needs \\usepackage{booktabs}. Written by `python -m harness.compare --latex`."]
    for block in judgement.blocks:
        parts.append("\n".join(_measure_table(block, metric)))
        if block.family.tests:
            parts.append("\n".join(_test_table(block, metric)))
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text as LaTeX shows it: names come from files, and none of them may be a command."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).translate(MARKS)


def _measure_table(block: Block, metric: Measure) -> Iterator[str]:
    heading = ["method", "$n$", f"mean ({metric.unit})", "95 % t-interval", "median", "lowest", "highest"]
    yield from _table(
        heading,
        [_method_row(method, metric) for method in block.methods],
        f"{metric.label[0].upper()}{metric.label[1:]}, {_conditions(block)}",
    )


def _method_row(method: MethodSummary, metric: Measure) -> list[str]:
    one, show = method.measures[metric.name], metric.shown
    interval = f"[{show(one.mean.low)}, {show(one.mean.high)}]"
    return [method.name, str(one.n), show(one.mean.value), interval, *map(show, (one.median, one.low, one.high))]


def _test_table(block: Block, metric: Measure) -> Iterator[str]:
    rows = []
    for test in block.family.tests:
        row = [f"{test.first} - {test.second}", f"{test.n[0]}, {test.n[1]}", f"{100 * test.difference:+.2f}"]
        if not metric.is_error:
            row[-1] = f"{test.difference:+.1f}"
        rows.append([*row, f"{test.delta.value:+.2f}", f"{test.p:.4f}", f"{test.holm_p:.4f}"])
    heading = ["methods", "$n$", f"difference ({metric.unit})", "Cliff's delta", "$p$", "$p$ (Holm)"]
    yield from _table(heading, rows, f"{tests_heading(block.family, metric)}. {_conditions(block)}")


def _conditions(block: Block) -> str:
    epochs = sorted({method.epochs for method in block.methods})
    asked = counted(epochs[0], "epoch") if len(epochs) == 1 else "epochs differ"
    return f"{block.bench}, {space_name(block.space)}; table: {block.table}; {block.scale}; {asked}."


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Iterator[str]:
    """A floating table; the heading is ours, and of LaTeX already but for its percent signs."""
    yield "\\begin{table}"
    yield "\\centering"
    yield f"\\caption{{{escaped(caption)}}}"
    yield f"\\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}"
    yield "\\toprule"
    yield " & ".join(cell.replace("%", "\\%") for cell in heading) + " \\\\"
    yield "\\midrule"
    for row in rows:
        yield " & ".join(map(escaped, row)) + " \\\\"
    yield "\\bottomrule"
    yield "\\end{tabular}"
    yield "\\end{table}"
