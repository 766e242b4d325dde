"""What a judgement is made of; `plots.judgement` fills it in, tables, files and reports read it.

One `Block` for each comparison (benchmark, space, table, scale), since nothing else is pooled; over the spaces of a
benchmark, `Overall`, only ranks and the interquartile mean, whose strata are the spaces. Errors are fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.records.run_folder import SpaceLabel
from harness.records.statistics import Array, Estimate, Ranks
from plots.runs.survey import LeftOut

BASELINE = "baseline"
ALL_PAIRS = "all-pairs"
FAMILIES = (BASELINE, ALL_PAIRS)
ALPHA = 0.05


@dataclass(frozen=True)
class Question:
    """What is asked of the runs.

    Attributes:
        metric: the measure that is tested, and that ranks are of.
        family: which pairs are tested together: `BASELINE`, each method against one, or `ALL_PAIRS`.
        baseline: that one.
        epochs: judge every curve at this epoch, also of runs that are not finished; None: finished runs, at their end.
    """

    metric: str = "final_error"
    family: str = BASELINE
    baseline: str = "darts"
    epochs: int | None = None


@dataclass(frozen=True)
class Summary:
    """One measure of one method.

    Attributes:
        by_seed: its value for each seed, NaN where there is none.
        n: seeds that have a value; what follows is over them.
        mean: with Student's 95 % interval.
        deviation: the sample standard deviation.
        median, low, high: the middle and the ends.
        interquartile_mean: with a percentile bootstrap interval.
        approximate: whether there are too few seeds for that interval to be what it says.
    """

    by_seed: dict[int, float]
    n: int
    mean: Estimate
    deviation: float
    median: float
    low: float
    high: float
    interquartile_mean: Estimate
    approximate: bool

    @property
    def values(self) -> Array:
        """[n] the values there are, by seed."""
        return np.array([value for value in self.by_seed.values() if math.isfinite(value)], dtype=np.float64)


@dataclass(frozen=True)
class MethodSummary:
    """All measures of one method in one space.

    Attributes:
        name: the optimizer, with `@NAME`.
        epochs: at which it is judged.
        seeds: that count.
        measures: by name.
    """

    name: str
    epochs: int
    seeds: tuple[int, ...]
    measures: dict[str, Summary]


@dataclass(frozen=True)
class PairTest:
    """One method against another.

    Attributes:
        first, second: the methods; the second is the baseline where there is one.
        n: seeds of each.
        difference: of the means, first less second.
        delta: Cliff's, of the first against the second: negative where the first's errors are lower.
        u, p: Mann-Whitney's, two-sided.
        exact: whether p is exact.
        holm_p: adjusted within the family.
        significant: whether that is at most .05.
    """

    first: str
    second: str
    n: tuple[int, int]
    difference: float
    delta: Estimate
    u: float
    p: float
    exact: bool
    holm_p: float
    significant: bool


@dataclass(frozen=True)
class Detection:
    """What a test of so many seeds finds, where errors are normal, by simulation.

    Attributes:
        n: seeds of each side.
        alpha: what p must not exceed: .05 for one test alone, .05 / tests for the first step of a family.
        missed: how often a difference is missed, by its size in standard deviations.
        found: the difference that is found in 80 % of cases, in standard deviations; infinite where none can be.
    """

    n: tuple[int, int]
    alpha: float
    missed: dict[float, float]
    found: float


@dataclass(frozen=True)
class Family:
    """Tests that were asked together, and whose p values are adjusted together.

    Attributes:
        kind: `BASELINE` or `ALL_PAIRS`.
        metric: the measure tested.
        tests: in order of the methods.
        smallest_holm_p: what the smallest adjusted p can be at all, given the numbers of seeds.
        alone, together: what such tests detect, alone and as the family's first step; None without a test.
        why_none: why there is no test; empty where there is one.
    """

    kind: str
    metric: str
    tests: tuple[PairTest, ...]
    smallest_holm_p: float
    alone: Detection | None
    together: Detection | None
    why_none: str


@dataclass(frozen=True)
class Block:
    """What one comparison shows.

    Attributes:
        bench, space, table, table_sha256, scale: what its runs share.
        optimum: the lowest test error of the space, None where it is not known.
        budget: the seconds of training that every run had, NaN where one lacks them.
        methods: in order of name.
        family: the tests.
        spread: the standard deviation of the tested measure within methods, pooled; NaN below two seeds.
        caveats: what a reader must know, a sentence each.
    """

    bench: str
    space: SpaceLabel
    table: str
    table_sha256: str
    scale: str
    optimum: float | None
    budget: float
    methods: tuple[MethodSummary, ...]
    family: Family
    spread: float
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Overall:
    """What the spaces of a benchmark show together; a block is one seed of one space.

    Attributes:
        bench, table, scale: what the runs share.
        metric: the measure.
        spaces: counted.
        methods: those with runs in all of them.
        seeds: by space, those that all these methods have.
        ranks: None below two methods or without a common seed.
        interquartile_means: by method, over all its seeds, drawn within each space; empty for a single space.
        approximate: whether a space has too few seeds for their intervals to be what they say.
        caveats: what a reader must know, a sentence each.
    """

    bench: str
    table: str
    scale: str
    metric: str
    spaces: tuple[SpaceLabel, ...]
    methods: tuple[str, ...]
    seeds: dict[SpaceLabel, tuple[int, ...]]
    ranks: Ranks | None
    interquartile_means: dict[str, Estimate]
    approximate: bool
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """Everything that was computed.

    Attributes:
        question: what was asked.
        blocks: one for each comparison.
        overall: one for each benchmark, table and scale.
        left_out: folders that do not count, and why.
    """

    question: Question
    blocks: tuple[Block, ...]
    overall: tuple[Overall, ...]
    left_out: tuple[LeftOut, ...]
