"""The tables of a study: units of `harness.tabulate` as tasks, and the table that is written once all are measured."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import UserError
from harness.study.entries import StudyFile, TableEntry
from harness.study.task import TABLE, Task
from harness.tabulation.making import Prepared, Tabulation, prepare, write_result
from harness.tabulation.training import Recipe
from harness.tabulation.units import units


def prepared_table(study: StudyFile, entry: TableEntry, elsewhere: str | None = None) -> Prepared:
    """A table of a study before its first measurement.

    Args:
        study: the study.
        entry: the table.
        elsewhere: the device, cpu or cuda, where tasks run on other machines than this one.

    Raises:
        UserError: the table cannot be made as asked, or its work folder holds another.
    """
    try:
        wanted = Tabulation(
            images=entry.images,
            space=entry.space,
            repeats=entry.repeats,
            cells=entry.cells,
            first=entry.first,
            label=entry.label,
            recipe=Recipe(**entry.recipe),
            out=entry.out,
            device=elsewhere or _device(study),
        )
        prepared = prepare(wanted, elsewhere is not None)
        prepared.check()
    except (UserError, TypeError) as error:
        study.fail(entry, str(error).removeprefix("--"))
    return prepared


def table_tasks(study: StudyFile, entry: TableEntry, prepared: Prepared) -> list[Task]:
    """The units of a table, as tasks."""
    device = prepared.wanted.device
    gpus = 0.0 if device == "cpu" else 1.0 if study.run.gpus is None else study.run.gpus
    return [
        Task(
            key=f"tables/{prepared.out.stem}/unit{number:05d}",
            kind=TABLE,
            path=prepared.folder.path,
            content=content,
            jobs=jobs,
            group=("tables", prepared.out.stem, device),
            entry=entry.number,
            priority=entry.priority,
            cpus=study.run.cpus,
            gpus=gpus,
        )
        for number, (jobs, content) in enumerate(units(prepared))
    ]


def write_measured(tables: Sequence[Prepared]) -> None:
    """Write the tables that are measured as a whole, and say what they hold.

    Raises:
        UserError: a measurement is damaged.
        OSError: a file cannot be written.
    """
    for prepared in tables:
        if len(prepared.folder.done()) == len(prepared.jobs):
            write_result(prepared)


def _device(study: StudyFile) -> str:
    from harness.search.setup import known_device

    return known_device("cpu" if study.run.gpus == 0 else study.run.device)
