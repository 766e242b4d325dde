"""The contract of a probe: something measured of a search's state after an epoch.

A probe is asked after every epoch, and answers with entries of the epoch's line. Built-in probes measure what every
search records (`harness.probes.registry`); further ones are switched on by the setting `probes.extra`, by their names
or as `module:Class`:

    from harness.probes.base import Probe, State
    from harness.records.catalogue import Quantity

    class AlphaNorm(Probe):
        name = "alpha_norm"
        quantities = (Quantity("alpha_norm", "norm of the alphas", meaning="Euclidean norm of all alphas together."),)

        def measure(self, state: State) -> dict[str, float | None]:
            return {"alpha_norm": float(sum(a.detach().square().sum() for a in state.optimizer.alphas)) ** 0.5}

That file is all: `--set probes.extra=my_module:AlphaNorm` records the quantity, and its entry of the catalogue draws
it, as a figure (`harness.plot RESULTS --figure quantity:alpha_norm`) and as a chart of the report.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from harness.records.catalogue import Quantity
from harness.search.settings import SearchConfig
from optimizers.base import Optimizer
from optimizers.steps import Batch


@dataclass(frozen=True)
class State:
    """A search after an epoch, as a probe sees it.

    Attributes:
        optimizer: weights, alphas and what the method says of them. A probe changes none of it.
        config: all settings.
        epoch: epochs trained; 0 before any.
        last: the validation batch that the epoch's alpha steps ended with.
        batches: one pass over the validation split, as the supernet's score is measured, in batches of any size.
        validation_count: examples of the validation split.
        evaluation_size: examples that a batch of the validation score may hold on this device.
        hessian_due: whether this epoch is one of the Hessian's.
        wanted: names of quantities that a companion wants measured now, due or not.
        line: what was measured before in this epoch, by name.
    """

    optimizer: Optimizer
    config: SearchConfig
    epoch: int
    last: Batch
    batches: Callable[[int], Iterator[Batch]]
    validation_count: int
    evaluation_size: int
    hessian_due: bool
    wanted: frozenset[str] = frozenset()
    line: Mapping[str, Any] = field(default_factory=dict)


class Probe(ABC):
    """Measures something of the state after an epoch.

    Attributes:
        name: what settings call it.
        quantities: the catalogue's entry of each number that it records and that figures may draw.
        phase: under what name its seconds are counted.
    """

    name: ClassVar[str]
    quantities: ClassVar[tuple[Quantity, ...]] = ()
    phase: ClassVar[str] = "probes"

    def due(self, state: State) -> bool:
        """Whether there is something to measure now."""
        return True

    def nothing(self, state: State) -> dict[str, Any]:
        """The entries of an epoch at which it is not due: each quantity as None."""
        return {quantity.name: None for quantity in self.quantities}

    @abstractmethod
    def measure(self, state: State) -> dict[str, Any]:
        """Entries of the epoch's line, by name; None where there is nothing to measure, or it is not finite."""
