"""Benchmarks: image data, a table and a scale under one name.

`nb101` is the paper's protocol: CIFAR-10, the official NAS-Bench-101 table, 16 channels, 9 cells. `digits` ships with
the package and runs on a laptop. A TOML file makes any other:

    name = "cifar10-jpeg"
    [images]
    source = "parquet"              # cifar10, parquet or digits
    path = "path/to/folder"         # relative to this file
    [table]
    path = "standin.index"          # made by `python -m harness.prepare --nasbench FILE --out standin.index`
    [settings]
    "network.channels" = 4
    "data.images" = 1000
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.folder import data_folder
from harness.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from harness.data.datasets import ImageArrays
    from harness.tables.query import Table

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class Benchmark:
    """What a search is run on and judged by.

    Attributes:
        name: stands in every epoch line, in the folder's path and on every figure.
        summary: one line for `--bench list`.
        images: loads the images.
        table: opens the table of a space.
        settings: scale, by dotted key; overrides the published protocol.
    """

    name: str
    summary: str
    images: Callable[[], ImageArrays]
    table: Callable[[int], Table]
    settings: Mapping[str, Any] = field(default_factory=dict)


def get_benchmark(name: str) -> Benchmark:
    """A built-in benchmark by name, or the one that a TOML file describes.

    Raises:
        UserError: no such name, or the file is missing or malformed.
    """
    if name.endswith(".toml"):
        return _from_file(Path(name))
    known = {bench.name: bench for bench in BENCHMARKS}
    if name not in known:
        raise UserError(f"unknown benchmark {name!r}; known: {', '.join(known)}, or the path of a .toml file")
    return known[name]


def official_index() -> Path:
    """Where `harness.prepare` puts the index of the official table."""
    return data_folder() / "nasbench101.index"


def _nb101_images() -> ImageArrays:
    from harness.data.datasets import load_cifar10

    return load_cifar10(data_folder())


def _nb101_table(space: int) -> Table:
    from harness.commands.prepare import open_table

    if not official_index().exists():
        raise UserError(
            f"{official_index()}: no NAS-Bench-101 table; get it with `python -m harness.prepare`, or use "
            "--bench digits, which needs no download"
        )
    table = _covering(open_table(official_index()), space)
    if table.info.kind != "official":
        raise UserError(
            f"{table.path}: nb101 takes the official NAS-Bench-101 table only, this one is {table.info.label!r} "
            f"(SHA-256 {table.info.source_sha256[:12]}...); get it with `python -m harness.prepare`, or describe this "
            "table in a .toml benchmark of its own, or use --bench digits"
        )
    return table


def _covering(table: Table, space: int) -> Table:
    if table.info.spaces and space not in table.info.spaces:
        raise UserError(
            f"{table.path}: cut to the cells of space {', '.join(map(str, table.info.spaces))}; search there, or take "
            "the whole index"
        )
    return table


def _digits_images() -> ImageArrays:
    from harness.data.datasets import load_digits

    return load_digits()


def _digits_table(space: int) -> Table:
    from harness.tables.query import Table

    path = EMBEDDED / f"digits_space{space}.index"
    if not path.exists():
        raise UserError(
            f"digits has no table of space {space} yet; expected {path.name} in the package. Use --space 1 or 2, or "
            f"measure it: python -m harness.tabulate --images digits --space {space}"
        )
    return Table.open(path)


DIGITS_SETTINGS: dict[str, Any] = {
    "network.channels": 8,
    "network.cells": 3,
    "data.images": 400,
    "data.batch_size": 120,
    "data.padding": 1,
    "data.flip": False,
    "alphas.learning_rate": 0.0196,
    "weights.gradient_clip": 5.0,
    "hessian.every": 10,
    "hessian.mixture": True,
    "selection.samples": 100,
    "controller.steps": 20,
}
"""Scale of digits: 400 + 400 images make 4 steps an epoch, 400 in 100 epochs. Alphas move at 3e-4 * 26,100 / 400 =
.0196, so that they can travel as far as on CIFAR-10. The last batch of an epoch, whose Hessian is taken, has 40 images,
as there; the one by the mixture makes a search of 100 epochs 11 s longer (DARTS: 41 s without). Methods that sample
score 100 cells after an epoch instead of 1000. ENAS's controller takes 20 steps, or 5 for each batch trained, where
CIFAR-10's 391 batches have 300. Gradients are clipped at 5 with every method: at the .25 of ENAS and random search 400
steps leave the weights hardly trained. (Training accuracy in epoch 100, two seeds each: ENAS .74 and .46, at 5 .95 and
.89; random search .19 and .31, at 5 .43 and .48.)"""

BENCHMARKS = (
    Benchmark(
        "nb101",
        "CIFAR-10 and the official NAS-Bench-101 table, 16 channels, 9 cells: the paper's protocol",
        _nb101_images,
        _nb101_table,
    ),
    Benchmark(
        "digits",
        "scikit-learn's 8x8 digits and a table measured on them, 8 channels, 3 cells: ships with the package",
        _digits_images,
        _digits_table,
        DIGITS_SETTINGS,
    ),
)


def _from_file(path: Path) -> Benchmark:
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such benchmark file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None
    for key, table in _KEYS.items():
        if set(content.get(key, {})) - table:
            raise UserError(f"{path}: unknown key in [{key}]: {', '.join(sorted(set(content[key]) - table))}")
    if unknown := set(content) - {*_KEYS, "name", "settings"}:
        raise UserError(
            f"{path}: unknown key {', '.join(sorted(unknown))}; expected name, [images], [table], [settings]"
        )
    name = content.get("name")
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UserError(f"{path}: expected a name of letters, digits, '-', '_' and '.', got {name!r}")
    if name in {bench.name for bench in BENCHMARKS}:
        raise UserError(f"{path}: the name {name!r} is taken by a built-in benchmark")
    images, table_path = _image_loader(path, content), content.get("table", {}).get("path")
    if not isinstance(table_path, str):
        raise UserError(f"{path}: expected [table] path, the index made by `python -m harness.prepare --nasbench FILE`")

    def covering_table(space: int) -> Table:
        from harness.commands.prepare import open_table

        return _covering(open_table(path.parent / table_path), space)

    return Benchmark(name, str(path), images, covering_table, flattened(content.get("settings", {})))


_KEYS = {"images": {"source", "path"}, "table": {"path"}}


def _image_loader(path: Path, content: Mapping[str, Any]) -> Callable[[], ImageArrays]:
    section = content.get("images", {})
    source, folder = section.get("source"), section.get("path")
    if source not in ("cifar10", "parquet", "digits"):
        raise UserError(f"{path}: expected [images] source to be cifar10, parquet or digits, got {source!r}")
    if source == "parquet" and not isinstance(folder, str):
        raise UserError(f"{path}: expected [images] path, the folder of *train*.parquet and *test*.parquet")

    def load() -> ImageArrays:
        from harness.data import datasets

        if source == "digits":
            return datasets.load_digits()
        if source == "cifar10":
            return datasets.load_cifar10(path.parent / folder if folder else data_folder())
        return datasets.load_parquet(path.parent / folder)

    return load


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key; `{"network.channels": 4}` and `{"network": {"channels": 4}}` give the same."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
