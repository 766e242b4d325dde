"""Settings of a search, and how `--set key=value` and benchmark files change them.

A setting is a field of a frozen dataclass; its key is the path to it, such as `network.channels`. Defaults are the
published protocol; a method's preset changes some, a benchmark's scale others, and the user has the last word.

A benchmark overrides presets, since what a preset says of batch size or clipping was meant for CIFAR-10 at full scale:
whatever a benchmark sets holds for all methods on it, which are then compared at one scale. So a benchmark should set
what belongs to the scale, and not what makes a method what it is.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from harness.errors import UserError
from harness.search.values import converted
from optimizers.companions.registry import default_settings, joined
from optimizers.config import OptimizerConfig, Range
from optimizers.registry import Method, list_methods
from spaces.base import NetworkConfig
from spaces.plugins import did_you_mean
from spaces.registry import AnySpace


@dataclass(frozen=True)
class DataConfig:
    """Which images a search sees, and how (SmoothDARTS `optimizers/darts/train_search.py`, `utils.py`)."""

    batch_size: Annotated[int, Range(1, 65_536)] = 96
    """Images in a batch, for both steps; the last batch of an epoch is the remainder."""

    padding: Annotated[int, Range(0, 256)] = 4
    """Zero padding before the random crop."""

    flip: bool = True
    """Whether images are mirrored at random."""

    cutout: Annotated[int, Range(0, 1024)] = 0
    """Side of the square that is cut out, 0 for none; the published option is 16."""

    shrink: Annotated[int, Range(1, 64)] = 1
    """Factor by which images are shrunk first, in height and width, each pixel a mean of so many squared."""

    validation_batches: Literal["pass", "fresh"] = "pass"
    """How alpha steps take validation images: the batches of one pass over all of them, or for every step the first
    batch of a fresh order, so with replacement, as the published code does in NAS-Bench-201 and with DARTS cells
    (`next(iter(valid_queue))`)."""

    images: Annotated[int, Range(0, 100_000_000)] = 0
    """Images in each of the training and the validation split, 0 for all there are (25,000 of CIFAR-10)."""


@dataclass(frozen=True)
class ValidationConfig:
    """How the supernet's validation accuracy is measured."""

    augment: bool = True
    """Whether the images are augmented like training ones, as in the published code (`train_search.py`, `infer`)."""

    refresh_statistics: bool = True
    """Whether batch norm's statistics first see the unperturbed mixture, on the epoch's last validation batch. In the
    published code the Hessian's forward pass does that unintended; without it a perturbed search is measured with the
    statistics of its last perturbed step."""


@dataclass(frozen=True)
class HessianConfig:
    """When the exact Hessian is taken: on the last validation batch of an epoch, batch norm in training mode."""

    every: Annotated[int, Range(0, 100_000)] = 1
    """Epochs between Hessians; epoch 0 and the last one always have theirs. 0 for none."""

    mixture: bool = False
    """Whether the Hessian by the mixture's coefficients is taken besides, at the same epochs; it costs as much again.
    Recorded is its spectral norm (`harness.probes.projection`)."""


@dataclass(frozen=True)
class ProbesConfig:
    """What is measured after an epoch besides what every search records."""

    extra: str = ""
    """Probes (`harness.probes`) by name or as `module:Class`, separated by commas."""


@dataclass(frozen=True)
class ComputeConfig:
    """How the device computes. Numbers differ by rounding alone, those of TF32 aside."""

    capture: bool = True
    """Whether a step is recorded in a CUDA graph and replayed, where the method allows it. Of no effect on a CPU."""

    fuse: bool = True
    """Whether a cell is one function with its own derivative: fused kernels on a GPU, fewer passes over the maps on a
    CPU (`spaces.nb101.fast`). Otherwise every operation is the library's, one after another."""

    precision: Literal["float32", "tf32"] = "float32"
    """Arithmetic of convolutions and matrix products on a GPU: IEEE single precision, or TF32 with ten bits of
    mantissa."""


@dataclass(frozen=True)
class SearchConfig:
    """Everything that decides what a search computes, its seed aside."""

    method: OptimizerConfig
    """Settings of the method; their keys stand beside the others (`weights.momentum`)."""

    network: NetworkConfig
    """The space's supernet."""

    companions: Mapping[str, Any] = field(default_factory=default_settings)
    """Settings of every companion, by its name; their keys stand beside the others (`perturbation.steps`)."""

    epochs: int = 100
    """Epochs; the schedules stretch over them."""

    data: DataConfig = field(default_factory=DataConfig)
    """The images."""

    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """The supernet's validation accuracy."""

    hessian: HessianConfig = field(default_factory=HessianConfig)
    """The curvature."""

    probes: ProbesConfig = field(default_factory=ProbesConfig)
    """Further measurements."""

    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """The device."""

    def to_json(self) -> dict[str, Any]:
        """Section -> field -> value, as `config.json` holds it under `settings`."""
        return {name: dataclasses.asdict(section) for name, section in _sections(self).items()}


class SpaceLacksSetting(UserError):
    """A method needs a network with a setting that the space's does not have, and so cannot search it."""


def default_config(method: Method, space: AnySpace) -> SearchConfig:
    """The configuration of a method in a space before any preset: the defaults of every section."""
    return SearchConfig(method=method.optimizer_class.config_class(), network=space.config_class())


