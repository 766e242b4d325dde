"""What the repeats of black-box methods show, as text and as CSV: regrets, against exact random search and each other.

Exact random search has no sampling error, so that a method is compared with it by the interval of its own mean alone
(Student's). Between methods stands Mann-Whitney's test of each against one baseline, adjusted by Holm; repeats of
different methods draw apart, so that nothing is paired.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.errors import UserError, printable
from harness.records.files import write_atomically
from harness.records.repeats import Repeats
from harness.records.statistics import cliffs_delta, holm, interquartile_mean, mann_whitney, mean_interval
from plots.judgement.findings import ALPHA
from plots.judgement.text import in_columns
from plots.runs.black_box import BlackBoxGroup, survey_black_box
from plots.runs.records import Array
from plots.runs.spreadsheet import Rows
from plots.runs.survey import LeftOut

BASELINE = "random_search"


def print_repeats(results: Path) -> None:
    """Print what the black-box methods at or below a folder show.

    Raises:
        UserError: there are none.
    """
    groups, left_out = survey_black_box(results)
    if not groups:
        reasons = "; ".join(map(str, left_out)) or "it holds none"
        raise UserError(
            f"{results}: no repeats of a black-box method ({reasons}); `python -m harness.blackbox` runs some"
        )
    print(as_text(groups, left_out), end="")


def as_text(groups: list[BlackBoxGroup], left_out: list[LeftOut], baseline: str | None = None) -> str:
    """What the groups show, in lines; `baseline` is the method to test against, random search by default."""
    parts = [list(_group(group, baseline or BASELINE)) for group in groups]
    if left_out:
        parts.append(["== left out", *(f"- {folder}" for folder in left_out)])
    return printable("\n\n".join("\n".join(lines) for lines in parts) + "\n")


def write(groups: list[BlackBoxGroup], folder: Path) -> list[Path]:
    """Write `black_box.csv`, a row for each method; errors are fractions."""
    text = io.StringIO()
    writer = Rows(text)
    columns = ["bench", "space", "method", "observed", "epochs", "evaluations", "repeats", "mean_regret", "low", "high"]
    writer.writerow([*columns, "median_regret", "exact_random_search", "mean_test_error", "table", "kind", "charged"])
    for group in groups:
        for method in group.methods:
            evaluations, regrets = final_regrets(method)
            mean, exact = mean_interval(regrets), exact_regret(group, evaluations)
            row: list[object] = [group.bench, group.space, method.method, method.observed, method.epochs]
            row += ["" if evaluations is None else evaluations, len(regrets)]
            row += [mean.value, *("" if np.isnan(end) else end for end in (mean.low, mean.high))]
            row += [float(np.median(regrets)), "" if exact is None else exact, mean.value + method.optimum]
            writer.writerow([*row, method.table, method.judge_kind, method.charged])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "black_box.csv"
    write_atomically(path, text.getvalue().encode())
    return [path]


def final_regrets(method: Repeats) -> tuple[int | None, Array]:
    """How many evaluations every repeat made, None where they differ, and their last regrets `[repeats]`, fractions."""
    counts = {repeat.evaluations for repeat in method.repeats}
    regrets = np.array([repeat.incumbents.test_error[-1] for repeat in method.repeats]) - method.optimum
    return (counts.pop() if len(counts) == 1 else None), regrets


def exact_regret(group: BlackBoxGroup, evaluations: int | None) -> float | None:
    """The regret that random search is expected to have after so many draws; None where that was not recorded."""
    mean = group.random_search.mean
    if evaluations is None or evaluations > len(mean):
        return None
    return mean[evaluations - 1] - group.first.optimum


def _group(group: BlackBoxGroup, baseline: str) -> Iterator[str]:
    yield f"== {group.place}: black-box methods"
    yield group.conditions
    yield f"charged: {group.first.charged}"
    yield from group.notes
    yield ""
    columns = ["repeats", "evaluations", "mean", "95 % t-interval", "median", "IQ mean", "exact random search"]
    rows = [["regret (points of test error)", *columns, "seconds charged"]]
    finals = {method.method: final_regrets(method) for method in group.methods}
    for method in group.methods:
        evaluations, regrets = finals[method.method]
        mean, exact = mean_interval(regrets), exact_regret(group, evaluations)
        ended = str(len(regrets)) + (f" of {method.asked}" if len(regrets) < method.asked else "")
        interval = f"[{_points(mean.low)}, {_points(mean.high)}]" if np.isfinite(mean.low) else ""
        row = [
            method.method,
            ended,
            "differ" if evaluations is None else str(evaluations),
            _points(mean.value),
            interval,
            _points(float(np.median(regrets))),
        ]
        row += [_points(interquartile_mean([regrets]).value), "" if exact is None else _points(exact)]
        rows.append([*row, _seconds(method)])
    yield from in_columns(rows)
    if len(finals) == 1:
        return
    yield ""
    yield from _tests({name: regrets for name, (_, regrets) in finals.items()}, baseline)
    if len({evaluations for evaluations, _ in finals.values()}) > 1:
        yield "Numbers of evaluations differ, so that these tests do not compare methods at one cost."


def _tests(regrets: dict[str, Array], baseline: str) -> Iterator[str]:
    if baseline not in regrets:
        yield f"No test between methods: the baseline, {baseline}, was not run here."
        return
    others = [name for name in regrets if name != baseline]
    results = [mann_whitney(regrets[name], regrets[baseline]) for name in others]
    adjusted = holm([result.p for result in results])
    rows = [[f"regret, against {baseline}", "difference", "Cliff's delta", "p", f"p (Holm, {len(others)})", ""]]
    for name, result, p in zip(others, results, adjusted, strict=True):
        difference = float(regrets[name].mean() - regrets[baseline].mean())
        delta = cliffs_delta(regrets[name], regrets[baseline]).value
        verdict = "significant" if p <= ALPHA else "not significant"
        rows.append([name, f"{100 * difference:+.3f}", f"{delta:+.2f}", _p(result.p), _p(float(p)), verdict])
    yield from in_columns(rows)
    yield "Mann-Whitney, two-sided, unpaired. Below 0: lower regret than the baseline."


def _points(regret: float) -> str:
    return f"{100 * regret:.3f}"


def _seconds(method: Repeats) -> str:
    """The mean over repeats of what was charged."""
    if not method.has_seconds:
        return "-"
    return f"{np.mean([repeat.seconds or 0.0 for repeat in method.repeats]):,.0f}"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<.0001"
