"""From runs to findings: which runs count, summaries, tests within a declared family, ranks, and the caveats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from harness.records.statistics import (
    APPROXIMATE_BELOW,
    Array,
    Estimate,
    average_ranks,
    cliffs_delta,
    found_difference,
    holm,
    interquartile_means,
    mann_whitney,
    mean_interval,
    miss_rate,
    smallest_p,
)
from plots.judgement.caveats import block_caveats, overall_caveats
from plots.judgement.findings import (
    ALPHA,
    BASELINE,
    Block,
    Detection,
    Family,
    Judgement,
    MethodSummary,
    Overall,
    PairTest,
    Question,
    Summary,
)
from plots.judgement.measures import MEASURES, Conditions, Curve, curve
from plots.runs.records import Comparison, Run, counted
from plots.runs.survey import Survey

DIFFERENCES = (1.0, 1.5, 2.0)


def judge(found: Survey, question: Question) -> Judgement:
    """Everything that the runs show about a question."""
    counting = found.keep(lambda run: reason_against(run, question.epochs))
    blocks = tuple(_block(comparison, question, found.passed_over) for comparison in counting.comparisons)
    grouped: dict[tuple[str, str, str], list[Block]] = {}
    for block in blocks:
        grouped.setdefault((block.bench, block.table, block.scale), []).append(block)
    overall = tuple(_overall(group, question.metric) for group in grouped.values())
    return Judgement(question, blocks, overall, counting.left_out)


def summarise(by_seed: dict[int, float]) -> Summary:
    """One measure of one method, from its value for each seed (NaN where there is none)."""
    return summarise_all([by_seed])[0]


def summarise_all(measured: Sequence[dict[int, float]]) -> list[Summary]:
    """`summarise` of many measures and methods at once, which is several times faster."""
    middles = interquartile_means([[_finite(by_seed)] for by_seed in measured])
    return [_summary(by_seed, middle) for by_seed, middle in zip(measured, middles, strict=True)]


def _summary(by_seed: dict[int, float], interquartile: Estimate) -> Summary:
    values = _finite(by_seed)
    n = len(values)
    return Summary(
        by_seed=by_seed,
        n=n,
        mean=mean_interval(values),
        deviation=float(values.std(ddof=1)) if n > 1 else math.nan,
        median=float(np.median(values)) if n else math.nan,
        low=float(values.min()) if n else math.nan,
        high=float(values.max()) if n else math.nan,
        interquartile_mean=interquartile,
        approximate=n < APPROXIMATE_BELOW,
    )


def tested_family(methods: Sequence[MethodSummary], question: Question) -> Family:
    """Mann-Whitney's test of every pair that the question names, adjusted by Holm over all of them."""
    values = {method.name: method.measures[question.metric].values for method in methods}
    named = [name for name, its in values.items() if len(its)]
    if question.family == BASELINE:
        baseline = _baseline(named, question.baseline)
        pairs = [(name, baseline) for name in named if name != baseline]
        pairs = pairs if baseline in named else []
    else:
        pairs = list(itertools.combinations(named, 2))
    if not pairs:
        return Family(question.family, question.metric, (), math.nan, None, None, _why_none(named, question))
    results = [mann_whitney(values[first], values[second]) for first, second in pairs]
    adjusted = holm([result.p for result in results])
    sizes = [(len(values[first]), len(values[second])) for first, second in pairs]
    tests = tuple(
        PairTest(
            first=first,
            second=second,
            n=n,
            difference=float(values[first].mean() - values[second].mean()),
            delta=cliffs_delta(values[first], values[second]),
            u=result.u,
            p=result.p,
            exact=result.exact,
            holm_p=float(holm_p),
            significant=bool(holm_p <= ALPHA),
        )
        for (first, second), n, result, holm_p in zip(pairs, sizes, results, adjusted, strict=True)
    )
    fewest = min(sizes, key=lambda n: (sum(n), min(n)))
    return Family(
        kind=question.family,
        metric=question.metric,
        tests=tests,
        smallest_holm_p=min(1.0, len(pairs) * min(smallest_p(*n) for n in sizes)),
        alone=detection(fewest, ALPHA),
        together=detection(fewest, ALPHA / len(pairs)),
        why_none="",
    )


def detection(n: tuple[int, int], alpha: float) -> Detection:
    """What a test of so many seeds, whose p must not exceed `alpha`, finds and misses."""
    low, high = sorted(n)
    missed = {difference: miss_rate(low, high, difference, alpha) for difference in DIFFERENCES}
    return Detection(n, alpha, missed, found_difference(low, high, alpha))


def reason_against(run: Run, epochs: int | None) -> str | None:
    """Why a run does not count, None if it does."""
    last = run.last_epoch or 0
    if epochs is None:
        return None if run.is_finished else f"unfinished: {last} of {counted(run.epochs, 'epoch')}"
    return None if run.recorded and last >= epochs else f"has {counted(last, 'epoch')}, not {epochs}"


