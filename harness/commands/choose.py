"""`python -m harness.choose RESULTS`: choose among variants of a method by the supernet's validation accuracy.

R-DARTS runs a search at several strengths of a regularisation and keeps one of the cells (Zela et al. 2020a;
SmoothDARTS appendix 7.1). The choice must not see the test error, so it is made by what the search itself knows after
its last epoch, and only the chosen cells' errors are told. (The authors train each cell anew for the choice.) It is
made seed by seed among the variants, so that the method has as many results as there are seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import OneLineParser, UserError, run_command
from harness.records.run_folder import RunFolderError

if TYPE_CHECKING:
    from plots.runs.records import Comparison, Method, Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the choice for each method that has variants at or below a folder.

    Raises:
        UserError: there is nothing to choose among.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)

    from plots.runs.survey import survey

    found = survey(options.results)
    for left_out in found.left_out:
        print(f"left out: {left_out}", file=sys.stderr)
    chosen_any = False
    for comparison in found.comparisons:
        for optimizer in sorted({_optimizer(method) for method in comparison.methods}):
            variants = [method for method in comparison.methods if _optimizer(method) == optimizer]
            if len(variants) > 1:
                chosen_any |= _report(comparison, optimizer, variants)
    if not chosen_any:
        raise UserError(
            f"{options.results}: expected at least two variants of a method with the same seed finished; run them with "
            "`python -m harness.run --grid ...`"
        )
    return 0


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
    print(f"{optimizer}, {comparison.bench}, space {comparison.space} ({comparison.conditions()})")
    print("validation accuracy of the supernet after the last epoch, * where it is a seed's best:")
    width = max(len(variant.name) for variant in variants)
    for variant in variants:
        runs = [run for run in variant.runs if run.seed in seeds]
        marks = ["*" if chosen[run.seed][1] is run else " " for run in runs]
        cells = [f"seed {run.seed}: {_accuracy(run):.4f}{mark}" for run, mark in zip(runs, marks, strict=True)]
        print(f"  {variant.name:{width}}  {'  '.join(cells)}")
    for seed, (variant, run) in chosen.items():
        print(f"seed {seed}: {variant.name}, cell {run.lines[-1].get('cell')}, test error {_percent(run)}, {run.path}")
    return True


def _optimizer(method: Method) -> str:
    return method.name.partition("@")[0]


def _accuracy(run: Run) -> float:
    value = run.lines[-1].get("supernet_valid_accuracy")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RunFolderError(f"{run.path}: expected a number as supernet_valid_accuracy, got {value!r}")
    return value


def _percent(run: Run) -> str:
    error = run.lines[-1].get("test_error")
    return "not in the table" if error is None else f"{100 * error:.2f} %"


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.choose",
        description="Choose among the variants of a method (OPTIMIZER@NAME), seed by seed, by the supernet's "
        "validation accuracy after the last epoch; then tell the chosen cells' test errors, which the choice does not "
        "see. `python -m harness.run --grid` runs variants.",
    )
    parser.add_argument("results", metavar="RESULTS", type=Path, help="the folder given to `harness.run --results`")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
