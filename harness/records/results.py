"""What was computed from a run's checkpoints, read by name: landscapes and rank correlations.

A result names its own conditions. `read_landscape` and `read_correlation` check a file once, with one clear error, and
refuse one that is not of the run in whose folder it lies. Entries that nothing here reads stay in the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.records.config import method_name
from harness.records.line import as_number
from harness.records.run_folder import CORRELATION, LANDSCAPE, RunFolder, RunFolderError, SpaceLabel

STATISTICS = ("stored", "batch")
"""Which batch norm statistics cells were measured with: the search's own, or those of each batch."""

_MENDING = "move it away and compute it again"
_MOST_SHOWN = 60

Item = TypeVar("Item")


@dataclass(frozen=True)
class Conditions:
    """Under what conditions a result was computed.

    Attributes:
        bench, space, method, seed, epoch: of the search, the method with `@NAME` where its settings have a name.
        table: the label of the table, or another judge.
        table_sha256: its SHA-256, empty where it was not recorded.
        scale: the size of network and data, in words.
        images: how many validation images were looked at.
    """

    bench: str
    space: SpaceLabel
    method: str
    seed: int
    epoch: int
    table: str
    table_sha256: str
    scale: str
    images: int


@dataclass(frozen=True)
class Landscape:
    """Accuracy of a supernet around the alphas of a search.

    Attributes:
        conditions: of the measurement.
        radius: how far it reaches from the alphas.
        x, y: coordinates, ascending or descending as they were measured.
        accuracy: `[y][x]`, fractions.
        loss: `[y][x]`, None where it was not finite.
    """

    conditions: Conditions
    radius: float
    x: tuple[float, ...]
    y: tuple[float, ...]
    accuracy: tuple[tuple[float, ...], ...]
    loss: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Measured:
    """What a supernet does at one architecture: accuracy, and loss, None where that was not finite."""

    accuracy: float
    loss: float | None


@dataclass(frozen=True)
class SampledCell:
    """A cell that was drawn, by the table and by the supernet.

    Attributes:
        cell: its key.
        test_error: the table's.
        valid_error: the table's, None where it has none.
        supernet: by the names of `STATISTICS`.
    """

    cell: str
    test_error: float
    valid_error: float | None
    supernet: Mapping[str, Measured]


@dataclass(frozen=True)
class Estimate:
    """A rank correlation with its interval; None where there are too few cells."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Correlation:
    """How a supernet orders cells against the table.

    Attributes:
        conditions: of the measurement.
        top_share: which share of the space's cells counts as the table's best.
        top_test_error: the largest test error among those.
        sampled: the cells.
        spearman, kendall: of validation error and test error over all cells, by the names of `STATISTICS`.
    """

    conditions: Conditions
    top_share: float
    top_test_error: float
    sampled: tuple[SampledCell, ...]
    spearman: Mapping[str, Estimate]
    kendall: Mapping[str, Estimate]


def read_landscape(folder: RunFolder, epoch: int) -> Landscape:
    """The landscape of an epoch.

    Raises:
        RunFolderError: the file is missing, is no landscape, or is of another run or epoch.
    """
    content = _content(folder, LANDSCAPE, epoch)
    x, y = (content.tuple_of(name, _Content.number_in) for name in ("x", "y"))
    accuracy = content.tuple_of("accuracy", lambda at, name: at.tuple_of(name, _Content.number_in))
    loss = content.tuple_of("loss", lambda at, name: at.tuple_of(name, _Content.optional_in))
    for name, rows in (("accuracy", accuracy), ("loss", loss)):
        if len(rows) != len(y) or any(len(row) != len(x) for row in rows):
            raise content.refusal(f"{name} as {len(y)} rows of {len(x)} numbers, got others")
    if not x or not y:
        raise content.refusal("at least one point, got none")
    return Landscape(_conditions(folder, content, epoch), content.number_in("radius"), x, y, accuracy, loss)


def read_correlation(folder: RunFolder, epoch: int) -> Correlation:
    """The rank correlation of an epoch.

    Raises:
        RunFolderError: the file is missing, is no rank correlation, or is of another run or epoch.
    """
    content = _content(folder, CORRELATION, epoch)
    sampled = content.tuple_of("sampled", lambda at, name: _sampled(at.inside(name)))
    if not sampled:
        raise content.refusal("at least one cell as sampled, got none")
    orders = {name: content.inside("correlations").inside(name).inside("all").inside("error") for name in STATISTICS}
    return Correlation(
        _conditions(folder, content, epoch),
        content.number_in("top_share"),
        content.number_in("top_test_error"),
        sampled,
        spearman={name: _estimate(order.inside("spearman")) for name, order in orders.items()},
        kendall={name: _estimate(order.inside("kendall")) for name, order in orders.items()},
    )


@dataclass(frozen=True)
class _Content:
    """A part of a result's content, read entry by entry; each refuses what is of another kind.

    Attributes:
        path: the file.
        entries: by key, or by place in a list.
        where: the keys that lead here, for messages.
    """

    path: Path
    entries: Mapping[Any, Any]
    where: str = ""

    def refusal(self, expected: str) -> RunFolderError:
        """The error that says what was expected."""
        return RunFolderError(f"{self.path}: expected {expected}; {_MENDING}")

    def value(self, key: str | int) -> Any:
        """An entry of any kind."""
        if key not in self.entries:
            raise self.refusal(f"an entry {self._name(key)}, got none")
        return self.entries[key]

    def text_in(self, key: str | int) -> str:
        """A text."""
        value = self.value(key)
        if not isinstance(value, str):
            raise self._other(key, "text", value)
        return value

    def whole_in(self, key: str | int) -> int:
        """A whole number, 0 or more."""
        value = self.value(key)
        if type(value) is not int or value < 0:
            raise self._other(key, "a whole number of 0 or more", value)
        return value

    def number_in(self, key: str | int) -> float:
        """A finite number."""
        value = as_number(self.value(key))
        if value is None or not math.isfinite(value):
            raise self._other(key, "a finite number", self.value(key))
        return value

    def optional_in(self, key: str | int) -> float | None:
        """A finite number, or null."""
        return None if self.value(key) is None else self.number_in(key)

    def inside(self, key: str | int) -> _Content:
        """An object."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise self._other(key, "an object", value)
        return _Content(self.path, value, f"{self._name(key)}.")

    def tuple_of(self, key: str | int, read: Callable[[_Content, str | int], Item]) -> tuple[Item, ...]:
        """A list, each of whose entries is read in the same way."""
        value = self.value(key)
        if not isinstance(value, list):
            raise self._other(key, "a list", value)
        entries = _Content(self.path, dict(enumerate(value)), f"{self._name(key)}.")
        return tuple(read(entries, place) for place in range(len(value)))

    def _name(self, key: str | int) -> str:
        return f"{self.where}{key}"

    def _other(self, key: str | int, kind: str, value: object) -> RunFolderError:
        shown = repr(value)
        return self.refusal(
            f"{self._name(key)} as {kind}, got {shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + '...'}"
        )


