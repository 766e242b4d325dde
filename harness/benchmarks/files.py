"""Benchmarks described by a TOML file.

    name = "cifar10-jpeg"
    [images]
    source = "parquet"              # a data set's name, or module:name of one of your own
    path = "path/to/folder"         # relative to this file; of a downloaded data set the data folder, if left out
    like = "cifar10"                # whose normalisation, padding and flip hold; a folder or files named after a data
                                    # set say so themselves, other folders are normalised by their training images
    [table]
    path = "standin.index"          # made by `python -m harness.prepare --nasbench FILE --out standin.index`
    [settings]
    "network.channels" = 4
    "data.images" = 1000

Without a table nothing judges: errors are null. `[judge]` says what does, and `[spaces.LABEL]` what holds in one space
alone, by its number or name as run folders have it:

    [judge]
    kind = "train"                  # table (with path, as [table]), train or none
    [judge.recipe]
    epochs = 12
    [spaces.1]
    table = "space1.index"
    judge = "table"
    [spaces.1.settings]
    "network.channels" = 8
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.benchmark import JUDGE_KINDS, Benchmark, SpaceLabel, SpaceScale
from harness.data.registry import DataSet, ImageSource, get_dataset
from harness.errors import UserError
from harness.records.config import BENCH
from harness.records.run_folder import WRITTEN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from harness.tables.query import Table

_KEYS = {
    "images": {"source", "path", "like"},
    "table": {"path"},
    "judge": {"kind", "path", "recipe"},
    "settings": None,
    "spaces": None,
}
"""Section -> its keys; None where they are checked elsewhere."""

_LONGEST_NAME = 100

_MOST_SHOWN = 60
"""Characters of a refused value that a message repeats."""

_MOST_BYTES = 1 << 20

_LARGEST_INTEGER = 1 << 63
"""What the format holds lies below."""

_SPACE_KEYS = {"table", "judge", "settings"}

_SPACES_OF_AN_INDEX = (1, 2, 3)
"""The spaces whose cells an index of a TFRecord can hold."""


def read_benchmark(path: Path, taken: Collection[str] = ()) -> Benchmark:
    """The benchmark that a file describes; its images and tables are opened when they are asked for.

    Args:
        path: of the TOML file.
        taken: names that it must not have.

    Raises:
        UserError: the file is missing or malformed.
    """
    file = _BenchmarkFile(path, _read(path))
    name = file.content.get("name")
    if not isinstance(name, str) or not BENCH.fullmatch(name):
        raise UserError(
            f"{path}: expected a name of at most {_LONGEST_NAME} letters from a to z, digits, '-', '_' and '.', that "
            f"begins with a letter or a digit, got {_shown(name)}"
        )
    if name in WRITTEN:
        raise UserError(f"{path}: the name {name!r} is that of a folder which other commands write; take another")
    if name in taken:
        raise UserError(f"{path}: the name {name!r} is taken by a built-in benchmark")
    indexes = file.indexes()
    return Benchmark(
        name,
        str(path),
        file.images(),
        flattened(file.section("settings")),
        _opener(indexes) if indexes else None,
        table_spaces=tuple(indexes),
        default_judge=file.judge_kind("[judge] kind", file.section("judge").get("kind")) or _default(indexes),
        recipe=file.recipe(),
        spaces=file.spaces(),
    )


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key; `{"network.channels": 4}` and `{"network": {"channels": 4}}` give the same."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


@dataclass(frozen=True)
class _BenchmarkFile:
    """A file's content, read section by section.

    Attributes:
        path: of the file, which paths in it are relative to.
        content: as TOML gives it.
    """

    path: Path
    content: Mapping[str, Any]

    def section(self, key: str) -> Mapping[str, Any]:
        """A section by name; empty where it is missing."""
        return self._mapping(key, self.content.get(key, {}))

    def images(self) -> ImageSource:
        """What `[images]` says."""
        section = self.section("images")
        source, folder, like = (self._text("[images]", section, key) for key in ("source", "path", "like"))
        if source is None:
            raise UserError(f"{self.path}: expected [images] source, the name of a data set")
        dataset = self._dataset("source", source)
        if dataset.is_layout and folder is None:
            raise UserError(f"{self.path}: expected [images] path, the folder that {source} reads: {dataset.summary}")
        return ImageSource(
            dataset,
            self.path.parent / folder if folder is not None else None,
            self._dataset("like", like) if like is not None else None,
        )

    def indexes(self) -> dict[SpaceLabel, Path]:
        """Where the table of each space lies."""
        paths = [self._text(f"[{key}]", self.section(key), "path") for key in ("table", "judge")]
        if paths[0] is not None and paths[1] is not None:
            raise UserError(f"{self.path}: expected one of [table] path and [judge] path, got both")
        common = paths[0] or paths[1]
        indexes: dict[SpaceLabel, Path] = {}
        if common is not None:
            indexes.update(dict.fromkeys(_SPACES_OF_AN_INDEX, self.path.parent / common))
        for label, section in self._space_sections().items():
            own = self._text(f"[spaces.{label}]", section, "table")
            if own is not None:
                indexes[label] = self.path.parent / own
        kinds = [self.section("judge").get("kind")]
        if ("table" in self.content and common is None) or ("table" in kinds and not indexes):
            raise UserError(
                f"{self.path}: expected [table] path, the index made by `python -m harness.prepare --nasbench FILE`"
            )
        return indexes

    def recipe(self) -> Mapping[str, Any]:
        """What `[judge.recipe]` says."""
        return self._mapping("judge.recipe", self.section("judge").get("recipe", {}))

    def spaces(self) -> dict[SpaceLabel, SpaceScale]:
        """What `[spaces.LABEL]` says of each space."""
        return {
            label: SpaceScale(
                flattened(self._mapping(f"spaces.{label}.settings", section.get("settings", {}))),
                self.judge_kind(f"[spaces.{label}] judge", section.get("judge")),
            )
            for label, section in self._space_sections().items()
        }

    def judge_kind(self, where: str, kind: object) -> str | None:
        """A kind of judge, or None where none is named."""
        if kind is not None and kind not in JUDGE_KINDS:
            raise UserError(f"{self.path}: expected {where} to be one of {', '.join(JUDGE_KINDS)}, got {_shown(kind)}")
        return None if kind is None else str(kind)

    def _space_sections(self) -> dict[SpaceLabel, Mapping[str, Any]]:
        sections: dict[SpaceLabel, Mapping[str, Any]] = {}
        for label, value in self.section("spaces").items():
            section = self._mapping(f"spaces.{label}", value)
            if unknown := set(section) - _SPACE_KEYS:
                raise UserError(f"{self.path}: unknown key in [spaces.{label}]: {', '.join(sorted(unknown))}")
            sections[int(label) if label.isdecimal() else label] = section
        return sections

    def _dataset(self, key: str, name: str) -> DataSet:
        try:
            return get_dataset(name)
        except UserError as error:
            raise UserError(f"{self.path}: [images] {key}: {error}") from None

    def _mapping(self, key: str, value: object) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise UserError(f"{self.path}: expected [{key}] to be a section, got {_shown(value)}")
        return value

    def _text(self, where: str, section: Mapping[str, Any], key: str) -> str | None:
        value = section.get(key)
        if value is not None and not isinstance(value, str):
            raise UserError(f"{self.path}: expected {where} {key} to be text, got {_shown(value)}")
        return value


def _read(path: Path) -> Mapping[str, Any]:
    """The content of a file, with no unknown key in it."""
    try:
        if not path.exists():
            raise UserError(f"{path}: no such benchmark file")
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: expected a TOML file of at most {_MOST_BYTES:,} bytes")
        content: dict[str, Any] = tomllib.loads(path.read_text())
        _check_integers(content, path)
    except RecursionError:
        raise UserError(f"{path}: expected sections a few levels deep, got far deeper ones") from None
    # Beside its own error the reader lets through those of numbers that Python does not read.
    except ValueError as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None
    if unknown := set(content) - {*_KEYS, "name"}:
        expected = ", ".join(["name", *(f"[{key}]" for key in _KEYS)])
        raise UserError(f"{path}: unknown key {', '.join(sorted(unknown))}; expected {expected}")
    for key, known in _KEYS.items():
        section = content.get(key, {})
        if known is not None and isinstance(section, Mapping) and (unknown := set(section) - known):
            raise UserError(f"{path}: unknown key in [{key}]: {', '.join(sorted(unknown))}")
    return content


def _check_integers(value: object, path: Path) -> None:
    """Refuse whole numbers that the format does not hold, which Python would not even print."""
    if isinstance(value, Mapping):
        for entry in value.values():
            _check_integers(entry, path)
    elif isinstance(value, list):
        for entry in value:
            _check_integers(entry, path)
    elif isinstance(value, int) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        raise UserError(f"{path}: expected whole numbers of 64 bits, got one of {value.bit_length():,} bits")


def _shown(value: object) -> str:
    """A value as a message repeats it."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _default(indexes: Mapping[SpaceLabel, Path]) -> str:
    return "table" if indexes else "none"


def _opener(indexes: Mapping[SpaceLabel, Path]) -> Callable[[SpaceLabel], Table]:
    """What opens the index of a space."""

    def open_table(space: SpaceLabel) -> Table:
        from harness.tables.open import open_covering

        return open_covering(indexes[space], space)

    return open_table
