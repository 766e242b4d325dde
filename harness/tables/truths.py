"""What a table says about a whole search space: its optimum, its distribution, and what drawing at random would find.

Regret, random and oracle lines of every figure come from here, by way of the run folder (`Truths.record`). Everything
is exact: all cells of the space that the table holds are looked at, and the expectation of random search follows from
order statistics. An error of a cell is the mean over its repeats.

Random search draws as the space's sampler does, parents and operations uniformly with loose ends (NAS-Bench-1Shot1
`search_space.py:35-69`), so that a cell that many choices give comes more often; it draws with replacement, and returns
the cell of the least validation error, of equals the first drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.tables.query import Table, mean_of_repeats
from spaces.nb101.reachability import choices
from spaces.nb101.space import SearchSpace, get_space

#: Least single test and validation error that the published code states (`search_space_{1,2,3}.py`), of NAS-Bench-101.
PUBLISHED_MINIMA = {
    1: (0.05448716878890991, 0.049278855323791504),
    2: (0.057592153549194336, 0.051582515239715576),
    3: (0.05338543653488159, 0.04847759008407593),
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """How much repeats of a cell differ.

    Attributes:
        test, valid: standard deviation of the error between repeats, pooled over cells; None where it is unknown.
        reason: why it is unknown.
    """

    test: float | None
    valid: float | None
    reason: str = ""


class Truths:
    """The cells of a space that a table holds.

    Attributes:
        table: the table.
        space: the space.
        epochs: the epoch budget.
        hashes: of the cells, ascending.
        test_runs, valid_runs: errors of every training run, `[cells, repeats]`, NaN where there is none.
        test, valid: means over the repeats, `[cells]`.
        share: of all the sampler's choices, how many give a cell of the table; 1 if the space is complete.
    """

    def __init__(self, table: Table, space: SearchSpace | int, epochs: int | None = None) -> None:
        """Look at all cells.

        Args:
            table: the table.
            space: the space, or its number.
            epochs: the epoch budget; None for the largest.

        Raises:
            UserError: the table has no cell of the space at this budget, or is damaged.
        """
        self.table, self.space = table, get_space(space) if isinstance(space, int) else space
        space = self.space
        self.epochs = table.info.epoch_budgets[-1] if epochs is None else epochs
        draws = table.draws(space)
        rows = np.flatnonzero(draws)
        test, valid = table.errors(rows, epochs)
        trained = np.isfinite(test[:, 0])
        if not trained.any():
            raise UserError(
                f"{table.path}: {table.info.label} has no cell of space {space.number}; choose another space or table"
            )
        self._rows = rows[trained]
        self.test_runs, self.valid_runs = test[trained], valid[trained]
        self.test, self.valid = mean_of_repeats(self.test_runs), mean_of_repeats(self.valid_runs)
        everything = table.hashes()
        self.hashes = [everything[row] for row in self._rows.tolist()]
        self._draws = draws[self._rows]
        self.share = int(self._draws.sum()) / choices(space)

    @property
    def repeats(self) -> npt.NDArray[np.int64]:
        """How many training runs each cell has, `[cells]`."""
        counts: npt.NDArray[np.int64] = np.isfinite(self.test_runs).sum(axis=1)
        return counts

    @property
    def probability(self) -> Floats:
        """How probable the sampler is to draw each cell, given that it draws one of the table, `[cells]`."""
        shares: Floats = self._draws / self._draws.sum()
        return shares

    @cached_property
    def best_by_test(self) -> int:
        """The place of the cell with the least test error, the first by hash of equals: the optimum."""
        return int(self.test.argmin())

    @cached_property
    def best_by_validation(self) -> int:
        """The place of the cell with the least validation error, the first by hash of equals."""
        return int(self.valid.argmin())

    def random_search(
        self, draws: Sequence[int], probability: Floats | None = None, chosen_by: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Test error of the cell that random search returns after so many draws: expectation and standard deviation.

        Args:
            draws: numbers of draws, each at least 1.
            probability: of drawing each cell, `[cells]`; the sampler's by default.
            chosen_by: the error by which the best is chosen, `[cells]`; the validation error by default.
        """
        probability = self.probability if probability is None else probability
        return expected_best(self.valid if chosen_by is None else chosen_by, self.test, probability, draws)

    def noise(self) -> Noise:
        """How much the repeats of a cell differ."""
        if self.repeats.max() < 2:
            return Noise(None, None, "the table has one repeat of each cell")
        if all(not np.ptp(_filled(runs), axis=1).any() for runs in (self.test_runs, self.valid_runs)):
            return Noise(None, None, "the repeats of a cell are identical")
        repeated = self.repeats >= 2
        return Noise(_pooled_deviation(self.test_runs[repeated]), _pooled_deviation(self.valid_runs[repeated]))

    def published_rule(self) -> tuple[float, float, int]:
        """Least test and validation error by the rule of `PUBLISHED_MINIMA`, and over how many cells.

        The rule takes the best single repeat, and only cells that the published, incomplete enumeration finds.
        """
        enumerated = self.table.enumerated(self.space)[self._rows]
        if not enumerated.any():
            return np.nan, np.nan, 0
        return (
            float(np.nanmin(self.test_runs[enumerated])),
            float(np.nanmin(self.valid_runs[enumerated])),
            int(enumerated.sum()),
        )

    def record(self, most_draws: int) -> dict[str, Any]:
        """What figures and statistics of a search need, as JSON; errors are fractions.

        `optimum` and `best_by_validation` are a cell (its hash) with its errors; `random_search` has the expected test
        error after 1, 2, ... `most_draws` of the sampler's draws, chosen by validation error; `cells` and
        `share_of_draws` tell what part of the space the table covers.
        """
        expected, _ = self.random_search(range(1, most_draws + 1))
        best = {"optimum": self.best_by_test, "best_by_validation": self.best_by_validation}
        wanted = ("cell", "test_error", "valid_error")
        return {
            **{name: {key: self.described(place)[key] for key in wanted} for name, place in best.items()},
            "cells": len(self.hashes),
            "share_of_draws": self.share,
            "random_search": {"chosen_by": "validation error", "test_error": expected.tolist()},
        }

    def described(self, place: int) -> dict[str, Any]:
        """A cell with its errors: `cell` (hash), `matrix`, `ops`, `test_error`, `valid_error`."""
        errors = {"test_error": float(self.test[place]), "valid_error": float(self.valid[place])}
        return {**self.table.cell(self.hashes[place]).to_json(), **errors}


