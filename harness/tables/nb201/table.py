"""The table of NAS-Bench-201: how accurate each of its 15,625 architectures is once trained, on three data sets.

It ships with the package (`accuracies.npz`, made by `harness.tables.nb201.make`, which names the sources and their
licences). On CIFAR-10 the validation accuracy is that of training on half of the 50,000 training images and the test
accuracy that of training on all of them; on CIFAR-100 and ImageNet16-120 both are of the same training.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.judges.base import UNKNOWN, Judge, JudgeInfo, Verdict
from harness.judges.table import Outcomes, Trainings
from harness.tables.nb201.make import DATASETS, SCALE
from harness.tables.truths import expected_best
from spaces.base import Architecture, Space
from spaces.nb201.architecture import CONV1X1, CONV3X3, COUNT, Nb201Architecture, network_flops, network_parameters

SHA256 = "dd87a96e3cbc02ffeb312e54436ec067074b9f4e1a6a7193af8815610731fef6"
"""Of `accuracies.npz`."""

EPOCHS = (12, 200)
"""How long the architectures were trained; the two are trainings of their own."""

TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}
"""Name of each data set -> how figures call it."""

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16": 120}
"""Name of each data set -> number of its classes."""

IMAGE_SIDES = {"cifar10": 32, "cifar100": 32, "imagenet16": 16}
"""Name of each data set -> height and width of its images."""

Floats = npt.NDArray[np.float64]


class Nb201Table(Judge):
    """What NAS-Bench-201 recorded for one data set after one number of epochs.

    Args:
        dataset: `cifar10`, `cifar100` or `imagenet16`.
        epochs: 200, or 12.

    Attributes:
        test_errors, valid_errors: `[15625]`, fractions, by official index, read-only; means over the benchmark's one
            to three seeds. CIFAR-10's are of different trainings: see the module.

    Raises:
        UserError: another data set or number of epochs, or the file is damaged.
    """

    def __init__(self, dataset: str = "cifar10", epochs: int = EPOCHS[-1]) -> None:
        if dataset not in DATASETS:
            raise UserError(f"NAS-Bench-201 has no data set {dataset!r}; it has {', '.join(DATASETS)}")
        if epochs not in EPOCHS:
            budgets = " and ".join(map(str, EPOCHS))
            raise UserError(f"NAS-Bench-201's table has accuracies after {budgets} epochs, not {epochs}")
        self.dataset, self.epochs = dataset, epochs
        self.test_errors, self.valid_errors = (_errors(f"{dataset}_{epochs}_{split}") for split in ("test", "valid"))
        # What came by way of copies is not the official file, and is said to be none.
        self.info = JudgeInfo(
            label=f"NAS-Bench-201 {TITLES[dataset]}" + ("" if epochs == EPOCHS[-1] else f", {epochs} epochs"),
            kind="measured",
            sha256=SHA256,
            noise_known=False,
        )

    def lookup(self, architecture: Architecture) -> Verdict:
        """The errors of an architecture, as one mean each; unknown for one of another space."""
        if not isinstance(architecture, Nb201Architecture):
            return UNKNOWN
        index = architecture.index
        return Verdict(float(self.test_errors[index]), float(self.valid_errors[index]), 1)

    def judge(self, architecture: Architecture, epoch: int, last: bool) -> Verdict:
        """`lookup`, at every epoch of a search."""
        return self.lookup(architecture)

    def truths(self, epochs: int) -> dict[str, Any]:
        """`Nb201Truths.record` for a search of this length."""
        return Nb201Truths(self).record(epochs)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Numbers of epochs that the benchmark's trainings have, up to that of this table's test errors."""
        return tuple(epochs for epochs in EPOCHS if epochs <= self.epochs)

    @property
    def charged(self) -> str:
        """What a training is said to cost: the public copies of the benchmark have no times, and none is made up."""
        return "evaluations alone, since the table has no seconds of training"

    @property
    def has_seconds(self) -> bool:
        """Trainings have no seconds."""
        return False

    def trainings(self, architecture: Architecture, epochs: int) -> Trainings | None:
        """The validation error after so many epochs, one mean, and the test error of this table."""
        if not isinstance(architecture, Nb201Architecture):
            return None
        index = architecture.index
        valid = _errors(f"{self.dataset}_{epochs}_valid") if epochs != self.epochs else self.valid_errors
        return Trainings((float(valid[index]),), float(self.test_errors[index]), None)

    def outcomes(self, space: Space[Any], epochs: int) -> Outcomes:
        """Every architecture of the space, each as probable as any other."""
        indices = sorted(
            architecture.index for architecture in space.enumerate() if isinstance(architecture, Nb201Architecture)
        )
        if not indices:
            raise UserError(f"{self.info.label} has no architecture of space {space.name}; choose another space")
        valid = _errors(f"{self.dataset}_{epochs}_valid")[indices]
        probability = np.full(len(indices), 1 / len(indices))
        return Outcomes(probability, valid[:, None], self.test_errors[indices], 1.0)

    def parameters(self, architecture: Nb201Architecture) -> int:
        """Number of weights of the network that the benchmark trained, by formula."""
        return network_parameters(*_convolutions(architecture), CLASSES[self.dataset])

    def megaflops(self, architecture: Nb201Architecture) -> float:
        """Millions of multiplications of that network for one image, by formula.

        The formula gives what the public copies say, but for 204 architectures. A copy has the mean over the two or
        three seeds of an architecture, and of each of these 204 one or two seeds count the multiplications of another
        architecture of its class (`Nb201Architecture.unique_string`), which is the same function with other
        convolutions; the formula's is the network's own.
        """
        return network_flops(*_convolutions(architecture), CLASSES[self.dataset], IMAGE_SIDES[self.dataset]) / 1e6


