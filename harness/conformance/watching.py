"""What a method does while it runs: which mixtures it multiplies, what it draws, and where it waits for the device."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from optimizers.randomness import Randomness
from spaces.nb101.coefficients import Mixture
from spaces.nb101.supernet import FoldedWeights, Supernet, Weights


class WatchedSupernet(Supernet):
    """A supernet that remembers the passes of weight steps.

    Attributes:
        passes: the coefficients of each cell, for every pass in training mode at weights that gradients reach.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.passes: list[list[Mixture]] = []

    def __call__(
        self,
        weights: Weights | FoldedWeights,
        mixture: Mixture | Sequence[Mixture],
        images: Tensor,
        *,
        training: bool = False,
        **options: Any,
    ) -> Tensor:
        """The logits, as `Supernet` gives them."""
        if training and isinstance(weights, Weights) and any(t.requires_grad for t in weights.parameters.values()):
            each = mixture.of_cells(self.config.cells) if isinstance(mixture, Mixture) else mixture
            self.passes.append([one.map(lambda row: row.detach().clone()) for one in each])
        return super().__call__(weights, mixture, images, training=training, **options)


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

_SKIPPING = str(Path(sys.modules[Supernet.__module__].__file__ or "").resolve())


class Calls(TorchFunctionMode):
    """Remembers where values are asked for that a device would have to deliver, and counts derivatives.

    On the CPU nothing is ever waited for; what is noticed is the call. What torch's optimizers do themselves is theirs
    to answer for.

    Attributes:
        waits: `what, file:line (function)` of each such call.
        skipping: those of them in which the supernet finds out which coefficients are zero.
        derivatives: how often a gradient was computed.
    """

    def __init__(self) -> None:
        super().__init__()
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
                (self.skipping if file == _SKIPPING else self.waits).append(f"{what}, {place}")
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
