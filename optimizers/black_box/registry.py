"""Names of black-box methods.

A file of this folder registers its class; a class from outside is named as `module:Class` and needs no registration.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from optimizers.black_box.base import BlackBox
from spaces.plugins import PluginError, did_you_mean, import_plugin

BUILT_IN_MODULES = (
    "optimizers.black_box.random_search",
    "optimizers.black_box.regularised_evolution",
    "optimizers.black_box.reinforce",
    "optimizers.black_box.tpe",
    "optimizers.black_box.smac",
)

BlackBoxClass = TypeVar("BlackBoxClass", bound=type[BlackBox[Any]])


@dataclass(frozen=True)
class BlackBoxMethod:
    """A black-box method by name.

    Attributes:
        name: what `--optimizer` takes.
        method_class: the class.
        summary: one line with the source.
    """

    name: str
    method_class: type[BlackBox[Any]]
    summary: str

    @property
    def folder(self) -> str:
        """The name as part of a path: `my_module.MyMethod` for `my_module:MyMethod`."""
        return self.name.replace(":", ".")

    @property
    def section(self) -> str:
        """The section of its settings: the name, or that of the class for one from outside."""
        return self.name.rpartition(":")[2]


_methods: dict[str, BlackBoxMethod] = {}


def register_black_box(name: str, summary: str) -> Callable[[BlackBoxClass], BlackBoxClass]:
    """Class decorator: make a black-box method known by a name.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(method_class: BlackBoxClass) -> BlackBoxClass:
        if name in _methods:
            raise ValueError(f"black-box method {name!r} is registered twice")
        _methods[name] = BlackBoxMethod(name, method_class, summary)
        return method_class

    return decorate


def list_black_box() -> list[BlackBoxMethod]:
    """All registered methods, built-in ones in their order first."""
    for module in BUILT_IN_MODULES:
        importlib.import_module(module)
    return list(_methods.values())


def get_black_box(name: str) -> BlackBoxMethod:
    """The black-box method of a name, or of `module:Class`.

    Raises:
        ValueError: there is none; the message lists those that there are.
        PluginError: the module cannot be imported, or its class is no black-box method.
    """
    known = {method.name: method for method in list_black_box()}
    if name in known:
        return known[name]
    if ":" in name:
        return _from_module(name)
    hint = did_you_mean(name, known) or f"known: {', '.join(known)}, and module:Class for one of your own"
    raise ValueError(f"unknown black-box method {name!r}; {hint}")


def is_black_box_name(name: str) -> bool:
    """Whether a name, or `module:Class`, is that of a black-box method; a module that cannot be imported has none."""
    try:
        get_black_box(name)
    except ValueError:
        return False
    return True


def _from_module(spec: str) -> BlackBoxMethod:
    module, name = import_plugin(spec, "module:Class, such as my_module:MyMethod")
    candidate = getattr(module, name, None)
    if not (isinstance(candidate, type) and issubclass(candidate, BlackBox)):
        got = f"no {name!r}" if candidate is None else f"{name!r}, which is none"
        raise PluginError(
            f"{spec}: expected a subclass of optimizers.black_box.base.BlackBox, {module.__name__} "
            f"({module.__file__}) has {got}; a one-shot method runs with `python -m harness.run`"
        )
    summary = (candidate.__doc__ or candidate.__name__).strip().splitlines()[0]
    return BlackBoxMethod(spec, candidate, summary)
