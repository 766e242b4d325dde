"""`python -m harness.plot RESULTS`: draw figures from the run folders at or below a folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli import OneLineParser, add_only, run_command
from harness.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Draw, print the path of each file written, and say what could not be drawn.

    Raises:
        UserError: there is nothing to draw, or a figure or a method is not known.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)
    given = _given(options)
    if options.results is None and "list" not in options.figure:
        raise UserError("expected RESULTS, the folder given to `harness.run --results`; `--figure list` needs none")
    if given and not options.figure:
        raise UserError(
            "--methods, --x, --y, --best-by, --band, --epochs and --beside are of figures by name; add --figure NAME"
        )

    from plots.drawing.pages import Options
    from plots.figures.writing import draw_named, draw_overview, list_figures
    from plots.runs.picking import Picking

    picking = Picking(tuple(options.only))

    if "list" in options.figure:
        print("\n".join(list_figures()))
    elif options.figure:
        asked = Options(
            methods=tuple(options.methods),
            seconds=options.x == "seconds",
            chosen_by=options.best_by,
            interval=options.band == "interval",
            epochs=tuple(options.epochs),
            vertical=options.y,
            beside=options.beside,
        )
        draw_named(options.results, options.figure, asked, given, options.out, picking)
    else:
        draw_overview(options.results, options.out, picking)
    return 0


def _given(options: argparse.Namespace) -> list[str]:
    """The options that say how a figure by name is drawn, where they are not at their defaults."""
    given = {
        "--methods": bool(options.methods),
        "--x": options.x != "epochs",
        "--y": options.y is not None,
        "--best-by": options.best_by is not None,
        "--band": options.band != "deviation",
        "--epochs": bool(options.epochs),
        "--beside": options.beside is not None,
    }
    return [option for option, is_given in given.items() if is_given]


def _words(text: str) -> list[str]:
    """What stands between commas."""
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return words


def _epochs(text: str) -> list[int]:
    """Epochs between commas, from 0."""
    if not all(word.isdecimal() for word in _words(text)):
        raise argparse.ArgumentTypeError(
            f"expected epochs from 0 with commas between them, such as 0,50,100, got {text!r}"
        )
    return [int(word) for word in _words(text)]


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.plot",
        description="Draw the figures of every search at or below a folder, for each benchmark and space: the anytime "
        "test error, the Hessian of the validation loss, and supernet against table; or the figures asked for by name. "
        "Each is written as PNG, PDF and CSV; the CSV holds the numbers behind it, errors as fractions.",
    )
    parser.add_argument(
        "results", metavar="RESULTS", type=Path, nargs="?", help="the folder given to `harness.run --results`"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: RESULTS/figures)")
    add_only(parser)
    parser.add_argument(
        "--figure",
        metavar="NAME",
        type=_words,
        default=[],
        help="figures by name, commas between several: a number of the paper, quantity:NAME for anything recorded, or "
        "another; `list` says what there is",
    )
    named = parser.add_argument_group("what --figure draws")
    named.add_argument("--methods", metavar="NAMES", type=_words, default=[], help="these methods alone")
    named.add_argument("--x", choices=("epochs", "seconds"), default="epochs", help="axis of figures 3 and 4")
    named.add_argument(
        "--y",
        choices=("error", "regret"),
        help="figures 3 and 4: test errors on a linear axis, or how far they are above the optimum of the space on a "
        "logarithmic one (default: errors on 3, regret on 4)",
    )
    named.add_argument(
        "--best-by",
        choices=("supernet", "table"),
        help="figures 3 and 4: the best cell so far by the supernet's validation accuracy or by the table's validation "
        "error, instead of the epoch's own",
    )
    named.add_argument(
        "--band",
        choices=("deviation", "interval"),
        default="deviation",
        help="standard deviation over seeds, as in the paper, or 95 %% t-interval of the mean; of two seeds the range",
    )
    named.add_argument(
        "--epochs", metavar="LIST", type=_epochs, default=[], help="figure cells: which, such as 0,50,100"
    )
    named.add_argument(
        "--beside",
        metavar="DIR",
        type=Path,
        help="figure blackbox: the results folder whose one-shot runs stand beside black-box methods over seconds "
        "(default: RESULTS)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
