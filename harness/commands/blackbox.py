"""`python -m harness.blackbox`: search a table with a black-box method, many repeats of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, parse_overrides, positive_integer, positive_number, run_command
from harness.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and say what its repeats show.

    Raises:
        UserError: anything about the command line, the table or the results folder that the user can mend.
        RunFolderError: a folder was changed, or another process is at it.
    """
    options = _parser().parse_args(arguments)

    from harness.ask_tell.repeat import Limit
    from harness.ask_tell.request import Request
    from harness.ask_tell.running import run
    from optimizers.black_box.registry import list_black_box

    if options.optimizer == "list":
        for method in list_black_box():
            print(f"{method.name:24}{method.summary}")
        return 0
    if options.space is None or options.optimizer is None:
        raise UserError(
            "expected --space and --optimizer, for example: "
            "python -m harness.blackbox --space nb201 --bench nb201 --optimizer regularised_evolution"
        )
    evaluations = options.evaluations
    if evaluations is None and options.seconds is None:
        evaluations = 300
    folder = run(
        Request(
            bench=options.bench,
            space=options.space,
            optimizer=options.optimizer,
            repeats=options.repeats,
            limit=Limit(evaluations, options.seconds),
            observed=options.observe,
            epochs=options.epochs,
            overrides=parse_overrides(options.set),
            name=options.name,
            results=options.results,
            imports=options.imports,
            command=["python", "-m", "harness.blackbox", *(arguments if arguments is not None else sys.argv[1:])],
        ),
        options.workers,
    )

    from plots.judgement.black_box import print_repeats

    print_repeats(folder.path)
    print(folder.path)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.blackbox",
        description="Search a space with a method that sees no weights: it asks for architectures and is told what a "
        "table says of their validation error, and is charged the seconds of training that the table has. Many "
        "repeats, each with its own seed; those that are recorded are skipped. `harness.plot` draws them against exact "
        "random search, and beside one-shot methods over seconds; `harness.compare` tests them.",
    )
    add = parser.add_argument
    add("--space", metavar="NUMBER|NAME", help="search space that the benchmark's table holds")
    add("--optimizer", metavar="NAME", help="black-box method, or module:Class of your own; `list` prints them")
    add("--bench", default="nb101", metavar="NAME|FILE.toml", help="benchmark with a table (default: nb101)")
    add("--evaluations", type=positive_integer, metavar="N", help="end a repeat after N evaluations (default: 300)")
    add(
        "--seconds",
        type=positive_number("a number of seconds"),
        metavar="S",
        help="end a repeat before the evaluation that would end after S charged seconds; together with --evaluations, "
        "whichever comes first",
    )
    add("--repeats", type=positive_integer, default=500, metavar="R", help="repeats, seeds 0 to R-1 (default: 500)")
    add(
        "--observe",
        choices=("mean", "repeat"),
        default="mean",
        help="what a method is told: the mean over a table's repeats, or one of them drawn for each evaluation",
    )
    add("--epochs", type=positive_integer, metavar="N", help="train each architecture so long (default: the longest)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    add("--name", metavar="NAME", help="name of this variant; its folder is OPTIMIZER@NAME")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="where records lie (default: results)")
    add("--workers", type=positive_integer, default=1, metavar="N", help="repeats side by side (default: 1)")
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module of the current folder first, which registers a method or a space",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
