"""Variants of a search: each combination of some values of settings, named after them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from harness.launch.request import Request


def variants(request: Request, grid: Mapping[str, Sequence[str]]) -> list[Request]:
    """A search at each combination of values, or as it is where the grid has no setting.

    A variant of one setting is called after its value, such as `darts@0.2`; of several, after each setting's last part
    and its value, such as `sdarts_adv@epsilon_end-0.3_steps-7`. A name of the request comes before it.

    Args:
        request: the search.
        grid: setting by dotted key -> values.
    """
    if not grid:
        return [request]
    parts = [key.rpartition(".")[2] for key in grid]
    short = {key: part if parts.count(part) == 1 else key for key, part in zip(grid, parts, strict=True)}
    prefix = f"{request.name}-" if request.name else ""
    made = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        named = "_".join(f"{short[key]}-{plain(value)}" for key, value in settings.items())
        name = plain(values[0]) if len(grid) == 1 else named
        overrides = {**request.overrides, **settings}
        made.append(dataclasses.replace(request, name=prefix + name, overrides=overrides))
    return made


def plain(value: object) -> str:
    """A number as it is usually written, so that .2 and 0.20 are one variant; other values as settings take them."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)
