"""An architecture of NAS-Bench-201: the operations of the six edges of its cell.

Its text form is that of the benchmark, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`, with one group for each of the nodes 1 to
3 and the node that each operation reads behind the tilde. The official index follows from a rule of the benchmark's
code (D-X-Y/AutoDL-Projects, `exps/NAS-Bench-201/main.py`, `generate_meta_info`): all choices in lexicographic order,
shuffled by Python's generator with seed 88.

The key of an architecture is its text form. The benchmark trained and recorded each of the 15,625 on its own, also
those that are the same function up to renaming, and they differ by the noise of their training; a key for a class of
them would name no entry of the table. The class is `unique_string`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from spaces.base import Architecture, Graph

NONE = "none"
SKIP = "skip_connect"
CONV1X1 = "nor_conv_1x1"
CONV3X3 = "nor_conv_3x3"
AVERAGE = "avg_pool_3x3"

OPERATIONS = (NONE, SKIP, CONV1X1, CONV3X3, AVERAGE)
"""Operations in the order of the supernet's coefficients and of the official enumeration."""

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""Target and source of each edge, in the order of the coefficients: `1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2`."""

NODES = 4
"""Number of nodes: the cell's input, two between, and its output."""

COUNT = len(OPERATIONS) ** len(EDGES)
"""Number of architectures: 15,625."""

_SHUFFLE_SEED = 88
_TEXT = re.compile(
    r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|",
)


class UnknownArchitecture(ValueError):
    """A text, an index or operations that are no architecture of NAS-Bench-201."""


@dataclass(frozen=True)
class Nb201Architecture(Architecture):
    """A choice of operations.

    Attributes:
        choices: the operation of each edge, in the order of `EDGES`.

    Raises:
        UnknownArchitecture: another number of edges, or an operation that is none of `OPERATIONS`.
    """

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.choices) != len(EDGES):
            raise UnknownArchitecture(f"expected the operations of {len(EDGES)} edges, got {len(self.choices)}")
        for operation in self.choices:
            if operation not in OPERATIONS:
                raise UnknownArchitecture(f"unknown operation {operation!r}; known: {', '.join(OPERATIONS)}")

    @classmethod
    def from_string(cls, text: str) -> Nb201Architecture:
        """The architecture of a text form.

        Raises:
            UnknownArchitecture: the text is none.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise UnknownArchitecture(f"expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| with operations op, got {text!r}")
        return cls(match.groups())

    @classmethod
    def from_index(cls, index: int) -> Nb201Architecture:
        """The architecture of an official index.

        Raises:
            UnknownArchitecture: the index lies outside 0 to 15,624.
        """
        if not 0 <= index < COUNT:
            raise UnknownArchitecture(f"expected an index from 0 to {COUNT - 1}, got {index}")
        number = _numbers_by_index()[index]
        digits = [number // len(OPERATIONS) ** place % len(OPERATIONS) for place in reversed(range(len(EDGES)))]
        return cls(tuple(OPERATIONS[digit] for digit in digits))

    @property
    def string(self) -> str:
        """The text form of the benchmark."""
        groups = [
            [f"{operation}~{source}" for operation, (target, source) in self._edges() if target == node]
            for node in range(1, NODES)
        ]
        return "+".join(f"|{'|'.join(group)}|" for group in groups)

    @property
    def key(self) -> str:
        return self.string

    @property
    def index(self) -> int:
        """The official index, 0 to 15,624."""
        number = 0
        for operation in self.choices:
            number = number * len(OPERATIONS) + OPERATIONS.index(operation)
        return _indices_by_number()[number]

    @property
    def unique_string(self) -> str:
        """The class of architectures that the benchmark counts as the same; there are 6,466.

        It is `Structure.to_unique_str(consider_zero=True)` of the published code: a `skip_connect` is its source, and a
        `none`, or anything that reads a zero, is `#`. A sum of zeros is not simplified, so that a few architectures
        that are the same function count as different.
        """
        nodes = ["0"]
        for node in range(1, NODES):
            terms = [_term(operation, nodes[source]) for operation, (target, source) in self._edges() if target == node]
            nodes.append("+".join(sorted(terms)))
        return nodes[-1]

    @property
    def connected(self) -> bool:
        """Whether a path without `none` leads from the input to the output."""
        return NODES - 1 in self._reached()

    @property
    def parameters(self) -> int:
        """Number of weights of the benchmark's network for CIFAR-10: 16 channels, five cells a stage, affine norms."""
        return network_parameters(self.choices.count(CONV1X1), self.choices.count(CONV3X3))

    def to_json(self) -> dict[str, Any]:
        return {"string": self.string}

    def graphs(self) -> tuple[Graph, ...]:
        edges = [(source, target, operation) for operation, (target, source) in self._edges() if operation != NONE]
        return (Graph(("input", "1", "2", "output"), tuple(edges)),)

    def operations(self) -> tuple[str, ...]:
        """The operations on paths from the input to the output; none where the output is zero."""
        reached, leading = self._reached(), self._leading()
        return tuple(
            operation
            for operation, (target, source) in self._edges()
            if operation != NONE and source in reached and target in leading
        )

    def computed(self) -> Nb201Architecture:
        """The architecture with `none` on each edge that cannot change the output of a supernet.

        These are the edges whose target does not lead to the output, and skip connections and pools of a node that is
        zero. A convolution of a zero node stays: at stored statistics its batch norm makes a constant of it. It holds
        for a supernet in which all channels pass the operations (`partial_channels` 1); `Nb201Network.of_architecture`
        takes this form for any.
        """
        leading, moved = self._leading(), self._moved()
        choices = tuple(
            operation if target in leading and (source in moved or operation in (CONV1X1, CONV3X3)) else NONE
            for operation, (target, source) in self._edges()
        )
        return Nb201Architecture(choices)

    def _edges(self) -> Sequence[tuple[str, tuple[int, int]]]:
        return list(zip(self.choices, EDGES, strict=True))

    def _reached(self) -> set[int]:
        """The nodes to which a path leads from the input."""
        reached = {0}
        for operation, (target, source) in self._edges():
            if operation != NONE and source in reached:
                reached.add(target)
        return reached

    def _moved(self) -> set[int]:
        """The nodes that may differ from zero: what is reached from the input or from any convolution."""
        moved = {0}
        for operation, (target, source) in self._edges():
            if operation in (CONV1X1, CONV3X3) or (operation != NONE and source in moved):
                moved.add(target)
        return moved

    def _leading(self) -> set[int]:
        """The nodes from which a path leads to the output."""
        leading = {NODES - 1}
        for operation, (target, source) in reversed(self._edges()):
            if operation != NONE and target in leading:
                leading.add(source)
        return leading


