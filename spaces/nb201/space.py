"""The search space of NAS-Bench-201, with and without deriving `none`.

`nb201` derives the largest operation of each edge, `none` included, as the published search does (SmoothDARTS
`nasbench201/model.py`, `Network.genotype`). `nb201_no_none` has the same supernet, in which `none` takes its share of
every edge, but neither derives nor samples it: 4,096 architectures.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spaces.base import Architecture, CellChoices, InputShape, Network, NodeChoices, Space, Variable
from spaces.mixture import Row
from spaces.nb201.architecture import COUNT, EDGES, NODES, NONE, OPERATIONS, Nb201Architecture, UnknownArchitecture
from spaces.nb201.config import Nb201Config


class Nb201Space(Space[Nb201Config]):
    """NAS-Bench-201.

    Args:
        name: what `--space` takes.
        candidates: the operations that an architecture of the space may have, in the order of `OPERATIONS`.
    """

    layout = (Row("operations", "operation", (len(EDGES), len(OPERATIONS))),)
    config_class = Nb201Config
    parameter_free = frozenset(("none", "skip_connect", "avg_pool_3x3"))

    def __init__(self, name: str = "nb201", candidates: Sequence[str] = OPERATIONS) -> None:
        self.name = self.label = name
        self.candidates = tuple(candidates)
        without = "" if NONE in self.candidates else ", `none` neither derived nor sampled"
        self.summary = f"NAS-Bench-201: 6 edges of {len(self.candidates)} operations (Dong & Yang 2020){without}"
        self._columns = [OPERATIONS.index(operation) for operation in self.candidates]

    def derive(self, rows: Sequence[npt.ArrayLike]) -> Nb201Architecture:
        """The largest candidate of each edge, the first of equals.

        Args:
            rows: one array `[6, 5]`.

        Raises:
            ValueError: another shape.
        """
        arrays = [np.asarray(row) for row in rows]
        if tuple(array.shape for array in arrays) != self.row_shapes:
            shapes = [array.shape for array in arrays]
            raise ValueError(f"{self.name}: expected rows of shapes {list(self.row_shapes)}, got {shapes}")
        largest = arrays[0][:, self._columns].argmax(axis=1)
        return Nb201Architecture(tuple(self.candidates[place] for place in largest.tolist()))

    def one_hot(self, architecture: Any) -> list[npt.NDArray[np.float64]]:
        row = np.zeros((len(EDGES), len(OPERATIONS)))
        for edge, operation in enumerate(architecture.choices):
            row[edge, OPERATIONS.index(operation)] = 1.0
        return [row]

    def sample(self, generator: random.Random) -> Nb201Architecture:
        return Nb201Architecture(tuple(generator.choice(self.candidates) for _ in EDGES))

    def read(self, content: Mapping[str, Any]) -> Nb201Architecture:
        text = content.get("string")
        if not isinstance(text, str):
            raise UnknownArchitecture(f"{self.name}: expected an architecture with its `string`, got {dict(content)}")
        architecture = Nb201Architecture.from_string(text)
        if not set(architecture.choices) <= set(self.candidates):
            raise UnknownArchitecture(f"{self.name}: expected operations {', '.join(self.candidates)}, got {text}")
        return architecture

    def parse(self, text: str) -> Nb201Architecture:
        """The architecture of the benchmark's text form."""
        return self.read({"string": text})

    def network(self, config: Nb201Config, shape: InputShape) -> Network:
        from spaces.nb201.network import Nb201Network

        return Nb201Network(self, config, shape)

    def choices(self) -> tuple[CellChoices, ...]:
        """One operation for each edge; every node reads all earlier ones, so that there are no parents to choose."""
        return (CellChoices(1, tuple(NodeChoices(0, (len(self.candidates),) * node) for node in range(1, NODES))),)

    def decided(self, choices: Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]) -> Nb201Architecture:
        (cell,) = choices
        return Nb201Architecture(
            tuple(self.candidates[operation] for _, operations in cell for operation in operations)
        )

    def variables(self) -> tuple[Variable, ...]:
        """The operation of each edge."""
        return tuple(Variable(f"edge {target}<-{source}", "operation", self.candidates) for target, source in EDGES)

    def values_of(self, architecture: Any) -> tuple[int, ...]:
        """The number of each edge's operation among the candidates.

        Raises:
            ValueError: an operation is none of them.
        """
        return tuple(self.candidates.index(operation) for operation in architecture.choices)

    def of_values(self, values: Sequence[int]) -> Nb201Architecture:
        """The architecture with these operations."""
        return Nb201Architecture(tuple(self.candidates[value] for value in values))

    def enumerate(self) -> list[Architecture]:
        """Every architecture of the space, by official index."""
        everything = [Nb201Architecture.from_index(index) for index in range(COUNT)]
        return [architecture for architecture in everything if set(architecture.choices) <= set(self.candidates)]


NB201 = Nb201Space()
"""The space as published."""

NB201_NO_NONE = Nb201Space("nb201_no_none", OPERATIONS[1:])
"""The space without architectures that have a `none`."""
