"""What a method does while it runs: which mixtures it multiplies, what it draws, and where it waits for the device."""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import spaces
from optimizers.randomness import Randomness
from spaces.base import (
    EVALUATION,
    Abilities,
    Architecture,
    Loss,
    MixtureCurvature,
    Network,
    Outputs,
    Pass,
    Space,
    Weights,
)
from spaces.mixture import Mixture


class WatchedNetwork(Network):
    """Any network, remembering the passes of weight steps.

    Args:
        network: what computes; attributes that a network need not have are its own.

    Attributes:
        passes: the mixture of every pass in training mode at weights that gradients reach.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.space, self.groups, self.paths = network.space, network.groups, network.paths
        self.passes: list[Mixture] = []

    @property
    def abilities(self) -> Abilities:  # type: ignore[override]
        """Those of the network."""
        return self.network.abilities

    def __call__(self, weights: Any, mixture: Mixture, inputs: Tensor, how: Pass = EVALUATION) -> Outputs:
        """The network's outputs for a batch."""
        self._remember(weights, mixture, how)
        return self.network(weights, mixture, inputs, how)

    def altered(self, space: Space[Any], **settings: Any) -> Network:
        """The network of another space and settings, which is watched, too."""
        return WatchedNetwork(self.network.altered(space, **settings))

    def after_stem(self, weights: Any, mixture: Mixture, stem: Any, how: Pass = EVALUATION) -> Outputs:
        """The network's outputs from what `stem` gave."""
        self._remember(weights, mixture, how)
        return self.network.after_stem(weights, mixture, stem, how)

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype) -> Weights:
        """The network's fresh weights."""
        return self.network.initial_weights(generator, dtype)

    def stem(self, weights: Any, inputs: Tensor, how: Pass = EVALUATION) -> Any:
        """What no coefficient can change, as the network gives it."""
        return self.network.stem(weights, inputs, how)

    def fold(self, weights: Weights) -> Any:
        """The network's weights for evaluation."""
        return self.network.fold(weights)

    def of_architecture(self, weights: Any, architecture: Architecture, stem: Any) -> Outputs:
        """The network's outputs of one architecture."""
        return self.network.of_architecture(weights, architecture, stem)

    def loss_of_mixture(self, weights: Any, inputs: Tensor, targets: Tensor, loss: Loss) -> Callable[[Mixture], Tensor]:
        """The network's loss as a function of the mixture alone."""
        return self.network.loss_of_mixture(weights, inputs, targets, loss)

    def curvature(
        self, weights: Weights, mixture: Mixture, inputs: Tensor, targets: Tensor, directions: Sequence[Tensor]
    ) -> MixtureCurvature:
        """The network's second derivatives of a loss."""
        return self.network.curvature(weights, mixture, inputs, targets, directions)

    def __getattr__(self, name: str) -> Any:
        """What only this kind of network has."""
        if name == "network":
            raise AttributeError(name)
        return getattr(self.network, name)

    def _remember(self, weights: Any, mixture: Mixture, how: Pass) -> None:
        reached = isinstance(weights, Weights) and any(t.requires_grad for t in weights.parameters.values())
        if how.training and reached:
            self.passes.append(mixture.map(lambda row: row.detach().clone()))

    @property
    def sources(self) -> tuple[str, ...]:
        """The files, and the folder of spaces, in which a pass finds out which coefficients are zero."""
        files = [inspect.getsourcefile(kind) for kind in type(self.network).__mro__ if kind.__module__ != "builtins"]
        return (_SPACES, *(str(Path(file).resolve()) for file in files if file))


_SPACES = str(Path(spaces.__path__[0]).resolve())


class RecordingRandomness(Randomness):
    """A source of randomness that remembers what it was asked for."""

    asked: list[str]

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        object.__setattr__(self, "asked", [])

    def generator(self, purpose: str, *key: int) -> torch.Generator:
        """The generator of a purpose."""
        self.asked.append(f"{purpose!r}" + "".join(f", {part}" for part in key))
        return super().generator(purpose, *key)


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers every tensor that torch draws, and where.

    Attributes:
        values: what was drawn.
        places: `file:line (function)` of each draw.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values: list[Tensor] = []
        self.places: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags and isinstance(result, Tensor):
            self.values.append(result.detach().clone())
            self.places.append(f"{str(func).split('.')[1].rstrip('_')}, {_caller()[0]}")
        return result


_WAITING = {
    *("item", "tolist", "numpy", "cpu", "nonzero", "masked_select", "unique", "equal", "allclose", "is_nonzero"),
    *("__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__", "__format__"),
}
"""Methods of a tensor that need its values, or their number, on the CPU."""


class Calls(TorchFunctionMode):
    """Remembers where values are asked for that a device would have to deliver, and counts derivatives.

    On the CPU nothing is ever waited for; what is noticed is the call. What torch's optimizers do themselves is theirs
    to answer for.

    Args:
        network: what computes; only it may find out which coefficients are zero.

    Attributes:
        waits: `what, file:line (function)` of each such call.
        skipping: those of them in which the network finds out which coefficients are zero.
        derivatives: how often a gradient was computed.
    """

    def __init__(self, network: WatchedNetwork) -> None:
        super().__init__()
        self._sources = network.sources
        self.waits: list[str] = []
        self.skipping: list[str] = []
        self.derivatives = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.derivatives += name in ("grad", "backward")
        by_mask = name == "__getitem__" and any(isinstance(a, Tensor) and a.dtype == torch.bool for a in args[1:])
        # A device that was handed on, as self.device, is the CPU here; one that is spelt out always is.
        to_cpu = name == "to" and any(isinstance(a, str) and a == "cpu" for a in (*args[1:], *(kwargs or {}).values()))
        if name in _WAITING or by_mask or to_cpu:
            place, file, in_optimizer = _caller()
            if not in_optimizer:
                what = {"__getitem__": "indexing by a mask", "to": "to('cpu')"}.get(name, name.strip("_"))
                (self.skipping if file.startswith(self._sources) else self.waits).append(f"{what}, {place}")
        return func(*args, **(kwargs or {}))


_TORCH = str(Path(torch.__file__).parent)


def _caller() -> tuple[str, str, bool]:
    """The innermost line of Python outside torch: place, file, and whether an optimizer of torch stands between."""
    frame = sys._getframe(2)
    in_optimizer = False
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_TORCH, __file__)):
        in_optimizer |= frame.f_code.co_filename.startswith(f"{_TORCH}/optim")
        frame = frame.f_back
    file = frame.f_code.co_filename
    return f"{file}:{frame.f_lineno} ({frame.f_code.co_name})", str(Path(file).resolve()), in_optimizer


@dataclass
class GlobalGenerators:
    """The states of torch's, NumPy's and Python's global generators."""

    states: dict[str, Any]

    def touched(self) -> list[str]:
        """Those that have moved since."""
        now = _global_states()
        return [name for name, before in self.states.items() if not _same(before, now[name])]

    def restore(self) -> None:
        """Put them back."""
        torch.set_rng_state(self.states["torch"])
        np.random.set_state(self.states["numpy"])
        random.setstate(self.states["random"])


@contextlib.contextmanager
def global_generators_kept() -> Iterator[GlobalGenerators]:
    """A block after which the global generators are where they were."""
    generators = GlobalGenerators(_global_states())
    try:
        yield generators
    finally:
        generators.restore()


def _global_states() -> dict[str, Any]:
    return {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "random": random.getstate()}


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, tuple):
        return all(map(_same, left, right))
    return bool(np.array_equal(left, right))
