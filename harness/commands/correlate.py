"""`python -m harness.correlate RUN...`: does the supernet of a search order cells as the table does?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from harness.cli import OneLineParser, add_checkpoints, draw_for, positive_integer, run_command
from harness.errors import UserError
from harness.records.journal import ResultError, is_there, journal
from harness.records.run_folder import CORRELATION
from harness.revisit.each import conditions, revisit_each

if TYPE_CHECKING:
    from harness.revisit.search import Revisited

CELLS = 200
TOP = 0.25
"""The share of the space's cells, best by the table's test error, within which the order is looked at again."""

KINDS = ("spearman", "kendall")

MEANINGS = {
    "stored": "batch norm's statistics as the search's own validation accuracy has them, the same for all cells",
    "batch": "batch norm's statistics of each batch, at the cell in question",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute what is not there yet, print it as tables, and draw it.

    Raises:
        UserError: there is no checkpoint of the epoch, or the table has too few cells.
        RunFolderError: there is no run, or one cannot be read.
    """
    options = _parser().parse_args(arguments)
    done = revisit_each(
        options.runs,
        options.epoch,
        lambda then: tell(then, compute(then, options.cells)),
        bench=options.bench,
        device=options.device,
        optimizer=options.optimizer,
        space=options.space,
    )
    for name, meaning in MEANINGS.items():
        print(f"{name} statistics: {meaning}")

    from plots.figures import correlation

    draw_for(done, options.out, correlation.write)
    return 0


def compute(then: Revisited, cells: int = CELLS) -> dict[str, Any]:
    """Measure cells, write `correlation/epoch<e>.json` and give its content; what is there stays.

    Raises:
        UserError: the table has fewer cells.
        ResultError: a result of another number of cells is there, or another process is at it.
    """
    from harness.revisit.ranking import CHUNK, draw_cells, measure
    from harness.tables.truths import Truths

    result = then.folder.result(CORRELATION, then.epoch)
    asked = {"cells": cells, "checkpoint_sha256": then.checkpoint_sha256}
    if is_there(result, asked):
        return then.folder.computed(CORRELATION, then.epoch)
    if then.table is None:
        raise UserError(f"{then.folder.path}: its space has no table, so that there is nothing to correlate with")
    truths = Truths(then.table, then.record["space"])
    drawn = draw_cells(then, cells, truths)
    given = {**conditions(then), **asked}
    with journal(result, given) as measured:
        rest = drawn[CHUNK * len(measured.parts) :]
        label = f"{given['method']} seed {given['seed']} epoch {then.epoch}"
        with tqdm(
            desc=label, total=cells, initial=cells - len(rest), unit="cell", disable=None, dynamic_ncols=True
        ) as bar:
            for chunk in measure(then, rest):
                measured.append({"cells": chunk})
                bar.update(len(chunk))
        sampled = [cell for part in measured.parts for cell in part["cells"]]
        threshold = _quantile(truths.test, TOP)
        content = {
            **given,
            "drawn": "parents and operations uniform, loose ends included; each cell once",
            "statistics": MEANINGS,
            "top_share": TOP,
            "top_test_error": threshold,
            "correlations": {name: correlations(sampled, name, threshold) for name in MEANINGS},
            "sampled": sampled,
        }
        measured.finish(content)
    return content


def correlations(sampled: Sequence[dict[str, Any]], statistics: str, threshold: float) -> dict[str, Any]:
    """Rank correlations of the supernet's validation error and loss with the table's test error.

    Args:
        sampled: the cells, as `harness.ranking.measure` gives them.
        statistics: a key of `MEANINGS`.
        threshold: the test error up to which a cell is among the top ones.

    Returns:
        `all` and `top` -> `error` and `loss` -> `harness.rank_statistics.RankCorrelation` as JSON.
    """
    import numpy as np

    from harness.revisit.rank_statistics import rank_correlation

    table = np.array([cell["test_error"] for cell in sampled])
    error = np.array([1 - cell[statistics]["accuracy"] for cell in sampled])
    losses = [cell[statistics]["loss"] for cell in sampled]
    # A loss that is not finite is worse than any other.
    loss = np.array([np.finfo(np.float64).max if loss is None else loss for loss in losses])
    groups = {"all": np.ones(len(table), bool), "top": table <= threshold}
    return {
        group: {
            name: rank_correlation(values[chosen], table[chosen]).to_json()
            for name, values in (("error", error), ("loss", loss))
        }
        for group, chosen in groups.items()
    }


def tell(then: Revisited, content: dict[str, Any]) -> None:
    """Print what was found.

    Raises:
        ResultError: it was there already, and is not as this version writes it.
    """
    try:
        lines = as_text(content)
    except (KeyError, TypeError, ValueError, AttributeError):
        path = then.folder.result(CORRELATION, then.epoch)
        raise ResultError(f"{path}: not as this version writes it; move it away and compute it again") from None
    print("\n".join(lines))


def as_text(content: dict[str, Any]) -> list[str]:
    """What was found, as the lines of a table."""
    lines = [
        f"{content['method']}, {content['bench']}, space {content['space']}, seed {content['seed']}, epoch "
        f"{content['epoch']}: {content['cells']} cells, {content['images']} validation images",
        f"{'with test error of ' + content['table']:44}{'n':>5}{'Spearman':>10}{'95 % bootstrap':>17}"
        f"{'Kendall':>9}{'95 % bootstrap':>17}",
    ]
    groups = {"all": "all cells", "top": f"table's best {100 * content['top_share']:.0f} %"}
    for statistics, by_group in content["correlations"].items():
        for group, words in groups.items():
            for name, correlation in by_group[group].items():
                numbers = "".join(
                    f"{_number(correlation[kind]['value']):>9}{_interval(correlation[kind]):>17}" for kind in KINDS
                )
                lines.append(f"{f'{statistics} statistics, {name}, {words}':44}{correlation['n']:5} {numbers}")
    return [*lines, ""]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _interval(estimate: dict[str, float | None]) -> str:
    return "" if estimate["low"] is None else f"[{_number(estimate['low'])}, {_number(estimate['high'])}]"


def _quantile(errors: Any, share: float) -> float:
    import numpy as np

    return float(np.quantile(errors, share))


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.correlate",
        description="Draw cells of the space, measure each at the weights of a search's checkpoint, and correlate the "
        "supernet's order with the table's (Spearman, Kendall), over all and within the table's best quarter. Writes "
        "correlation/epoch<E>.json into the run folder, goes on where it was stopped, prints a table, and draws the "
        "figure with every method that has a result at that epoch.",
    )
    add_checkpoints(parser)
    parser.add_argument(
        "--cells", type=positive_integer, default=CELLS, metavar="N", help=f"cells to draw (default: {CELLS})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