def resolve(
    method: Method,
    space: AnySpace,
    bench_settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    epochs: int | None,
) -> tuple[SearchConfig, dict[str, Any]]:
    """The configuration of a search.

    Args:
        method: its preset comes first.
        space: whose network has settings, too.
        bench_settings: the benchmark's scale, by dotted key; `epochs` is allowed. A section that this method does not
            have, but another registered one has, is passed over.
        overrides: what the user set.
        epochs: what the user asked for, None for the benchmark's number.

    Returns:
        the configuration, and those overrides that change it.

    Raises:
        SpaceLacksSetting: the method's preset sets what the space's network does not have.
        UserError: an unknown key, a value that is not of the field's type, or settings that do not go together.
    """
    config = default_config(method, space)
    for key, value in method.settings.items():
        if key.startswith("network.") and key not in setting_keys(config):
            raise SpaceLacksSetting(f"{method.name} cannot search space {space.label}: its network has no {key}")
        config = with_setting(config, key, value)
    for key, value in bench_settings.items():
        if key.partition(".")[0] in _sections(config) or not _known_elsewhere(key, value, space):
            config = with_setting(config, key, value)
    if epochs is not None:
        config = with_setting(config, "epochs", epochs)
    changed = {}
    for key, value in overrides.items():
        if key == "epochs":
            raise UserError("epochs is set by --epochs, not by --set")
        changed_config = with_setting(config, key, value)
        if changed_config != config:
            changed[key] = get_setting(changed_config, key)
        config = changed_config
    try:
        joined(config.companions, config.epochs, method.optimizer_class)
    except ValueError as error:
        raise UserError(f"{method.name}: {error}") from None
    _check_network(config)
    return config, changed


def _check_network(config: SearchConfig) -> None:
    """Refuse settings of a network that do not go together, whatever the order in which they were set.

    Raises:
        UserError: they do not.
    """
    try:
        config.network.check()
    except ValueError as error:
        raise UserError(str(error)) from None


def recorded(method: Method, space: AnySpace, settings: Mapping[str, Any], epochs: int) -> SearchConfig:
    """The configuration whose `to_json` a run recorded; a setting that came later has its default.

    Raises:
        UserError: it has a setting that this version does not know, or a value that it refuses.
    """
    config = dataclasses.replace(default_config(method, space), epochs=epochs)
    for section, fields in settings.items():
        for name, value in fields.items():
            config = with_setting(config, f"{section}.{name}", value)
    _check_network(config)
    return config


def _known_elsewhere(key: str, value: Any, space: AnySpace) -> bool:
    """Whether another method has this setting.

    Raises:
        UserError: it has, but the value is not of its type.
    """
    for method in list_methods():
        config = default_config(method, space)
        section, _, name = key.partition(".")
        part = _sections(config).get(section)
        if part is not None and name in _types_of(type(part)):
            with_setting(config, key, value)
            return True
    return False


def with_setting(config: SearchConfig, key: str, value: Any) -> SearchConfig:
    """The configuration with one setting changed; text is read as the field's type.

    Raises:
        UserError: no such key, the value is not of its type, or the settings refuse it.
    """
    if key == "epochs":
        return dataclasses.replace(config, epochs=converted(key, value, _EPOCHS))
    section, name, part = _locate(config, key)
    kind = _types_of(type(part))[name]
    new_value = converted(key, value, kind)
    try:
        new_part = dataclasses.replace(part, **{name: new_value})
        if section in {f.name for f in dataclasses.fields(config.method)}:
            return dataclasses.replace(config, method=dataclasses.replace(config.method, **{section: new_part}))
        if section in config.companions:
            return dataclasses.replace(config, companions={**config.companions, section: new_part})
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None
    return dataclasses.replace(config, **{section: new_part})


def get_setting(config: SearchConfig, key: str) -> Any:
    """The value of a setting, by its dotted key."""
    _, name, part = _locate(config, key)
    return getattr(part, name)


def setting_keys(config: SearchConfig) -> list[str]:
    """All keys that `--set` takes for this method."""
    return [f"{section}.{f.name}" for section, part in _sections(config).items() for f in dataclasses.fields(part)]


def _sections(config: SearchConfig) -> dict[str, Any]:
    own = {name: getattr(config, name) for name in _OWN_SECTIONS}
    of_method = {f.name: getattr(config.method, f.name) for f in dataclasses.fields(config.method)}
    return {**own, **of_method, **config.companions}


def _locate(config: SearchConfig, key: str) -> tuple[str, str, Any]:
    section, _, name = key.partition(".")
    part = _sections(config).get(section)
    if part is None or name not in {f.name for f in dataclasses.fields(part)}:
        known = setting_keys(config)
        hint = did_you_mean(key, known) or f"known: {', '.join(known)}"
        raise UserError(f"unknown setting {key!r}; {hint}")
    return section, name, part


_OWN_SECTIONS = ("network", "data", "validation", "hessian", "probes", "compute")
_OWN_SECTIONS = ("network", "data", "validation", "hessian", "probes", "compute")

_EPOCHS = Annotated[int, Range(1, 100_000)]
"""A search of more epochs has a record that takes gigabytes before it starts."""

_types_of: Callable[[Any], dict[str, Any]] = functools.cache(
    functools.partial(typing.get_type_hints, include_extras=True)
)
"""The types of a section's fields, with their ranges; finding them takes longer than all else about a setting."""
