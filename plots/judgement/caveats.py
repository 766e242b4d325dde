"""What a reader of statistics must know before believing them, a sentence each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.records.run_folder import RunFolder, RunFolderError
from harness.records.statistics import BLOCKS_FOR_CRITICAL_DIFFERENCE, Ranks
from plots.judgement.findings import ALPHA, BASELINE, Block, Family, MethodSummary
from plots.judgement.measures import MEASURES
from plots.runs.records import Comparison, Method, Run, counted


def block_caveats(
    comparison: Comparison,
    methods: Sequence[MethodSummary],
    family: Family,
    budget: float,
    baseline: str,
    passed_over: Sequence[str] = (),
) -> tuple[str, ...]:
    """What limits the summaries and tests of one comparison, most important first.

    Args:
        comparison: its runs.
        methods: their summaries.
        family: the tests.
        budget: the seconds of training that every run had.
        baseline: the method that was asked for as that.
        passed_over: methods of the results folder that were not picked.
    """
    if not comparison.is_judged:
        return (NO_JUDGE, *_of_unequal_runs(comparison.methods, methods), _of_seconds(comparison.methods, budget))
    return (
        *_of_baseline(family, baseline),
        *_of_picking(family, passed_over),
        *_of_tests(family),
        *_of_unequal_runs(comparison.methods, methods),
        *_of_missing_values(comparison.methods, methods),
        *_of_few_seeds(methods, family.metric),
        _of_seconds(comparison.methods, budget),
        *(() if comparison.optimum is not None else (NO_OPTIMUM,)),
    )


def overall_caveats(blocks: Sequence[Block], methods: Sequence[str], ranks: Ranks | None) -> tuple[str, ...]:
    """What limits the ranks and means over the spaces of a benchmark."""
    caveats = []
    if len({block.space for block in blocks}) < len(blocks):
        caveats.append(f"Two tables are called {blocks[0].table}, so that the spaces cannot be taken together.")
    dropped = sorted({method.name for block in blocks for method in block.methods} - set(methods))
    if methods and dropped:
        caveats.append(f"Not in all spaces, and left out: {', '.join(dropped)}.")
    if ranks is not None:
        if ranks.critical_difference is None:
            caveats.append(f"No critical difference below {BLOCKS_FOR_CRITICAL_DIFFERENCE} blocks.")
        caveats.append("A block is a seed of a space, so that ranks speak of these spaces and not of others.")
    return tuple(caveats)


NO_JUDGE = "No judge: nothing says how good the derived cells are, so there are no test errors to compare."
NO_OPTIMUM = "No regret: the runs do not record the lowest test error of the space."


def _of_baseline(family: Family, asked: str) -> Iterator[str]:
    if family.kind == BASELINE and family.tests and (taken := family.tests[0].second) != asked:
        yield f"The baseline is {taken}, the one variant of {asked} here; --baseline names another."


def _of_picking(family: Family, passed_over: Sequence[str]) -> Iterator[str]:
    if passed_over and family.tests:
        yield (
            f"--only passed over {counted(len(passed_over), 'method')}: p is adjusted over the tests shown alone, and "
            "is too small where methods were picked by their results."
        )


def _of_tests(family: Family) -> Iterator[str]:
    if not family.tests:
        return
    tests = counted(len(family.tests), "test")
    if family.smallest_holm_p > ALPHA:
        yield (
            f"Nothing can be significant here: with so few seeds the smallest p of {tests} is "
            f"{family.smallest_holm_p:.3f} after Holm, above .05. It takes more seeds or fewer tests."
        )
    seeds = max(max(test.n) for test in family.tests)
    yield (
        "Seeds of the same number share their batches, but the tests do not pair them: "
        f"paired, {counted(seeds, 'seed')} could not give a p below {2 / 2**seeds:.2g}."
    )
    if any(not test.exact for test in family.tests):
        yield "p is approximate (normal, corrected for ties) where two methods have over 100 seeds together."


def _of_unequal_runs(asked: Sequence[Method], judged: Sequence[MethodSummary]) -> Iterator[str]:
    if len({one.epochs for one in judged}) > 1:
        yield f"Epochs differ: {', '.join(f'{one.name} {one.epochs}' for one in judged)}."
    cut = [
        f"{one.name} ({one.epochs} of {method.epochs})"
        for method, one in zip(asked, judged, strict=True)
        if method.epochs != one.epochs
    ]
    if cut:
        yield f"Judged before the last epoch, over which schedules stretch: {', '.join(cut)}."
    if len({one.seeds for one in judged}) > 1:
        yield f"Seeds differ: {', '.join(f'{one.name} {numbers(one.seeds)}' for one in judged)}."


def _of_missing_values(recorded: Sequence[Method], methods: Sequence[MethodSummary]) -> Iterator[str]:
    """Seeds without a value that their lines should give, by measure; those with a damaged line apart."""
    damaged = {(method.name, run.seed): _damage(run) for method in recorded for run in method.runs if _damage(run)}
    if damaged:
        listed = "; ".join(f"{name} seed {seed} ({lines})" for (name, seed), lines in damaged.items())
        yield f"Errors that are not finite numbers, so that lines are damaged: {listed}. They count as missing."
    for name in ("final_error", "best_by_supernet", "best_by_table", "anytime_error"):
        lacking = []
        for method in methods:
            seeds = [
                seed
                for seed, value in method.measures[name].by_seed.items()
                if math.isnan(value) and (method.name, seed) not in damaged
            ]
            lacking += [f"{method.name} seed {numbers(seeds)}"] if seeds else []
        if lacking:
            yield f"Without a value of {MEASURES[name].label}, for want of a cell in the table: {'; '.join(lacking)}."


def _damage(run: Run) -> str:
    epochs = sorted({*run.damaged("test_error"), *run.damaged("valid_error")})
    return f"epoch {', '.join(map(str, epochs[:3]))}{', ...' if len(epochs) > 3 else ''}" if epochs else ""


def _of_few_seeds(methods: Sequence[MethodSummary], metric: str) -> Iterator[str]:
    if any(one.measures[metric].approximate for one in methods):
        yield (
            "~ approximate: under 10 seeds the bootstrap interval of an interquartile mean is too short; "
            "at six it covers about 91 % instead of 95 %."
        )


def _of_seconds(methods: Sequence[Method], budget: float) -> str:
    if math.isnan(budget):
        return "No figures over seconds: not every run recorded its seconds of training."
    machines = sorted({machine(run.path) for method in methods for run in method.runs})
    where = f"on {machines[0]}" if len(machines) == 1 else f"on machines that differ ({'; '.join(machines)})"
    return (
        f"Seconds are of training alone, by the clock, {where}; searches side by side slow each other. "
        f"Equal seconds are {budget:.3g}, when the fastest run ended."
    )


def machine(path: Path) -> str:
    """Device or processor of every start of a run, in words."""
    try:
        starts = RunFolder(path).environment().get("starts")
    except (OSError, RunFolderError):
        starts = None
    known = [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []
    return " then ".join(sorted({_device(start) for start in known})) or "an unknown machine"


def _device(start: dict[str, object]) -> str:
    device = start.get("device")
    return f"{start.get('cpu')} ({start.get('cpus')} CPUs)" if device == "cpu" else str(device)


def numbers(seeds: Sequence[int]) -> str:
    """`0-5`, `0-2, 7`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
