"""Plug-ins of every kind: what a module of the user's own holds, and what installed packages offer by entry points.

`my_module:MyThing` is something of a module that can be imported from the current directory or the environment. An
installed package offers things under names of their own; each kind has its group of entry points. Nothing is imported
before it is asked for, so that a broken package breaks its own names only. This module lies with the spaces because
every other room may import these.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any


class PluginError(ValueError):
    """A plug-in that cannot be used; the message is one line that names it and says why."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean a or b?`, of the known names that are nearest to a mistaken one; empty where none is near.

    Args:
        name: what the user wrote.
        known: what there is, each once or several times.
    """
    close = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.6)
    likeness = [difflib.SequenceMatcher(None, one, name).ratio() for one in close]
    near = [one for one, ratio in zip(close, likeness, strict=True) if ratio > likeness[0] - 0.1]
    return f"did you mean {' or '.join(near)}?" if near else ""


def import_plugin(
    spec: str, form: str = "module:Class, such as my_module:MyOptimizer", name: str = r"[^\W\d]\w*"
) -> tuple[ModuleType, str]:
    """The module of `module:Name`, and the name.

    Args:
        spec: what the user wrote.
        form: what is expected, for the message.
        name: a regular expression of what may stand behind the colon.

    Raises:
        PluginError: not of that form, no such module, or the module cannot be imported.
    """
    if not re.fullmatch(rf"[^\W\d]\w*(\.[^\W\d]\w*)*:{name}", spec):
        raise PluginError(f"expected {form}, got {spec!r}")
    module, _, behind = spec.partition(":")
    return _import(module, spec), behind


def import_modules(names: Iterable[str]) -> None:
    """Import modules of the current directory or the environment for what they register.

    Raises:
        PluginError: one cannot be imported.
    """
    for name in names:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
            raise PluginError(f"expected the name of a module, such as my_companion, got {name!r}")
        _import(name, name)


def offers_of(group: str) -> dict[str, list[EntryPoint]]:
    """What installed packages offer in a group of entry points, by name; nothing is imported."""
    offers: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        offers.setdefault(entry.name, []).append(entry)
    return offers


def offered(entries: Sequence[EntryPoint], kind: str, instead: str) -> tuple[EntryPoint, str]:
    """The one offer of a name, and what messages call it.

    Args:
        entries: all offers of the name.
        kind: of what is offered, with its article, such as `a data set`.
        instead: what to do where there are several.

    Raises:
        PluginError: several packages offer it; they are named.
    """
    entry, *others = entries
    if others:
        packages = ", ".join(f"{package_of(one)} ({one.value})" for one in entries)
        raise PluginError(f"several packages offer {kind} {entry.name!r}: {packages}; {instead}")
    return entry, f"{kind.partition(' ')[2]} {entry.name!r} of the package {package_of(entry)} ({entry.value})"


def load_entry(entry: EntryPoint, offer: str) -> Any:
    """What an entry point names.

    Args:
        entry: the entry point.
        offer: what messages call it.

    Raises:
        PluginError: it cannot be loaded.
    """
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{offer} cannot be loaded, {_reason(error)}") from error


def package_of(entry: EntryPoint) -> str:
    """Name and version of the package that offers something."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"


def _import(module: str, spec: str) -> ModuleType:
    """A module of the current directory or the environment; messages name it as the user did."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            hint = "run from the folder that holds it, or install it"
            if module.endswith(".py"):
                hint = f"a module is named without its suffix, {spec.replace(module, module.removesuffix('.py'), 1)}"
            raise PluginError(f"{spec}: no module {error.name!r} in {here} or in the environment; {hint}") from error
        raise PluginError(f"{spec}: {module} cannot be imported, {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{spec}: {module} cannot be imported, {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """An exception in one line, with the place where it was raised."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{text.partition(' (')[0]} ({error.filename}:{error.lineno})"
    # What imports, registers and makes dataclasses of a plug-in is not to blame for what it is given.
    project = Path(__file__).parents[1]
    ours = tuple(str(project / room) + os.sep for room in ("harness", "optimizers", "spaces"))
    between = ("<frozen importlib", importlib.__path__[0], dataclasses.__file__, *ours)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(between):
            return f"{text} ({frame.filename}:{frame.lineno})"
    return text
