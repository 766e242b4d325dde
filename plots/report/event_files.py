"""Event files for TensorBoard: what the epoch lines hold, a log folder for each run.

PyTorch's own writer does it, with the `tensorboard` package (the extra of that name). The step is the epoch. The time
of an event is the run's start and the seconds its lines recorded since, so that TensorBoard's relative axis is the
search's.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.records.line import as_number
from harness.records.run_folder import Line, RunFolder, RunFolderError
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.records import Run
from plots.runs.survey import survey

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

#: entries of a line whose numbers are no quantities
NO_SCALARS = ("epoch", "architecture")
#: how our files end; those of an earlier call are replaced, others are left alone
SUFFIX = ".harness"


def write_event_files(results: Path, out: Path, picking: Picking = EVERYTHING) -> Iterator[Path]:
    """Write a log folder `out`/<bench>/<space>/<method>/seed<i> for every run, unfinished ones included.

    Yields:
        each folder, when it is written.

    Raises:
        UserError: the extra is missing, `out` is a file, there is no run, or two runs would share a folder.
        RunFolderError: there is no such results folder.
    """
    writer = _writer()
    if out.exists() and not out.is_dir():
        raise UserError(f"--tensorboard: expected a folder, got the file {out}")
    runs: dict[Path, Run] = {}
    found = survey(results, picking=picking)
    found.check(picking)
    for one in found.comparisons:
        for method in one.methods:
            for run in method.runs:
                names = one.bench, one.folder, method.name, f"seed{run.seed}"
                folder = out.joinpath(*map(_folder_name, names))
                if folder in runs:
                    raise UserError(f"{runs[folder].path} and {run.path} would both be {folder}; write each by itself")
                runs[folder] = run
    if not runs:
        raise UserError(f"{results}: holds no run whose lines can be written")
    for folder, run in runs.items():
        _write(writer, folder, run)
        yield folder


def scalars(line: Line) -> dict[str, float]:
    """Every finite number of a line by its name, those of nested entries as `seconds/train`."""
    found = {}
    for name, value in line.items():
        for key, entry in value.items() if isinstance(value, dict) else [("", value)]:
            number = as_number(entry)
            if number is not None and math.isfinite(number) and name not in NO_SCALARS:
                found[f"{name}/{key}" if key else name] = number
    return found


def _writer() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"--tensorboard needs the tensorboard package ({error}); pip install 'one-shot-nas-harness[tensorboard]'"
        ) from None
    return SummaryWriter


def _write(writer_class: type[SummaryWriter], folder: Path, run: Run) -> None:
    earlier = sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))
    writer = writer_class(str(folder), filename_suffix=SUFFIX)
    # Whole lines, one run at a time: event files hold entries that are in no column.
    lines = RunFolder(run.path).epochs()
    for line, when in zip(lines, _times(run, lines), strict=True):
        for name, value in scalars(line).items():
            writer.add_scalar(name, value, line["epoch"], walltime=when)
    writer.close()
    for path in earlier:
        path.unlink()


def _times(run: Run, lines: Sequence[Line]) -> list[float]:
    """When each line was recorded, in seconds since 1970 as far as the lines tell."""
    spent = (
        sum(value for name, value in scalars(line).items() if name.startswith("seconds/") and value > 0)
        for line in lines
    )
    return list(itertools.accumulate(spent, initial=_start(run)))[1:]


def _folder_name(name: str) -> str:
    """A name from a configuration, which is anybody's, as the name of one folder."""
    return "_" if name in ("", ".", "..") else name.replace("/", "_").replace("\0", "_")


def _start(run: Run) -> float:
    try:
        started = RunFolder(run.path).environment()["starts"][0]["started"]
        return datetime.datetime.fromisoformat(started).timestamp()
    except (OSError, RunFolderError, LookupError, TypeError, ValueError):
        return 0.0
