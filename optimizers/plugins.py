"""Methods from outside the package: a class by its module and name, or one that an installed package offers.

`my_module:MyOptimizer` is a class of a module that can be imported from the current directory or the environment. An
installed package offers a method under a name of its own by an entry point, in its pyproject.toml:

    [project.entry-points."one_shot_nas_harness.optimizers"]
    my_method = "my_package.my_module:MyOptimizer"

Nothing is imported before it is asked for, so that a broken package breaks its own methods only.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from optimizers.base import Optimizer

GROUP = "one_shot_nas_harness.optimizers"
"""The group of entry points."""


class PluginError(ValueError):
    """A plug-in that cannot be used; the message is one line that names it and says why."""


def import_plugin(spec: str) -> tuple[ModuleType, str]:
    """The module of `module:Name`, and the name.

    Raises:
        PluginError: not of that form, no such module, or the module cannot be imported.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", spec):
        raise PluginError(f"expected module:Class, such as my_module:MyOptimizer, got {spec!r}")
    module, _, name = spec.partition(":")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module), name
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            hint = "run from the folder that holds it, or install it"
            if module.endswith(".py"):
                hint = f"a module is named without its suffix, {module.removesuffix('.py')}:{name}"
            raise PluginError(f"{spec}: no module {error.name!r} in {here} or in the environment; {hint}") from error
        raise PluginError(f"{spec}: {module} cannot be imported, {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{spec}: {module} cannot be imported, {_reason(error)}") from error


def import_modules(names: Iterable[str]) -> None:
    """Import modules of the current directory or the environment for what they register.

    Raises:
        PluginError: one cannot be imported.
    """
    for name in names:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
            raise PluginError(f"expected the name of a module, such as my_companion, got {name!r}")
        import_plugin(f"{name}:module")


def class_of(module: ModuleType, name: str, spec: str) -> type[Optimizer]:
    """A module's class by name.

    Raises:
        PluginError: there is none, or it is not an optimizer.
    """
    if not hasattr(module, name):
        own = [
            key for key, value in vars(module).items() if _is_optimizer(value) and value.__module__ == module.__name__
        ]
        there = f"its optimizers: {', '.join(own)}" if own else "it has no optimizer"
        raise PluginError(f"{spec}: {module.__name__} ({module.__file__}) has no {name!r}; {there}")
    return _checked(getattr(module, name), spec)


def offers() -> dict[str, list[EntryPoint]]:
    """What installed packages offer, by name; nothing is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


def load_offer(entries: list[EntryPoint]) -> type[Optimizer]:
    """The class behind a name that packages offer.

    Raises:
        PluginError: several packages offer it, the name cannot be that of a folder, or the class cannot be loaded; the
            packages are named.
    """
    entry, *others = entries
    if others:
        packages = ", ".join(f"{package_of(one)} ({one.value})" for one in entries)
        raise PluginError(f"several packages offer an optimizer {entry.name!r}: {packages}; run one as module:Class")
    offer = f"optimizer {entry.name!r} of the package {package_of(entry)} ({entry.value})"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", entry.name):
        raise PluginError(f"{offer}: expected a name of letters, digits, '_' and '-', as it becomes a folder's")
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{offer} cannot be loaded, {_reason(error)}") from error
    return _checked(found, offer)


def package_of(entry: EntryPoint) -> str:
    """Name and version of the package that offers something."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"


def _checked(found: object, what: str) -> type[Optimizer]:
    if isinstance(found, type) and issubclass(found, Optimizer):
        return found
    got = f"the class {found.__name__}" if isinstance(found, type) else f"an object of type {type(found).__name__}"
    raise PluginError(f"{what}: expected a subclass of optimizers.base.Optimizer, got {got}")


def _is_optimizer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Optimizer)


def _reason(error: BaseException) -> str:
    """An exception in one line, with the place where it was raised."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{text.partition(' (')[0]} ({error.filename}:{error.lineno})"
    # What imports, registers and makes dataclasses of a plug-in is not to blame for what it is given.
    between = ("<frozen importlib", importlib.__path__[0], dataclasses.__file__, str(Path(__file__).parent))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(between):
            return f"{text} ({frame.filename}:{frame.lineno})"
    return text
