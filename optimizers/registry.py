"""Names of methods.

A method registers its class; a preset registers a class with other settings under a name of its own. Either way a
method that relaxes becomes known with each perturbation as well, `X_rs`, `X_adv` and `X_gauss` beside `X`: composition,
no class and no file of their own. A class from outside needs no registration (`optimizers.plugins`); where it has one,
its settings count.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from optimizers import plugins
from optimizers.base import Optimizer
from spaces.plugins import PluginError, import_plugin, package_of

BUILT_IN_MODULES = (
    "optimizers.darts",
    "optimizers.gdas",
    "optimizers.nasp",
    "optimizers.pc_darts",
    "optimizers.p_darts",
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

    @property
    def folder(self) -> str:
        """The name as part of a path: `my_module.MyOptimizer` for `my_module:MyOptimizer`."""
        return self.name.replace(":", ".")


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
    method = Method(name, optimizer_class, summary, dict(settings), grid)
    methods = _with_perturbations(method, perturbed or name) if companions else [method]
    for method in methods:
        if method.name in _methods:
            raise ValueError(
                f"optimizer {method.name!r} is registered twice, by {_methods[method.name].optimizer_class.__name__} "
                f"and {optimizer_class.__name__}"
            )
    _methods.update({method.name: method for method in methods})


def get_method(name: str) -> Method:
    """The method called `name`: registered, `module:Class`, or offered by an installed package.

    A built-in name means the built-in method, whatever packages offer.

    Raises:
        ValueError: no such method, and the message lists the known ones; or a plug-in that cannot be used.
    """
    known = {method.name: method for method in list_methods()}
    if name in known:
        return known[name]
    if ":" in name:
        return _from_module(name)
    offered = plugins.offers()
    for plain in (name, _plain(name)):
        if plain in offered:
            return _among(methods_of(plain, plugins.load_offer(offered[plain])), name)
    names = ", ".join([*known, *offered])
    raise ValueError(f"unknown optimizer {name!r}; known: {names}, and module:Class for one of your own")


def list_methods() -> list[Method]:
    """All registered methods, built-in ones first and in their order, whatever was imported before."""
    for module in BUILT_IN_MODULES:
        importlib.import_module(module)
    order = {module: index for index, module in enumerate(BUILT_IN_MODULES)}
    return sorted(_methods.values(), key=lambda method: order.get(method.optimizer_class.__module__, len(order)))


def list_offered() -> tuple[list[Method], list[str]]:
    """The methods that installed packages offer, and a line for each offer that is of no use; imports the packages."""
    methods: list[Method] = []
    problems: list[str] = []
    for name, entries in plugins.offers().items():
        if problem := shadowed_offer(name):
            problems.append(problem)
            continue
        try:
            methods += methods_of(name, plugins.load_offer(entries))
        except PluginError as error:
            problems.append(str(error))
    return methods, problems


def shadowed_offer(name: str) -> str | None:
    """A line on the packages that offer a built-in method's name, which keeps its meaning; None if there are none."""
    entries = plugins.offers().get(name, [])
    if not entries or all(name != method.name for method in list_methods() if _is_built_in(method)):
        return None
    packages = ", ".join(f"{package_of(entry)} (run it as {entry.value})" for entry in entries)
    return f"optimizer {name!r} is the built-in one, not that of {packages}"


def _is_built_in(method: Method) -> bool:
    return method.optimizer_class.__module__ in BUILT_IN_MODULES


def _from_module(spec: str) -> Method:
    """The method that `module:Name` names: a class, a name that the module registers, or either perturbed."""
    module, name = import_plugin(spec)
    registered = _methods.get(name)
    if registered and registered.optimizer_class.__module__ == module.__name__ and not hasattr(module, name):
        return replace(registered, name=spec)
    plain = name if hasattr(module, name) else _plain(name)
    optimizer_class = plugins.class_of(module, plain, spec)
    return _among(methods_of(f"{module.__name__}:{plain}", optimizer_class), spec)


def methods_of(name: str, optimizer_class: type[Optimizer]) -> list[Method]:
    """A class under a name, with the settings that it is registered with, if it is: alone, then perturbed."""
    own = next((method for method in _methods.values() if method.optimizer_class is optimizer_class), None)
    if own is None:
        summary = (optimizer_class.__doc__ or optimizer_class.__name__).strip().splitlines()[0]
        own = Method(name, optimizer_class, summary)
    return _with_perturbations(replace(own, name=name), name)


def _with_perturbations(method: Method, prefix: str) -> list[Method]:
    """The method, and where it relaxes and has no perturbation yet, its companions `<prefix>_rs` and so on."""
    methods = [method]
    if method.optimizer_class.relaxes and "perturbation.kind" not in method.settings:
        for suffix, (kind, words) in PERTURBATIONS.items():
            settings = {**method.settings, "perturbation.kind": kind}
            methods.append(
                replace(
                    method, name=f"{prefix}_{suffix}", summary=f"{method.name} {words}", settings=settings, grid=None
                )
            )
    return methods


def _plain(name: str) -> str:
    """The name without the suffix of a perturbation."""
    plain, _, suffix = name.rpartition("_")
    return plain if suffix in PERTURBATIONS else name


def _among(methods: list[Method], name: str) -> Method:
    for method in methods:
        if method.name == name:
            return method
    raise PluginError(
        f"{name}: {methods[0].optimizer_class.__name__} cannot be perturbed, since it does not relax (`relaxes`) or "
        "has a perturbation of its own"
    )
