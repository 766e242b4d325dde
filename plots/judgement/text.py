"""Findings as text for a terminal: one part for each comparison, its caveats under it. Errors are in percent."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence

from harness.records.run_folder import space_name, space_names
from harness.records.statistics import LEVEL, Estimate
from plots.judgement.caveats import NO_JUDGE, numbers
from plots.judgement.findings import BASELINE, Block, Detection, Family, Judgement, MethodSummary, Overall, Summary
from plots.judgement.measures import MEASURES, Measure
from plots.runs.records import counted

WIDTH = 100
SEEDS_ABREAST = 12
INTERVAL = f"{100 * LEVEL:.0f} %"


def as_text(judgement: Judgement) -> str:
    """Everything found, in lines of about 100 letters."""
    metric = MEASURES[judgement.question.metric]
    parts = [list(_block(block, metric)) for block in judgement.blocks]
    parts += [list(_overall(one, metric)) for one in judgement.overall if one.ranks or one.interquartile_means]
    if judgement.left_out:
        parts.append(["== left out", *_bullets([f"{one.path}: {one.reason}" for one in judgement.left_out])])
    parts.append(["`--metric list` says what each measure is."])
    return "\n\n".join(printable("\n".join(lines)) for lines in parts) + "\n"


def measures_text() -> str:
    """What each measure is, a paragraph each."""
    lines = [line for name, one in MEASURES.items() for line in wrapped(f"{name:26}{one.meaning}", others=" " * 26)]
    return "\n".join(lines) + "\n"


def printable(text: str) -> str:
    """Without what could steer a terminal; names come from files."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _block(block: Block, metric: Measure) -> Iterator[str]:
    epochs = {method.epochs for method in block.methods}
    asked = counted(max(epochs), "epoch") if len(epochs) == 1 else "epochs differ"
    table = f"table: {block.table}" + (f" ({block.table_sha256[:12]})" if block.table_sha256 else "")
    table = "no judge, so no errors" if NO_JUDGE in block.caveats else table
    yield f"== {block.bench}, {space_name(block.space)}"
    yield " · ".join(part for part in (table, block.scale, asked) if part)
    for part in (
        _main_table(block.methods, metric),
        _seed_table(block.methods, metric),
        _other_measures(block.methods, metric),
        _tests(block.family, metric, block.spread),
        _bullets(block.caveats),
    ):
        yield ""
        yield from part


def _main_table(methods: Sequence[MethodSummary], metric: Measure) -> Iterator[str]:
    columns = ["n", "mean", f"{INTERVAL} t-interval", "median", "IQ mean", f"{INTERVAL} bootstrap", "lowest", "highest"]
    rows = [[f"{metric.label} ({metric.unit})", *columns]]
    show = metric.shown
    for method in methods:
        one = method.measures[metric.name]
        approximately = "~" if one.approximate and one.n else ""
        rows.append([method.name, str(one.n), show(one.mean.value), _interval(one.mean, show), show(one.median)])
        rows[-1] += [approximately + show(one.interquartile_mean.value), _interval(one.interquartile_mean, show)]
        rows[-1] += [show(one.low), show(one.high)]
    yield from in_columns(rows)


def _seed_table(methods: Sequence[MethodSummary], metric: Measure) -> Iterator[str]:
    seeds = sorted({seed for method in methods for seed in method.seeds})
    for start in range(0, len(seeds), SEEDS_ABREAST):
        abreast = seeds[start : start + SEEDS_ABREAST]
        rows = [["by seed", *map(str, abreast)]]
        for method in methods:
            by_seed = method.measures[metric.name].by_seed
            rows.append([method.name, *(metric.shown(by_seed[seed]) if seed in by_seed else "" for seed in abreast)])
        yield from in_columns(rows)


def _other_measures(methods: Sequence[MethodSummary], tested: Measure) -> Iterator[str]:
    """Mean and half of its t-interval, for every other measure that any method has."""
    shown = [
        measure
        for name, measure in MEASURES.items()
        if name != tested.name and any(method.measures[name].n for method in methods)
    ]
    labels = [measure.label.rpartition(" ") for measure in shown]
    rows = [
        ["mean ± half the", *(upper for upper, _, _ in labels)],
        [f"{INTERVAL} t-interval", *(lower for _, _, lower in labels)],
    ]
    for method in methods:
        rows.append([method.name, *(_with_half(method.measures[measure.name], measure) for measure in shown)])
    yield from in_columns(rows)


