"""All runs at or below a folder, taken as they are: what belongs together, and what was left out and why.

Nothing is fatal: runs of different benchmarks, spaces, tables or scales form comparisons of their own, and a folder
that is torn, foreign or at odds with the rest is listed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.records.config import differing, read_config
from harness.records.run_folder import RunFolder, RunFolderError, find_folders, space_order
from plots.runs.cache import Cache, default_folder
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.reading import Entry, Key
from plots.runs.records import INNER, Comparison, Method, Run, counted, outermost


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
        passed_over: methods that were not picked, by name.
    """

    comparisons: tuple[Comparison, ...]
    left_out: tuple[LeftOut, ...]
    passed_over: tuple[str, ...] = ()

    def check(self, picking: Picking) -> None:
        """Refuse a pattern that picks none of the methods, where there is any run.

        Raises:
            UserError: one picks none.
        """
        picked = {method.name for one in self.comparisons for method in one.methods}
        if picked or self.passed_over:
            picking.check(picked, self.passed_over)

    def benchmarks(self) -> list[list[Comparison]]:
        """The spaces of one benchmark, table and scale together, in order.

        Two tables of one name for one space, which nothing may pool, stay apart.
        """
        benchmarks: list[list[Comparison]] = []
        for comparison in self.comparisons:
            for spaces in benchmarks:
                same = (spaces[0].bench, spaces[0].table, spaces[0].scale) == (
                    comparison.bench,
                    comparison.table,
                    comparison.scale,
                )
                if same and comparison.space not in {other.space for other in spaces}:
                    spaces.append(comparison)
                    break
            else:
                benchmarks.append([comparison])
        return benchmarks

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
        return Survey(tuple(comparisons), _in_order(left_out), self.passed_over)


def survey(results: Path, read: Callable[[RunFolder], Entry] | None = None, picking: Picking = EVERYTHING) -> Survey:
    """Read every run at or below a folder.

    A results folder inside the one given is another collection: it counts only where the outer one holds no run itself.
    Of seeds of one method that differ in settings or epochs, the largest group that agrees counts.

    Args:
        results: the folder.
        read: reads one run as `plots.runs.reading.read_entry` does; by default what did not change since it was read
            last is taken from the cache.
        picking: which methods are read; the others are passed over.

    Raises:
        RunFolderError: the folder does not exist.
    """
    if read is None:
        cache = Cache(default_folder())
        found = survey(results, cache.read, picking)
        cache.save()
        return found
    folders, foreign = find_folders(results, picking.runs)
    left_out = [LeftOut(path, "holds no run") for path in foreign]
    entries: list[Entry] = []
    passed_over: dict[Path, str] = {}
    for folder in folders:
        try:
            if not picking.is_everything and not picking.picks(name := read_config(folder).method):
                passed_over[folder.path] = name
                continue
            entries.append(read(folder))
        except (RunFolderError, UserError) as error:
            left_out.append(LeftOut(folder.path, str(error).removeprefix(str(folder.path)).lstrip(":/ ")))
        except OSError as error:
            left_out.append(LeftOut(folder.path, f"{error.strerror}: {error.filename}"))
        # Whatever a file from elsewhere makes of its reader, the other runs are read.
        except Exception as error:
            left_out.append(LeftOut(folder.path, f"cannot be read ({type(error).__name__}: {error})"))
    own, inner = outermost(results, [RunFolder(path) for path in (*passed_over, *(one.run.path for one in entries))])
    left_out += [LeftOut(path, INNER) for path in inner]
    kept = {folder.path for folder in own}
    grouped: dict[Key, list[Entry]] = {}
    for entry in entries:
        if entry.run.path in kept:
            grouped.setdefault(entry.key, []).append(entry)
    comparisons = [_compare(grouped[key], left_out) for key in sorted(grouped, key=_key_order)]
    names = {name for path, name in passed_over.items() if path in kept}
    return Survey(tuple(comparisons), _in_order(left_out), tuple(sorted(names)))


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
    """The largest group of seeds that agree on settings and epochs; of two as large, the one of more epochs.

    Seeds that have recorded something come before any that has not, as one that failed at its start.
    """
    groups: list[list[Entry]] = []
    for entry in entries:
        group = next((group for group in groups if not group[0].is_at_odds(entry)), None)
        if group is None:
            groups.append([entry])
        else:
            group.append(entry)
    begun = {id(group): sum(bool(entry.run.recorded) for entry in group) for group in groups}
    chosen = max(groups, key=lambda group: (begun[id(group)], len(group), group[0].config.epochs))
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
