"""`python -m harness.study COMMAND FILE`: many searches and tables as one file, run through any fault.

python -m harness.study run studies/digits.toml
python -m harness.study status studies/digits.toml --watch
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from harness.cli import OneLineParser, positive_integer, positive_number, run_command
from harness.launch.pool import quit_on_signals

WATCH_SECONDS = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks of a study.

    Returns:
        exit status; of `run` 0 where all is finished, 1 where some failed, 3 where the budget is spent with tasks left,
        130 if interrupted.

    Raises:
        UserError: anything about the command line, the file, the data or the results folder that the user can mend.
    """
    options = _parser().parse_args(arguments)
    return _COMMANDS[options.command](options)


def _run(options: argparse.Namespace) -> int:
    from harness.study.engines import engine_of
    from harness.study.file import read_study
    from harness.study.running import Options, run_study

    study = read_study(options.file)
    engine = engine_of(options.engine, study, options.workers, options.address)
    asked = Options(options.results, options.only, options.retry_failed, options.dry_run)
    return run_study(study, engine, asked)


def _status(options: argparse.Namespace) -> int:
    from harness.study.file import read_study
    from harness.study.status import show

    show(read_study(options.file), options.results, options.json, options.watch)
    return 0


def _missing(options: argparse.Namespace) -> int:
    from harness.study.file import read_study
    from harness.study.status import missing

    for key, stands in missing(read_study(options.file), options.results):
        print(f"{key}\t{stands}")
    return 0


def _clean(options: argparse.Namespace) -> int:
    from harness.study.cleaning import clean, described
    from harness.study.file import read_study

    paths = clean(read_study(options.file), options.results, options.yes, options.unfinished)
    print(described(paths, options.yes))
    return 0


def _export(options: argparse.Namespace) -> int:
    from harness.study.array import export
    from harness.study.file import read_study

    for path in export(read_study(options.file), options.results, options.slurm, options.array_limit):
        print(path)
    return 0


def _task(options: argparse.Namespace) -> int:
    from harness.study.array import run_task
    from harness.study.file import read_study

    return run_task(read_study(options.file), options.results, options.number, options.list)


def _plot(options: argparse.Namespace) -> int:
    from harness.study.file import read_study
    from harness.study.looking import looked_at
    from plots.figures.writing import draw_overview
    from plots.runs.picking import Picking

    runs = looked_at(read_study(options.file), options.results)
    draw_overview(options.results, options.out or runs.home / "figures", Picking(runs=runs.paths))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from harness.study.file import read_study
    from harness.study.looking import looked_at
    from plots.judgement.comparing import asked_question, compare
    from plots.runs.picking import Picking

    runs = looked_at(read_study(options.file), options.results)
    question = asked_question(runs.measure, runs.family, runs.baseline, None)
    compare(
        options.results,
        question,
        runs.baseline,
        options.out or runs.home / "statistics",
        Picking(runs=runs.paths),
    )
    return 0


def _report(options: argparse.Namespace) -> int:
    from harness.study.file import read_study
    from harness.study.looking import looked_at
    from plots.judgement.comparing import asked_question
    from plots.report.writing import write_page
    from plots.runs.picking import Picking

    runs = looked_at(read_study(options.file), options.results)
    question = asked_question(runs.measure, runs.family, runs.baseline, None)
    print(
        write_page(
            options.results,
            options.out or runs.home / "report.html",
            question,
            runs.baseline,
            Picking(runs=runs.paths),
        )
    )
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "status": _status,
    "missing": _missing,
    "clean": _clean,
    "export": _export,
    "task": _task,
    "plot": _plot,
    "compare": _compare,
    "report": _report,
}


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.study",
        description="Run a study, which a TOML file describes: searches and tables with the settings that they have, "
        "how they are run, and how they are to be compared. What is finished is never run again; what was interrupted "
        "goes on. docs/study.md shows a file.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        added.add_argument("file", metavar="FILE", type=Path, help="the study's TOML file")
        added.add_argument(
            "--results",
            type=Path,
            default=Path("results"),
            metavar="DIR",
            help="where run folders lie (default: results)",
        )
        return added

    _add_run(command("run", "run what is not finished"))
    status = command("status", "say how many tasks are finished, run, wait, failed or were pruned, and the time left")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.add_argument(
        "--watch",
        nargs="?",
        type=positive_number("seconds"),
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"again and again until nothing is left (default: every {WATCH_SECONDS:g} s)",
    )
    command("missing", "list the tasks that are not finished, and where each stands")
    clean = command("clean", "name the folders of searches that diverged, failed or were pruned, and remove them")
    clean.add_argument("--yes", action="store_true", help="remove them")
    clean.add_argument("--unfinished", action="store_true", help="also those that would go on")
    export = command("export", "write an array script for SLURM, and the list of tasks beside it")
    export.add_argument("--slurm", type=Path, required=True, metavar="SCRIPT", help="where to write")
    export.add_argument(
        "--array-limit",
        type=positive_integer,
        default=1000,
        metavar="N",
        help="jobs that your site allows in one array; more become several scripts (default: 1000)",
    )
    task = command("task", "run one task in this process, as a job of an array does")
    task.add_argument("number", metavar="N", type=_number, help="its number, from 0")
    task.add_argument("--list", type=Path, metavar="FILE", help="the list that `export` wrote (default: all tasks)")
    command("plot", "draw the figures of the study's runs").add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: RESULTS/studies/NAME/figures)"
    )
    command("compare", "compare the study's runs as its [compare] declares").add_argument(
        "--out", type=Path, metavar="DIR", help="where to write (default: RESULTS/studies/NAME/statistics)"
    )
    command("report", "show the study's runs on one page").add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: RESULTS/studies/NAME/report.html)"
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--engine", choices=("local", "ray"), default="local", help="what runs the tasks (default: local, this machine)"
    )
    add("--address", metavar="HOST:PORT", help="of the cluster, for --engine ray")
    add("--workers", type=positive_integer, metavar="N", help="tasks side by side (default: as many as fit)")
    add(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="run tasks whose folder has this in it, such as 'space1/darts/*'; may be repeated",
    )
    add("--retry-failed", action="store_true", help="try again what failed before")
    add("--dry-run", action="store_true", help="say what would be run and what it would take, and stop")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _leave(status: int) -> NoReturn:
    """End the process; at once where it holds Ray beside torch, since such a process can abort on its way out."""
    if "ray" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    quit_on_signals()
    _leave(run_command(main))
