"""From a study file to its tasks: each with the run folder that `harness.run` would use, and all that a process needs.

Planning finds the mistakes before anything starts or is written. It loads data and tables once for each benchmark and
space, and imports the methods, and with them torch.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import MissingDataError, UserError
from harness.launch.grid import plain, variants
from harness.launch.identity import check_same, first_difference
from harness.launch.plan import Loaded, plan_request
from harness.launch.request import Request
from harness.launch.seed import Seed
from harness.records.run_folder import CONFIG, EPOCHS, RunFolder, space_folder
from harness.study.entries import MOST_TASKS, SearchEntry, StudyFile
from harness.study.tables import prepared_table, table_tasks
from harness.study.task import SEARCH, TABLE, Task
from harness.tabulation.making import Prepared


@dataclass(frozen=True)
class Asked:
    """A search of an entry, with the seeds that are left of it.

    Attributes:
        entry: which entry of the file asks for it.
        request: as `harness.run` would make it.
    """

    entry: SearchEntry
    request: Request


@dataclass(frozen=True)
class Expanded:
    """A study whose tasks are planned.

    Attributes:
        file: the study.
        tasks: in the order of the file.
        tables: those that it makes.
    """

    file: StudyFile
    tasks: Sequence[Task]
    tables: Sequence[Prepared] = ()


def expand(study: StudyFile, results: Path, elsewhere: str | None = None, without_data: bool = False) -> Expanded:
    """All tasks of a study.

    Args:
        study: the study.
        results: the results folder.
        elsewhere: the device, cpu or cuda, where tasks run on other machines than this one.
        without_data: load no images and no table, for a list of what would be run; no folder is looked into.

    Raises:
        MissingDataError: all is as it should be, but images or a table are not here.
        UserError: an entry cannot be run as asked, two entries mean one folder with different settings, or a folder
            holds another run.
    """
    loaded = Loaded(without_data)
    seeds: dict[Path, tuple[SearchEntry, Seed]] = {}
    tasks: list[Task] = []
    for asked in requests(study, results):
        for task, seed in planned(study, asked, loaded, elsewhere):
            earlier = seeds.setdefault(seed.path, (asked.entry, seed))
            if earlier[1] is seed:
                tasks.append(task)
            elif difference := first_difference(earlier[1].record, seed.record, "then with"):
                first = earlier[0]
                study.fail(
                    asked.entry,
                    f"means the folder {task.key}, as [[search]] {first.number} in line {first.line} does, but there "
                    f"with {difference}; give one of them a name",
                )
    tables = [prepared_table(study, entry, elsewhere) for entry in study.tables]
    for entry, prepared in zip(study.tables, tables, strict=True):
        tasks += table_tasks(study, entry, prepared)
    if len(tasks) > MOST_TASKS:
        raise UserError(f"{study.path}: expected at most {MOST_TASKS:,} tasks, got {len(tasks):,}")
    return Expanded(study, tasks, tables)


def only_task(
    study: StudyFile, results: Path, kind: str, entry: int, seeds: Callable[[Asked], Sequence[int]]
) -> Expanded:
    """The tasks of some seeds of an entry, or of a table, without planning the others.

    Args:
        study: the study.
        results: the results folder.
        kind: `SEARCH` or `TABLE`.
        entry: number of the entry.
        seeds: those wanted of a search.

    Raises:
        UserError: as `expand`.
    """
    if kind == TABLE:
        tables = [(each, prepared_table(study, each)) for each in study.tables if each.number == entry]
        tasks = [task for each, prepared in tables for task in table_tasks(study, each, prepared)]
        return Expanded(study, tasks, [prepared for _, prepared in tables])
    loaded = Loaded()
    found: list[Task] = []
    for asked in requests(study, results):
        if asked.entry.number == entry and (wanted := seeds(asked)):
            request = replace(asked.request, seeds=wanted)
            found += [task for task, _ in planned(study, Asked(asked.entry, request), loaded)]
    return Expanded(study, found)


def planned(
    study: StudyFile, asked: Asked, loaded: Loaded, elsewhere: str | None = None
) -> Iterator[tuple[Task, Seed]]:
    """The tasks of a search; its folders are held against what it would write there.

    Raises:
        UserError: it cannot be run as asked, or a folder holds another run.
    """
    entry, run = asked.entry, study.run
    try:
        plan = plan_request(asked.request, loaded, several=True, elsewhere=elsewhere)
        for seed in [] if loaded.without_data else plan.seeds:
            check_folder(seed)
    except MissingDataError as error:
        raise MissingDataError(study.said_of(entry, str(error).removeprefix("--"))) from None
    except UserError as error:
        study.fail(entry, str(error).removeprefix("--"))
    record = plan.seeds[0].record
    if entry.rungs and entry.rungs[-1] >= plan.config.epochs:
        study.fail(entry, f"rungs: expected epochs before the last, {plan.config.epochs}, got {entry.rungs[-1]}")
    gpus = 0.0 if plan.seeds[0].device == "cpu" else 1.0 if run.gpus is None else run.gpus
    space = space_folder(record["space"])
    for seed in plan.seeds:
        task = Task(
            key=seed.label,
            kind=SEARCH,
            path=seed.path,
            content=seed.to_json(),
            epochs=seed.epochs,
            group=(record["bench"], space, plan.method, record["scale"], seed.device),
            entry=entry.number,
            priority=entry.priority,
            cpus=max(run.cpus, entry.threads),
            gpus=gpus,
            rungs=entry.rungs,
            race=(str(entry.number), asked.request.optimizer, space) if entry.rungs else (),
            variant=plan.method,
        )
        yield task, seed


def requests(study: StudyFile, results: Path) -> Iterator[Asked]:
    """The searches of a study, as `harness.run` would be asked for them; nothing is loaded for it.

    Raises:
        UserError: a `skip` skips nothing, or an entry skips everything.
    """
    count = 0
    for entry in study.searches:
        used = [False] * len(entry.skip)
        kept = []
        for request in _product(study, entry, results):
            seeds = [seed for seed in request.seeds if not _is_skipped(entry, request, seed, used)]
            if seeds:
                kept.append(Asked(entry, replace(request, seeds=seeds)))
        if False in used:
            skipped = dict(entry.skip[used.index(False)])
            study.fail(entry, f"skip: {skipped} skips nothing of optimizers, spaces, seeds and grid; leave it out")
        if not kept:
            study.fail(entry, "expected a search, but skip leaves none")
        count += sum(len(asked.request.seeds) for asked in kept)
        if count > MOST_TASKS:
            study.fail(entry, f"expected at most {MOST_TASKS:,} tasks, got {count:,} up to here")
        yield from kept


def chosen(tasks: Sequence[Task], patterns: Sequence[str]) -> list[Task]:
    """The tasks whose key has any of some patterns in it, with `*` and `?` for letters; all where there is no pattern.

    Raises:
        UserError: a pattern is of no task.
    """
    if not patterns:
        return list(tasks)
    for pattern in patterns:
        if not any(_has(task, pattern) for task in tasks):
            raise UserError(f"--only: expected part of a run folder such as {tasks[0].key}, got {pattern!r}")
    return [task for task in tasks if any(_has(task, pattern) for pattern in patterns)]


def check_folder(seed: Seed) -> None:
    """Refuse a folder that holds another run.

    Raises:
        UserError: it does; the first difference is named.
    """
    folder = RunFolder(seed.path)
    if (seed.path / CONFIG).exists():
        check_same(seed.path, folder.config(), seed.record, seed.defaults)
    elif (seed.path / EPOCHS).exists():
        raise UserError(f"{seed.path}: holds epochs but no {CONFIG}; move the folder away")


def _product(study: StudyFile, entry: SearchEntry, results: Path) -> Iterator[Request]:
    for optimizer in entry.optimizers:
        for space in entry.spaces:
            request = Request(
                bench=study.bench,
                space=space,
                optimizer=optimizer,
                seeds=entry.seeds,
                epochs=entry.epochs,
                results=results,
                device="cpu" if study.run.gpus == 0 else study.run.device,
                overrides=entry.settings,
                name=entry.name,
                threads=entry.threads,
                judge=entry.judge,
                judge_every=entry.judge_every,
                imports=entry.imports,
                keep=entry.keep,
                command=["python", "-m", "harness.study", *sys.argv[1:]],
            )
            yield from variants(request, entry.grid)


def _is_skipped(entry: SearchEntry, request: Request, seed: int, used: list[bool]) -> bool:
    own = {"optimizer": request.optimizer, "space": str(request.space), "seed": str(seed)}
    told = {**own, **{key: plain(value) for key, value in request.overrides.items()}}
    for index, skipped in enumerate(entry.skip):
        if all(told.get(key) == (value if key == "optimizer" else plain(value)) for key, value in skipped.items()):
            used[index] = True
            return True
    return False


def _has(task: Task, pattern: str) -> bool:
    return fnmatch.fnmatchcase(task.key, f"*{pattern}*")
