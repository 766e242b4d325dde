"""`python -m harness.check my_module:MyOptimizer`: whether an optimizer keeps the contract, in words."""

from __future__ import annotations

import argparse
import contextlib
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli import OneLineParser, parse_overrides, run_command
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.conformance import Subject

EXIT_BROKEN = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Check each optimizer that is named.

    Returns:
        0 if all keep the contract, 1 if one breaks it.

    Raises:
        UserError: an optimizer, a space, a check or a setting that there is not.
    """
    options = _parser().parse_args(arguments)
    if not (options.optimizers or options.list):
        raise UserError("expected a method or module:Class, for example: python -m harness.check my_module:MyOptimizer")
    settings = parse_overrides(options.set)

    # Importing torch takes seconds, which `--help` does not wait for.
    import torch

    from harness.conformance import Subject, all_checks
    from harness.conformance.black_box import black_box_promises
    from harness.search.setup import known_method, known_space
    from optimizers.black_box.registry import is_black_box_name
    from optimizers.registry import list_methods

    # The tiny network's operations are too small to share out.
    torch.set_num_threads(1)
    if options.list:
        for check in all_checks():
            print(f"{check.name}\n{textwrap.indent(textwrap.fill(check.promise, 116), '    ')}")
        for name, promise in black_box_promises():
            print(f"{name} (black-box methods)\n{textwrap.indent(textwrap.fill(promise, 116), '    ')}")
        return 0
    if unknown := set(options.skip) - {check.name for check in all_checks()}:
        raise UserError(f"--skip: no check is called {unknown.pop()!r}; --list prints them")
    space = known_space(options.space) if options.space else None
    every = [method.name for method in list_methods()]
    black_box = [name for name in options.optimizers if is_black_box_name(name)]
    if black_box and (options.skip or len(black_box) < len(options.optimizers)):
        raise UserError(f"{black_box[0]} is a black-box method; check such by themselves, and without --skip")
    if black_box:
        kept = [_report_black_box(name, options.space or "nb201", settings) for name in black_box]
        return 0 if all(kept) else EXIT_BROKEN
    names = [name for given in options.optimizers for name in (every if given == "all" else [given])]
    subjects = [Subject(known_method(name), settings, space) for name in names]
    for subject in subjects if settings else []:
        # What is wrong with the class itself is for the checks to say.
        with contextlib.suppress(TypeError, AttributeError):
            subject.config()
    kept = [_report(subject, options.skip) for subject in subjects]
    if len(kept) > 1:
        print(f"{sum(kept)} of {len(kept)} methods keep the contract")
    return 0 if all(kept) else EXIT_BROKEN


def _report(subject: Subject, skip: Sequence[str]) -> bool:
    """Print a line for each check as it is done, and say whether no promise is broken."""
    from harness.conformance import judge

    where = f", in space {subject.space.label}" if subject.space else ""
    print(f"{subject.method.name}{where}, on a tiny network on the CPU", flush=True)
    started, outcomes = time.monotonic(), []
    for verdict in judge(subject, skip):
        words = f": {verdict.words}" if verdict.words else ""
        print(f"  {_MARKS[verdict.outcome]}  {verdict.check.statement}{words}", flush=True)
        outcomes.append(verdict.outcome)
    broken = outcomes.count("broken")
    conclusion = f"{broken} of {len(outcomes)} promises broken" if broken else "keeps the contract"
    print(f"{subject.method.name}: {conclusion} ({time.monotonic() - started:.1f} s)", flush=True)
    return not broken


def _report_black_box(name: str, space_name: str, settings: dict[str, str]) -> bool:
    """Print a line for each promise of a black-box method, and say whether none is broken."""
    from harness.ask_tell.request import method_config
    from harness.conformance.black_box import BlackBoxSubject, judge_black_box
    from harness.search.setup import known_space
    from optimizers.black_box.registry import get_black_box

    method, space = get_black_box(name), known_space(space_name)
    subject = BlackBoxSubject(name, method.method_class, method_config(method, {}, settings), space)
    print(f"{name}, a black-box method, in space {space.label}, errors made up", flush=True)
    broken = 0
    for statement, words in judge_black_box(subject):
        broken += bool(words)
        print(f"  {_MARKS['broken' if words else 'kept']}  {statement}{f': {words}' if words else ''}", flush=True)
    print(f"{name}: {f'{broken} promises broken' if broken else 'keeps the contract'}", flush=True)
    return not broken


_MARKS = {"kept": "ok    ", "broken": "BROKEN", "not judged": "-     "}


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.check",
        description="Put an optimizer through the promises of optimizers/base.py on a tiny network on the CPU, in "
        "seconds, and say in words which it breaks and where to look; a black-box method through those of "
        "optimizers/black_box/base.py, by default in nb201. The exit status is 1 if any is broken.",
    )
    add = parser.add_argument
    add(
        "optimizers",
        nargs="*",
        metavar="OPTIMIZER",
        help="a method's name, or module:Class for one of your own; `all` for every built-in method",
    )
    add("--space", metavar="SPACE", help="check it in this space, by name or module:NAME; by default in 1, 2 and 3")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="check it with a setting; may be repeated")
    add("--skip", action="append", default=[], metavar="CHECK", help="leave out a check; may be repeated")
    add("--list", action="store_true", help="print the checks and stop")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
