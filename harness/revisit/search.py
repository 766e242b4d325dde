"""A recorded search revisited: the state it had after an epoch, from a checkpoint, and its supernet at other mixtures.

The search is built by the function that `harness.run` builds it with, from the run folder's record alone, so that the
supernet sees the images, the augmentation and the batch norm statistics with which the epoch's accuracy was recorded.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from harness.benchmarks.registry import BENCHMARKS, get_benchmark
from harness.errors import UserError
from harness.judges.none import NoJudge
from harness.records.config import check_config, table_sha256
from harness.records.run_folder import Line, RunFolder, RunFolderError
from harness.search.loop import Search
from harness.search.measuring import stop_of
from harness.search.settings import ProbesConfig, recorded
from harness.search.setup import build, known_device, known_method, known_space
from harness.tables.query import Table
from spaces.base import Pass
from spaces.mixture import Mixture

Statistics = Literal["stored", "batch"]


@dataclass(frozen=True)
class Revisited:
    """A search as it was after an epoch.

    Attributes:
        folder: its folder.
        record: what the folder's `config.json` holds.
        epoch: the epoch; 0 is before any training.
        line: what was recorded of it.
        search: the search; its optimizer has the weights and the alphas of then.
        table: the run's table, or None where its space has none.
        checkpoint_sha256: of the checkpoint.
    """

    folder: RunFolder
    record: dict[str, Any]
    epoch: int
    line: Line
    search: Search
    table: Table | None
    checkpoint_sha256: str


@dataclass(frozen=True)
class Measured:
    """What the supernet does on the validation split at one mixture.

    Attributes:
        accuracy: the task's score, of images the share that it classifies right.
        loss: mean loss.
    """

    accuracy: float
    loss: float


def checkpoints(folder: RunFolder) -> dict[int, Path]:
    """Epoch -> its checkpoint, ascending: those that were kept, and the one to resume from, of the last epoch."""
    paths = {epoch: folder.kept(epoch) for epoch in folder.kept_epochs()}
    lines = folder.epochs()
    if lines and folder.checkpoint.exists():
        paths.setdefault(len(lines) - 1, folder.checkpoint)
    return dict(sorted(paths.items()))


def revisit(
    folder: RunFolder,
    epoch: int | None = None,
    *,
    bench: str | None = None,
    device: str = "auto",
    optimizer: str | None = None,
    space: str | None = None,
) -> Revisited:
    """A search as it was after an epoch.

    Args:
        folder: the run's.
        epoch: None for the last one that has a checkpoint.
        bench: the benchmark, where the run's own came from a TOML file.
        optimizer: the method as `module:Class`, where the run's is of a module. A folder may come from anywhere, so
            that no module is imported because its record names it.
        space: the space as `module:NAME`, where the run's is of a module.
        device: auto, cpu or cuda. Only on the device that the search ran on do numbers repeat to the bit.

    Raises:
        UserError: there is no such checkpoint, or benchmark, images or table are not the run's.
        RunFolderError: the folder is none, or is damaged.
    """
    record = _checked(folder)
    _check_code(folder, record, optimizer)
    searched = known_space(space or record["space"])
    if searched.label != record["space"]:
        raise UserError(f"{folder.path}: is a run in space {record['space']}, --space names {searched.label}")
    epoch, path = _checkpoint(folder, epoch)
    benchmark = get_benchmark(bench or _built_in(folder, record))
    if benchmark.name != record["bench"]:
        raise UserError(f"{folder.path}: is a run on {record['bench']}, --bench names {benchmark.name}")
    table = benchmark.table(record["space"]) if record["space"] in benchmark.table_spaces else None
    if table and table.info.source_sha256 != table_sha256(record):
        raise UserError(
            f"{folder.path}: its table had SHA-256 {table_sha256(record)[:12]}..., that of {benchmark.name} now has "
            f"{table.info.source_sha256[:12]}...; put the run's table back"
        )
    method = known_method(record["optimizer"])
    config = recorded(method, searched, record["settings"], record["epochs"])
    # What is measured here needs none of the probes that the run had, which may be of modules, too.
    config = dataclasses.replace(config, probes=ProbesConfig())
    search = build(folder, record, benchmark.images(), method, searched, config, NoJudge(), known_device(device))
    if epoch:
        # What an epoch draws and its schedules are not in the checkpoint; weights, alphas and all else are.
        search.optimizer.begin_epoch(epoch - 1)
    loaded, line = search.load(path)
    if loaded != epoch:
        raise UserError(f"{path}: expected the checkpoint of epoch {epoch}, got that of {loaded}; resume the run first")
    if (stop := stop_of(search.optimizer)) and epoch >= stop.after:
        raise UserError(
            f"{path}: the search had stopped early after epoch {stop.after}, and its line {epoch} is of the weights of "
            f"epoch {stop.returned}, which are not in it; ask for an epoch before {stop.after}"
        )
    return Revisited(folder, record, epoch, line, search, table, hashlib.sha256(path.read_bytes()).hexdigest())


class ValidationPass:
    """The supernet on the validation split as an epoch's line was measured, at any mixtures.

    Weights and statistics are the same for all mixtures: those of the line's accuracy, batch norm's statistics
    refreshed by the search's own mixture where the run's settings say so. With `batch` each batch is normalised by its
    own statistics instead, at the mixture in question.

    Args:
        then: the search.
        statistics: `stored` or `batch`.
    """

    def __init__(self, then: Revisited, statistics: Statistics = "stored") -> None:
        self.search, self.epoch = then.search, then.epoch
        self.optimizer, self.supernet = then.search.optimizer, then.search.optimizer.supernet
        self.training = statistics == "batch"
        self.weights: Any = self.optimizer.weights.frozen()
        if not self.training:
            self.weights = self.optimizer.evaluation_weights(
                self.search.last_validation_batch(self.epoch),
                refresh=self.search.config.validation.refresh_statistics,
            )

    def stems(self, size: int) -> Iterator[tuple[Any, Tensor]]:
        """What no mixture changes of each batch (`Network.stem`), and its targets.

        Args:
            size: images in a batch.
        """
        for batch in self.search.validation_batches(self.epoch, size):
            with torch.no_grad():
                stem = self.supernet.stem(self.weights, batch.inputs, Pass(self.training, update_statistics=False))
            yield stem, batch.targets

    @torch.no_grad()
    def measure(self, mixtures: Sequence[Mixture], skip_zeros: bool | None = None) -> list[Measured]:
        """Accuracy and loss at each mixture, in one pass over the images that computes each batch's stem once.

        Args:
            mixtures: coefficients of all cells, or of each.
            skip_zeros: leave out operations times zero; None for as the method does.
        """
        skip_zeros = self.optimizer.skips_operations if skip_zeros is None else skip_zeros
        device, task = self.optimizer.device, self.optimizer.task
        key = torch.zeros((), dtype=torch.int64, device=device)
        how = Pass(self.training, update_statistics=False, skip_zeros=skip_zeros, noise=key)
        score = torch.zeros(len(mixtures), dtype=torch.float64, device=device)
        loss = torch.zeros(len(mixtures), dtype=torch.float64, device=device)
        size = self.search.validation.batch_size if self.training else self.search.evaluation_size
        for stem, targets in self.stems(size):
            for index, mixture in enumerate(mixtures):
                outputs = self.supernet.after_stem(self.weights, mixture, stem, how)
                score[index] += task.total_score(outputs, targets)
                loss[index] += task.total_loss(outputs, targets)
        n = self.search.validation.count
        return [Measured(right / n, total / n) for right, total in zip(score.tolist(), loss.tolist(), strict=True)]


def _checked(folder: RunFolder) -> dict[str, Any]:
    """A run's record, with all that a search is built from."""
    record = folder.config()
    check_config(folder, record)
    for key in ("table", "scale", "settings", "threads"):
        if key not in record:
            raise RunFolderError(f"{folder.path}: config.json lacks {key}, which rebuilding the search takes")
    return record


