"""All runs at or below a folder, taken as they are: what belongs together, and what was left out and why.

Nothing is fatal: runs of different benchmarks, spaces, tables or scales form comparisons of their own, and a folder
that is torn, foreign or at odds with the rest is listed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import UserError
from harness.records.run_folder import RunFolder, RunFolderError, find_folders
from plots.runs.records import (
    INNER,
    Comparison,
    Method,
    Run,
    check_config,
    counted,
    differing,
    method_name,
    optimum,
    outermost,
    random_search,
    read_run,
    table_identity,
    table_label,
    table_sha256,
)

#: entries of a line that statistics and figures read as fractions
FRACTIONS = ("test_error", "valid_error", "supernet_valid_accuracy", "projection_accuracy", "entropy")
#: other entries that they read, as numbers
NUMBERS = (
    "supernet_valid_loss",
    "spectral_norm",
    "lambda_max",
    "trace",
    "projection_loss",
    "mixture_distance",
    "mixture_spectral_norm",
)


@dataclass(frozen=True)
class LeftOut:
    """A folder that does not count.

    Attributes:
        path: the folder.
        reason: why, in a few words.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Survey:
    """What was found at or below a folder.

    Attributes:
        comparisons: by benchmark, space, table and scale.
        left_out: what does not count, in order of paths.
    """

    comparisons: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...]

    def keep(self, reason_against: Callable[[Run], str | None]) -> Survey:
        """The survey without the runs that there is a reason against; methods and comparisons left empty go too."""
        left_out = list(self.left_out)
        comparisons = []
        for comparison in self.comparisons:
            methods = []
            for method in comparison.methods:
                reasons = [(run, reason_against(run)) for run in method.runs]
                left_out += [LeftOut(run.path, reason) for run, reason in reasons if reason is not None]
                runs = tuple(run for run, reason in reasons if reason is None)
                methods += [Method(method.name, method.epochs, runs)] if runs else []
            comparisons += [dataclasses.replace(comparison, methods=tuple(methods))] if methods else []
        return Survey(tuple(comparisons), _in_order(left_out))


@dataclass(frozen=True)
class Entry:
    """A run and its `config.json`."""

    run: Run
    config: dict[str, Any]

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What runs must share to be compared."""
        config = self.config
        return config["bench"], config["space"], table_identity(config), config.get("scale") or ""

    @property
    def settings(self) -> dict[str, Any]:
        """What seeds of one method must share besides; whether the Hessian by the mixture was measured is not of it."""
        settings = dict(self.config.get("settings") or {})
        if isinstance(hessian := settings.get("hessian"), dict):
            settings["hessian"] = {key: value for key, value in hessian.items() if key != "mixture"}
        return settings

    def is_at_odds(self, other: Entry) -> bool:
        """Whether both cannot be seeds of one method."""
        return self.config["epochs"] != other.config["epochs"] or any(differing(self.settings, other.settings))


def survey(results: Path, read: Callable[[RunFolder], Entry] | None = None) -> Survey:
    """Read every run at or below a folder.

    A results folder inside the one given is another collection: it counts only where the outer one holds no run itself.
    Of seeds of one method that differ in settings or epochs, the largest group that agrees counts.

    Args:
        results: the folder.
        read: reads one run as `read_entry` does, which is the default; another may remember what did not change.

    Raises:
        RunFolderError: the folder does not exist.
    """
    read = read or read_entry
    folders, foreign = find_folders(results)
    left_out = [LeftOut(path, "holds no run") for path in foreign]
    entries: list[Entry] = []
    for folder in folders:
        try:
            entries.append(read(folder))
        except (RunFolderError, UserError) as error:
            left_out.append(LeftOut(folder.path, str(error).removeprefix(str(folder.path)).lstrip(":/ ")))
        except OSError as error:
            left_out.append(LeftOut(folder.path, f"{error.strerror}: {error.filename}"))
    own, inner = outermost(results, [RunFolder(entry.run.path) for entry in entries])
    left_out += [LeftOut(path, INNER) for path in inner]
    kept = {folder.path for folder in own}
    grouped: dict[tuple[str, int, str, str], list[Entry]] = {}
    for entry in entries:
        if entry.run.path in kept:
            grouped.setdefault(entry.key, []).append(entry)
    comparisons = [_compare(grouped[key], left_out) for key in sorted(grouped)]
    return Survey(tuple(comparisons), _in_order(left_out))


def read_entry(folder: RunFolder) -> Entry:
    """One run with its configuration.

    Raises:
        RunFolderError: it is torn, or holds what no search records.
        UserError: its lines are of another table or scale than its configuration.
        OSError: a file cannot be read.
    """
    config = folder.config()
    check_config(folder, config)
    run = read_run(folder, config)
    for key in NUMBERS:
        run.values(key)
    for key in FRACTIONS:
        values = run.values(key)
        for epoch in np.flatnonzero((values < 0) | (values > 1)):
            raise RunFolderError(f"{folder.path}: epoch {epoch}: expected {key} from 0 to 1, got {values[epoch]}")
    return Entry(run, config)


def _compare(entries: list[Entry], left_out: list[LeftOut]) -> Comparison:
    bench, space, _, scale = entries[0].key
    by_method: dict[str, list[Entry]] = {}
    for entry in entries:
        by_method.setdefault(method_name(entry.config), []).append(entry)
    optima = {optimum(entry.config) for entry in entries} - {None}
    return Comparison(
        bench=bench,
        space=space,
        table=table_label(entries[0].config),
        scale=scale,
        methods=tuple(_method(name, by_method[name], left_out) for name in sorted(by_method)),
        optimum=optima.pop() if len(optima) == 1 else None,
        random_search=max((random_search(entry.config) for entry in entries), key=len),
        table_sha256=table_sha256(entries[0].config),
    )


def _method(name: str, entries: list[Entry], left_out: list[LeftOut]) -> Method:
    """The largest group of seeds that agree on settings and epochs; of two as large, the one of more epochs."""
    groups: list[list[Entry]] = []
    for entry in entries:
        group = next((group for group in groups if not group[0].is_at_odds(entry)), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    chosen = max(groups, key=lambda group: (len(group), group[0].config["epochs"]))
    for group in groups:
        if group is not chosen:
            left_out += [LeftOut(entry.run.path, _odds(name, chosen[0], entry)) for entry in group]
    return Method(name, chosen[0].config["epochs"], tuple(_distinct_seeds(chosen, left_out)))


def _distinct_seeds(entries: list[Entry], left_out: list[LeftOut]) -> Iterator[Run]:
    """One run for each seed, the one in the folder that is named for it first."""
    seen: dict[int, Run] = {}
    for run in sorted((entry.run for entry in entries), key=lambda run: (run.path.name != f"seed{run.seed}", run.path)):
        if run.seed in seen:
            left_out.append(LeftOut(run.path, f"seed {run.seed} again, as in {seen[run.seed].path}"))
        else:
            seen[run.seed] = run
    return (seen[seed] for seed in sorted(seen))


def _odds(name: str, kept: Entry, other: Entry) -> str:
    """In what a seed differs from those that count."""
    if kept.config["epochs"] != other.config["epochs"]:
        asked = counted(other.config["epochs"], "epoch")
        return f"asked for {asked}, the seeds of {name} that count for {kept.config['epochs']}"
    names = sorted(differing(kept.settings, other.settings))
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"differs in settings ({listed}) from the seeds of {name} that count"


def _in_order(left_out: list[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted(left_out, key=lambda one: one.path))
