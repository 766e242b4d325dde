"""`python -m harness.plot RESULTS`: draw figures from the run folders at or below a folder."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import OneLineParser, UserError, run_command

if TYPE_CHECKING:
    from plots.figures.registry import Named
    from plots.runs.survey import Survey


def main(arguments: list[str] | None = None) -> int:
    """Draw, print the path of each file written, and say what could not be drawn.

    Raises:
        UserError: there is nothing to draw, or a figure is not known.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)
    if "list" in options.figure:
        from plots.figures.registry import FIGURES, LANDSCAPES

        for name, summary in {**LANDSCAPES, **{name: figure.summary for name, figure in FIGURES.items()}}.items():
            print(f"{name:8} {summary}")
        return 0
    if options.results is None:
        raise UserError("expected RESULTS, the folder given to `harness.run --results`; `--figure list` needs none")
    if options.figure:
        return _draw_named(options)
    if options.methods or options.epochs or options.best_by or (options.x, options.band) != ("epochs", "deviation"):
        raise UserError("--methods, --x, --best-by, --band and --epochs are of figures by name; add --figure NAME")
    return _draw_overview(options)


def _draw_overview(options: argparse.Namespace) -> int:
    """The three figures of each benchmark and space."""
    from plots.drawing import anytime, style
    from plots.drawing.pages import sheets
    from plots.figures import decay, hessian
    from plots.runs.records import NothingToDrawError, csv_text

    drawn = 0
    for bench, sheet in sheets(_found(options.results)):
        for comparison, figure_module in itertools.product(sheet, (anytime, hessian, decay)):
            name = f"{figure_module.NAME}_{bench}_space{comparison.space}"
            try:
                figure, series = figure_module.draw(comparison)
            except NothingToDrawError as reason:
                print(f"not drawn: {name}: {reason}", file=sys.stderr)
                continue
            for path in style.save(figure, _folder(options) / name, csv_text((comparison, series))):
                print(path)
            drawn += 1
    if not drawn:
        raise UserError(f"{options.results}: nothing to draw yet; wait until a search has finished its first epoch")
    return 0


def _found(results: Path) -> Survey:
    """The runs to draw; what is left out is said, and which names of files tell tables or scales apart.

    Raises:
        UserError: there is none.
    """
    from plots.drawing.pages import sheets
    from plots.runs.survey import survey

    found = survey(results)
    for left_out in found.left_out:
        print(f"left out: {left_out}", file=sys.stderr)
    if not found.comparisons:
        raise UserError(f"{results}: no run here that can be drawn; make one with `python -m harness.run`")
    named = list(sheets(found))
    for bench, sheet in named:
        if sum(other[0].bench == sheet[0].bench for _, other in named) > 1:
            table = " ".join(part for part in (sheet[0].table, sheet[0].table_sha256[:12]) if part)
            print(f"files named {bench}: table {table}, {sheet[0].scale or 'scale not recorded'}", file=sys.stderr)
    return found


def _draw_landscapes(options: argparse.Namespace) -> int:
    """Figure 1, from what `harness.landscape` measured; the number of files written."""
    from plots.figures.landscape import write

    paths = write(options.results, options.out or options.results / "figures")
    if not paths:
        reason = f"no landscape to draw at or below {options.results}; `python -m harness.landscape RUN` computes one"
        print(f"not drawn: figure 1: {reason}", file=sys.stderr)
    for path in paths:
        print(path)
    return len(paths)


def _draw_named(options: argparse.Namespace) -> int:
    """The figures asked for, of each benchmark."""
    wanted = _known(options.figure)
    _refuse_ignored(options)
    drawn = 0 if len(wanted) == len(set(options.figure)) else _draw_landscapes(options)
    drawn += _draw_of_runs(options, wanted) if wanted else 0
    if not drawn:
        names = ", ".join(options.figure)
        raise UserError(f"{options.results}: nothing drawn of figure {names}; the lines above say why")
    return 0


def _draw_of_runs(options: argparse.Namespace, wanted: Mapping[str, Named]) -> int:
    """Figures of what runs recorded epoch by epoch; the number of pages drawn."""
    from plots.drawing import style
    from plots.drawing.pages import Options, sheets
    from plots.runs.records import NothingToDrawError

    found = _found(options.results)
    asked = Options(
        methods=tuple(options.methods),
        seconds=options.x == "seconds",
        chosen_by=options.best_by,
        interval=options.band == "interval",
        epochs=tuple(options.epochs),
    )
    drawn = 0
    for figure_name, figure in wanted.items():
        for bench, sheet in sheets(found):
            try:
                pages = figure.draw(bench, sheet, asked)
            except NothingToDrawError as reason:
                print(f"not drawn: figure {figure_name} of {bench}: {reason}", file=sys.stderr)
                continue
            for page in pages:
                if page.text:
                    print(page.text)
                for path in style.save(page.figure, _folder(options) / page.name, page.numbers):
                    print(path)
            drawn += len(pages)
    return drawn


def _known(names: list[str]) -> dict[str, Named]:
    """The figures of these names, each once, as asked for, the landscape's aside.

    Raises:
        UserError: one is not known.
    """
    from plots.figures.registry import FIGURES, LANDSCAPES

    for name in names:
        if name not in (*LANDSCAPES, *FIGURES):
            known = ", ".join([*LANDSCAPES, *FIGURES])
            raise UserError(f"unknown figure {name!r}; known: {known} (`--figure list` says what they show)")
    return {name: FIGURES[name] for name in names if name in FIGURES}


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Refuse an option that a figure asked for would ignore.

    Raises:
        UserError: it would.
    """
    from plots.figures.registry import FIGURES, LANDSCAPES

    takes = {name: ("--methods", *figure.takes) for name, figure in FIGURES.items()}
    given = {
        "--methods": bool(options.methods),
        "--x": options.x != "epochs",
        "--best-by": options.best_by is not None,
        "--band": options.band != "deviation",
        "--epochs": bool(options.epochs),
    }
    for option in (option for option, is_given in given.items() if is_given):
        ignoring = [name for name in options.figure if name in LANDSCAPES or option not in takes[name]]
        if ignoring:
            taking = ", ".join(name for name, options_of in takes.items() if option in options_of)
            raise UserError(f"{option} is not of figure {', '.join(ignoring)}; it goes with --figure {taking}")


def _folder(options: argparse.Namespace) -> Path:
    """Where to write; made when there is something to write."""
    out: Path = options.out or options.results / "figures"
    out.mkdir(parents=True, exist_ok=True)
    return out


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
    parser.add_argument(
        "--figure",
        metavar="NAME",
        type=_words,
        default=[],
        help="figures by name, commas between several: a number of the paper, or another; `list` says what there is",
    )
    named = parser.add_argument_group("what --figure draws")
    named.add_argument("--methods", metavar="NAMES", type=_words, default=[], help="these methods alone")
    named.add_argument("--x", choices=("epochs", "seconds"), default="epochs", help="axis of figures 3 and 4")
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
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