class Nb201Truths:
    """What the table says about a space of NAS-Bench-201 as a whole; all of it is exact.

    Random search draws the operation of each edge uniformly, and so each architecture with equal probability, with
    replacement; it returns the one of the least validation error, of equals the first drawn.

    Args:
        table: the table.
        architectures: those of the space; all 15,625 by default.

    Attributes:
        indices: official indices of the architectures, ascending.
        test, valid: their errors, `[architectures]`.
    """

    def __init__(self, table: Nb201Table, architectures: Sequence[Architecture] | None = None) -> None:
        self.table = table
        self.indices = (
            list(range(COUNT))
            if architectures is None
            else sorted({entry.index for entry in architectures if isinstance(entry, Nb201Architecture)})
        )
        self.test, self.valid = table.test_errors[self.indices], table.valid_errors[self.indices]

    @cached_property
    def best_by_test(self) -> Nb201Architecture:
        """The architecture with the least test error, the first by index of equals: the optimum."""
        return Nb201Architecture.from_index(self.indices[int(self.test.argmin())])

    @cached_property
    def best_by_validation(self) -> Nb201Architecture:
        """The architecture with the least validation error, the first by index of equals."""
        return Nb201Architecture.from_index(self.indices[int(self.valid.argmin())])

    def rank(self, architecture: Nb201Architecture) -> int:
        """The place of an architecture by test error, 1 for the best; equals share the best of their places."""
        return int((self.test < self.table.test_errors[architecture.index]).sum()) + 1

    def quantiles(self, shares: Sequence[float]) -> Floats:
        """The test error that these shares of the architectures do not exceed, `[shares]`."""
        quantiles: Floats = np.quantile(self.test, shares)
        return quantiles

    def random_search(self, draws: Sequence[int], chosen_by: Floats | None = None) -> tuple[Floats, Floats]:
        """Test error of what random search returns after so many draws: expectation and standard deviation.

        Args:
            draws: numbers of draws, each at least 1.
            chosen_by: the error by which the best is chosen, `[architectures]`; the validation error by default.
        """
        probability = np.full(len(self.indices), 1 / len(self.indices))
        return expected_best(self.valid if chosen_by is None else chosen_by, self.test, probability, draws)

    def record(self, most_draws: int) -> dict[str, Any]:
        """What figures and statistics of a search need, as JSON; errors are fractions.

        `optimum` and `best_by_validation` are an architecture (its key) with its errors; `random_search` has the
        expected test error after 1, 2, ... `most_draws` draws, chosen by validation error; `cells` is how many
        architectures there are, and `share_of_draws` what part of the space the table covers, which is all.
        """
        expected, _ = self.random_search(range(1, most_draws + 1))
        return {
            "optimum": self._described(self.best_by_test),
            "best_by_validation": self._described(self.best_by_validation),
            "cells": len(self.indices),
            "share_of_draws": 1.0,
            "random_search": {"chosen_by": "validation error", "test_error": expected.tolist()},
        }

    def _described(self, architecture: Nb201Architecture) -> dict[str, Any]:
        verdict = self.table.lookup(architecture)
        return {"cell": architecture.key, "test_error": verdict.test_error, "valid_error": verdict.valid_error}


def read_accuracies(content: bytes) -> dict[str, npt.NDArray[np.uint32]]:
    """The arrays of `accuracies.npz`: millionths of a per cent by official index.

    Raises:
        UserError: the content is not that of the file.
    """
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise UserError(
            f"accuracies.npz: damaged, expected SHA-256 {SHA256[:12]}..., got {digest[:12]}...; "
            "install the package anew"
        )
    return dict(np.load(io.BytesIO(content), allow_pickle=False))


def _convolutions(architecture: Nb201Architecture) -> tuple[int, int]:
    """How many convolutions of each size a cell has."""
    return architecture.choices.count(CONV1X1), architecture.choices.count(CONV3X3)


@cache
def _shipped() -> dict[str, npt.NDArray[np.uint32]]:
    return read_accuracies(files("harness.tables.nb201").joinpath("accuracies.npz").read_bytes())


@cache
def _errors(column: str) -> Floats:
    errors: Floats = 1 - _shipped()[column] / (100 * SCALE)
    errors.setflags(write=False)
    return errors
