"""Names of methods.

A method registers its class; a preset registers a class with other settings under a name of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from optimizers.base import Optimizer

BUILT_IN_MODULES = ("optimizers.darts", "optimizers.enas", "optimizers.random_ws")

OptimizerClass = TypeVar("OptimizerClass", bound=type[Optimizer])


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: what `--optimizer` takes.
        optimizer_class: the class that runs it.
        summary: one line with the source.
        settings: values that differ from the defaults of the class's `config_class`, by dotted key.
    """

    name: str
    optimizer_class: type[Optimizer]
    summary: str
    settings: Mapping[str, object] = field(default_factory=dict)


_methods: dict[str, Method] = {}


def register(name: str, summary: str) -> Callable[[OptimizerClass], OptimizerClass]:
    """Class decorator: make a class known by a name.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(optimizer_class: OptimizerClass) -> OptimizerClass:
        register_preset(name, optimizer_class, {}, summary)
        return optimizer_class

    return decorate


def register_preset(name: str, optimizer_class: type[Optimizer], settings: Mapping[str, object], summary: str) -> None:
    """Make a class with other settings known by a name.

    Raises:
        ValueError: the name is taken.
    """
    if name in _methods:
        raise ValueError(
            f"optimizer {name!r} is registered twice, by {_methods[name].optimizer_class.__name__} and "
            f"{optimizer_class.__name__}"
        )
    _methods[name] = Method(name, optimizer_class, summary, dict(settings))


def get_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        ValueError: no such method; the message lists the known ones.
    """
    known = {method.name: method for method in list_methods()}
    if name not in known:
        raise ValueError(f"unknown optimizer {name!r}; known: {', '.join(known)}")
    return known[name]


def list_methods() -> list[Method]:
    """All registered methods, built-in ones first and in their order, whatever was imported before."""
    for module in BUILT_IN_MODULES:
        importlib.import_module(module)
    order = {module: index for index, module in enumerate(BUILT_IN_MODULES)}
    return sorted(_methods.values(), key=lambda method: order.get(method.optimizer_class.__module__, len(order)))
