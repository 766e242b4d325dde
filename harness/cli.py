"""What the commands share: parsers that complain in one line, types of arguments, and how a command ends.

Nothing here imports torch, numpy or anything that draws, so that `--help` is there at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

from harness.errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_USER_ERROR, UserError, printable
from harness.intruders import refuse_intruders
from harness.records.config import results_folder
from harness.records.run_folder import RunFolder, RunFolderError

FAMILIES = ("baseline", "all-pairs")
"""Which tests are adjusted together, as in `plots.judgement.findings`, which takes a second to import."""


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command's main function and give its exit status; expected failures become one line on stderr.

    Returns:
        the function's status (None counts as 0), 2 after a `UserError`, a `RunFolderError` or a failure of the file
        system, 130 after Ctrl-C, 141 where nobody reads the output any more.
    """
    try:
        refuse_intruders()
        with contextlib.redirect_stdout(cast(TextIO, _Printable(sys.stdout))):
            return main() or 0
    except (UserError, RunFolderError) as error:
        message = str(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # What reads our output has seen enough, as `head` does; nothing must be written when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno not in _FILE_SYSTEM_ERRORS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror}; what was recorded before is kept"
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return EXIT_USER_ERROR


class _Printable:
    """A stream for people and programs, of which what steers a terminal is shown rather than sent.

    Names and labels come from folders and files that anyone may have made.

    Args:
        stream: what is written to; all else is its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; gives how many of its letters were taken, which are all."""
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_FILE_SYSTEM_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def whole_number(low: int, high: int | None = None, what: str = "a whole number") -> Callable[[str], int]:
    """The type of an argument that is a whole number between two bounds, both allowed.

    Args:
        low: the lower bound, 0 or more.
        high: the upper bound; None for none.
        what: what messages call it, with its article.
    """
    bounds = f"of {low:,} or more" if high is None else f"from {low:,} to {high:,}"
    highest = math.inf if high is None else high

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or not low <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"expected {what} {bounds}, got {shortened(text)!r}")
        return int(text)

    return parse


positive_integer = whole_number(1)
"""The type of an argument that is a whole number of at least 1."""


def positive_number(what: str = "a number") -> Callable[[str], float]:
    """The type of an argument that is a finite number above 0; `what` is what messages call it, with its article."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise argparse.ArgumentTypeError(f"expected {what} above 0, got {shortened(text)!r}")
        return number

    return parse


def shortened(text: str, longest: int = 60) -> str:
    """What was given, as far as a message repeats it."""
    return text if len(text) <= longest else f"{text[:longest]}..."


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like every other mistake's."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as a `UserError`."""
        raise UserError(f"{message} (see {self.prog} --help)")


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """What `--set` was given, as key -> value.

    Raises:
        UserError: an argument is not of the form key=value, or a key is given twice.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: expected key=value such as perturbation.steps=1, got {pair!r}")
        if key.strip() in overrides:
            raise UserError(f"--set: {key.strip()} is given twice")
        overrides[key.strip()] = value.strip()
    return overrides


def add_question(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what statistics are asked of runs."""
    add = parser.add_argument
    add(
        "--metric",
        default="final_error",
        metavar="NAME",
        help="the measure that is tested and ranked (default: final_error); `list` prints them",
    )
    add(
        "--family",
        choices=FAMILIES,
        default="baseline",
        help="the tests that Holm adjusts together: each method against one, or all pairs (default: baseline)",
    )
    add("--baseline", metavar="METHOD", help="that one, with its @NAME (default: darts)")
    add(
        "--epochs",
        type=positive_integer,
        metavar="N",
        help="judge every run after epoch N, also unfinished ones (default: finished runs, after their last)",
    )


def add_only(parser: argparse.ArgumentParser) -> None:
    """The argument that says which methods are looked at."""
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        type=_patterns,
        action="extend",
        default=[],
        help="these methods alone, with their @NAME: names or patterns such as 'sdarts*', commas between several",
    )


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which runs and epochs are looked at again, on what, and where figures go."""
    add = parser.add_argument
    add("runs", metavar="RUN", type=Path, nargs="+", help="a seed's folder, or one above: then all seeds below it")
    add(
        "--epoch",
        type=whole_number(0, what="an epoch"),
        nargs="+",
        metavar="E",
        help="epochs whose checkpoints are there, `harness.run --keep` keeps them (default: the last)",
    )
    add("--bench", metavar="FILE.toml", help="the benchmark, where it is not a built-in one")
    add(
        "--optimizer",
        metavar="MODULE:CLASS",
        help="the method of the runs, where it is not built in: its module is imported because you name it, never "
        "because a run folder does",
    )
    add("--space", metavar="MODULE:NAME", help="the space of the runs, where it is of a module, likewise")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: cuda where there is one")
    add("--out", metavar="DIR", type=Path, help="where the figure goes (default: RESULTS/figures)")


def draw_for(runs: Sequence[RunFolder], out: Path | None, write: Callable[[Path, Path], list[Path]]) -> None:
    """Draw what the results folders of some runs hold, and print the path of each file.

    Args:
        runs: the runs.
        out: where to write; None for the results folder's `figures`.
        write: draws what lies at or below a folder, and gives the paths written.
    """
    for home in sorted({results_folder(run.path) for run in runs}):
        for path in write(home, out or home / "figures"):
            print(path)


def _patterns(text: str) -> list[str]:
    """Patterns of names between commas."""
    patterns = [pattern.strip() for pattern in text.split(",")]
    if not all(patterns):
        raise argparse.ArgumentTypeError(f"expected names or patterns with commas between them, got {text!r}")
    return patterns
