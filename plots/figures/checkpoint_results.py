"""What was computed from checkpoints, gathered for drawing: which results may share a figure.

A result is a JSON file in a run folder that names its own conditions. Those of one benchmark, space, seed and epoch
share a figure, one panel a method, and must agree on table and scale, which the figure states once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from harness.errors import UserError
from harness.records.run_folder import (
    RunFolder,
    RunFolderError,
    SpaceLabel,
    find_folders,
    space_folder,
    space_name,
    space_order,
)
from plots.drawing import style
from plots.runs.records import counted, outermost

_NEEDED: dict[str, tuple[type, ...]] = {
    "bench": (str,),
    "space": (int, str),
    "method": (str,),
    "seed": (int,),
    "epoch": (int,),
    "table": (str,),
    "scale": (str,),
    "images": (int,),
}


@dataclass(frozen=True)
class Results:
    """What may share a figure.

    Attributes:
        bench, space, seed, epoch: of all.
        table: the table's label.
        scale: the size of network and data, in words.
        images: how many validation images were looked at.
        of_methods: method -> content, in drawing order.
    """

    bench: str
    space: SpaceLabel
    seed: int
    epoch: int
    table: str
    scale: str
    images: int
    of_methods: Mapping[str, dict[str, Any]]

    @property
    def place(self) -> str:
        """The part of a file's name that tells these results from others."""
        return f"{self.bench}_{space_folder(self.space)}_seed{self.seed}_epoch{self.epoch}"

    @property
    def title(self) -> str:
        """What they are of."""
        return f"{self.bench}, {space_name(self.space)}, epoch {self.epoch}, seed {self.seed}"

    def conditions(self) -> str:
        """Under what conditions the numbers arose, in one line."""
        return f"table: {self.table} · {self.scale} · on {counted(self.images, 'validation image')}"


def gather_results(
    folder: Path, kind: str, check: Callable[[dict[str, Any]], object], also: Sequence[str] = ()
) -> list[Results]:
    """The results of one kind at or below a folder, grouped for figures; none where there are none.

    A results folder inside the one given is passed over where the outer one holds runs itself.

    Args:
        folder: a results folder.
        kind: `LANDSCAPE` or `CORRELATION`.
        check: raises ValueError, TypeError or KeyError where a content cannot be drawn.
        also: further entries that must agree on a figure.

    Raises:
        RunFolderError: there is no such folder, or a result is damaged.
        UserError: results that would share a figure disagree.
    """
    runs, _ = outermost(folder, find_folders(folder)[0])
    groups: dict[tuple[str, SpaceLabel, int, int], list[tuple[Path, dict[str, Any]]]] = {}
    for run in runs:
        for path, content in _read(run, kind, check):
            key = (content["bench"], content["space"], content["seed"], content["epoch"])
            groups.setdefault(key, []).append((path, content))
    return [
        _group(groups[key], ("table", "table_sha256", "scale", "images", *also))
        for key in sorted(groups, key=_key_order)
    ]


def write_figures(
    groups: Sequence[Results],
    out: Path,
    name: str,
    draw: Callable[[Results], Figure],
    numbers: Callable[[Results], str],
) -> list[Path]:
    """Draw each group of results, and write its picture and numbers; the paths written."""
    paths = []
    for group in groups:
        figure = draw(group)
        out.mkdir(parents=True, exist_ok=True)
        paths += style.save(figure, out / f"{name}_{group.place}", numbers(group))
    return paths


def _read(run: RunFolder, kind: str, check: Callable[[dict[str, Any]], object]) -> list[tuple[Path, dict[str, Any]]]:
    found = [(run.result(kind, epoch), content) for epoch, content in run.results(kind).items()]
    for path, content in found:
        try:
            if any(type(content[key]) not in expected for key, expected in _NEEDED.items()):
                raise TypeError
            check(content)
        except (KeyError, TypeError, ValueError):
            raise RunFolderError(
                f"{path}: not a result as this version writes it; move it away and compute it again"
            ) from None
    return found


def _key_order(key: tuple[str, SpaceLabel, int, int]) -> tuple[str, tuple[int, int, str], int, int]:
    bench, space, seed, epoch = key
    return bench, space_order(space), seed, epoch


def _group(found: list[tuple[Path, dict[str, Any]]], alike: Sequence[str]) -> Results:
    first, expected = found[0]
    by_method: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path, content in found:
        if content["method"] in by_method:
            raise UserError(
                f"{by_method[content['method']][0]} and {path} are both seed {content['seed']} of "
                f"{content['method']}; move one out of the results folder"
            )
        for key in alike:
            if content.get(key) != expected.get(key):
                raise UserError(
                    f"{first} and {path} differ in {key} ({expected.get(key)!r} and {content.get(key)!r}), so they "
                    "cannot share a figure; draw each from its own folder"
                )
        by_method[content["method"]] = (path, content)
    shared = {key: expected[key] for key in ("bench", "space", "seed", "epoch", "table", "scale", "images")}
    methods = sorted(by_method, key=style.drawing_order)
    return Results(**shared, of_methods={method: by_method[method][1] for method in methods})
