"""Steps between architectures, and a view of a space as a `ConfigSpace`, from its `variables` alone.

A neighbour of an architecture has another operation in one place, or one other parent at one node: the mutations of
regularised evolution on tabular benchmarks (NAS-Bench-1Shot1 `run_regularized_evolution.py:67-105`, NAS-Bench-201
`regularized_ea.py:82-93`). Neighbours may share a key, as where a change is in a loose end.

The view is for optimizers of other libraries. It has one categorical hyperparameter for each variable, and every
configuration of it is an architecture. ConfigSpace is an extra, imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from spaces.base import Architecture, Space, Variable

if TYPE_CHECKING:
    from ConfigSpace import Configuration, ConfigurationSpace


@cache
def steps(variable: Variable) -> tuple[tuple[int, ...], ...]:
    """For each value of a variable the places of those that are one step away: every other operation, or the sets of
    parents that differ in one node."""
    count = len(variable.values)
    if variable.kind == "operation":
        return tuple(tuple(other for other in range(count) if other != place) for place in range(count))
    members = [set(value) for value in variable.values]
    return tuple(tuple(place for place, other in enumerate(members) if len(mine - other) == 1) for mine in members)


def neighbours(space: Space[Any], architecture: Architecture) -> list[Architecture]:
    """Every architecture one step away, variable by variable.

    Raises:
        NotImplementedError: the space offers no variables.
    """
    values = space.values_of(architecture)
    return [
        space.of_values((*values[:place], value, *values[place + 1 :]))
        for place, variable in enumerate(space.variables())
        for value in steps(variable)[values[place]]
    ]


def choice_text(value: Any) -> str:
    """A value of a variable as a choice of a categorical hyperparameter: a label, or `0,2` for a set of parents."""
    return value if isinstance(value, str) else ",".join(map(str, value))


@cache
def choices_of(space: Space[Any]) -> dict[str, list[str]]:
    """Each variable's name with its choices, in order; names have `_` where a variable's has a space."""
    return {_name(variable): [choice_text(value) for value in variable.values] for variable in space.variables()}


def configuration_space(space: Space[Any], seed: int | None = None) -> ConfigurationSpace:
    """The space as a `ConfigSpace.ConfigurationSpace` of unordered categorical hyperparameters.

    Args:
        space: one that offers variables.
        seed: of the view's own sampling.

    Raises:
        NotImplementedError: the space offers no variables.
        ImportError: ConfigSpace is not installed.
    """
    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace

    view = ConfigurationSpace(name=space.name, seed=seed)
    view.add([CategoricalHyperparameter(name, choices) for name, choices in choices_of(space).items()])
    return view


def configuration_of(space: Space[Any], architecture: Architecture, view: ConfigurationSpace) -> Configuration:
    """An architecture as a configuration of the space's view."""
    from ConfigSpace import Configuration

    values = space.values_of(architecture)
    chosen = zip(choices_of(space).items(), values, strict=True)
    return Configuration(view, values={name: choices[value] for (name, choices), value in chosen})


def architecture_of(space: Space[Any], configuration: Mapping[str, Any]) -> Architecture:
    """The architecture of a configuration, or of any mapping from the names of `choices_of` to choices.

    Raises:
        ValueError: a hyperparameter is missing, or its choice is none of the space's.
    """
    values = []
    for name, choices in choices_of(space).items():
        given = configuration.get(name)
        if given not in choices:
            raise ValueError(f"{space.name}: expected {name} as one of {', '.join(choices)}, got {given!r}")
        values.append(choices.index(str(given)))
    return space.of_values(values)


def _name(variable: Variable) -> str:
    return variable.name.replace(" ", "_")