def _content(folder: RunFolder, kind: str, epoch: int) -> _Content:
    return _Content(folder.result(kind, epoch), folder.computed(kind, epoch))


def _conditions(folder: RunFolder, content: _Content, epoch: int) -> Conditions:
    """What the result says of its run, which must be the folder's."""
    space = content.value("space")
    conditions = Conditions(
        bench=content.text_in("bench"),
        space=space if isinstance(space, str) else content.whole_in("space"),
        method=content.text_in("method"),
        seed=content.whole_in("seed"),
        epoch=content.whole_in("epoch"),
        table=content.text_in("table"),
        table_sha256=content.text_in("table_sha256") if "table_sha256" in content.entries else "",
        scale=content.text_in("scale"),
        images=content.whole_in("images"),
    )
    config = folder.config()
    ours: dict[str, Any] = {key: config[key] for key in ("bench", "space", "seed") if key in config}
    if "optimizer" in config:
        ours["method"] = method_name(config)
    for key, expected in {**ours, "epoch": epoch}.items():
        if (got := getattr(conditions, key)) != expected:
            raise RunFolderError(f"{content.path}: is of {key} {got!r}, its folder is of {expected!r}; {_MENDING}")
    return conditions


def _sampled(content: _Content) -> SampledCell:
    return SampledCell(
        cell=content.text_in("cell"),
        test_error=content.number_in("test_error"),
        valid_error=content.optional_in("valid_error"),
        supernet={name: _measured(content.inside(name)) for name in STATISTICS},
    )


def _measured(content: _Content) -> Measured:
    return Measured(content.number_in("accuracy"), content.optional_in("loss"))


def _estimate(content: _Content) -> Estimate:
    value, low, high = (content.optional_in(key) for key in ("value", "low", "high"))
    return Estimate(value, low, high)


def all_of(folder: RunFolder, kind: str) -> Sequence[Landscape | Correlation]:
    """All results of a kind, by epoch; same errors as `read_landscape` and `read_correlation`."""
    read: Callable[[RunFolder, int], Landscape | Correlation] = READERS[kind]
    return [read(folder, epoch) for epoch in folder.computed_epochs(kind)]


READERS: Mapping[str, Callable[[RunFolder, int], Landscape | Correlation]] = {
    LANDSCAPE: read_landscape,
    CORRELATION: read_correlation,
}
