"""Small optimizers for tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from harness.tasks.classification import Classification
from optimizers.companions.base import Companion
from optimizers.companions.registry import default_settings, joined
from optimizers.config import OptimizerConfig
from optimizers.p_darts import PDarts
from optimizers.randomness import Randomness
from optimizers.registry import Method, get_method, list_methods
from optimizers.steps import Batch
from spaces.base import InputShape
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet

HARNESS_SECTIONS = ("data", "validation", "hessian", "network")

SMALL = {"selection.samples": 6, "selection.finalists": 2, "controller.steps": 3}


METHODS = [method for method in list_methods() if not issubclass(method.optimizer_class, PDarts)]
"""Those that search the spaces of NAS-Bench-1Shot1, which P-DARTS cannot."""


def configured(method: Method, **overrides: Any) -> OptimizerConfig:
    """A method's preset scaled down, with further settings given as `section__field=value`; those of the harness are
    left out."""
    config = method.optimizer_class.config_class()
    small = {key: value for key, value in SMALL.items() if hasattr(config, key.split(".")[0])}
    elsewhere = {*HARNESS_SECTIONS, *default_settings()}
    for key, value in {**small, **all_settings(method, overrides)}.items():
        section, name = key.split(".")
        if section not in elsewhere:
            part = dataclasses.replace(getattr(config, section), **{name: value})
            config = dataclasses.replace(config, **{section: part})
    return config


def configured_companions(method: Method, **overrides: Any) -> dict[str, Any]:
    """The settings of every companion, as the method's preset and further settings want them."""
    settings = default_settings()
    for key, value in all_settings(method, overrides).items():
        section, name = key.split(".")
        if section in settings:
            settings[section] = dataclasses.replace(settings[section], **{name: value})
    return settings


def configured_network(method: Method, channels: int, **overrides: Any) -> SupernetConfig:
    """Three cells, as the method's preset and further settings want them, and wide enough for its partial channels."""
    settings = {
        key.removeprefix("network."): value
        for key, value in all_settings(method, overrides).items()
        if key.startswith("network.")
    }
    return SupernetConfig(**{"channels": max(channels, settings.get("partial_channels", 1)), "cells": 3, **settings})


def all_settings(method: Method, overrides: dict[str, Any]) -> dict[str, Any]:
    """By dotted key: the method's preset, then what is given as `section__field`."""
    return {**method.settings, **{key.replace("__", "."): value for key, value in overrides.items()}}


def small_optimizer(
    name: str,
    space: int = 1,
    *,
    seed: int = 0,
    channels: int = 2,
    image_channels: int = 1,
    epochs: int = 10,
    steps: int = 2,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    kind: type[Supernet] = Supernet,
    **overrides: Any,
) -> Any:
    """A method on a three-cell supernet; settings are given as `section__field=value`."""
    method = get_method(name)
    supernet = kind(get_space(space), configured_network(method, channels, **overrides), InputShape(image_channels, 10))
    return method.optimizer_class(
        supernet,
        configured(method, **overrides),
        task=Classification(),
        companions=joined(configured_companions(method, **overrides), epochs, method.optimizer_class),
        epochs=epochs,
        steps=steps,
        randomness=Randomness(seed),
        device=device,
        dtype=dtype,
    )


def companion_of(optimizer: Any, name: str) -> Any:
    """The companion of this name that has joined a search."""
    (companion,) = (one for one in optimizer.companions if one.name == name)
    assert isinstance(companion, Companion)
    return companion


def random_batch(seed: int, size: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    """Images of 8x8 pixels and labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype)
    return Batch(images, torch.randint(10, (size,), generator=generator))
