"""The choice among variants of a method by the supernet's validation accuracy, seed by seed.

R-DARTS runs a search at several strengths of a regularisation and keeps one of the cells (Zela et al. 2020a;
SmoothDARTS appendix 7.1). The choice must not see the test error, so it is made by what the search itself knows after
its last epoch, and only the chosen cells' errors are told. (The authors train each cell anew for the choice.) It is
made seed by seed among the variants, so that the method has as many results as there are seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError, printable
from harness.records.config import read_config
from harness.records.run_folder import RunFolder, RunFolderError
from plots.runs.records import Comparison, Method, Run
from plots.runs.survey import survey


def print_choices(results: Path) -> None:
    """Print the choice for each method that has variants at or below a folder.

    Raises:
        UserError: there is nothing to choose among.
        RunFolderError: there is no such folder.
    """
    found = survey(results)
    for left_out in found.left_out:
        print(printable(f"left out: {left_out}"), file=sys.stderr)
    chosen_any = False
    for comparison in found.comparisons:
        for optimizer in sorted({_optimizer(method) for method in comparison.methods}):
            variants = [method for method in comparison.methods if _optimizer(method) == optimizer]
            grid = grid_of(variants)
            for variant in variants if len(variants) > 1 else ():
                if variant not in grid:
                    print(
                        printable(f"left out: {variant.name}: differs from the others in more than one setting"),
                        file=sys.stderr,
                    )
            if len(grid) > 1:
                chosen_any |= _report(comparison, optimizer, grid)
    if not chosen_any:
        raise UserError(
            f"{results}: expected at least two variants of a method, which differ in one setting, with the same seed "
            "finished; run them with `python -m harness.run --grid ...`"
        )


def grid_of(variants: Sequence[Method]) -> list[Method]:
    """The variants that differ in one setting alone, which is what a grid varies; of several such groups the largest.

    A variant may have any name, `@es` as well as `@0.2`, so that it is what runs record of their settings that counts.
    """
    settings = [_flat(read_config(RunFolder(variant.runs[0].path)).settings) for variant in variants]
    keys = sorted({key for one in settings for key in one})
    varied = [key for key in keys if len({repr(one.get(key)) for one in settings}) > 1]
    if not varied:
        return list(variants)
    groups: dict[tuple[str, str], list[Method]] = {}
    for key in varied:
        for variant, one in zip(variants, settings, strict=True):
            rest = repr([(other, one.get(other)) for other in varied if other != key])
            groups.setdefault((key, rest), []).append(variant)
    return max(groups.values(), key=len)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def choose(variants: Sequence[Method], seed: int) -> tuple[Method, Run]:
    """The variant whose supernet is best on validation data after the last epoch; of equals, the first.

    Args:
        variants: each with a finished run of this seed.
    """
    runs = [(variant, run) for variant in variants for run in variant.runs if run.seed == seed]
    return max(runs, key=lambda pair: _accuracy(pair[1]))


def _report(comparison: Comparison, optimizer: str, variants: Sequence[Method]) -> bool:
    """Print the choice for every seed that all variants have finished; False where there is none."""
    begun = set.union(*({run.seed for run in variant.runs} for variant in variants))
    seeds = sorted(set.intersection(*({run.seed for run in variant.runs if run.is_finished} for variant in variants)))
    if left_out := sorted(begun - set(seeds)):
        names = ", ".join(map(str, left_out))
        print(f"{optimizer}: left out, since not all variants have finished them: seed {names}", file=sys.stderr)
    if not seeds:
        return False
    if len({variant.epochs for variant in variants}) > 1:
        raise UserError(f"{optimizer}: its variants have different numbers of epochs; expected the same for all")
    chosen = {seed: choose(variants, seed) for seed in seeds}
    print(f"{optimizer}, {comparison.place} ({comparison.conditions()})")
    print("validation accuracy of the supernet after the last epoch, * where it is a seed's best:")
    width = max(len(variant.name) for variant in variants)
    for variant in variants:
        runs = [run for run in variant.runs if run.seed in seeds]
        marks = ["*" if chosen[run.seed][1] is run else " " for run in runs]
        cells = [f"seed {run.seed}: {_accuracy(run):.4f}{mark}" for run, mark in zip(runs, marks, strict=True)]
        print(f"  {variant.name:{width}}  {'  '.join(cells)}")
    for seed, (variant, run) in chosen.items():
        cell, error = run.columns.last.get("cell"), _percent(comparison, run)
        print(f"seed {seed}: {variant.name}, cell {cell}, test error {error}, {run.path}")
    return True


def _optimizer(method: Method) -> str:
    return method.name.partition("@")[0]


def _accuracy(run: Run) -> float:
    value = run.columns.last.get("supernet_valid_accuracy")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RunFolderError(f"{run.path}: expected a number as supernet_valid_accuracy, got {value!r}")
    return value


def _percent(comparison: Comparison, run: Run) -> str:
    error = run.columns.last.get("test_error")
    if error is None:
        return "not in the table" if comparison.is_judged else "not judged"
    return f"{100 * error:.2f} %"