def _tests(family: Family, metric: Measure, spread: float) -> Iterator[str]:
    if not family.tests:
        yield f"No test: {family.why_none}."
        return
    yield tests_heading(family, metric)
    rows = [["", "difference", "Cliff's delta", INTERVAL, "U", "p", "p (Holm)", ""]]
    for test in family.tests:
        sign = "+" if test.difference >= 0 else ""
        rows.append([f"{test.first} - {test.second}", sign + metric.shown(test.difference), f"{test.delta.value:+.2f}"])
        rows[-1] += [_interval(test.delta, "{:+.2f}".format), f"{test.u:g}", _p(test.p), _p(test.holm_p)]
        rows[-1] += ["significant" if test.significant else "not significant"]
    yield from in_columns(rows)
    yield "Below 0: the first is lower, which is better."
    yield from wrapped(power_text(family, metric, spread))


def tests_heading(family: Family, metric: Measure) -> str:
    """What was tested, and which tests were adjusted together; there must be one."""
    whom = f"each method against {family.tests[0].second}" if family.kind == BASELINE else "all pairs"
    family_of = f"Holm over this family of {counted(len(family.tests), 'test')}"
    return f"{metric.label}, {whom}: exact Mann-Whitney, two-sided, {family_of}"


def power_text(family: Family, metric: Measure, spread: float) -> str:
    """What so many seeds can and cannot detect; empty without a test."""
    tests, alone, together = len(family.tests), family.alone, family.together
    if alone is None or together is None:
        return ""
    of_normal, *others = [f"{size:g} in {100 * share:.0f} %" for size, share in alone.missed.items()]
    text = (
        f"{alone.n[0]} seeds against {alone.n[1]}, one test alone, miss a difference of "
        f"{of_normal.replace(' in ', ' standard deviation in ')} of cases, {', '.join(others)}; {_found(alone)}."
    )
    if tests > 1:
        shares = ", ".join(f"{100 * share:.0f}" for share in together.missed.values())
        text += f" As one of {tests}, at Holm's first step (p up to {together.alpha:.2g}): {shares} %; "
        text += f"{_found(together)}."
    if math.isfinite(spread):
        unit = "points" if metric.is_error else metric.unit
        text += f" One standard deviation is {metric.shown(spread)} {unit} here."
    return text


def _found(detection: Detection) -> str:
    if math.isinf(detection.found):
        return "none can be found"
    return f"{detection.found:g} is found in 80 %"


def _overall(overall: Overall, metric: Measure) -> Iterator[str]:
    several = len(overall.spaces) > 1
    spaces = space_names(overall.spaces) + (" together" if several else "")
    yield f"== {overall.bench}, {spaces}: {metric.label}"
    yield ""
    ranks, means = overall.ranks, overall.interquartile_means
    columns = [*(["average rank"] if ranks else []), *(["IQ mean", f"{INTERVAL} bootstrap"] if means else [])]
    rows = [[f"({metric.unit})" if means else "", *columns]]
    for position, name in enumerate(overall.methods):
        rows.append([name, *([f"{ranks.means[position]:.2f}"] if ranks else [])])
        if means:
            rows[-1] += [("~" if overall.approximate else "") + metric.shown(means[name].value)]
            rows[-1] += [_interval(means[name], metric.shown)]
    yield from in_columns(rows)
    yield from wrapped(ranks_text(overall))
    yield ""
    yield from _bullets(overall.caveats)


def ranks_text(overall: Overall) -> str:
    """Over what the ranks are, and which methods they tell apart; empty without ranks."""
    ranks = overall.ranks
    if ranks is None:
        return ""
    seeds = "; ".join(f"{space_name(space)}: seeds {numbers(its)}" for space, its in overall.seeds.items())
    text = f"Ranks over {counted(ranks.blocks, 'block')} ({seeds}), 1 is best."
    if math.isfinite(ranks.friedman_p):
        text += f" Friedman's p {_p(ranks.friedman_p)}."
    if ranks.critical_difference is not None:
        groups = "; ".join(" = ".join(overall.methods[one] for one in group) for group in ranks.groups)
        text += f" Critical difference {ranks.critical_difference:.2f} (Nemenyi, .05)"
        text += f", not told apart: {groups}." if groups else ", all are told apart."
    return text


def in_columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with the first column to the left and the others to the right, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _bullets(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield from wrapped(text, "- ", "  ")


def wrapped(text: str, first: str = "", others: str = "") -> Iterator[str]:
    """A text in lines of `WIDTH`, the first behind one indent and the others behind another."""
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<.0001"


def _with_half(one: Summary, measure: Measure) -> str:
    half = one.mean.value - one.mean.low
    return measure.shown(one.mean.value) + (f"±{measure.shown(half)}" if math.isfinite(half) else "")


def _interval(estimate: Estimate, show: Callable[[float], str]) -> str:
    return f"[{show(estimate.low)}, {show(estimate.high)}]" if math.isfinite(estimate.low) else ""
