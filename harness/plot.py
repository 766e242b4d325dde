"""`python -m harness.plot RESULTS`: draw every figure from the run folders at or below a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import OneLineParser, UserError, run_command


def main(arguments: list[str] | None = None) -> int:
    """Draw, print the path of each file written, and say what could not be drawn.

    Raises:
        UserError: there is nothing to draw, or runs that would share a figure disagree.
        RunFolderError: there is no run, or one cannot be read.
    """
    options = _parser().parse_args(arguments)
    out = options.out or options.results / "figures"
    if options.figure == "1":
        return _landscapes(options.results, out)

    from plots import anytime, decay, hessian, style
    from plots.records import NothingToDrawError, csv_text, gather

    comparisons, notes = gather(options.results)
    for note in notes:
        print(note, file=sys.stderr)
    drawn = 0
    for comparison in comparisons:
        for figure_module in (anytime, hessian, decay):
            name = f"{figure_module.NAME}_{comparison.bench}_space{comparison.space}"
            try:
                figure, series = figure_module.draw(comparison)
            except NothingToDrawError as reason:
                print(f"not drawn: {name}: {reason}", file=sys.stderr)
                continue
            out.mkdir(parents=True, exist_ok=True)
            for path in style.save(figure, out / name, csv_text(comparison, series)):
                print(path)
            drawn += 1
    if not drawn:
        raise UserError(f"{options.results}: nothing to draw yet; wait until a search has finished its first epoch")
    return 0


def _landscapes(results: Path, out: Path) -> int:
    from plots.landscape import write

    paths = write(results, out)
    if not paths:
        raise UserError(f"{results}: no landscape to draw; `python -m harness.landscape RUN` computes one")
    for path in paths:
        print(path)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.plot",
        description="Draw the figures of every search at or below a folder, for each benchmark and space: the anytime "
        "test error, the Hessian of the validation loss, and supernet against table. Each is written as PNG, PDF and "
        "CSV; the CSV holds the numbers behind it, errors as fractions.",
    )
    parser.add_argument("results", metavar="RESULTS", type=Path, help="the folder given to `harness.run --results`")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where to write (default: RESULTS/figures)")
    parser.add_argument(
        "--figure", choices=("1",), help="1: the accuracy around the alphas that `harness.landscape` measured, alone"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
