"""What a table says about a space equals a plain recomputation, and random search's expectation equals simulation."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.benchmarks.registry import get_benchmark
from harness.commands.table import main
from harness.errors import UserError
from harness.tables.indexing import build_index
from harness.tables.query import Table
from harness.tables.tfrecord import Record, TFRecordReader
from harness.tables.truths import PUBLISHED_MINIMA, Truths, expected_best
from spaces.nb101.cell import OPERATIONS
from spaces.nb101.space import get_space
from tests.harness.tables.test_query import CELLS, some_records, write_records
from tests.support.golden_vectors import reference_folder


@pytest.fixture(scope="module")
def digits() -> Truths:
    return Truths(get_benchmark("digits").table(1), get_space(1))


def table_of(folder: Path, records: list[Record]) -> Table:
    build_index(write_records(folder / "trial.tfrecord", records), folder / "trial.index")
    return Table.open(folder / "trial.index")


def test_optimum_and_errors_are_means_over_repeats_of_all_cells_of_the_space(digits: Truths) -> None:
    table = digits.table
    metrics = [table.query(cell) for cell in get_space(1).cells()]
    assert sorted(one.hash for one in metrics) == digits.hashes
    best = min(metrics, key=lambda one: one.test_error)
    record = digits.record(3)
    assert record["optimum"] == {"cell": best.hash, "test_error": best.test_error, "valid_error": best.valid_error}
    chosen = min(metrics, key=lambda one: one.valid_error)
    assert record["best_by_validation"]["valid_error"] == chosen.valid_error
    assert (record["cells"], record["share_of_draws"]) == (2685, 1.0)
    assert np.sort(digits.test).tolist() == sorted(one.test_error for one in metrics)


def test_probability_is_that_of_the_sampler(digits: Truths) -> None:
    space = get_space(1)
    counts = Counter(
        space.cell(parents, ops).hash
        for parents in space.parent_choices()
        for ops in itertools.product(OPERATIONS, repeat=space.blocks)
    )
    expected = np.array([counts[hash_] for hash_ in digits.hashes]) / counts.total()
    assert digits.probability == pytest.approx(expected, abs=1e-15)


def test_random_search_equals_its_simulation(digits: Truths) -> None:
    """Within five standard errors of 2,000 simulated searches that sample the space and ask the table."""
    generator = random.Random(0)
    space, draws = get_space(1), 7
    errors: dict[str, tuple[float, float]] = dict(
        zip(digits.hashes, zip(digits.valid.tolist(), digits.test.tolist(), strict=True), strict=True)
    )
    pool = [errors[space.sample(generator).key] for _ in range(2000 * draws)]
    found = [min(pool[start : start + draws], key=lambda pair: pair[0])[1] for start in range(0, len(pool), draws)]
    (expected,), (deviation,) = digits.random_search([draws])
    assert abs(np.mean(found) - expected) < 5 * deviation / np.sqrt(len(found))
    assert np.std(found) == pytest.approx(deviation, rel=0.2)


numbers = st.integers(0, 3).map(float)


@settings(deadline=None)
@given(
    cells=st.lists(st.tuples(numbers, numbers, st.integers(0, 4)), min_size=1, max_size=5).filter(
        lambda cells: any(weight for *_, weight in cells)
    ),
    draws=st.integers(1, 4),
)
def test_expectation_equals_that_over_all_sequences_of_draws(cells: list[tuple[float, float, int]], draws: int) -> None:
    chosen_by, value, weight = (np.array(column, float) for column in zip(*cells, strict=True))
    probability = weight / weight.sum()
    mean = square = 0.0
    for sequence in itertools.product(range(len(cells)), repeat=draws):
        chance = float(np.prod(probability[list(sequence)]))
        best = value[min(sequence, key=lambda cell: chosen_by[cell])]
        mean, square = mean + chance * best, square + chance * best**2
    (expected,), (deviation,) = expected_best(chosen_by, value, probability, [draws])
    assert expected == pytest.approx(mean)
    assert deviation**2 == pytest.approx(square - mean**2, abs=1e-12)


def test_nothing_to_draw_is_refused() -> None:
    nothing, one = np.empty(0), np.ones(1)
    for arguments in ((nothing, nothing, nothing, [1]), (one, one, one, [0])):
        with pytest.raises(ValueError, match="at least one"):
            expected_best(*arguments)


def test_noise_is_the_pooled_deviation_between_repeats(tmp_path: Path) -> None:
    records = some_records(CELLS, repeats=3)
    truths = Truths(table_of(tmp_path, records), get_space(1))
    variances = [np.var(truths.table.query(cell).test_accuracies, ddof=1) for cell in CELLS]
    assert truths.noise().test == pytest.approx(np.sqrt(np.mean(variances)))


def test_noise_is_unknown_for_one_repeat_and_for_identical_ones(tmp_path: Path) -> None:
    once = some_records(CELLS, repeats=1)
    noise = Truths(table_of(tmp_path, once), get_space(1)).noise()
    assert (noise.test, noise.valid, noise.reason) == (None, None, "the table has one repeat of each cell")
    noise = Truths(table_of(tmp_path, once * 3), get_space(1)).noise()
    assert (noise.test, noise.valid, noise.reason) == (None, None, "the repeats of a cell are identical")


def test_cells_of_other_spaces_do_not_count(tmp_path: Path) -> None:
    others = get_space(2).cells()[::900]
    truths = Truths(table_of(tmp_path, some_records([*CELLS, *others])), get_space(1))
    assert truths.hashes == sorted(cell.hash for cell in CELLS)
    assert 0 < truths.share < 1
    assert truths.probability.sum() == pytest.approx(1)
    with pytest.raises(UserError, match="has no cell of space 3"):
        Truths(table_of(tmp_path, some_records(others)), get_space(3))


@pytest.mark.parametrize(("number", "cells"), [(1, 2_685), (2, 7_773), (3, 55_854)])
def test_standin_truths_equal_a_plain_recomputation(number: int, cells: int, standin: Table) -> None:
    """From the file's records and the enumerated cells alone, with Python's own arithmetic."""
    path = reference_folder() / "data" / "nasbench101" / "nasbench101_standin.tfrecord.xz"
    reachable = {cell.hash for cell in get_space(number).cells()}
    test: dict[str, list[float]] = {}
    valid: dict[str, list[float]] = {}
    with TFRecordReader(path) as reader:
        for record in reader.records():
            if record.hash in reachable:
                test.setdefault(record.hash, []).append(1 - record.final.test_accuracy)
                valid.setdefault(record.hash, []).append(1 - record.final.validation_accuracy)
    test_means = {hash_: sum(errors) / len(errors) for hash_, errors in test.items()}
    valid_means = {hash_: sum(errors) / len(errors) for hash_, errors in valid.items()}
    truths = Truths(standin, get_space(number))
    told = truths.record(1)
    assert (len(test_means), truths.share) == (cells, 1.0)
    assert told["optimum"]["test_error"] == pytest.approx(min(test_means.values()), rel=1e-14)
    assert told["best_by_validation"]["valid_error"] == pytest.approx(min(valid_means.values()), rel=1e-14)
    assert test_means[told["optimum"]["cell"]] == pytest.approx(min(test_means.values()), rel=1e-14)
    assert truths.test == pytest.approx([test_means[hash_] for hash_ in sorted(test_means)], rel=1e-14)
    assert truths.valid == pytest.approx([valid_means[hash_] for hash_ in sorted(valid_means)], rel=1e-14)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Table:
    path = reference_folder() / "data" / "nasbench101" / "nasbench101_standin.tfrecord.xz"
    index = tmp_path_factory.mktemp("standin") / "standin.index"
    build_index(path, index)
    return Table.open(index)


def test_command_on_the_standin_never_calls_it_nasbench101(
    standin: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--space", "1", "--table", str(standin.path), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("nasbench101_standin (not NAS-Bench-101), space 1: all 2,685 cells, 108 epochs, 3 repeats")
    assert "noise between repeats: n/a, the repeats of a cell are identical" in out
    csv = (tmp_path / "truths_nasbench101_standin_space1.csv").read_text()
    assert "nasbench101_standin (not NAS-Bench-101),1,optimum" in csv


def test_command_prints_the_truths_and_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "1", "--bench", "digits", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for part in (
        "digits (not NAS-Bench-101), space 1: all 2,685 cells, 12 epochs, 3 repeats",
        "optimum, by test error: test 2.122 %, validation 3.389 %, cell e8e92cff27008178e25809422b90d356",
        "    4 conv3x3-bn-relu    <- 2, 3",
        "    output               <- input, 4",
        "best by validation error: test 2.401 %",
        "noise between repeats (s.d. pooled over cells): test 2.030 %",
        "of 2,127 cells",
        "digits is another table",
    ):
        assert part in out
    assert f"test {100 * PUBLISHED_MINIMA[1][0]:.3f} %" in out
    stem = tmp_path / "truths_digits_space1"
    assert {path.suffix for path in tmp_path.glob("truths_digits_space1.*")} == {".png", ".pdf", ".csv"}
    least = Truths(get_benchmark("digits").table(1), get_space(1)).test.min()
    assert f"digits (not NAS-Bench-101),1,percentile,0,{least}" in stem.with_suffix(".csv").read_text()


def test_command_tells_what_part_of_a_space_a_table_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of(tmp_path, some_records(CELLS, (4, 108)))
    assert main(["--space", "1", "--table", str(table.path), "--epochs", "4", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "trial (not NAS-Bench-101), space 1: 12 of 2,685 cells, 4 epochs, 3 repeats"
    assert out[1].endswith("of the sampler's draws; all below is of them alone.")
    with pytest.raises(UserError, match="no cells trained for 36 epochs; choose among 4, 108"):
        main(["--space", "1", "--table", str(table.path), "--epochs", "36"])
