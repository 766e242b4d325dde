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

from harness.errors import UserError
from harness.records.catalogue import catalogue
from harness.records.config import Config, differing, read_config
from harness.records.line import DIVERGED
from harness.records.run_folder import RunFolder, RunFolderError, SpaceLabel, find_folders, space_order
from plots.runs.records import INNER, Comparison, Method, Run, counted, outermost, read_run


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


Key = tuple[str, SpaceLabel, str, str]
"""Benchmark, space, table and scale: what runs must share to be compared."""


@dataclass(frozen=True)
class Entry:
    """A run and its configuration."""

    run: Run
    config: Config

    @property
    def key(self) -> Key:
        """What runs must share to be compared."""
        return self.config.bench, self.config.space, self.config.table_identity, self.config.scale or ""

    @property
    def settings(self) -> dict[str, Any]:
        """What seeds of one method must share besides; whether the Hessian by the mixture was measured is not of it."""
        settings = self.config.settings
        if isinstance(hessian := settings.get("hessian"), dict):
            settings["hessian"] = {key: value for key, value in hessian.items() if key != "mixture"}
        return settings

    def is_at_odds(self, other: Entry) -> bool:
        """Whether both cannot be seeds of one method."""
        return self.config.epochs != other.config.epochs or any(differing(self.settings, other.settings))


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
    grouped: dict[Key, list[Entry]] = {}
    for entry in entries:
        if entry.run.path in kept:
            grouped.setdefault(entry.key, []).append(entry)
    comparisons = [_compare(grouped[key], left_out) for key in sorted(grouped, key=_key_order)]
    return Survey(tuple(comparisons), _in_order(left_out))


def read_entry(folder: RunFolder) -> Entry:
    """One run with its configuration.

    Raises:
        RunFolderError: it is torn or has diverged, or holds what no search records.
        UserError: its lines are of another table or scale than its configuration.
        OSError: a file cannot be read.
    """
    config = read_config(folder)
    run = read_run(folder, config)
    if run.lines and (what := run.lines[-1].get(DIVERGED)):
        raise RunFolderError(f"{folder.path}: diverged ({what})")
    for quantity in catalogue(config.quantities).values():
        for epoch, line in enumerate(run.lines):
            if damage := quantity.damage(line):
                raise RunFolderError(f"{folder.path}: epoch {epoch}: {damage}")
    return Entry(run, config)


def _key_order(key: Key) -> tuple[str, tuple[int, int, str], str, str]:
    bench, space, table, scale = key
    return bench, space_order(space), table, scale


def _compare(entries: list[Entry], left_out: list[LeftOut]) -> Comparison:
    bench, space, _, scale = entries[0].key
    by_method: dict[str, list[Entry]] = {}
    for entry in entries:
        by_method.setdefault(entry.config.method, []).append(entry)
    optima = {entry.config.optimum for entry in entries} - {None}
    further = {quantity.name: quantity for entry in reversed(entries) for quantity in entry.config.quantities}
    return Comparison(
        bench=bench,
        space=space,
        table=entries[0].config.table,
        scale=scale,
        methods=tuple(_method(name, by_method[name], left_out) for name in sorted(by_method)),
        optimum=optima.pop() if len(optima) == 1 else None,
        random_search=max((entry.config.random_search for entry in entries), key=len),
        table_sha256=entries[0].config.table_sha256,
        judge_kind=entries[0].config.judge_kind,
        further=tuple(further[name] for name in sorted(further)),
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
    chosen = max(groups, key=lambda group: (len(group), group[0].config.epochs))
    for group in groups:
        if group is not chosen:
            left_out += [LeftOut(entry.run.path, _odds(name, chosen[0], entry)) for entry in group]
    return Method(name, chosen[0].config.epochs, tuple(_distinct_seeds(chosen, left_out)))


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
    if kept.config.epochs != other.config.epochs:
        asked = counted(other.config.epochs, "epoch")
        return f"asked for {asked}, the seeds of {name} that count for {kept.config.epochs}"
    names = sorted(differing(kept.settings, other.settings))
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"differs in settings ({listed}) from the seeds of {name} that count"


def _in_order(left_out: list[LeftOut]) -> tuple[LeftOut, ...]:
    return tuple(sorted(left_out, key=lambda one: one.path))
