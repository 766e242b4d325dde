"""Names of methods.

A method registers its class; a preset registers a class with other settings under a name of its own. Either way a
method that relaxes becomes known with each perturbation as well, `X_rs`, `X_adv` and `X_gauss` beside `X`: composition,
no class and no file of their own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from optimizers.base import Optimizer

BUILT_IN_MODULES = (
    "optimizers.darts",
    "optimizers.gdas",
    "optimizers.nasp",
    "optimizers.pc_darts",
    "optimizers.enas",
    "optimizers.random_ws",
)

PERTURBATIONS = {
    "rs": ("uniform", "with random smoothing (Chen & Hsieh 2020, equation 3)"),
    "adv": ("adversarial", "with adversarial perturbation (Chen & Hsieh 2020, equation 4)"),
    "gauss": ("gaussian", "with Gaussian smoothing (Chen & Hsieh 2020, footnote 1)"),
}
"""Suffix of a name -> `perturbation.kind`, and what to say of it."""

OptimizerClass = TypeVar("OptimizerClass", bound=type[Optimizer])


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: what `--optimizer` takes.
        optimizer_class: the class that runs it.
        summary: one line with the source.
        settings: values that differ from the defaults of the class's `config_class`, by dotted key.
        grid: a setting and the values of it that its authors try, to choose among the finished runs; or None.
    """

    name: str
    optimizer_class: type[Optimizer]
    summary: str
    settings: Mapping[str, object] = field(default_factory=dict)
    grid: tuple[str, tuple[float, ...]] | None = None


_methods: dict[str, Method] = {}


def register(
    name: str, summary: str, settings: Mapping[str, object] | None = None, *, perturbed: str | None = None
) -> Callable[[OptimizerClass], OptimizerClass]:
    """Class decorator: make a class known by a name; the arguments are those of `register_preset`.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(optimizer_class: OptimizerClass) -> OptimizerClass:
        register_preset(name, optimizer_class, settings or {}, summary, perturbed=perturbed)
        return optimizer_class

    return decorate


def register_preset(
    name: str,
    optimizer_class: type[Optimizer],
    settings: Mapping[str, object],
    summary: str,
    *,
    perturbed: str | None = None,
    companions: bool = True,
    grid: tuple[str, tuple[float, ...]] | None = None,
) -> None:
    """Make a class with other settings known by a name, and by others with each perturbation.

    Args:
        name: what `--optimizer` takes.
        optimizer_class: the class that runs it.
        settings: values that differ from the class's defaults, by dotted key; the network's are allowed.
        summary: one line with the source.
        perturbed: what the names with a perturbation start with, if not with `name`.
        companions: whether there are such names, where the class relaxes.
        grid: as `Method.grid`.

    Raises:
        ValueError: a name is taken; nothing is registered then.
    """
    methods = [Method(name, optimizer_class, summary, dict(settings), grid)]
    if companions and optimizer_class.relaxes and "perturbation.kind" not in settings:
        for suffix, (kind, words) in PERTURBATIONS.items():
            with_kind = {**settings, "perturbation.kind": kind}
            methods.append(Method(f"{perturbed or name}_{suffix}", optimizer_class, f"{name} {words}", with_kind))
    for method in methods:
        if method.name in _methods:
            raise ValueError(
                f"optimizer {method.name!r} is registered twice, by {_methods[method.name].optimizer_class.__name__} "
                f"and {optimizer_class.__name__}"
            )
    _methods.update({method.name: method for method in methods})


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
