"""`python -m harness`, and the console command `oneshot`: every command of the project behind one name.

`oneshot run ...` is `python -m harness.run ...`, and so for each module of `harness/commands/`; without a command it
lists them. Nothing here imports torch, numpy or anything that draws.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from harness import __version__
from harness.cli import run_command
from harness.errors import UserError

SUMMARIES = {
    "run": "search a space with a method, some seeds side by side",
    "blackbox": "search a table with a black-box method, many repeats of it",
    "study": "run many searches and tables as one file, through any fault",
    "plot": "draw figures from run folders",
    "report": "put all that runs show on one page",
    "compare": "say what finished runs show about their methods, and what so many seeds cannot show",
    "choose": "choose among variants of a method by the supernet's validation accuracy",
    "audit": "say which records below a folder are whole, changed or from before checksums",
    "check": "say whether an optimizer of your own keeps the contract",
    "demo": "search the embedded benchmark with three methods and draw the figures",
    "prepare": "download images and the official table, and index a table",
    "table": "print and draw what a table says about a search space",
    "tabulate": "make a table by training architectures from scratch",
    "transfer": "train a searched cell's network on large images, as on ImageNet",
    "landscape": "measure validation accuracy around the alphas of a search",
    "correlate": "compare a supernet's order of cells with the table's",
    "crosscheck": "compare an index with the official API on one file",
}
"""Every command with what it does, in the order in which a new user meets them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """List the commands, or run one; a command that ends with a status of its own raises `SystemExit` with it.

    Args:
        arguments: the command and its arguments; None for those of the process.
    """
    return run_command(lambda: _dispatch(list(sys.argv[1:] if arguments is None else arguments)))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        _print_commands()
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"oneshot {__version__}")
        return 0
    if arguments[0] == "--completion":
        from harness.completion import completion_script

        print(completion_script(arguments[1] if len(arguments) > 1 else "", SUMMARIES))
        return 0
    name = arguments[0]
    if name not in SUMMARIES:
        # Only now, when it is known that `spaces` is this project's.
        from spaces.plugins import did_you_mean

        hint = did_you_mean(name, SUMMARIES) or f"known: {', '.join(SUMMARIES)}"
        raise UserError(f"expected a command, got {name!r}; {hint}")
    # Commands read the arguments of their process, and record them as part of what was run.
    sys.argv = [f"python -m harness.{name}", *arguments[1:]]
    runpy.run_module(f"harness.commands.{name}", run_name="__main__")
    return 0


def _print_commands() -> None:
    width = max(map(len, SUMMARIES)) + 2
    print(f"usage: oneshot COMMAND ...   (or: python -m harness COMMAND ...)\n\noneshot {__version__}, the commands:")
    for name, summary in SUMMARIES.items():
        print(f"  {name:{width}}{summary}")
    print("\n`oneshot --version` prints the version, `oneshot --completion bash` (zsh, tcsh) a script for the shell.")
    print("`oneshot COMMAND --help` says what one takes; `python -m harness.COMMAND` is the same command.")


if __name__ == "__main__":
    sys.exit(main())
