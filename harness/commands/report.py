"""`python -m harness.report RESULTS`: all that the runs at or below a folder show, on one page.

`--out` writes the page, self-contained; `--serve` serves it on this machine and keeps it up to date while searches run;
`--tensorboard` writes event files instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.cli import OneLineParser, add_only, add_question, run_command, whole_number
from harness.errors import UserError

PORT = 8101


def main(arguments: list[str] | None = None) -> int:
    """Write the page and print its path, or serve it until Ctrl-C, or write event files.

    Raises:
        UserError: there is no run or no such method, the port is taken, or the extra for event files is missing.
        RunFolderError: there is no such folder.
    """
    options = _parser().parse_args(arguments)
    if options.port is not None and not options.serve:
        raise UserError("--port goes with --serve")
    if options.metric == "list":
        from plots.judgement.text import measures_text

        print(measures_text(), end="")
        return 0
    from plots.runs.picking import Picking

    picking = Picking(tuple(options.only))
    if options.tensorboard is not None:
        from plots.report.event_files import write_event_files

        for path in write_event_files(options.results, options.tensorboard, picking):
            print(path)
        return 0

    from plots.judgement.comparing import asked_question

    question = asked_question(options.metric, options.family, options.baseline, options.epochs)
    if options.serve:
        from plots.report.live import serve

        return serve(options.results, PORT if options.port is None else options.port, question, picking)

    from plots.report.writing import write_page

    out = options.out or options.results / "report.html"
    print(write_page(options.results, out, question, options.baseline, picking))
    return 0


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
    add(
        "--port",
        type=whole_number(0, 65535, "a port"),
        metavar="N",
        help=f"where --serve listens (default: {PORT}; 0: any that is free)",
    )
    add_only(parser)
    add_question(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
