"""Shell completion of `oneshot`: a script made once from the parsers of all commands.

shtab writes it, and pressing Tab then starts no Python. argcomplete, which was weighed, asks the program at every Tab,
and would import a command's modules each time to say what a script can know beforehand.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path

from harness.errors import UserError

SHELLS = ("bash", "zsh", "tcsh")


def completion_script(shell: str, commands: Mapping[str, str]) -> str:
    """The script that completes commands, their options, the choices of these and files.

    Args:
        shell: one of `SHELLS`.
        commands: name -> what it does, each a module of `harness.commands`.

    Raises:
        UserError: no such shell, or shtab is not installed.
    """
    if shell not in SHELLS:
        raise UserError(f"--completion: expected one of {', '.join(SHELLS)}, got {shell!r}")
    try:
        import shtab
    except ImportError:
        raise UserError(
            "--completion needs shtab, which is not installed; pip install 'one-shot-nas-harness[completion]'"
        ) from None
    parser = argparse.ArgumentParser(prog="oneshot", description="One-shot neural architecture search.")
    parser.add_argument("--version", action="store_true", help="print the version")
    parsers = parser.add_subparsers()
    for name, summary in commands.items():
        own = importlib.import_module(f"harness.commands.{name}")._parser()
        for action in own._actions:
            if action.type is Path:
                action.complete = shtab.FILE
        parsers.add_parser(name, help=summary, description=summary, parents=[own], add_help=False)
    return str(shtab.complete(parser, shell))
