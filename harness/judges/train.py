"""The judge that trains architectures from scratch, for spaces and data sets of which no table knows.

A training takes seconds to hours, so it is done at some epochs of a search only, once for an architecture, a repeat and
a recipe, and kept (`harness.judges.cache`). All searches share what is kept: a training depends on neither their seeds
nor their methods. What does the training is a `Trainer`: `harness.judges.network_trainer` for any space,
`harness.tabulation.cell_trainer` for the cells of NAS-Bench-101.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from harness.errors import UserError
from harness.judges.base import UNKNOWN, Judge, JudgeInfo, Verdict
from harness.judges.cache import Measurement, MeasurementCache

if TYPE_CHECKING:
    from spaces.base import Architecture


class Errors(NamedTuple):
    """What a trained network gets wrong.

    Attributes:
        test: fraction of the test images.
        validation: fraction of the validation images; None where they were trained on.
    """

    test: float
    validation: float | None


class Trainer(Protocol):
    """Trains one architecture on its own."""

    def identity(self) -> Mapping[str, Any]:
        """All that decides what a training gives, architecture and repeat aside: recipe, data, network; JSON."""

    def train(self, architecture: Architecture, repeat: int, /) -> Errors:
        """Train an architecture from weights of its own, and measure it; the same numbers at each call.

        Raises:
            UserError: the architecture cannot be trained by the recipe.
        """


class TrainJudge(Judge):
    """Trains an architecture at some epochs of a search and at the last, and has no answer at the others.

    Attributes:
        every: epochs between judgements; epoch 0, before any training of the supernet, is one of them.
        repeats: trainings of each architecture.
    """

    def __init__(self, trainer: Trainer, repeats: int, every: int, folder: Path, label: str = "trained") -> None:
        """Take what is kept of earlier trainings.

        Args:
            trainer: what trains.
            repeats: trainings of each architecture.
            every: epochs between judgements.
            folder: where trainings are kept, those of other recipes and data too.
            label: what lines and figures call the judge.

        Raises:
            UserError: `repeats` or `every` is below 1.
            OSError: the folder cannot be made or written.
        """
        if every < 1:
            raise UserError(f"--judge-every: expected 1 or more epochs between judgements, got {every}")
        if repeats < 1:
            raise UserError(f"train.repeats: expected 1 or more, got {repeats}")
        self.every, self.repeats = every, repeats
        self._trainer = trainer
        self._cache = MeasurementCache(folder, trainer.identity())
        self.info = JudgeInfo(label, "trained", self._cache.sha256, noise_known=repeats > 1)

    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """Mean errors of an architecture's trainings; trains what is not kept.

        Raises:
            UserError: the architecture cannot be trained by the recipe.
            OSError: a training cannot be kept.
        """
        if not last and epoch % self.every:
            return UNKNOWN
        started = time.perf_counter()
        trainings, trained = [], False
        for repeat in range(self.repeats):
            training = self._cache.read(architecture.key, repeat)
            if training is None:
                training, trained = self.training(architecture, repeat), True
            trainings.append(training)
        validation = [training.valid_error for training in trainings if training.valid_error is not None]
        return Verdict(
            test_error=sum(training.test_error for training in trainings) / self.repeats,
            valid_error=sum(validation) / self.repeats if len(validation) == self.repeats else None,
            repeats=self.repeats,
            seconds=time.perf_counter() - started if trained else 0.0,
        )

    def training(self, architecture: Architecture, repeat: int) -> Measurement:
        """One training of an architecture: the one that is kept, or else it is done and kept.

        Raises:
            UserError: the architecture cannot be trained by the recipe.
            OSError: the training cannot be kept.
        """
        with self._cache.locked(architecture.key, repeat):
            training = self._cache.read(architecture.key, repeat)
            if training is None:
                started = time.perf_counter()
                errors = self._trainer.train(architecture, repeat)
                training = Measurement(errors.test, errors.validation, round(time.perf_counter() - started, 3))
                self._cache.write(architecture.key, repeat, training)
        return training
