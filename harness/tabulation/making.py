"""Makes a table: measures what is missing, and writes what is measured as a TFRecord, its index and its data card.

Nothing in the table depends on the clock, on which jobs ran before or on how often the measurement was stopped.
`python -m harness.tabulate` is the command.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.folder import data_folder
from harness.errors import UserError
from harness.records.files import write_atomically
from harness.tabulation.jobs import JOB_SIZE, Job, Scope, WorkFolder, plan_jobs
from harness.tabulation.measuring import CUDA_WORKERS, measure
from harness.tabulation.training import Recipe, Splits, check_width

if TYPE_CHECKING:
    from harness.data.arrays import ImageArrays
    from harness.tables.index import IndexInfo
    from spaces.nb101.cell import Cell

EXIT_INTERRUPTED = 130

CARD_START = b"# Data card: "


@dataclass(frozen=True)
class Tabulation:
    """What table is wanted, and how it is measured.

    Attributes:
        images: the benchmark whose images are used, by name or file.
        space: number of the search space.
        repeats: trainings of each cell.
        cells: a file that names cells to train instead of the whole space.
        first: train the first so many cells only.
        label: what results call the table; the benchmark's name by default.
        recipe: how cells are trained.
        out: the index to write; by default in the data folder.
        work: where measurements collect; by default beside the index.
        together: cells of a job.
        workers: processes; by default one a core, or as many as share a GPU.
        device: `cpu` or `cuda`.
        stop_after: minutes after which measuring stops.
        write_only: measure nothing more.
        measure_only: write no table.
    """

    images: str = "digits"
    space: int = 1
    repeats: int = 3
    cells: Path | None = None
    first: int | None = None
    label: str | None = None
    recipe: Recipe = field(default_factory=Recipe)
    out: Path | None = None
    work: Path | None = None
    together: int = JOB_SIZE
    workers: int | None = None
    device: str = "cpu"
    stop_after: float | None = None
    write_only: bool = False
    measure_only: bool = False

    def command(self) -> str:
        """The command that measures the same table, without what does not matter to it."""
        chosen = {name: getattr(self, name) for name in ("images", "cells", "space", "repeats", "first", "label")}
        recipe = dataclasses.asdict(self.recipe)
        changed = {name: value for name, value in recipe.items() if value != getattr(Recipe(), name)}
        given = {name: value for name, value in {**chosen, **changed}.items() if value is not None}
        return " ".join(
            ["python -m harness.tabulate", *(f"--{name.replace('_', '-')} {value}" for name, value in given.items())]
        )


def tabulate(wanted: Tabulation) -> int:
    """Measure what is missing, then write the table; prints what there is in the end.

    Returns:
        0, or 130 after Ctrl-C.

    Raises:
        UserError: something wanted is out of its range, the work folder belongs to another recipe, the images cannot
            be loaded, or a worker was killed.
        OSError: a file cannot be written.
    """
    prepared = prepare(wanted)
    prepared.claim()
    if not wanted.write_only and not _measured(wanted, prepared):
        return EXIT_INTERRUPTED
    if wanted.measure_only:
        print(f"{prepared.folder.path}: {len(prepared.folder.done())} of {len(prepared.jobs)} jobs")
        return 0
    write_result(prepared)
    return 0


@dataclass(frozen=True)
class Prepared:
    """A table before its first measurement.

    Attributes:
        wanted: what is wanted.
        cells: the cells to train.
        scope: what they are of.
        label: what results call the table.
        out: the index to write.
        arrays: the images.
        splits: the images as cells are trained on them.
        jobs: all jobs, in the order of the table.
        folder: where measurements collect.
    """

    wanted: Tabulation
    cells: Sequence[Cell] = field(repr=False)
    scope: Scope
    label: str
    out: Path
    arrays: ImageArrays = field(repr=False)
    splits: Splits = field(repr=False)
    jobs: Sequence[Job] = field(repr=False)
    folder: WorkFolder

    def check(self) -> None:
        """Check that the work folder is free, or was taken for the same.

        Raises:
            UserError: it holds other measurements.
        """
        self.folder.check(self.wanted.recipe, self.arrays.name, self.cells, self.wanted.together)

    def claim(self) -> None:
        """Take the work folder; same errors as `check`."""
        self.folder.claim(self.wanted.recipe, self.arrays.name, self.cells, self.wanted.together)


def prepare(wanted: Tabulation, elsewhere: bool = False) -> Prepared:
    """Load what a table takes, and find what is wrong with it; writes nothing.

    Args:
        wanted: the table.
        elsewhere: whether it is measured on other machines, so that this one needs no such device.

    Raises:
        UserError: something wanted is out of its range, or the images cannot be loaded.
    """
    from harness.benchmarks.registry import get_benchmark

    recipe, benchmark = wanted.recipe, get_benchmark(wanted.images)
    cells, scope = _cells_and_scope(wanted)
    label, out = _label_and_out(wanted, benchmark.name)
    work = wanted.work or out.with_name(f"tabulate-{out.stem}")
    if not elsewhere:
        _check_device(wanted.device)
    _check_replaceable(out)
    check_width(recipe, cells)
    arrays = benchmark.images()
    splits = Splits.of(arrays)
    if recipe.batch_size > len(splits.images["train"]):
        raise UserError(
            f"batch size: expected at most the {len(splits.images['train'])} training images, got {recipe.batch_size}"
        )
    jobs = plan_jobs(cells, wanted.repeats, wanted.together)
    return Prepared(wanted, cells, scope, label, out, arrays, splits, jobs, WorkFolder(work))


def write_result(prepared: Prepared) -> None:
    """Write what is measured as a table with its index and its data card, and say what it holds.

    Raises:
        UserError: nothing is measured, or a measurement is damaged.
        OSError: a file cannot be written.
    """
    from harness.tabulation.data_card import Measurements, data_card

    wanted, folder, jobs, out = prepared.wanted, prepared.folder, prepared.jobs, prepared.out
    if not folder.done():
        raise UserError(f"{folder.path}: nothing measured yet; run again without --write-only, or with more time")
    if unchecked := folder.unchecked(jobs):
        print(
            f"{folder.path}: {unchecked} of {len(folder.done())} jobs have no checksum, since an earlier version "
            "measured them; they were held against the plan alone",
            file=sys.stderr,
        )
    info = write_table(folder, jobs, wanted.recipe, out, prepared.label, prepared.scope)
    measurements = Measurements.of(folder, jobs)
    arrays, scope = prepared.arrays, prepared.scope
    card = data_card(info, measurements, wanted.recipe, prepared.splits, arrays.name, scope, wanted.command())
    write_atomically(out.with_suffix(".md"), card.encode())
    print(
        f"{out}: {info.cells} of {len(prepared.cells)} cells, {info.records} of "
        f"{len(prepared.cells) * wanted.repeats} trainings, {info.label}"
    )


def _measured(wanted: Tabulation, prepared: Prepared) -> bool:
    """Measure until all is done or the time is over; False after Ctrl-C."""
    folder = prepared.folder
    workers = wanted.workers or (os.cpu_count() or 1 if wanted.device == "cpu" else CUDA_WORKERS)
    limit = None if wanted.stop_after is None else 60 * wanted.stop_after
    try:
        complete = measure(prepared.jobs, folder, wanted.recipe, prepared.splits, workers, wanted.device, limit)
    except KeyboardInterrupt:
        print(f"interrupted; {folder.path} keeps what is measured, and the same command goes on", file=sys.stderr)
        return False
    if not complete:
        print(
            f"stopped after {wanted.stop_after:g} minutes; {folder.path} keeps what is measured, and the same command "
            "goes on",
            file=sys.stderr,
        )
    return True


def write_table(
    folder: WorkFolder, jobs: Sequence[Job], recipe: Recipe, out: Path, label: str, scope: Scope
) -> IndexInfo:
    """Write what is measured so far as a TFRecord in the official format, and its index.

    Accuracies at half the budget are not measured; as for epoch 0, the record holds zeros there.

    Args:
        folder: the measurements.
        jobs: all jobs, in the order of the table.
        recipe: how cells were trained.
        out: path of the index; the TFRecord lies beside it, with the ending `.tfrecord`.
        label: what results call the table; if cells are missing, it goes on to say how many there are.
        scope: what they are missing from.
    """
    from harness.tables.indexing import build_index
    from harness.tables.tfrecord import Evaluation, Record, encode_record, write_tfrecord

    def records() -> Iterator[bytes]:
        for measured in folder.read(jobs):
            final = Evaluation(
                epoch=recipe.epochs,
                training_time=measured["training_time"],
                train_accuracy=measured["train_accuracy"],
                validation_accuracy=measured["validation_accuracy"],
                test_accuracy=measured["test_accuracy"],
            )
            record = Record(
                hash=measured["hash"],
                epochs=recipe.epochs,
                matrix=tuple(map(tuple, measured["matrix"])),
                ops=tuple(measured["ops"]),
                halfway=Evaluation(),
                final=final,
                trainable_parameters=measured["trainable_parameters"],
                total_time=measured["training_time"],
            )
            yield encode_record(record)

    source = out.with_suffix(".tfrecord")
    write_tfrecord(source, records())
    done = folder.done()
    measured = {cell.hash for job in jobs if job.number in done for cell in job.cells}
    if len(measured) < scope.cells:
        label = f"{label} ({len(measured):,} of {scope.cells:,} cells of {scope.name})"
    return build_index(source, out, label=label)


def _cells_and_scope(wanted: Tabulation) -> tuple[list[Cell], Scope]:
    from harness.tabulation.cell_list import read_cells
    from spaces.nb101.space import get_space

    space = get_space(wanted.space)
    if wanted.cells is None:
        name, cells = f"space {wanted.space}", space.cells()
    else:
        name, cells = wanted.cells.name, read_cells(wanted.cells, space)
    return cells[: wanted.first], Scope(name, len(cells))


def _label_and_out(wanted: Tabulation, benchmark: str) -> tuple[str, Path]:
    label = wanted.label or benchmark
    if "".join(filter(str.isalnum, label)).lower() in ("nb101", "nasbench101"):
        raise UserError(f"--label: what is measured here is not NAS-Bench-101, so expected another name, got {label!r}")
    of = f"space{wanted.space}" if wanted.cells is None else wanted.cells.stem
    out = wanted.out or data_folder() / f"{label}_{of}.index"
    if out.suffix == ".tfrecord":
        raise UserError(f"--out: expected the path of the index, got {out}; the .tfrecord comes beside it")
    return label, out


def _check_replaceable(out: Path) -> None:
    """Refuse to write over an index, a TFRecord or a data card what is none.

    Raises:
        UserError: there is such a file.
    """
    from harness.tables.open import check_replaceable
    from harness.tables.tfrecord import is_tfrecord

    check_replaceable(out)
    source, card = out.with_suffix(".tfrecord"), out.with_suffix(".md")
    if source.exists() and not is_tfrecord(source):
        raise UserError(f"{source}: is there, and is no TFRecord, so it is not overwritten; give another --out")
    if card.exists() and not (card.is_file() and card.read_bytes()[: len(CARD_START)] in (CARD_START, b"")):
        raise UserError(f"{card}: is there, and is no data card, so it is not overwritten; give another --out")


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: torch finds no CUDA device here; expected one, or --device cpu")
