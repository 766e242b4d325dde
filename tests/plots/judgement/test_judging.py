"""What is computed from runs: which count, summaries, families of tests, ranks over spaces, caveats."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from harness.records.run_folder import RunFolder
from harness.records.statistics import average_ranks, cliffs_delta, interquartile_mean, mann_whitney, mean_interval
from plots.judgement.findings import ALL_PAIRS, Block, Judgement, Question
from plots.judgement.judging import detection, judge, summarise
from plots.runs.records import Comparison, Method, Run
from plots.runs.survey import Survey

DARTS = (0.05, 0.06, 0.07, 0.08, 0.09, 0.10)
BETTER = (0.01, 0.02, 0.03, 0.04, 0.045, 0.049)


def run_of(seed: int, error: float | None, epochs: int = 2, recorded: int | None = None, train: float = 1.0) -> Run:
    """A run whose error is the same after every epoch."""
    lines = [
        {"epoch": epoch, "test_error": error, "valid_error": error, "supernet_valid_accuracy": epoch / 10}
        | {"seconds": {"train": train} if epoch else {}}
        for epoch in range((epochs if recorded is None else recorded) + 1)
    ]
    return Run.of_lines(Path(f"seed{seed}"), seed, epochs, lines)


def comparison_of(
    methods: Mapping[str, Sequence[float | None]], space: int = 1, optimum: float | None = 0.01, sha256: str = "ab"
) -> Comparison:
    gathered = [
        Method(name, 2, tuple(run_of(seed, error) for seed, error in enumerate(errors)))
        for name, errors in methods.items()
    ]
    return Comparison("digits", space, "digits", "4 channels", tuple(gathered), optimum, sha256)


def judged(*comparisons: Comparison, **question: object) -> Judgement:
    return judge(Survey(comparisons, ()), Question(**question))  # type: ignore[arg-type]


def block_of(methods: Mapping[str, Sequence[float | None]], **question: object) -> Block:
    (block,) = judged(comparison_of(methods), **question).blocks
    return block


def caveat(block: Block, start: str) -> str:
    (found,) = [one for one in block.caveats if one.startswith(start)]
    return found


def test_a_summary_is_over_the_seeds_that_have_a_value() -> None:
    one = summarise({0: 0.1, 3: math.nan, 4: 0.3, 7: 0.2})
    values = np.array([0.1, 0.3, 0.2])
    np.testing.assert_array_equal(one.values, values)
    assert (one.n, one.mean, one.median, one.low, one.high) == (3, mean_interval(values), 0.2, 0.1, 0.3)
    assert one.deviation == pytest.approx(0.1)
    assert one.interquartile_mean == interquartile_mean([values])


@pytest.mark.parametrize(("seeds", "approximate"), [(9, True), (10, False)])
def test_an_interquartile_mean_is_approximate_under_ten_seeds(seeds: int, approximate: bool) -> None:
    assert summarise({seed: 0.1 * seed for seed in range(seeds)}).approximate is approximate


def test_a_summary_of_nothing_has_no_numbers() -> None:
    one = summarise({0: math.nan})
    assert (one.n, one.approximate) == (0, True)
    assert all(math.isnan(value) for value in (one.mean.value, one.median, one.low, one.deviation))


def test_every_method_is_tested_against_the_baseline() -> None:
    family = block_of({"darts": DARTS, "gdas": BETTER, "nasp": DARTS}).family
    assert [(test.first, test.second) for test in family.tests] == [("gdas", "darts"), ("nasp", "darts")]
    gdas, nasp = family.tests
    expected = mann_whitney(np.array(BETTER), np.array(DARTS))
    assert (gdas.u, gdas.p, gdas.exact) == (expected.u, expected.p, True)
    assert gdas.delta == cliffs_delta(np.array(BETTER), np.array(DARTS))
    assert gdas.difference == pytest.approx(np.mean(BETTER) - np.mean(DARTS))
    assert gdas.holm_p == pytest.approx(2 * 2 / 924)
    assert nasp.holm_p == 1
    assert (gdas.significant, nasp.significant) == (True, False)


def test_all_pairs_are_one_family() -> None:
    family = block_of({"darts": DARTS, "gdas": BETTER, "nasp": DARTS}, family=ALL_PAIRS).family
    pairs = [(test.first, test.second) for test in family.tests]
    assert pairs == [("darts", "gdas"), ("darts", "nasp"), ("gdas", "nasp")]
    assert family.tests[0].holm_p == pytest.approx(3 * 2 / 924)


def test_another_baseline_and_another_measure_can_be_asked_for() -> None:
    block = block_of({"darts": DARTS, "gdas": BETTER}, baseline="gdas", metric="regret")
    (test,) = block.family.tests
    assert (test.first, test.second, block.family.metric) == ("darts", "gdas", "regret")


@pytest.mark.parametrize(
    ("methods", "question", "why"),
    [
        (
            {"gdas": DARTS, "nasp": DARTS},
            {},
            "darts has no run that counts here; --baseline names another (gdas, nasp)",
        ),
        ({"darts": DARTS}, {}, "there is one method only"),
        ({"darts": DARTS}, {"family": ALL_PAIRS}, "there is one method only"),
        ({"darts": [None], "gdas": [None]}, {}, "no run here has a value of final_error"),
    ],
)
def test_without_a_test_the_reason_is_given(
    methods: Mapping[str, Sequence[float | None]], question: dict[str, str], why: str
) -> None:
    family = block_of(methods, **question).family
    assert (family.tests, family.why_none, family.alone) == ((), why, None)


@pytest.mark.parametrize(("methods", "impossible"), [(23, False), (24, True)])
def test_from_24_tests_of_six_seeds_on_nothing_can_be_significant_and_that_is_said(
    methods: int, impossible: bool
) -> None:
    others = {f"m{number:02}": BETTER for number in range(methods)}
    block = block_of({"darts": DARTS, **others})
    said = [one for one in block.caveats if one.startswith("Nothing can be significant here")]
    assert block.family.smallest_holm_p == pytest.approx(methods * 2 / 924)
    assert (len(said), any(test.significant for test in block.family.tests)) == (int(impossible), not impossible)
    assert all("24 tests is 0.052 after Holm" in one for one in said)


def test_three_seeds_can_show_nothing() -> None:
    block = block_of({"darts": DARTS[:3], "gdas": BETTER[:3]})
    assert caveat(block, "Nothing can be significant").startswith("Nothing can be significant here: with so few seeds")
    assert block.family.alone is not None
    assert block.family.alone.found == math.inf


def test_what_can_be_detected_is_said_for_one_test_and_for_the_family() -> None:
    family = block_of({"darts": DARTS, "gdas": BETTER, "nasp": BETTER[:4]}).family
    assert family.alone == detection((4, 6), 0.05)
    assert family.together == detection((4, 6), 0.025)
    six = detection((6, 6), 0.05)
    assert [round(share, 1) for share in six.missed.values()] == [0.7, 0.4, 0.2]
    assert list(six.missed) == [1, 1.5, 2]


def test_the_spread_is_pooled_within_methods() -> None:
    block = block_of({"darts": [0.1, 0.2], "gdas": [0.5, 0.6, 0.7], "nasp": [0.9]})
    assert block.spread == pytest.approx(math.sqrt((0.005 + 2 * 0.01) / 3))
    assert math.isnan(block_of({"darts": [0.1]}).spread)


def test_only_finished_runs_count_and_the_others_are_listed_with_their_epochs() -> None:
    runs = (run_of(0, 0.1), run_of(1, 0.2, recorded=1), Run.of_lines(Path("seed2"), 2, 2, []))
    comparison = Comparison("digits", 1, "digits", "", (Method("darts", 2, runs),))
    result = judged(comparison)
    assert result.blocks[0].methods[0].seeds == (0,)
    assert {one.path.name: one.reason for one in result.left_out} == {
        "seed1": "unfinished: 1 of 2 epochs",
        "seed2": "unfinished: 0 of 2 epochs",
    }


def test_judged_at_an_epoch_unfinished_runs_count_too_and_the_block_says_so() -> None:
    runs = (run_of(0, 0.1), run_of(1, 0.2, recorded=1), run_of(2, 0.3, recorded=0))
    comparison = Comparison("digits", 1, "digits", "", (Method("darts", 2, runs),))
    result = judged(comparison, epochs=1)
    (block,) = result.blocks
    assert (block.methods[0].seeds, block.methods[0].epochs) == ((0, 1), 1)
    assert block.methods[0].measures["training_seconds"].by_seed == {0: 1.0, 1: 1.0}
    assert [one.reason for one in result.left_out] == ["has 0 epochs, not 1"]
    assert caveat(block, "Judged before") == (
        "Judged before the last epoch, over which schedules stretch: darts (1 of 2)."
    )


def test_without_a_run_that_counts_there_is_no_block() -> None:
    comparison = Comparison("digits", 1, "digits", "", (Method("darts", 2, (run_of(0, 0.1, recorded=1),)),))
    assert judged(comparison).blocks == ()


def test_equal_seconds_are_those_of_the_fastest_run() -> None:
    methods = (
        Method("darts", 2, (run_of(0, 0.1, train=3), run_of(1, 0.1, train=2))),
        Method("gdas", 2, (run_of(0, 0.2, train=5),)),
    )
    (block,) = judged(Comparison("digits", 1, "digits", "", methods)).blocks
    assert block.budget == 4
    assert block.methods[1].measures["error_at_budget"].by_seed == {0: 0.2}
    assert "Equal seconds are 4, when the fastest run ended" in caveat(block, "Seconds are of training")


def test_a_run_without_seconds_leaves_out_the_figures_over_seconds() -> None:
    comparison = Comparison("digits", 1, "digits", "", (Method("darts", 2, (run_of(0, 0.1, train=math.nan),)),))
    (block,) = judged(comparison).blocks
    assert math.isnan(block.budget)
    assert caveat(block, "No figures over seconds") == (
        "No figures over seconds: not every run recorded its seconds of training."
    )


def test_machines_that_differ_are_named(tmp_path: Path) -> None:
    starts = {0: [{"cpu": "A", "cpus": 2, "device": "cpu"}], 1: [{"cpu": "A", "cpus": 2, "device": "NVIDIA H100"}]}
    runs = []
    for seed, its in starts.items():
        RunFolder(tmp_path / f"seed{seed}").create({}, {"starts": its})
        runs.append(Run(tmp_path / f"seed{seed}", seed, 2, run_of(seed, 0.1).columns))
    (block,) = judged(Comparison("digits", 1, "digits", "", (Method("darts", 2, tuple(runs)),))).blocks
    assert "on machines that differ (A (2 CPUs); NVIDIA H100)" in caveat(block, "Seconds are")
    (tmp_path / "seed1" / "env.json").write_text(json.dumps({"starts": "?"}))
    (block,) = judged(Comparison("digits", 1, "digits", "", (Method("darts", 2, tuple(runs)),))).blocks
    assert "differ (A (2 CPUs); an unknown machine)" in caveat(block, "Seconds are")


def test_caveats_name_what_is_unequal_or_missing() -> None:
    methods = (
        Method("darts", 2, tuple(run_of(seed, error) for seed, error in ((0, 0.1), (1, 0.2), (2, None), (5, 0.1)))),
        Method("gdas", 3, (run_of(0, 0.3, epochs=3),)),
    )
    (block,) = judged(Comparison("digits", 1, "digits", "", methods)).blocks
    assert caveat(block, "Epochs differ") == "Epochs differ: darts 2, gdas 3."
    assert caveat(block, "Seeds differ") == "Seeds differ: darts 0-2, 5, gdas 0."
    assert caveat(block, "Without a value of final error") == (
        "Without a value of final error, for want of a cell in the table: darts seed 2."
    )
    assert caveat(block, "No regret").startswith("No regret: the runs do not record")
    assert caveat(block, "~ approximate").endswith("at six it covers about 91 % instead of 95 %.")
    assert caveat(block, "Seeds of the same number") == (
        "Seeds of the same number share their batches, but the tests do not pair them: "
        "paired, 3 seeds could not give a p below 0.25."
    )


def test_with_an_optimum_and_ten_seeds_these_caveats_are_gone() -> None:
    block = block_of({"darts": [0.1 + seed / 100 for seed in range(10)]})
    assert not [one for one in block.caveats if one.startswith(("No regret", "~"))]
    assert block.methods[0].measures["regret"].by_seed[1] == pytest.approx(0.1)


def test_ranks_are_over_the_seeds_of_all_spaces() -> None:
    first = {"darts": (0.3, 0.3, 0.3), "gdas": (0.1, 0.2, 0.4)}
    second = {"darts": (0.5, 0.6), "gdas": (0.4, 0.7, 0.8)}
    (overall,) = judged(comparison_of(first), comparison_of(second, space=2)).overall
    rows = np.array([[0.3, 0.1], [0.3, 0.2], [0.3, 0.4], [0.5, 0.4], [0.6, 0.7]])
    assert (overall.spaces, overall.methods) == ((1, 2), ("darts", "gdas"))
    assert overall.seeds == {1: (0, 1, 2), 2: (0, 1)}
    np.testing.assert_equal(overall.ranks, average_ranks(rows))
    expected = interquartile_mean([np.array(first["gdas"]), np.array(second["gdas"])])
    assert (overall.interquartile_means["gdas"], overall.approximate) == (expected, True)
    assert "No critical difference below 10 blocks." in overall.caveats


def test_ten_blocks_have_a_critical_difference() -> None:
    methods = {"darts": [0.3 + seed / 100 for seed in range(10)], "gdas": [0.1] * 10}
    (overall,) = judged(comparison_of(methods)).overall
    assert overall.ranks is not None
    assert overall.ranks.critical_difference is not None
    assert (overall.interquartile_means, overall.approximate) == ({}, False)
    assert not [one for one in overall.caveats if one.startswith("No critical difference")]


def test_a_method_that_one_space_lacks_is_left_out_of_the_ranks() -> None:
    first, second = {"darts": DARTS, "gdas": BETTER, "nasp": DARTS}, {"darts": DARTS, "gdas": BETTER}
    (overall,) = judged(comparison_of(first), comparison_of(second, space=2)).overall
    assert overall.methods == ("darts", "gdas")
    assert "Not in all spaces, and left out: nasp." in overall.caveats


def test_a_seed_that_one_method_lacks_is_no_block() -> None:
    (overall,) = judged(comparison_of({"darts": (0.1, None, 0.2), "gdas": (0.3, 0.4)})).overall
    assert overall.seeds == {1: (0,)}


def test_spaces_are_not_taken_together_where_two_tables_share_a_name() -> None:
    comparisons = [comparison_of({"darts": DARTS, "gdas": BETTER}, sha256=digest) for digest in ("ab", "cd")]
    (overall,) = judged(*comparisons).overall
    assert (overall.methods, overall.ranks) == ((), None)
    assert overall.caveats == ("Two tables are called digits, so that the spaces cannot be taken together.",)


def test_one_method_alone_has_no_ranks() -> None:
    (overall,) = judged(comparison_of({"darts": DARTS})).overall
    assert overall.ranks is None


def test_a_seed_with_an_error_that_is_nan_is_said_to_have_a_damaged_line() -> None:
    block = block_of({"darts": [0.1, 0.2, math.nan], "gdas": [0.1, None, 0.3]})
    assert caveat(block, "Errors that are not finite") == (
        "Errors that are not finite numbers, so that lines are damaged: darts seed 2 (epoch 0, 1, 2). "
        "They count as missing."
    )
    assert caveat(block, "Without a value of final error").endswith("for want of a cell in the table: gdas seed 1.")


def test_the_one_variant_of_the_baseline_stands_for_it_and_that_is_said() -> None:
    block = block_of({"darts@a1": DARTS, "gdas": BETTER})
    assert [(test.first, test.second) for test in block.family.tests] == [("gdas", "darts@a1")]
    assert "the one variant of darts here" in caveat(block, "The baseline is darts@a1, ")
    several = block_of({"darts@a1": DARTS, "darts@b2": DARTS, "gdas": BETTER}).family
    assert several.why_none == "darts has no run that counts here; --baseline names another (darts@a1, darts@b2, gdas)"