def _block(comparison: Comparison, question: Question, passed_over: Sequence[str]) -> Block:
    curves = {
        method.name: {run.seed: curve(run, question.epochs or method.epochs) for run in method.runs}
        for method in comparison.methods
    }
    budget = float(np.min([one.seconds[-1] for by_seed in curves.values() for one in by_seed.values()]))
    conditions = Conditions(comparison.optimum, budget)
    measures = _measures(curves, conditions)
    methods = tuple(
        MethodSummary(
            name=method.name,
            epochs=question.epochs or method.epochs,
            seeds=tuple(run.seed for run in method.runs),
            measures=measures[method.name],
        )
        for method in comparison.methods
    )
    family = tested_family(methods, question)
    return Block(
        bench=comparison.bench,
        space=comparison.space,
        table=comparison.table,
        table_sha256=comparison.table_sha256,
        scale=comparison.scale,
        optimum=comparison.optimum,
        budget=budget,
        methods=methods,
        family=family,
        spread=_pooled([method.measures[question.metric] for method in methods]),
        caveats=block_caveats(comparison, methods, family, budget, question.baseline, passed_over),
    )


def _measures(curves: dict[str, dict[int, Curve]], conditions: Conditions) -> dict[str, dict[str, Summary]]:
    """Method -> measure -> summary, from the curve of each method's seeds."""
    pairs = list(itertools.product(curves, MEASURES))
    summaries = summarise_all(
        [
            {seed: MEASURES[measure].of(one, conditions) for seed, one in curves[method].items()}
            for method, measure in pairs
        ]
    )
    measured: dict[str, dict[str, Summary]] = {method: {} for method in curves}
    for (method, measure), summary in zip(pairs, summaries, strict=True):
        measured[method][measure] = summary
    return measured


def _pooled(summaries: Sequence[Summary]) -> float:
    """The standard deviation within methods, all together; NaN where no method has two seeds."""
    several = [one for one in summaries if one.n > 1]
    freedom = sum(one.n - 1 for one in several)
    return math.sqrt(sum((one.n - 1) * one.deviation**2 for one in several) / freedom) if freedom else math.nan


def _baseline(named: Sequence[str], asked: str) -> str:
    """The baseline, or the one variant that there is of it where it has no run by that name."""
    variants = [name for name in named if name.partition("@")[0] == asked]
    return variants[0] if asked not in named and len(variants) == 1 else asked


def _why_none(named: Sequence[str], question: Question) -> str:
    if not named:
        return f"no run here has a value of {question.metric}"
    if question.family == BASELINE and _baseline(named, question.baseline) not in named:
        return f"{question.baseline} has no run that counts here; --baseline names another ({', '.join(named)})"
    return "there is one method only"


def _overall(blocks: Sequence[Block], metric: str) -> Overall:
    """The spaces of one benchmark, table and scale together."""
    first = blocks[0]
    spaces = tuple(block.space for block in blocks)
    values = {
        (block.space, method.name): method.measures[metric].by_seed for block in blocks for method in block.methods
    }
    # Two tables of one name for one space: neither may stand for it.
    ambiguous = len(set(spaces)) < len(spaces)
    everywhere = [
        method.name
        for method in first.methods
        if not ambiguous and all((space, method.name) in values for space in spaces)
    ]
    seeds = {space: _common_seeds([values[space, name] for name in everywhere]) for space in spaces}
    errors = [[values[space, name][seed] for name in everywhere] for space in spaces for seed in seeds[space]]
    ranks = average_ranks(np.array(errors)) if errors and len(everywhere) > 1 else None
    means = {}
    if len(spaces) > 1:
        strata = [[_finite(values[space, name]) for space in spaces] for name in everywhere]
        means = dict(zip(everywhere, interquartile_means(strata), strict=True))
    return Overall(
        bench=first.bench,
        table=first.table,
        scale=first.scale,
        metric=metric,
        spaces=spaces,
        methods=tuple(everywhere),
        seeds=seeds,
        ranks=ranks,
        interquartile_means=means,
        approximate=any(method.measures[metric].approximate for block in blocks for method in block.methods),
        caveats=overall_caveats(blocks, everywhere, ranks),
    )


def _common_seeds(by_method: Sequence[dict[int, float]]) -> tuple[int, ...]:
    """Seeds for which every method has a value."""
    having = [{seed for seed, value in by_seed.items() if math.isfinite(value)} for by_seed in by_method]
    return tuple(sorted(set.intersection(*having))) if having else ()


def _finite(by_seed: dict[int, float]) -> Array:
    return np.array([value for value in by_seed.values() if math.isfinite(value)], dtype=np.float64)
