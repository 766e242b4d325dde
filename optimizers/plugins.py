"""Methods from outside the package: a class by its module and name, or one that an installed package offers.

`my_module:MyOptimizer` is a class of a module that can be imported from the current directory or the environment. An
installed package offers a method under a name of its own by an entry point, in its pyproject.toml:

    [project.entry-points."one_shot_nas_harness.optimizers"]
    my_method = "my_package.my_module:MyOptimizer"

`spaces.plugins` finds and imports them.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from types import ModuleType

from optimizers.base import Optimizer
from optimizers.black_box.base import BlackBox
from spaces.plugins import PluginError, load_entry, offered, offers_of

GROUP = "one_shot_nas_harness.optimizers"
"""The group of entry points."""


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
    return offers_of(GROUP)


def load_offer(entries: list[EntryPoint]) -> type[Optimizer]:
    """The class behind a name that packages offer.

    Raises:
        PluginError: several packages offer it, the name cannot be that of a folder, or the class cannot be loaded; the
            packages are named.
    """
    entry, offer = offered(entries, "an optimizer", "run one as module:Class")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", entry.name):
        raise PluginError(f"{offer}: expected a name of letters, digits, '_' and '-', as it becomes a folder's")
    return _checked(load_entry(entry, offer), offer)


def _checked(offered: object, what: str) -> type[Optimizer]:
    if isinstance(offered, type) and issubclass(offered, Optimizer):
        return offered
    if isinstance(offered, type) and issubclass(offered, BlackBox):
        raise PluginError(f"{what}: a black-box method, which sees no weights; `python -m harness.blackbox` runs it")
    got = (
        f"the class {offered.__name__}" if isinstance(offered, type) else f"an object of type {type(offered).__name__}"
    )
    raise PluginError(f"{what}: expected a subclass of optimizers.base.Optimizer, got {got}")


def _is_optimizer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Optimizer)
