"""Plug-ins as files: modules, and installed packages that offer methods by entry points."""

from __future__ import annotations

from pathlib import Path

SIGN = '''
"""A method in a file of its own."""

from dataclasses import dataclass, field

from optimizers.config import OptimizerConfig
from optimizers.darts import Darts


@dataclass(frozen=True)
class SignConfig:
    scale: float = 1.0


@dataclass(frozen=True)
class SignDartsConfig(OptimizerConfig):
    sign: SignConfig = field(default_factory=SignConfig)


class SignDarts(Darts):
    """DARTS that moves alphas by the sign of their gradient.

    And more about it.
    """

    config_class = SignDartsConfig

    def architecture_gradient(self, index, training, validation):
        gradients = super().architecture_gradient(index, training, validation)
        return [self.config.sign.scale * gradient.sign() for gradient in gradients]
'''

REGISTERED = """
from optimizers.base import Optimizer
from optimizers.darts import Darts
from optimizers.registry import register, register_preset


@register("wide_darts", "DARTS on more channels", {"network.channels": 24})
class WideDarts(Darts):
    pass


register_preset("wide_cool_darts", WideDarts, {"alphas.learning_rate": 1e-5}, "and slower")


class Sampler(Optimizer):
    relaxes = False


number = 3


class NoOptimizer:
    pass
"""


def write_modules(folder: Path, **modules: str) -> None:
    """Modules by name."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


def install(folder: Path, package: str, **offers: str) -> None:
    """An installed package, as far as its metadata go, that offers methods by name."""
    metadata = folder / f"{package}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in offers.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[one_shot_nas_harness.optimizers]", *lines, ""]))