def _check_code(folder: RunFolder, record: dict[str, Any], optimizer: str | None) -> None:
    """Refuse a run whose method is of a module that the user has not named.

    Raises:
        UserError: it is.
    """
    if ":" in str(record["space"]):
        raise UserError(f"{folder.path}: its space is {record['space']!r}, whose module would be imported and run")
    recorded_name = str(record["optimizer"])
    if ":" in recorded_name and optimizer != recorded_name:
        raise UserError(
            f"{folder.path}: its method is {recorded_name!r}, whose module would be imported and run; if you trust it, "
            f"give --optimizer {recorded_name}"
        )


def _checkpoint(folder: RunFolder, epoch: int | None) -> tuple[int, Path]:
    paths = checkpoints(folder)
    if not paths:
        raise UserError(
            f"{folder.path}: holds no checkpoint; expected one that `harness.run` left (published records have none)"
        )
    epoch = max(paths) if epoch is None else epoch
    if epoch not in paths:
        raise UserError(
            f"{folder.path}: no checkpoint of epoch {epoch}, only of {', '.join(map(str, paths))}; "
            f"`harness.run --keep {epoch}` keeps one in a new run"
        )
    return epoch, paths[epoch]


def _built_in(folder: RunFolder, record: dict[str, Any]) -> str:
    name = str(record["bench"])
    if name not in {bench.name for bench in BENCHMARKS}:
        raise UserError(f"{folder.path}: its benchmark {name} came from a file; give that as --bench FILE.toml")
    return name
