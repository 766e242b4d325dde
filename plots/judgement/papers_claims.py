"""The six claims of the SmoothDARTS paper about its figures 3, 4, 5 and table 5, as statements that can be tested.

Nearly all tests are Mann-Whitney's: that one method's seeds are lower than another's, or than its own at another time.
Before and after are taken as two samples: at six seeds pairs could give no p below .03, which an adjustment over ten
statements would make useless, and where a seed's values go together the test errs on the safe side.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.records.catalogue import get_quantity
from harness.records.run_folder import SpaceLabel, space_names
from harness.records.statistics import Array, mann_whitney, sign_flip
from plots.judgement.claims import Statement, Verdict, decide
from plots.judgement.judging import reason_against
from plots.judgement.measures import mean_in_fifth
from plots.runs.records import Comparison, Method, Run
from plots.runs.survey import Survey

TEST_ERROR = get_quantity("test_error")
SPECTRAL_NORM = get_quantity("spectral_norm")
PARAMETER_FREE_SHARE = get_quantity("parameter_free_share")
BASELINES = ("darts", "enas", "gdas", "nasp", "pc_darts")
WITH_HESSIAN = ("darts", "gdas", "nasp", "pc_darts")
PERTURBED = ("sdarts_rs", "sdarts_adv")
HALF = 0.5


@dataclass(frozen=True)
class ClaimsOf:
    """The verdicts on one benchmark.

    Attributes:
        bench, table, scale: what the runs share.
        spaces: whose runs were asked.
        verdicts: one for each claim.
    """

    bench: str
    table: str
    scale: str
    spaces: tuple[SpaceLabel, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def place(self) -> str:
        """Benchmark and spaces, as in a heading."""
        return f"{self.bench}, {space_names(self.spaces)}"

    @property
    def conditions(self) -> str:
        """Where the numbers come from."""
        return " · ".join(part for part in (f"table: {self.table}", self.scale) if part)


def judge_claims(runs: Survey) -> list[ClaimsOf]:
    """The verdicts for each benchmark, table and scale, from the runs that are finished.

    Two tables of one name for one space, which nothing may pool, are judged apart.
    """
    benchmarks = runs.keep(lambda run: reason_against(run, None)).benchmarks()
    return [
        ClaimsOf(
            spaces[0].bench,
            spaces[0].table,
            spaces[0].scale,
            tuple(comparison.space for comparison in spaces),
            tuple(_verdict(*claim, spaces) for claim in CLAIMS),
        )
        for spaces in benchmarks
    ]


def final_error(run: Run) -> float:
    """Test error of the architecture that the search returned."""
    return float(run.values(TEST_ERROR)[-1])


def final_share(run: Run) -> float:
    """Share of parameter-free operations in it."""
    return float(run.values(PARAMETER_FREE_SHARE)[-1])


def first_norm(run: Run) -> float:
    """Logarithm to base 10 of the first spectral norm recorded, NaN where there is no later one."""
    return float(norms[0]) if len(norms := _norms(run)) > 1 else math.nan


def last_norm(run: Run) -> float:
    """Logarithm to base 10 of the last spectral norm recorded."""
    return float(norms[-1]) if len(norms := _norms(run)) > 1 else math.nan


Value = Callable[[Run], float]
Statements = Callable[[Comparison], Iterator[Statement]]


def _lower(text: str, first: tuple[str, Value], second: tuple[str, Value], show: Callable[[float], str]) -> Statements:
    """That the first method's seeds have a lower value than the second's; both may be one method at two times."""

    def of(comparison: Comparison) -> Iterator[Statement]:
        lower, higher = (_values(comparison, name, value) for name, value in (first, second))
        n = (len(lower), len(higher))
        if not all(n):
            yield Statement(text, comparison.space, n, math.nan, "", math.nan)
            return
        result = mann_whitney(lower, higher)
        shown = f"{show(float(lower.mean()))} against {show(float(higher.mean()))}"
        yield Statement(text, comparison.space, n, 2 * result.u / (n[0] * n[1]) - 1, shown, result.p)

    return of


def _above(text: str, method: str, value: Value, threshold: float) -> Statements:
    """That a method's share is above a number, by exact flips of the sign of what its seeds are above it."""

    def of(comparison: Comparison) -> Iterator[Statement]:
        values = _values(comparison, method, value)
        if not len(values):
            yield Statement(text, comparison.space, (0,), math.nan, "", math.nan)
            return
        beyond = values - threshold
        shown = f"{_percent(float(values.mean()))} against {_percent(threshold)}"
        yield Statement(text, comparison.space, (len(values),), -float(beyond.mean()), shown, sign_flip(beyond))

    return of


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _from_decades(decades: float) -> str:
    return f"{10**decades:.3g}"


