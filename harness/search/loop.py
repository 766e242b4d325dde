"""One search: the epoch loop, and what is recorded after every epoch.

Line e of a run folder describes the state after epoch e; line 0 the state before any training, its Hessian taken on the
batch that epoch 1 ends with. (The published code saves the alphas before an epoch's training and logs them with the
epoch's other figures, so that its curve lags by one; it is lines 0 to N - 1.)

A search that early stopping ended after epoch s goes on recording, so that its figures need no special case. From line
s on, `stopped_after` is s, `returned_epoch` is the earlier epoch r whose architecture it returns, and all that the line
says of the architecture and the supernet is what line r says: cell, errors, alphas, validation accuracy and loss. Line
s has the curvature that made it stop and its own training figures; later ones have line r's curvature, and no training.

A search whose training loss, weights or alphas stop being finite ends there: its last line is of nulls and says as
`diverged` which quantity at which step, no cell is derived from what is not a number, and it is not run again.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import UserError, printable
from harness.judges.base import Judge
from harness.probes.base import Probe, State
from harness.records import seal
from harness.records.chain import CHECK, canonical, check_of
from harness.records.files import write_atomically
from harness.records.line import DIVERGED
from harness.records.run_folder import Line, RunFolder
from harness.search import checkpoint
from harness.search.checkpoint import Checkpoint
from harness.search.examples import Draws, Examples
from harness.search.measuring import AFTER_CURVATURE, curvature, measured_by, stop_of, timed
from harness.search.settings import SearchConfig
from harness.search.steps import Steps
from optimizers.base import Optimizer
from optimizers.companions.base import Stop
from optimizers.randomness import Randomness
from optimizers.state import first_not_finite
from optimizers.steps import Batch

LARGE_BATCH = 1000
"""Examples in a batch of the validation score on a GPU."""


@dataclass(frozen=True)
class Assignment:
    """What one seed of a search is about.

    Attributes:
        bench: name of the benchmark.
        space: what results call the space.
        config: all settings.
        seed: the seed.
        scale: the network's and the data's size in words, for lines and figures.
        keep: epochs whose checkpoints are kept.
    """

    bench: str
    space: int | str
    config: SearchConfig
    seed: int
    scale: str
    keep: Collection[int] = ()


class Search:
    """One seed of a search, from its first epoch or from a checkpoint to its last (`harness.search.setup` builds it).

    Args:
        assignment: what to search.
        folder: where to record; held by the caller's lock.
        optimizer: the method, at its start.
        steps: makes the steps of an epoch.
        training: the training split, on the device.
        validation: the validation split.
        judge: says how good an architecture is.
        probes: what is measured besides.
    """

    def __init__(
        self,
        assignment: Assignment,
        folder: RunFolder,
        optimizer: Optimizer,
        steps: Steps,
        training: Examples,
        validation: Examples,
        judge: Judge,
        probes: Sequence[Probe] = (),
    ) -> None:
        self.assignment, self.config, self.folder, self.judge = assignment, assignment.config, folder, judge
        self.optimizer, self.steps = optimizer, steps
        self.training, self.validation = training, validation
        self.probes = (*AFTER_CURVATURE, *probes)
        self.randomness = Randomness(assignment.seed)
        self._check = ""

    @property
    def evaluation_size(self) -> int:
        """Examples in a batch of the validation score.

        An example's outputs do not depend on the others of its batch, so that a GPU may take more of them at once.
        """
        large = self.validation.device.type == "cuda" and not self.optimizer.samples_mixtures
        return LARGE_BATCH if large else self.validation.batch_size

    def run(
        self, report: Callable[[Line], None] = lambda line: None, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Run all epochs that are not recorded, and record each.

        The checkpoint is written before the line and carries it, so that whatever moment the process is killed at, at
        most the epoch in flight is lost. Where the lines go on beyond the checkpoint, the epochs between are made
        again, and must come out as they are recorded.

        Args:
            report: called with every new line.
            stopped: asked before every step; once it says yes, the epoch in flight is given up.

        Raises:
            UserError: the folder's lines and checkpoint do not fit each other.
        """
        recorded = self.folder.heal()
        if recorded and recorded[-1].get(DIVERGED):
            return
        epoch = self._restore(recorded)
        if epoch is None:
            first = self._measure(0, {})
            self._record(0, first)
            report(first)
            epoch = 0
        while epoch < self.config.epochs:
            epoch += 1
            line = self._epoch(epoch, stopped)
            if line is None:
                return
            if epoch < len(recorded):
                self._record_again(epoch, line, recorded[epoch])
                continue
            if line.get(DIVERGED):
                self.folder.append(line)
                report(line)
                return
            self._record(epoch, line)
            report(line)

    def state(self, epoch: int) -> State:
        """The search after an epoch, as probes see it."""
        every = self.config.hessian.every
        return State(
            self.optimizer,
            self.config,
            epoch,
            self.last_validation_batch(epoch),
            lambda size: self.validation_batches(epoch, size),
            self.validation.count,
            self.evaluation_size,
            hessian_due=bool(every) and (epoch % every == 0 or epoch == self.config.epochs),
        )

    def _epoch(self, epoch: int, stopped: Callable[[], bool]) -> Line | None:
        """Train one epoch, counted from 1, and describe the state after it; None if stopped before its end.

        The loss is looked at once an epoch, since looking at it waits for the device.
        """
        optimizer = self.optimizer
        if stop := stop_of(optimizer):
            return None if stopped() else self._returned(epoch, stop)
        started = time.perf_counter()
        index = epoch - 1
        optimizer.begin_epoch(index)
        totals = self.steps.epoch(self._draws("training", index), self._draws("validation", index), stopped)
        if totals is None:
            return None
        train_loss = float(totals.loss) / self.training.count
        if not math.isfinite(train_loss):
            return self._diverged(epoch, f"training loss at epoch {epoch}, step {int(totals.finite_steps) + 1}")
        optimizer.end_epoch(lambda: self.validation_batches(index))
        if name := first_not_finite(optimizer):
            return self._diverged(epoch, f"{name} at the end of epoch {epoch}")
        line = self._measure(epoch, {"train": time.perf_counter() - started})
        return {
            **line,
            "train_loss": train_loss,
            f"train_{optimizer.task.score.name}": float(totals.score) / self.training.count,
        }

    def _measure(self, epoch: int, seconds: dict[str, float]) -> Line:
        """The line of an epoch, its training figures aside."""
        state = self.state(epoch)
        spectrum = curvature(state, seconds)
        if stop := stop_of(self.optimizer):
            return {**self._returned(epoch, stop), **spectrum, "seconds": _rounded(seconds)}
        measured = measured_by(self.probes, state, seconds)
        with timed(seconds, "table"):
            architecture = self.optimizer.derive()
            verdict = self.judge.judge(architecture, epoch, last=epoch == self.config.epochs)
        score = self.optimizer.task.score.name
        supernet = {name: measured.pop(name) for name in (f"supernet_valid_{score}", "supernet_valid_loss")}
        return {
            "epoch": epoch,
            "bench": self.assignment.bench,
            "table": self.judge.info.label,
            "scale": self.assignment.scale,
            **self.optimizer.supernet.space.record(architecture),
            **verdict.record(),
            **self.optimizer.record(),
            **supernet,
            "train_loss": None,
            f"train_{score}": None,
            **spectrum,
            **measured,
            "alphas": [alpha.detach().cpu().tolist() for alpha in self.optimizer.alphas],
            "seconds": _rounded(seconds),
        }

    def _returned(self, epoch: int, stop: Stop) -> Line:
        """The line of an epoch at or after an early stop, as that of the epoch whose architecture is returned."""
        return {
            **self.folder.epochs()[stop.returned],
            "epoch": epoch,
            "train_loss": None,
            f"train_{self.optimizer.task.score.name}": None,
            "seconds": {},
            "stopped_after": stop.after,
            "returned_epoch": stop.returned,
        }

    def _diverged(self, epoch: int, what: str) -> Line:
        """The last line of a search whose numbers are none any more: nulls where the line before has numbers."""
        kept = ("bench", "table", "scale")
        before = self.folder.epochs()[epoch - 1]
        nulls: Line = {key: before[key] if key in kept else None for key in before}
        return {**nulls, "epoch": epoch, "alphas": [], "seconds": {}, DIVERGED: what}

    def validation_batches(self, epoch: int, size: int | None = None) -> Iterator[Batch]:
        """One pass over the validation split; augmented with draws of its own, as published, or plain."""
        size = size or self.validation.batch_size
        if self.config.validation.augment:
            return self.validation.batches(self._draws("evaluation", epoch, passing=True), size)
        return self.validation.plain_batches(size)

    def last_validation_batch(self, epoch: int) -> Batch:
        """The batch that the line of an epoch has its Hessian of, and its refreshed statistics."""
        draws = self._draws("validation", max(epoch - 1, 0))
        return self.validation.batch(draws, len(draws) - 1)

    def _draws(self, purpose: str, epoch: int, passing: bool = False) -> Draws:
        """What is random in one pass for a purpose; `passing`: over every example once, whatever the settings say."""
        split = self.training if purpose == "training" else self.validation
        draws: Draws = split.draw(self.randomness.generator(purpose, epoch), passing)
        return draws

    @cached_property
    def _names(self) -> dict[str, Any]:
        """Whose checkpoints these are, by the run's record."""
        return seal.run_names(self.folder.config())

    def _record(self, epoch: int, line: Line) -> None:
        self._write_checkpoint(epoch, line)
        self._check = self.folder.append(line)

    def _record_again(self, epoch: int, line: Line, recorded: Line) -> None:
        """Take note of an epoch that was recorded before, and came out again.

        Raises:
            UserError: it came out otherwise.
        """
        if differing := _differing(line, recorded):
            raise UserError(
                f"{self.folder.path}: the checkpoint is of an earlier epoch than the lines, and epoch {epoch} came out "
                f"with another {differing} than is recorded; move the folder away, or go on where it was begun"
            )
        self._write_checkpoint(epoch, recorded)
        self._check = check_of(self._check, recorded)

    def _write_checkpoint(self, epoch: int, line: Line) -> None:
        checkpoint.write(self.folder.checkpoint, epoch, line, self.optimizer, self._names, self._check)
        # Before the line, so that a search killed in between comes by here again (`_restore`).
        self._keep(epoch)

    def _keep(self, epoch: int) -> None:
        """Put a copy of the checkpoint, which is of this epoch, where the next one does not replace it."""
        if epoch in self.assignment.keep:
            path = self.folder.kept(epoch)
            if path.parent.is_symlink():
                raise UserError(f"{path.parent}: is a link, which is not written into; move it away")
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, self.folder.checkpoint.read_bytes())

    def _restore(self, lines: Sequence[Line]) -> int | None:
        """Load the checkpoint, heal the lines, and give the epoch that it is of; None if there is none."""
        path = self.folder.checkpoint
        self._check = self.folder.check_after([])
        if not path.exists() and not path.is_symlink():
            if not lines:
                return None
            path = self._newest_kept(lines)
        saved = self._read(path, lines)
        if len(lines) < saved.epoch:
            raise UserError(
                f"{self.folder.path}: the checkpoint is of epoch {saved.epoch}, but {len(lines)} lines are recorded; "
                "move the folder away"
            )
        checkpoint.load_into(self.optimizer, saved, path)
        if path == self.folder.checkpoint:
            self._keep(saved.epoch)
        self._check = self.folder.check_after(lines[: saved.epoch + 1])
        if len(lines) == saved.epoch:
            self._check = self.folder.append(saved.line)
        return saved.epoch

    def _newest_kept(self, lines: Sequence[Line]) -> Path:
        """The kept checkpoint to go on from where the one to resume from is missing; what follows it is made again.

        Raises:
            UserError: none was kept.
        """
        missing = f"{self.folder.checkpoint}: missing, though {len(lines)} epochs are recorded"
        kept = [epoch for epoch in self.folder.kept_epochs() if epoch < len(lines)]
        if not kept:
            raise UserError(f"{missing}; move the folder away")
        print(printable(f"note: {missing}; goes on from the kept one of epoch {kept[-1]}"), file=sys.stderr)
        return self.folder.kept(kept[-1])

    def _read(self, path: Path, lines: Sequence[Line]) -> Checkpoint:
        """A checkpoint that fits the run and the lines that are recorded.

        Raises:
            UserError: it does not.
        """
        saved = checkpoint.read(path, self._names, self.optimizer.device)
        before = lines[: saved.epoch]
        if saved.lines is not None and len(before) == saved.epoch and self.folder.check_after(before) != saved.lines:
            raise UserError(f"{path}: was written after other lines than those of epochs.jsonl; move the folder away")
        if len(lines) > saved.epoch and not _equal(saved.line, lines[saved.epoch]):
            raise UserError(
                f"{path}: holds another line of epoch {saved.epoch} than epochs.jsonl; move the folder away"
            )
        return saved

    def load(self, path: Path) -> tuple[int, Line]:
        """Put the optimizer into the state of a checkpoint; its epoch, and the line of that epoch.

        Raises:
            UserError: it is not one of this search.
        """
        saved = self._read(path, self.folder.epochs())
        checkpoint.load_into(self.optimizer, saved, path)
        return saved.epoch, saved.line


def _equal(ours: Line, theirs: Line) -> bool:
    """Whether two lines say the same, as JSON has it."""
    return canonical(_without(ours, CHECK)) == canonical(_without(theirs, CHECK))


def _differing(ours: Line, theirs: Line) -> str | None:
    """The first entry in which two lines differ that say how an epoch came out; how long it took is no matter."""
    keys = [key for key in ours | theirs if key not in (CHECK, "seconds")]
    return next((key for key in keys if canonical(ours.get(key)) != canonical(theirs.get(key))), None)


def _without(line: Line, key: str) -> Line:
    return {name: value for name, value in line.items() if name != key}


def _rounded(seconds: dict[str, float]) -> dict[str, Any]:
    return {phase: round(value, 6) for phase, value in seconds.items()}
