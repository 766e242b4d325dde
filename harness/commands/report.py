"""`python -m harness.report RESULTS`: all that the runs at or below a folder show, on one page.

`--out` writes the page, self-contained; `--serve` serves it on this machine and keeps it up to date while searches run;
`--tensorboard` writes event files instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.commands.compare import add_question, asked_question, check_baseline
from harness.errors import OneLineParser, UserError, run_command

PORT = 8101
MOST_LISTED = 5


def main(arguments: list[str] | None = None) -> int:
    """Write the page and print its path, or serve it until Ctrl-C, or write event files.

    Raises:
        UserError: there is no run, the port is taken, or the extra for event files is missing.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)
    if options.port is not None and not options.serve:
        raise UserError("--port goes with --serve")
    if options.metric == "list":
        from plots.judgement.text import measures_text

        print(measures_text(), end="")
        return 0
    if options.serve:
        from plots.report.live import serve

        return serve(options.results, PORT if options.port is None else options.port, asked_question(options))
    if options.tensorboard is not None:
        from plots.report.event_files import write_event_files

        for path in write_event_files(options.results, options.tensorboard):
            print(path)
        return 0
    print(_write_page(options))
    return 0


def _write_page(options: argparse.Namespace) -> Path:
    """Write the page of all runs at or below a folder, and say where no run can be shown.

    Raises:
        UserError: there is nothing that looks like a run, or no such measure or baseline.
        RunFolderError: there is no such folder.
        OSError: the file cannot be written.
    """
    from harness.records.run_folder import write_atomically
    from plots.report.page import page
    from plots.report.writing import Report

    results: Path = options.results
    out: Path = options.out or results / "report.html"
    if out.is_dir():
        raise UserError(f"--out: expected a file, such as {out / 'report.html'}, got the folder {out}")
    data = Report(results, out.parent, asked_question(options)).data()
    blocks = [one["block"] for one in data["comparisons"] if one["block"]]
    check_baseline(options, (method["name"] for block in blocks for method in block["methods"]))
    if not data["comparisons"] and not data["left_out"]:
        raise UserError(f"{results}: holds no run; `python -m harness.run --results {results}` makes one")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page(data))
    _say_left_out(data["left_out"])
    if not data["comparisons"]:
        print(f"{results}: no run can be shown; the page lists why", file=sys.stderr)
    return out


def _say_left_out(left_out: Sequence[Mapping[str, str]]) -> None:
    """A line for each folder that does not count; of many, their number."""
    if len(left_out) > MOST_LISTED:
        print(f"left out: {len(left_out)} folders; the page lists them with the reasons", file=sys.stderr)
        return
    for one in left_out:
        print(f"left out: {one['path']}: {one['reason']}", file=sys.stderr)


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="python -m harness.report",
        description="Show every search at or below a folder on one page that needs no network: what was run, a summary "
        "that sorts, interactive curves, the derived cell at any epoch, the theory's quantities, statistics with their "
        "caveats, the environment. Folders that do not count are listed with the reason.",
    )
    add = parser.add_argument
    add("results", metavar="RESULTS", type=Path, help="the folder given to `harness.run --results`")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--out", metavar="FILE", type=Path, help="where to write (default: RESULTS/report.html)")
    what.add_argument(
        "--serve",
        action="store_true",
        help="serve the page on 127.0.0.1 and refresh it while searches run; Ctrl-C ends",
    )
    what.add_argument(
        "--tensorboard", metavar="DIR", type=Path, help="write event files there instead; needs the extra `tensorboard`"
    )
    add("--port", type=_port, metavar="N", help=f"where --serve listens (default: {PORT}; 0: any that is free)")
    add_question(parser)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(run_command(main))
