"""Small optimizers for tests."""

from __future__ import annotations

import dataclasses
from typing import Any

from optimizers.config import OptimizerConfig
from optimizers.registry import Method


def configured(method: Method, **overrides: Any) -> OptimizerConfig:
    """A method's preset, with further settings given as `section__field=value`."""
    config = method.optimizer_class.config_class()
    settings = {**method.settings, **{key.replace("__", "."): value for key, value in overrides.items()}}
    for key, value in settings.items():
        section, name = key.split(".")
        part = dataclasses.replace(getattr(config, section), **{name: value})
        config = dataclasses.replace(config, **{section: part})
    return config
