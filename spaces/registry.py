"""Search spaces by name.

A room of this folder offers its spaces in `SPACES`, a tuple in its `__init__`; an installed package offers one by an
entry point:

    [project.entry-points."one_shot_nas_harness.spaces"]
    my_space = "my_package.my_module:MY_SPACE"

`my_module:MY_SPACE` names a space of a module in the current folder or the environment. Rooms that cannot be imported
break themselves only. No torch is imported for any of this.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

import spaces
from spaces.base import Space
from spaces.plugins import PluginError, did_you_mean, import_plugin, load_entry, offered, offers_of

GROUP = "one_shot_nas_harness.spaces"
"""The group of entry points."""

AnySpace = Space[Any]

_LABEL = re.compile(r"(?!space\d+$)[A-Za-z][A-Za-z0-9._-]{0,99}")


class SpaceError(PluginError):
    """A space that there is not, or two of one name; the message is one line."""


def get_space(name: str | int) -> AnySpace:
    """The space of a name or a label, such as `nb101_1`, `1` or 1, or of `module:NAME`.

    Raises:
        SpaceError: there is none; the message lists those that there are.
        PluginError: what a module or a package offers cannot be used.
    """
    text = str(name)
    known = _built_in()
    if text in known:
        return known[text]
    if ":" in text:
        return _from_module(text)
    offers = offers_of(GROUP)
    if text in offers:
        return _from_package(offers[text])
    names = [*dict.fromkeys(space.name for space in known.values()), *offers]
    hint = did_you_mean(text, [*known, *names]) or f"known: {', '.join(names)}, and module:NAME"
    raise SpaceError(f"unknown space {text!r}; {hint}")


def list_spaces() -> tuple[list[AnySpace], list[str]]:
    """All spaces, those of this folder first, and a line for each offer of a package that is of no use."""
    every = dict.fromkeys(_built_in().values())
    problems: list[str] = []
    for entries in offers_of(GROUP).values():
        try:
            every[_from_package(entries)] = None
        except PluginError as error:
            problems.append(str(error))
    return list(every), problems


@cache
def _built_in() -> dict[str, AnySpace]:
    """Every name and label of the rooms of this folder."""
    known: dict[str, AnySpace] = {}
    for room in pkgutil.iter_modules(spaces.__path__):
        if not room.ispkg:
            continue
        for space in importlib.import_module(f"spaces.{room.name}").SPACES:
            for name in dict.fromkeys((str(space.label), space.name)):
                if name in known:
                    raise SpaceError(f"two spaces are called {name!r}: {known[name].name} and {space.name}")
                known[name] = space
    return known


def _from_module(spec: str) -> AnySpace:
    module, name = import_plugin(spec, "module:NAME, such as my_module:MY_SPACE")
    if not hasattr(module, name):
        raise PluginError(f"{spec}: {module.__name__} ({module.__file__}) has no {name!r}")
    return _checked(getattr(module, name), spec)


def _from_package(entries: Sequence[EntryPoint]) -> AnySpace:
    """The space that installed packages offer by one name."""
    entry, offer = offered(entries, "a space", "name one as module:NAME")
    return _checked(load_entry(entry, offer), offer)


def _checked(named: object, what: str) -> AnySpace:
    if isinstance(named, type) and issubclass(named, Space):
        named = named()
    if not isinstance(named, Space):
        raise PluginError(f"{what}: expected a spaces.base.Space, got {type(named).__name__}")
    label = named.label
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise PluginError(
            f"{what}: expected a label of letters, digits, '_', '-' and '.' that begins with a letter and is not "
            f"space1 or the like, as it becomes a folder's name, got {label!r}"
        )
    return named