def network_parameters(convolutions_1x1: int, convolutions_3x3: int, classes: int = 10) -> int:
    """Number of weights of the benchmark's network with these numbers of convolutions in its cell.

    The network has 16, 32 and 64 channels in its three stages of five cells, and an affine batch norm after every
    convolution but those of the shortcuts of its two residual blocks.
    """
    widths, cells = (16, 32, 64), 5
    stem = 3 * 9 * widths[0] + 2 * widths[0]
    blocks = sum(9 * narrow * wide + 9 * wide * wide + 4 * wide + narrow * wide for narrow, wide in pairwise(widths))
    head = 2 * widths[-1] + (widths[-1] + 1) * classes
    edges = sum(
        convolutions_1x1 * (width**2 + 2 * width) + convolutions_3x3 * (9 * width**2 + 2 * width) for width in widths
    )
    return stem + blocks + head + cells * edges


def network_flops(convolutions_1x1: int, convolutions_3x3: int, classes: int = 10, side: int = 32) -> int:
    """Number of multiplications of the benchmark's network for one image, batch norm and pools not counted.

    Args:
        convolutions_1x1: how many its cell has.
        convolutions_3x3: how many its cell has.
        classes: of the data set.
        side: height and width of the images.
    """
    widths, cells = (16, 32, 64), 5
    # Channels double where height and width halve, so that a convolution costs the same in every stage.
    area = side**2
    stem = 3 * 9 * widths[0] * area
    blocks = len(widths[1:]) * (9 * 2 + 9 * 4 + 2) * widths[0] ** 2 * area // 4
    edges = len(widths) * cells * (convolutions_1x1 + 9 * convolutions_3x3) * widths[0] ** 2 * area
    return stem + blocks + edges + (widths[-1] + 1) * classes


def _term(operation: str, source: str) -> str:
    if operation == NONE or source == "#":
        return "#"
    return source if operation == SKIP else f"({source})@{operation}"


@cache
def _numbers_by_index() -> tuple[int, ...]:
    """For each official index the place in the lexicographic order."""
    numbers = list(range(COUNT))
    random.Random(_SHUFFLE_SEED).shuffle(numbers)
    return tuple(numbers)


@cache
def _indices_by_number() -> tuple[int, ...]:
    indices = [0] * COUNT
    for index, number in enumerate(_numbers_by_index()):
        indices[number] = index
    return tuple(indices)
