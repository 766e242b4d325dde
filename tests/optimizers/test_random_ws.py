from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from harness.search.settings import resolve
from optimizers.random_ws import RandomSearch
from optimizers.registry import get_method
from spaces.nb101.architecture import CellChoice
from spaces.nb101.space import SearchSpace, get_space
from tests.support.building import small_optimizer
from tests.support.golden_vectors import golden_json


def drawn(space: int, count: int) -> list[CellChoice]:
    optimizer = small_optimizer("random_ws", space)
    assert isinstance(optimizer, RandomSearch)
    samples = optimizer.sample(count, torch.Generator().manual_seed(4))
    return [sample for sample in samples if isinstance(sample, CellChoice)]


def assert_uniform(space: SearchSpace, samples: Sequence[CellChoice]) -> None:
    """Every node's parents and every block's operation come up as often as they should, within four deviations."""
    counted: Counter[object] = Counter()
    for sample in samples:
        counted.update(enumerate(sample.parents, start=1))
        counted.update((f"block {block}", op) for block, op in enumerate(sample.ops))
    for node, count in enumerate(space.parent_counts, start=1):
        options = list(itertools.combinations(range(node), count))
        for option in options:
            share = counted.pop((node, option)) / len(samples)
            assert abs(share - 1 / len(options)) <= 4 * math.sqrt(1 / len(options) / len(samples)), (node, option)
    for event, occurrences in counted.items():
        assert abs(occurrences / len(samples) - 1 / 3) <= 4 * math.sqrt(2 / 9 / len(samples)), event


@pytest.mark.parametrize("number", [1, 2, 3])
def test_architectures_are_uniform_over_the_space_loose_ends_included(number: int) -> None:
    space, samples = get_space(number), drawn(number, 4000)
    for sample in samples:
        space.cell(sample.parents, sample.ops)
    assert_uniform(space, samples)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_published_samples_have_the_same_distribution(number: int) -> None:
    recorded = golden_json("random_ws_samples")[f"space{number}"]["with_loose_ends_not_upscaled"]
    samples = []
    for sample in recorded:
        matrix = np.array(sample["adjacency"], dtype=int)
        parents = tuple(tuple(np.flatnonzero(column).tolist()) for column in matrix.T[1:])
        samples.append(CellChoice(parents, tuple(sample["ops"])))
    assert len(samples) == 100
    assert_uniform(get_space(number), samples)


def test_loose_ends_are_sampled_too() -> None:
    assert any(sample.computed() != sample for sample in drawn(1, 50))


def test_preset_is_the_published_protocol() -> None:
    config, _ = resolve(get_method("random_ws"), get_space(1), {}, {}, None)
    assert (config.data.batch_size, config.epochs) == (64, 100)
    weights = config.method.weights
    assert (weights.learning_rate, weights.momentum, weights.weight_decay) == (0.025, 0.9, 3e-4)
    assert weights.gradient_clip == 0.25
    selection = config.to_json()["selection"]
    assert selection == {"samples": 1000, "batches": 10, "finalists": 5, "final_batches": 0}