def expected_best(chosen_by: Floats, value: Floats, probability: Floats, draws: Sequence[int]) -> tuple[Floats, Floats]:
    """Expectation and standard deviation of the value of the best of so many independent draws, `[len(draws)]`.

    The best is the one with the least `chosen_by`, of equals the first drawn. That the best of n is at rank r has the
    probability S_r^n - S_(r+1)^n, where S_r is that of drawing something of rank r or worse.

    Args:
        chosen_by: what decides, `[cells]`.
        value: what is averaged, `[cells]`.
        probability: of drawing each, `[cells]`; adds up to 1.
        draws: numbers of draws.

    Raises:
        ValueError: there is nothing to draw, or a number of draws below 1.
    """
    if len(chosen_by) == 0 or min(draws, default=1) < 1:
        raise ValueError("expected at least one cell, and at least one draw each")
    _, rank = np.unique(chosen_by, return_inverse=True)
    mass = np.bincount(rank, probability)
    drawn = mass > 0
    means = [np.bincount(rank, probability * power)[drawn] / mass[drawn] for power in (value, value**2)]
    remaining = np.append(np.cumsum(mass[drawn][::-1])[::-1], 0.0)
    remaining[0] = 1.0
    moments = np.empty((2, len(draws)))
    for column, count in enumerate(draws):
        powers = remaining**count
        moments[:, column] = [(powers[:-1] - powers[1:]) @ mean for mean in means]
    return moments[0], np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0.0))


def _filled(runs: Floats) -> Floats:
    """Runs with the first repeat in the place of those that are not there."""
    return np.where(np.isfinite(runs), runs, runs[:, :1])


def _pooled_deviation(runs: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.nanvar(runs, axis=1, ddof=1))))