def _error(first: str, second: str) -> Statements:
    text = f"final error of {first} below that of {second}"
    return _lower(text, (first, final_error), (second, final_error), _percent)


def _norm(first: str, second: str) -> Statements:
    text = f"last spectral norm of {first} below that of {second}"
    return _lower(text, (first, last_norm), (second, last_norm), _from_decades)


def _share(first: str, second: str) -> Statements:
    text = f"parameter-free share of {first} below that of {second}"
    return _lower(text, (first, final_share), (second, final_share), _percent)


def _lower_in_fifth(text: str, method: str, lower: int, higher: int) -> Statements:
    """That a method's mean error over one fifth of the search is below that over another; they count from 1."""
    low, high = (functools.partial(mean_in_fifth, quantity=TEST_ERROR, number=number) for number in (lower, higher))
    return _lower(text, (method, low), (method, high), _percent)


def _grows_tenfold(method: str) -> Statements:
    text = f"ten times the first spectral norm of {method} below the last"
    return _lower(text, (method, lambda run: first_norm(run) + 1), (method, last_norm), _from_decades)


CLAIMS: tuple[tuple[str, str, tuple[Statements, ...]], ...] = (
    (
        "figures 3 and 4",
        "DARTS returns worse architectures as the search grows long.",
        (_lower_in_fifth("mean error of darts lower in the second fifth than in the last", "darts", 2, 5),),
    ),
    (
        "figure 3",
        "An explicit penalty on the Hessian helps DARTS, but less than either perturbation does.",
        (_error("hessian_reg", "darts"), *(_error(method, "hessian_reg") for method in PERTURBED)),
    ),
    (
        "figure 4",
        "SDARTS-RS returns better architectures than all five baselines.",
        tuple(_error("sdarts_rs", baseline) for baseline in BASELINES),
    ),
    (
        "figure 4",
        "SDARTS-ADV is better still, and its error goes on falling after four fifths of the search.",
        (
            _error("sdarts_adv", "sdarts_rs"),
            _lower_in_fifth("mean error of sdarts_adv lower in the last fifth than in the fourth", "sdarts_adv", 5, 4),
        ),
    ),
    (
        "figure 5",
        "Both perturbations bring the Hessian's norm to a low level, while in the baselines it grows beyond tenfold.",
        (
            *(_norm(method, baseline) for method in PERTURBED for baseline in WITH_HESSIAN),
            *(_grows_tenfold(baseline) for baseline in WITH_HESSIAN),
        ),
    ),
    (
        "table 5",
        "Parameter-free operations take over the cells of DARTS, and not those of either perturbation.",
        (
            _above("cells of darts more than half parameter-free", "darts", final_share, HALF),
            *(_share(method, "darts") for method in PERTURBED),
        ),
    ),
)
"""Figure, claim and statements. The paper's table 5 is of the spaces S1 to S4 of DARTS's cells; here it is asked of
whichever spaces were searched. That no method but SDARTS-ADV falls after epoch 80 cannot be shown by tests, nor is it
asked."""


def _verdict(figure: str, claim: str, statements: Sequence[Statements], spaces: Sequence[Comparison]) -> Verdict:
    verdict, judged = decide([statement for space in spaces for of in statements for statement in of(space)])
    return Verdict(figure, claim, verdict, judged)


def _values(comparison: Comparison, name: str, value: Value) -> Array:
    """A value of each seed of a method, or of the one variant that there is of it; seeds without a value left out."""
    method = _method(comparison.methods, name)
    values = np.array([value(run) for run in method.runs] if method else [], dtype=np.float64)
    return values[np.isfinite(values)]


def _method(methods: Sequence[Method], name: str) -> Method | None:
    exact = [method for method in methods if method.name == name]
    variants = [method for method in methods if method.name.partition("@")[0] == name]
    return exact[0] if exact else variants[0] if len(variants) == 1 else None


def _norms(run: Run) -> Array:
    """Logarithms to base 10 of the spectral norms recorded."""
    norms = run.values(SPECTRAL_NORM)
    return np.asarray(np.log10(norms[np.isfinite(norms) & (norms > 0)]))
