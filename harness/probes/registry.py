"""Probes by name."""

from __future__ import annotations

from typing import TypeVar

from harness.errors import UserError
from harness.probes.base import Probe
from spaces.plugins import PluginError, import_plugin

ProbeClass = TypeVar("ProbeClass", bound=type[Probe])

_probes: dict[str, type[Probe]] = {}


def register_probe(probe_class: ProbeClass) -> ProbeClass:
    """Class decorator: make a probe known by its `name`.

    Raises:
        ValueError: another class has the name.
    """
    name = probe_class.name
    if _probes.get(name, probe_class) is not probe_class:
        raise ValueError(f"two probes are called {name!r}: {_probes[name]} and {probe_class}")
    _probes[name] = probe_class
    return probe_class


def extra_probes(names: str) -> list[Probe]:
    """The probes of the setting `probes.extra`: names or `module:Class`, separated by commas.

    Raises:
        UserError: one is not known, or is none.
    """
    return [_probe(name.strip()) for name in names.split(",") if name.strip()]


def _probe(name: str) -> Probe:
    if name in _probes:
        return _probes[name]()
    if ":" not in name:
        known = ", ".join(_probes) or "none"
        raise UserError(
            f"probes.extra: unknown probe {name!r}; registered: {known}, or module:Class for one of your own"
        )
    try:
        module, attribute = import_plugin(name)
    except PluginError as error:
        raise UserError(f"probes.extra: {error}") from None
    kind = getattr(module, attribute, None)
    if not (isinstance(kind, type) and issubclass(kind, Probe)):
        raise UserError(f"probes.extra: {name}: expected a subclass of harness.probes.base.Probe, got {kind!r}")
    return kind()
