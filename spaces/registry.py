"""Search spaces by name.

A room of this folder offers its spaces in `SPACES`, a tuple in its `__init__`; an installed package offers some by an
entry point whose value is such a tuple, or one space:

    [project.entry-points."one_shot_nas_harness.spaces"]
    my_space = "my_package.my_module:MY_SPACE"

`my_module:MY_SPACE` names a space of a module in the current folder or the environment. Rooms that cannot be imported
break themselves only. No torch is imported for any of this.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import re
import sys
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import spaces
from spaces.base import Space

GROUP = "one_shot_nas_harness.spaces"
"""The group of entry points."""

AnySpace = Space[Any]


class SpaceError(ValueError):
    """A space that there is not, or that cannot be used; the message is one line."""


def get_space(name: str | int) -> AnySpace:
    """The space of a name or a label, such as `nb101_1`, `1` or 1, or of `module:NAME`.

    Raises:
        SpaceError: there is none; the message lists those that there are.
    """
    text = str(name)
    known = _built_in()
    if text in known:
        return known[text]
    if ":" in text:
        return _from_module(text)
    for entry in entry_points(group=GROUP):
        if entry.name == text:
            return _checked(entry.load(), f"space {text!r} of the entry point {entry.value}")
    names = [space.name for space in list_spaces()]
    close = difflib.get_close_matches(text, dict.fromkeys([*known, *names]), n=1)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}, and module:NAME"
    raise SpaceError(f"unknown space {text!r}; {hint}")


def list_spaces() -> list[AnySpace]:
    """All spaces, those of this folder first; an entry point that cannot be loaded is passed over."""
    every = dict.fromkeys(_built_in().values())
    for entry in entry_points(group=GROUP):
        try:
            every[_checked(entry.load(), entry.name)] = None
        except Exception:
            continue
    return list(every)


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
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", spec):
        raise SpaceError(f"expected module:NAME, such as my_module:MY_SPACE, got {spec!r}")
    module, _, name = spec.partition(":")
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return _checked(getattr(importlib.import_module(module), name), spec)
    except (ImportError, AttributeError) as error:
        raise SpaceError(f"{spec}: cannot be imported ({error})") from error


def _checked(found: object, what: str) -> AnySpace:
    if isinstance(found, type) and issubclass(found, Space):
        found = found()
    if not isinstance(found, Space):
        raise SpaceError(f"{what}: expected a spaces.base.Space, got {type(found).__name__}")
    return found
