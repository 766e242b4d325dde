"""One search: the epoch loop, and what is recorded after every epoch.

Line e of a run folder describes the state after epoch e; line 0 the state before any training, its Hessian taken on the
batch that epoch 1 ends with. (The published code saves the alphas before an epoch's training and logs them with the
epoch's other figures, so that its curve lags by one; it is lines 0 to N - 1.)

A search that early stopping ended after epoch s goes on recording, so that its figures need no special case. From line
s on, `stopped_after` is s, `returned_epoch` is the earlier epoch r whose architecture it returns, and all that the line
says of the architecture and the supernet is what line r says: cell, errors, alphas, validation accuracy and loss. Line
s has the curvature that made it stop and its own training figures; later ones have line r's curvature, and no training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.data.images import Augmentation, EpochDraws, Split, draw_epoch
from harness.errors import UserError
from harness.probes import projection as theory
from harness.probes.hessian import Spectrum, loss_hessian, spectrum
from harness.records.run_folder import Line, RunFolder, write_atomically
from harness.search.settings import ComputeConfig, SearchConfig
from harness.search.steps import PlainSteps, RecordedSteps, Steps
from harness.tables.query import CellNotInTable, CellTable
from optimizers.base import Batch, Optimizer
from optimizers.companions.early_stopping import Stop
from optimizers.randomness import Randomness
from optimizers.registry import Method
from spaces.nb101.coefficients import Mixture
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.space import SearchSpace
from spaces.nb101.supernet import Supernet

CHECKPOINT_FORMAT = 1

LARGE_BATCH = 1000
"""Images in a batch of the validation accuracy on a GPU."""


@dataclass(frozen=True)
class Task:
    """What one seed of a search is about.

    Attributes:
        bench: name of the benchmark.
        space: the search space.
        method: the method.
        config: all settings.
        seed: the seed.
        scale: the network's and the data's size in words, for lines and figures.
        keep: epochs whose checkpoints are kept.
    """

    bench: str
    space: SearchSpace
    method: Method
    config: SearchConfig
    seed: int
    scale: str
    keep: Collection[int] = ()


class Search:
    """One seed of a search, from its first epoch or from a checkpoint to its last.

    Args:
        task: what to search.
        folder: where to record; held by the caller's lock.
        training: the training split, on the device.
        validation: the validation split.
        table: answers for the cells.
        classes: number of classes.
    """

    def __init__(
        self, task: Task, folder: RunFolder, training: Split, validation: Split, table: CellTable, classes: int
    ) -> None:
        self.task, self.folder, self.table = task, folder, table
        self.training, self.validation = training, validation
        config = task.config
        self.randomness = Randomness(task.seed)
        self.augmentation = Augmentation(config.data.padding, config.data.flip, config.data.cutout)
        steps = -(-training.n // config.data.batch_size)
        on_gpu = training.device.type == "cuda"
        if on_gpu:
            compute_as(config.compute)
        supernet = supernet_class(on_gpu, config.compute.fuse)(
            task.space, config.network, training.images.shape[1], classes
        )
        self.optimizer: Optimizer = task.method.optimizer_class(
            supernet,
            config.method,
            epochs=config.epochs,
            steps=steps,
            randomness=self.randomness,
            device=training.device,
            dtype=training.dtype,
            batch_size=config.data.batch_size,
        )
        records = on_gpu and config.compute.capture and self.optimizer.capturable
        self.steps: Steps = (RecordedSteps if records else PlainSteps)(self.optimizer, training, validation)

    @property
    def evaluation_size(self) -> int:
        """Images in a batch of the validation accuracy.

        An image's logits do not depend on the others of its batch, so that a GPU may take more of them at once.
        """
        large = self.validation.device.type == "cuda" and not self.optimizer.samples_mixtures
        return LARGE_BATCH if large else self.task.config.data.batch_size

    def run(
        self, report: Callable[[Line], None] = lambda line: None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Run all epochs that are not recorded, and record each.

        The checkpoint is written before the line and carries it, so that whatever moment the process is killed at, at
        most the epoch in flight is lost.

        Args:
            report: called with every new line.
            stopped: asked before every step; once it says yes, the epoch in flight is given up.

        Raises:
            UserError: the folder's lines and checkpoint do not fit each other.
        """
        epoch = self._restore()
        if epoch is None:
            first = self._measure(0, self._draws("validation", 0), {})
            self._record(0, first)
            report(first)
            epoch = 0
        while epoch < self.task.config.epochs:
            epoch += 1
            line = self._epoch(epoch, stopped)
            if line is None:
                return
            self._record(epoch, line)
            report(line)

    def _epoch(self, epoch: int, stopped: Callable[[], bool]) -> Line | None:
        """Train one epoch, counted from 1, and describe the state after it; None if stopped before its end."""
        optimizer = self.optimizer
        if stop := optimizer.early_stopping.stop:
            return None if stopped() else self._returned(epoch, stop)
        started = time.perf_counter()
        index = epoch - 1
        optimizer.begin_epoch(index)
        training, validation = self._draws("training", index), self._draws("validation", index)
        totals = self.steps.epoch(training, validation, stopped)
        if totals is None:
            return None
        optimizer.end_epoch(lambda: self.validation_batches(index))
        train_loss = float(totals.loss) / self.training.n
        seconds = {"train": time.perf_counter() - started}
        line = self._measure(epoch, validation, seconds)
        return {
            **line,
            "train_loss": _finite(train_loss),
            "train_accuracy": int(totals.correct) / self.training.n,
        }

    def _measure(self, epoch: int, validation: EpochDraws, seconds: dict[str, float]) -> Line:
        """The line of an epoch, its training figures aside."""
        optimizer = self.optimizer
        last = self._last_batch(validation)
        curvature = self._curvature(epoch, last, seconds)
        if stop := optimizer.early_stopping.stop:
            return {**self._returned(epoch, stop), **curvature, "seconds": _rounded(seconds)}
        with _timed(seconds, "validation"):
            weights = optimizer.evaluation_weights(last, refresh=self.task.config.validation.refresh_statistics)
            accuracy, valid_loss = self._validate(epoch, lambda *batch: optimizer.evaluate(weights, *batch))
        with _timed(seconds, "projection"):
            takes_hessian = self.task.config.hessian.mixture and self._takes_hessian(epoch)
            validate_at = functools.partial(self._validate_at, epoch, last)
            projection = theory.measure(optimizer, validate_at, last if takes_hessian else None)
        with _timed(seconds, "table"):
            cell = optimizer.derive()
            answer = self._look_up(cell)
        return {
            "epoch": epoch,
            "bench": self.task.bench,
            "table": self.table.info.label,
            "scale": self.task.scale,
            **cell.to_json(),
            **answer,
            "supernet_valid_accuracy": accuracy,
            "supernet_valid_loss": _finite(valid_loss),
            "train_loss": None,
            "train_accuracy": None,
            **curvature,
            **projection,
            "alphas": [alpha.detach().cpu().tolist() for alpha in optimizer.alphas],
            "seconds": _rounded(seconds),
        }

    def _curvature(self, epoch: int, batch: Batch, seconds: dict[str, float]) -> dict[str, float | None]:
        """The spectrum of the Hessian, None where none is taken or it is not finite; early stopping hears of it."""
        optimizer = self.optimizer
        found: dict[str, float | None] = dict.fromkeys(field.name for field in dataclasses.fields(Spectrum))
        watched = optimizer.early_stopping.watches(epoch)
        if not (optimizer.alphas and (watched or self._takes_hessian(epoch))):
            return found
        with _timed(seconds, "hessian"):
            hessian = loss_hessian(optimizer, batch)
            largest = math.inf
            if torch.isfinite(hessian).all():
                taken = spectrum(hessian, self.task.config.method.alphas.weight_decay)
                found, largest = dataclasses.asdict(taken), taken.lambda_max
        if watched:
            optimizer.early_stopping.observe(epoch, largest, optimizer.alphas)
        return found

    def _takes_hessian(self, epoch: int) -> bool:
        """Whether this epoch is one of the Hessian's, early stopping aside."""
        every = self.task.config.hessian.every
        return bool(every) and (epoch % every == 0 or epoch == self.task.config.epochs)

    def _returned(self, epoch: int, stop: Stop) -> Line:
        """The line of an epoch at or after an early stop, as that of the epoch whose architecture is returned."""
        return {
            **self.folder.epochs()[stop.returned],
            "epoch": epoch,
            "train_loss": None,
            "train_accuracy": None,
            "seconds": {},
            "stopped_after": stop.after,
            "returned_epoch": stop.returned,
        }

    def _look_up(self, cell: Any) -> dict[str, Any]:
        try:
            found = self.table.query(cell)
        except CellNotInTable:
            return {"test_error": None, "valid_error": None, "repeats": 0}
        return {"test_error": found.test_error, "valid_error": found.valid_error, "repeats": found.repeats}

    def _validate(self, epoch: int, logits_of: Callable[[int, Tensor], Tensor]) -> tuple[float, float]:
        """Accuracy and mean loss of the supernet on the validation split, batch norm in evaluation mode.

        Args:
            epoch: whose draws augment the images.
            logits_of: `[batch, classes]` from the number and the images of a batch.
        """
        correct = torch.zeros((), dtype=torch.int64, device=self.validation.device)
        loss = torch.zeros((), dtype=torch.float64, device=self.validation.device)
        with torch.no_grad():
            for index, batch in enumerate(self.validation_batches(epoch, self.evaluation_size)):
                logits = logits_of(index, batch.images)
                correct += (logits.argmax(dim=1) == batch.labels).sum()
                loss += F.cross_entropy(logits, batch.labels, reduction="sum")
        return int(correct) / self.validation.n, float(loss) / self.validation.n

    def _validate_at(self, epoch: int, last: Batch, mixture: Mixture) -> tuple[float, float]:
        """The same at one mixture, which the statistics are refreshed with, too; operations times zero are skipped."""
        optimizer, refresh = self.optimizer, self.task.config.validation.refresh_statistics
        weights = optimizer.refreshed_weights(last, mixture) if refresh else optimizer.supernet.fold(optimizer.weights)
        return self._validate(epoch, lambda _, images: optimizer.supernet(weights, mixture, images, skip_zeros=True))

    def validation_batches(self, epoch: int, size: int | None = None) -> Iterator[Batch]:
        """One pass over the validation split; augmented with draws of its own, as published, or plain."""
        size = size or self.task.config.data.batch_size
        if self.task.config.validation.augment:
            batches = self.validation.batches(dataclasses.replace(self._draws("evaluation", epoch), batch_size=size))
        else:
            batches = self.validation.plain_batches(size)
        for images, labels in batches:
            yield Batch(images, labels)

    def last_validation_batch(self, epoch: int) -> Batch:
        """The batch that the line of an epoch has its Hessian of, and its refreshed statistics."""
        return self._last_batch(self._draws("validation", max(epoch - 1, 0)))

    def _last_batch(self, draws: EpochDraws) -> Batch:
        return Batch(*self.validation.batch(draws, len(draws) - 1))

    def _draws(self, purpose: str, epoch: int) -> EpochDraws:
        split = self.training if purpose == "training" else self.validation
        generator = self.randomness.generator(purpose, epoch)
        draws = draw_epoch(split.n, self.task.config.data.batch_size, generator, self.augmentation)
        return draws.to(split.device)

    def _record(self, epoch: int, line: Line) -> None:
        content = io.BytesIO()
        torch.save(
            {"format": CHECKPOINT_FORMAT, "epoch": epoch, "line": line, "optimizer": self.optimizer.state_dict()},
            content,
        )
        write_atomically(self.folder.checkpoint, content.getvalue())
        # Before the line, so that a search killed in between comes by here again (`_restore`).
        self._keep(epoch)
        self.folder.append(line)

    def _keep(self, epoch: int) -> None:
        """Put a copy of the checkpoint, which is of this epoch, where the next one does not replace it."""
        if epoch in self.task.keep:
            path = self.folder.kept(epoch)
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, self.folder.checkpoint.read_bytes())

    def _restore(self) -> int | None:
        """Load the checkpoint, heal the lines, and give the last recorded epoch; None if there is none."""
        lines = self.folder.heal()
        path = self.folder.checkpoint
        if not path.exists():
            if lines:
                raise UserError(f"{path}: missing, though {len(lines)} epochs are recorded; move the folder away")
            return None
        epoch, line = self.load(path)
        if len(lines) in (epoch, epoch + 1):
            self._keep(epoch)
        if len(lines) == epoch:
            self.folder.append(line)
        elif len(lines) != epoch + 1:
            raise UserError(
                f"{self.folder.path}: the checkpoint is of epoch {epoch}, but {len(lines)} lines are recorded; "
                "move the folder away"
            )
        return epoch

    def load(self, path: Path) -> tuple[int, Line]:
        """Put the optimizer into the state of a checkpoint.

        Returns:
            its epoch, and the line of that epoch.

        Raises:
            UserError: it is not one of this search.
        """
        try:
            saved = torch.load(path, map_location=self.training.device, weights_only=True)
            if saved["format"] != CHECKPOINT_FORMAT:
                raise KeyError("format")
            self.optimizer.load_state_dict(saved["optimizer"])
            return int(saved["epoch"]), saved["line"]
        except Exception as error:
            raise UserError(
                f"{path}: not a checkpoint of this configuration ({type(error).__name__}); move the folder away"
            ) from error


def supernet_class(on_gpu: bool, fuse: bool) -> type[Supernet]:
    """The supernet, or the device's one that does more at once between convolutions."""
    if not fuse:
        return Supernet
    if not on_gpu:
        return DirectSupernet
    try:
        from spaces.nb101.fast.gpu import FusedSupernet
    except ModuleNotFoundError as error:
        if error.name != "triton":
            raise
        raise UserError(
            "compute.fuse: expected Triton, which comes with torch for CUDA on Linux, and found none; "
            "use --set compute.fuse=false"
        ) from None

    return FusedSupernet


def compute_as(compute: ComputeConfig) -> None:
    """Set the arithmetic of convolutions and products on the GPU, and the same algorithms every time."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = compute.precision == "tf32"
    torch.backends.cudnn.deterministic = True


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the seconds of a block to a phase."""
    started = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - started


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {phase: round(value, 6) for phase, value in seconds.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
