"""The table of NAS-Bench-201 that ships with the package."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UserError
from harness.judges.base import UNKNOWN
from harness.tables.nb201.make import make
from harness.tables.nb201.table import SHA256, Nb201Table, Nb201Truths, read_accuracies
from spaces.base import Architecture, Graph
from spaces.nb201.architecture import COUNT, Nb201Architecture
from spaces.nb201.space import NB201_NO_NONE
from tests.support.golden_vectors import reference_folder

DATASETS = ("cifar10", "cifar100", "imagenet16")

ALL_SKIP = Nb201Architecture(("skip_connect",) * 6)

# Index, text, and in per cent: test and validation accuracy after 200 epochs on the three data sets, and test and
# validation accuracy after 12 epochs on CIFAR-10.
RECORDED = [
    (
        13693,
        "|nor_conv_1x1~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
        (92.813333, 69.32, 43.311111),
        (89.922667, 69.453333, 43.422222),
        (86.98, 81.848),
    ),
    (
        6386,
        "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|",
        (92.24, 68.706667, 42.588889),
        (89.273333, 68.753333, 42.311111),
        (84.65, 77.706),
    ),
    (
        7090,
        "|none~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|none~1|skip_connect~2|",
        (79.756667, 50.846667, 20.844444),
        (77.630667, 50.746667, 21.633333),
        (61.71, 53.532),
    ),
    (
        9952,
        "|avg_pool_3x3~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
        (79.9, 46.55, 16.883333),
        (74.938, 45.67, 18.066667),
        (61.21, 54.724),
    ),
    (
        12489,
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|",
        (93.04, 69.5, 42.183333),
        (89.9, 69.81, 42.5),
        (86.19, 78.142),
    ),
    (
        12569,
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
        (93.295, 68.42, 44.35),
        (89.634, 68.41, 44.3),
        (85.09, 75.248),
    ),
    (
        34,
        "|nor_conv_1x1~0|+|none~0|avg_pool_3x3~1|+|nor_conv_3x3~0|none~1|skip_connect~2|",
        (91.62, 67.46, 38.188889),
        (88.249333, 67.18, 38.555556),
        (80.75, 71.334),
    ),
    (
        11400,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
        (94.045, 71.96, 45.45),
        (91.298, 72.39, 44.616667),
        (88.4, 84.478),
    ),
    (
        7297,
        "|none~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|avg_pool_3x3~2|",
        (89.96, 64.41, 33.4),
        (87.174, 65.26, 33.883333),
        (83.32, 77.556),
    ),
    (
        4363,
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|",
        (90.456667, 65.533333, 36.477778),
        (86.688, 65.166667, 36.822222),
        (74.84, 68.206),
    ),
    (
        11821,
        "|nor_conv_1x1~0|+|skip_connect~0|avg_pool_3x3~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|",
        (86.425, 57.77, 28.833333),
        (83.27, 58.18, 29.816667),
        (70.92, 62.922),
    ),
    (
        13137,
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|",
        (92.675, 69.23, 40.8),
        (89.268, 69.72, 40.95),
        (84.89, 76.86),
    ),
    (
        3748,
        "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|",
        (92.81, 69.21, 42.5),
        (89.448, 69.18, 41.633333),
        (83.77, 76.812),
    ),
    (
        9685,
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_3x3~2|",
        (92.75, 69.39, 41.416667),
        (89.506, 69.27, 41.65),
        (82.44, 75.05),
    ),
    (
        15487,
        "|nor_conv_1x1~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
        (91.775, 67.83, 38.516667),
        (88.28, 66.96, 38.533333),
        (80.45, 72.002),
    ),
    (
        1674,
        "|nor_conv_1x1~0|+|nor_conv_3x3~0|skip_connect~1|+|none~0|skip_connect~1|avg_pool_3x3~2|",
        (90.583333, 65.82, 36.1),
        (87.04, 66.233333, 35.722222),
        (78.71, 67.262),
    ),
    (
        0,
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        (85.863333, 52.913333, 26.633333),
        (81.982667, 52.7, 28.211111),
        (69.55, 63.364),
    ),
    (
        1835,
        "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
        (54.296667, 15.606667, 16.322222),
        (39.769333, 15.033333, 16.433333),
        (36.84, 33.944),
    ),
    (
        6111,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
        (94.373333, 73.22, 46.711111),
        (91.606667, 72.746667, 45.555555),
        (88.79, 84.384),
    ),
    (
        9930,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
        (94.363333, 73.513333, 46.344444),
        (91.553333, 73.493333, 46.366667),
        (88.66, 84.746),
    ),
]


@pytest.mark.parametrize(("index", "text", "test", "valid", "early"), RECORDED, ids=[str(row[0]) for row in RECORDED])
def test_values_of_twenty_architectures(
    index: int, text: str, test: tuple[float, ...], valid: tuple[float, ...], early: tuple[float, float]
) -> None:
    architecture = Nb201Architecture.from_string(text)
    assert architecture.index == index
    for dataset, test_accuracy, valid_accuracy in zip(DATASETS, test, valid, strict=True):
        verdict = Nb201Table(dataset).lookup(architecture)
        assert verdict.test_error == pytest.approx(1 - test_accuracy / 100, abs=1e-12)
        assert verdict.valid_error == pytest.approx(1 - valid_accuracy / 100, abs=1e-12)
        assert verdict.repeats == 1
    verdict = Nb201Table("cifar10", epochs=12).lookup(architecture)
    assert verdict.test_error == pytest.approx(1 - early[0] / 100, abs=1e-12)
    assert verdict.valid_error == pytest.approx(1 - early[1] / 100, abs=1e-12)


@pytest.mark.parametrize(
    ("dataset", "best", "index", "all_skip"),
    [("cifar10", 94.37, 6111, 54.30), ("cifar100", 73.51, 9930, 15.61), ("imagenet16", 47.31, 857, 16.32)],
)
def test_optimum_and_the_all_skip_architecture(dataset: str, best: float, index: int, all_skip: float) -> None:
    table = Nb201Table(dataset)
    truths = Nb201Truths(table)
    assert truths.best_by_test.index == index
    assert round(100 * (1 - truths.test.min()), 2) == best
    error = table.lookup(ALL_SKIP).test_error
    assert error is not None
    assert round(100 * (1 - error), 2) == all_skip


def test_the_architecture_that_darts_ends_at_ranks_near_the_last() -> None:
    truths = Nb201Truths(Nb201Table())
    assert truths.rank(truths.best_by_test) == 1
    assert truths.rank(ALL_SKIP) == 15_231
    assert truths.quantiles([0, 1]).tolist() == [truths.test.min(), truths.test.max()]


@pytest.mark.parametrize("dataset", DATASETS)
def test_random_search_is_the_expectation_over_draws(dataset: str) -> None:
    truths = Nb201Truths(Nb201Table(dataset))
    expected, deviation = truths.random_search([1, 5, 100_000_000])
    assert expected[0] == pytest.approx(truths.test.mean(), abs=1e-12)
    assert deviation[0] == pytest.approx(truths.test.std(), abs=1e-12)
    generator = np.random.default_rng(0)
    draws = generator.integers(COUNT, size=(20_000, 5))
    simulated = truths.test[draws[np.arange(len(draws)), truths.valid[draws].argmin(axis=1)]]
    assert abs(simulated.mean() - expected[1]) < 5 * simulated.std() / np.sqrt(len(simulated))
    at_last = Nb201Table(dataset).lookup(truths.best_by_validation).test_error
    assert expected[2] == pytest.approx(at_last, abs=1e-9)


def test_record_says_what_figures_need() -> None:
    record = Nb201Table("cifar10").truths(3)
    assert record["optimum"]["cell"] == Nb201Architecture.from_index(6111).string
    assert record["optimum"]["test_error"] == pytest.approx(0.05626667)
    assert record["best_by_validation"]["cell"] == record["optimum"]["cell"]
    assert (record["cells"], record["share_of_draws"]) == (COUNT, 1.0)
    assert record["random_search"]["chosen_by"] == "validation error"
    assert np.all(np.diff(record["random_search"]["test_error"]) < 0)
    assert len(record["random_search"]["test_error"]) == 3


def test_truths_of_the_space_without_none_are_of_its_architectures() -> None:
    truths = Nb201Truths(Nb201Table(), NB201_NO_NONE.enumerate())
    assert len(truths.indices) == 4096
    assert truths.best_by_test.index == 6111
    assert truths.random_search([1])[0][0] == pytest.approx(truths.test.mean())


def test_the_table_says_what_it_is() -> None:
    info = Nb201Table("cifar100").info
    assert info.label == "NAS-Bench-201 CIFAR-100"
    assert Nb201Table("cifar10", 12).info.label == "NAS-Bench-201 CIFAR-10, 12 epochs"
    assert info.kind != "official"
    assert info.sha256 == SHA256
    assert not info.noise_known


def test_a_search_may_ask_at_every_epoch() -> None:
    table = Nb201Table()
    assert table.judge(ALL_SKIP, 0, last=False) == table.judge(ALL_SKIP, 50, last=True) == table.lookup(ALL_SKIP)


def test_an_architecture_of_another_space_is_unknown() -> None:
    assert Nb201Table().lookup(_OtherArchitecture()) == UNKNOWN


def test_other_data_sets_budgets_and_contents_are_refused() -> None:
    with pytest.raises(UserError, match="no data set 'svhn'; it has cifar10, cifar100, imagenet16"):
        Nb201Table("svhn")
    with pytest.raises(UserError, match="after 12 and 200 epochs, not 108"):
        Nb201Table(epochs=108)
    with pytest.raises(UserError, match="damaged, expected SHA-256"):
        read_accuracies(b"PK")


def test_sizes_by_formula() -> None:
    table = Nb201Table("imagenet16")
    assert table.parameters(ALL_SKIP) == 73_306 + 65 * 110
    assert table.megaflops(ALL_SKIP) == pytest.approx(1.9534, abs=1e-9)


def test_shipped_file_is_what_the_script_makes(tmp_path: Path) -> None:
    source = reference_folder() / "data" / "nasbench201" / "nasbench201.csv.gz"
    assert make(source, tmp_path / "accuracies.npz") == SHA256


def test_formula_of_multiplications_agrees_with_the_copies_but_for_204() -> None:
    source = reference_folder() / "data" / "nasbench201" / "nasbench201.csv.gz"
    table = Nb201Table("cifar10")
    with gzip.open(source, "rt", newline="") as lines:
        rows = [(row["architecture"], float(row["mflops_cifar10"])) for row in csv.DictReader(lines)]
    differing = [
        text for text, stated in rows if abs(table.megaflops(Nb201Architecture.from_string(text)) - stated) > 1.1e-5
    ]
    assert len(differing) == 204


def test_copies_that_state_other_multiplications_mix_in_those_of_an_equal_architecture() -> None:
    source = reference_folder() / "data" / "nasbench201" / "nasbench201.csv.gz"
    table = Nb201Table("cifar10")
    with gzip.open(source, "rt", newline="") as lines:
        stated = {
            Nb201Architecture.from_string(row["architecture"]): float(row["mflops_cifar10"])
            for row in csv.DictReader(lines)
        }
    own = {architecture: table.megaflops(architecture) for architecture in stated}
    classes: dict[str, set[float]] = {}
    for architecture, megaflops in own.items():
        classes.setdefault(architecture.unique_string, set()).add(megaflops)
    shares = (1 / 3, 2 / 3, 1 / 2)
    for architecture, value in stated.items():
        if abs(own[architecture] - value) > 1.1e-5:
            twins = classes[architecture.unique_string] - {own[architecture]}
            mixed = [own[architecture] + share * (twin - own[architecture]) for share in shares for twin in twins]
            assert min(abs(each - value) for each in mixed) < 2e-5, architecture.string


class _OtherArchitecture(Architecture):
    @property
    def key(self) -> str:
        return "other"

    def to_json(self) -> dict[str, object]:
        return {}

    def graphs(self) -> tuple[Graph, ...]:
        return ()

    def operations(self) -> tuple[str, ...]:
        return ()
