"""Companions by name: those of this folder, and those that installed packages offer.

A module registers its class; a package offers one by an entry point, and a module named in a benchmark's or a method's
own file registers by being imported:

    [project.entry-points."one_shot_nas_harness.companions"]
    my_companion = "my_package.my_module:MyCompanion"

An offer that is of no use breaks itself only: searches go on without it, and `companion_problems` says why it is none.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar

from optimizers.companions.base import Companion
from spaces.plugins import PluginError, load_entry, offered, offers_of

BUILT_IN_MODULES = (
    "optimizers.companions.perturbation",
    "optimizers.companions.hessian_penalty",
    "optimizers.companions.early_stopping",
    "optimizers.companions.drop_path",
)

GROUP = "one_shot_nas_harness.companions"
"""The group of entry points."""

CompanionClass = TypeVar("CompanionClass", bound=type[Companion])

_companions: dict[str, type[Companion]] = {}


def register_companion(companion_class: CompanionClass) -> CompanionClass:
    """Class decorator: make a companion known by its `name`.

    Raises:
        ValueError: another class has the name.
    """
    name = companion_class.name
    if _companions.get(name, companion_class) is not companion_class:
        raise ValueError(f"two companions are called {name!r}: {_companions[name]} and {companion_class}")
    _companions[name] = companion_class
    return companion_class


def companion_classes() -> dict[str, type[Companion]]:
    """Every companion by name, in the order in which a search calls them: built-in ones first."""
    for module in BUILT_IN_MODULES:
        importlib.import_module(module)
    _register_offered(tuple(sys.path))
    return dict(_companions)


def companion_problems() -> tuple[str, ...]:
    """A line for each companion that an installed package offers and that cannot join."""
    return _register_offered(tuple(sys.path))


@cache
def _register_offered(path: tuple[str, ...]) -> tuple[str, ...]:
    """Register what packages on this path offer; reading all their metadata takes hundredths of a second.

    Returns:
        a line for each offer that is of no use.
    """
    problems = []
    for entries in offers_of(GROUP).values():
        try:
            entry, offer = offered(entries, "a companion", "uninstall all but one")
            register_companion(_checked(load_entry(entry, offer), offer))
        except ValueError as error:
            problems.append(str(error))
    return tuple(problems)


def _checked(named: object, offer: str) -> type[Companion]:
    """What an entry point gave, if it is a companion whose settings have defaults."""
    if not (isinstance(named, type) and issubclass(named, Companion)):
        raise PluginError(f"{offer}: expected a subclass of optimizers.companions.base.Companion")
    try:
        named.config_class()
    except (AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"{offer}: expected settings (`config_class`) that all have defaults, got {error}") from None
    return named


def default_settings() -> dict[str, Any]:
    """The settings under which no companion joins: name -> an instance of its `config_class`."""
    return {name: companion.config_class() for name, companion in companion_classes().items()}


class Joinable(Protocol):
    """What a method says of itself, as far as companions ask."""

    relaxes: ClassVar[bool]
    has_alphas: ClassVar[bool]


def joined(settings: Mapping[str, Any], epochs: int, method: type[Joinable]) -> list[Companion]:
    """The companions that settings switch on, for a search of so many epochs.

    Args:
        settings: name -> its settings; what is missing does not join.
        epochs: length of the search.
        method: the class of the method that they join.

    Raises:
        ValueError: the method has nothing that one of them could join.
    """
    companions = [
        companion(settings[name], epochs)
        for name, companion in companion_classes().items()
        if name in settings and companion.joins_with(settings[name])
    ]
    for companion in companions:
        if companion.joins == "mixtures" and not method.relaxes:
            raise ValueError(f"{companion.name}: a method that relaxes nothing has no mixture that could be moved")
        if companion.joins == "alphas" and not method.has_alphas:
            raise ValueError(f"{companion.name}: without alphas there is no Hessian to penalise or to watch")
    return companions
