"""What the lines of a run hold, as columns: a number for every epoch, and the architectures as short texts.

A line of 1.3 kB, most of it alphas, becomes some twenty numbers, so that thousands of runs fit into memory. A column is
kept for every entry that is a number, whatever the catalogue says of it, and for the quantities that the catalogue
derives from a line.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records.catalogue import BUILT_IN, Quantity
from harness.records.line import Drawable, EpochLine, as_number
from harness.records.run_folder import Line

Array = npt.NDArray[np.float64]

NUMBERS = {int, float}
_ARCHITECTURE = ("graphs", "matrix", "ops", "cell")


@dataclass(frozen=True)
class Columns:
    """The lines of one run; nobody changes the arrays.

    Attributes:
        epochs: how many lines there are, those of the epochs 0, 1, ...
        entries: an entry of the lines -> [epochs] its numbers as recorded, NaN where a line holds none.
        derived: a quantity that the catalogue derives -> [epochs] its values, NaN where a line does not give it.
        training_seconds: [epochs] seconds of training in each epoch, NaN where they were not recorded.
        not_finite: an entry -> the epochs that record it as a number that is none, NaN or infinite.
        has_alphas: whether any line holds architecture parameters.
        last: what of the last line is neither a list nor an object; empty without a line.
        places: [epochs] which of `architectures` a line holds, -1 for none.
        architectures: distinct ones in the order of the epochs, each as the JSON of the line's entries on it.
    """

    epochs: int
    entries: Mapping[str, Array]
    derived: Mapping[str, Array]
    training_seconds: Array
    not_finite: Mapping[str, tuple[int, ...]]
    has_alphas: bool
    last: Line
    places: npt.NDArray[np.int32]
    architectures: tuple[str, ...]
    _values: dict[tuple[str, str], Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def values(self, quantity: Quantity) -> Array:
        """A quantity after every recorded epoch from 0: [epochs], NaN where the line does not give it.

        Raises:
            ValueError: it is derived by a function of somebody else's, which needs whole lines.
        """
        key = quantity.name, quantity.entry
        if key not in self._values:
            self._values[key] = _finite(self._recorded(quantity), self.epochs)
        return self._values[key]

    def drawable(self, place: int) -> Drawable | None:
        """An architecture by its place in `architectures`; None for -1, or where it cannot be drawn."""
        return None if place < 0 else drawable(self.architectures[place])

    def _recorded(self, quantity: Quantity) -> Array | None:
        if quantity.derived is None:
            return self.entries.get(quantity.entry)
        if quantity.name not in BUILT_IN:
            raise ValueError(f"quantity {quantity.name}: is derived, and not built in; record it as an entry of lines")
        return self.derived.get(quantity.name)


def columns_of(lines: Sequence[Line]) -> Columns:
    """The columns of some lines, epoch 0 first.

    Raises:
        ValueError: a line is nested too deeply.
    """
    entries: dict[str, Array] = {}
    not_finite: dict[str, tuple[int, ...]] = {}
    for entry in dict.fromkeys(itertools.chain.from_iterable(lines)):
        recorded = [line.get(entry) for line in lines]
        kinds = set(map(type, recorded))
        if kinds.isdisjoint(NUMBERS):
            continue
        entries[entry] = column = numbers(recorded, kinds)
        damaged = [epoch for epoch in np.flatnonzero(~np.isfinite(column)) if as_number(recorded[epoch]) is not None]
        if damaged:
            not_finite[entry] = tuple(map(int, damaged))
    places, architectures = _architectures(lines)
    views = [EpochLine(line) for line in lines]
    return Columns(
        epochs=len(lines),
        entries=entries,
        derived={
            name: numbers([quantity.of(line) for line in lines])
            for name, quantity in BUILT_IN.items()
            if quantity.derived is not None
        },
        training_seconds=numbers([view.training_seconds for view in views]),
        not_finite=not_finite,
        has_alphas=any(view.has_alphas for view in views),
        last=_without_parts(lines[-1]) if lines else {},
        places=places,
        architectures=architectures,
    )


def numbers(recorded: Sequence[Any], kinds: Iterable[type] | None = None) -> Array:
    """[epochs] what are numbers among values from JSON; NaN for anything else. It cannot be written to.

    Args:
        recorded: [epochs] the values.
        kinds: their types, where they are known.
    """
    if (set(map(type, recorded)) if kinds is None else set(kinds)) <= {*NUMBERS, type(None)}:
        try:
            # numpy takes None for NaN.
            return _read_only(np.array(recorded, dtype=np.float64))
        except OverflowError:
            pass
    found = [as_number(value) for value in recorded]
    return _read_only(np.array([math.nan if value is None else value for value in found], dtype=np.float64))


@functools.lru_cache(maxsize=4096)
def drawable(architecture: str) -> Drawable | None:
    """An architecture of `Columns.architectures`; None where it cannot be drawn."""
    return EpochLine(json.loads(architecture)).architecture


def _architectures(lines: Sequence[Line]) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    places = np.full(len(lines), -1, dtype=np.int32)
    known: dict[str, int] = {}
    before: Line = {}
    place = -1
    for epoch, line in enumerate(lines):
        if "graphs" not in line and "matrix" not in line:
            continue
        now = {entry: line[entry] for entry in _ARCHITECTURE if entry in line}
        # Most epochs keep the architecture of the one before.
        if now != before:
            before, place = now, known.setdefault(_text(now), len(known))
        places[epoch] = place
    places.setflags(write=False)
    return places, tuple(known)


def _text(content: Line) -> str:
    try:
        return json.dumps(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _without_parts(line: Line) -> Line:
    return {entry: value for entry, value in line.items() if not isinstance(value, (list, dict))}


def _finite(column: Array | None, epochs: int) -> Array:
    if column is None:
        return _read_only(np.full(epochs, np.nan))
    return _read_only(np.where(np.isinf(column), np.nan, column)) if np.isinf(column).any() else column


def _read_only(column: Array) -> Array:
    column.setflags(write=False)
    return column
