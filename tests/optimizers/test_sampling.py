"""What holds for every method that samples architectures rather than relaxing them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.search.settings import resolve
from optimizers.registry import get_method, list_methods
from optimizers.sampling import SamplingOptimizer
from optimizers.steps import Batch
from spaces.base import Architecture
from spaces.mixture import Mixture
from spaces.nb101.architecture import CellChoice
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.space import get_space
from tests.support.building import random_batch, small_optimizer

METHODS = [method.name for method in list_methods() if issubclass(method.optimizer_class, SamplingOptimizer)]

BATCHES = [random_batch(number) for number in range(90, 93)]


def sampling_optimizer(name: str, space: int = 1, **settings: Any) -> SamplingOptimizer:
    optimizer = small_optimizer(name, space, **settings)
    assert isinstance(optimizer, SamplingOptimizer)
    return optimizer


def train(optimizer: SamplingOptimizer, epochs: Iterable[int]) -> None:
    for epoch in epochs:
        optimizer.begin_epoch(epoch)
        for step in range(optimizer.steps):
            optimizer.step(step, random_batch(10 * epoch + step), random_batch(1000))
        optimizer.end_epoch(lambda: BATCHES)


def accuracy_by_whole_supernet(optimizer: SamplingOptimizer, mixture: Mixture, batches: Iterable[Batch]) -> float:
    right = seen = 0
    weights = optimizer.weights.frozen()
    for batch in batches:
        logits = optimizer.supernet(weights, mixture, batch.inputs)
        right += int((logits.argmax(dim=1) == batch.targets).sum())
        seen += len(batch.targets)
    return right / seen


@pytest.mark.parametrize("name", METHODS)
def test_scores_are_the_accuracies_of_the_supernet_with_stored_statistics(name: str) -> None:
    optimizer = sampling_optimizer(name)
    train(optimizer, range(2))
    architectures = optimizer.sample(12, torch.Generator().manual_seed(0))
    weights = optimizer.supernet.fold(optimizer.weights)
    scores = optimizer.score(weights, architectures, BATCHES, per_architecture=2, start=1)
    for number, (architecture, score) in enumerate(zip(architectures, scores, strict=True)):
        visited = [BATCHES[(1 + 2 * number + visit) % 3] for visit in range(2)]
        mixture = optimizer._mixture(architecture)
        assert score == pytest.approx(accuracy_by_whole_supernet(optimizer, mixture, visited)), number
    assert len(set(scores)) > 1


@pytest.mark.parametrize("name", METHODS)
def test_the_best_finalist_on_all_batches_is_chosen(name: str) -> None:
    optimizer = sampling_optimizer(name, selection__samples=20, selection__finalists=4, selection__batches=1)
    train(optimizer, range(3))
    optimizer.choose(optimizer.supernet.fold(optimizer.weights), BATCHES)
    candidates = optimizer.sample(20, optimizer.randomness.generator("candidates", 2))
    rough = [
        accuracy_by_whole_supernet(optimizer, optimizer._mixture(candidate), [BATCHES[number % 3]])
        for number, candidate in enumerate(candidates)
    ]
    finalists = sorted(range(20), key=lambda number: -rough[number])[:4]
    final = [accuracy_by_whole_supernet(optimizer, optimizer._mixture(candidates[i]), BATCHES) for i in finalists]
    best = candidates[finalists[final.index(max(final))]]
    assert optimizer.chosen == best
    assert optimizer.derive() == best
    assert accuracy_by_whole_supernet(optimizer, optimizer.relax(), BATCHES) == pytest.approx(max(final))


@pytest.mark.parametrize("name", METHODS)
def test_choosing_leaves_the_weights_and_statistics_alone(name: str) -> None:
    optimizer = sampling_optimizer(name)
    train(optimizer, range(1))
    before = copy.deepcopy(optimizer.weights)
    optimizer.end_epoch(lambda: BATCHES)
    for part, now in ((before.parameters, optimizer.weights.parameters), (before.buffers, optimizer.weights.buffers)):
        assert all(torch.equal(tensor, now[key]) for key, tensor in part.items())


@pytest.mark.parametrize("name", METHODS)
def test_only_the_validation_images_it_is_given_are_looked_at_when_choosing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizer = sampling_optimizer(name)
    train(optimizer, range(1))
    seen: list[torch.Tensor] = []
    original = optimizer.supernet.stem

    def recorded(weights: object, images: torch.Tensor, *how: Any) -> object:
        seen.append(images)
        return original(weights, images, *how)

    monkeypatch.setattr(optimizer.supernet, "stem", recorded)
    optimizer.end_epoch(lambda: BATCHES)
    assert {id(images) for images in seen} == {id(batch.inputs) for batch in BATCHES}


def view(mixture: Mixture) -> Coefficients:
    return Coefficients.from_rows(mixture.rows)


@pytest.mark.parametrize("name", METHODS)
def test_each_batch_trains_one_architecture_drawn_before_the_epoch(name: str) -> None:
    optimizer = sampling_optimizer(name, steps=5)
    optimizer.begin_epoch(3)
    again = sampling_optimizer(name, steps=5)
    again.begin_epoch(3)
    mixtures = [optimizer.weight_mixture(step, random_batch(step)) for step in range(5)]
    for step, mixture in enumerate(mixtures):
        same = again.weight_mixture(step, random_batch(step))
        assert all(torch.equal(row, other) for row, other in zip(mixture.rows, same.rows, strict=True))
    space = get_space(1)
    counts = space.parent_counts
    for seen in map(view, mixtures):
        assert (seen.operations.sum(dim=1) == 1).all()
        assert seen.output.sum() == counts[-1]
        inputs = zip(space.choosing_nodes, seen.inputs, strict=True)
        assert all(row.sum() == counts[node - 1] for node, row in inputs)
        assert all(((row == 0) | (row == 1)).all() for row in seen.rows)
    assert len({str(mixture.rows) for mixture in mixtures}) > 1


@pytest.mark.parametrize("name", METHODS)
def test_epochs_train_and_score_different_architectures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = sampling_optimizer(name, steps=5)
    drawn: list[list[Architecture]] = []
    original = optimizer.sample

    def recorded(count: int, generator: torch.Generator) -> list[Architecture]:
        drawn.append(original(count, generator))
        return drawn[-1]

    monkeypatch.setattr(optimizer, "sample", recorded)
    train(optimizer, range(3))
    # For each epoch those that are trained, then those that are scored.
    assert [len(architectures) for architectures in drawn] == [5, 6] * 3
    assert len({tuple(architectures[:5]) for architectures in drawn}) == 6


@pytest.mark.parametrize("name", METHODS)
def test_a_step_uses_no_validation_image_and_has_no_alphas(name: str) -> None:
    left, right = sampling_optimizer(name), sampling_optimizer(name)
    for optimizer, validation in ((left, random_batch(1)), (right, random_batch(2))):
        optimizer.begin_epoch(0)
        optimizer.step(0, random_batch(0), validation)
        assert optimizer.alphas == []
    for key, tensor in left.weights.parameters.items():
        assert torch.equal(tensor, right.weights.parameters[key])


@pytest.mark.parametrize("name", METHODS)
def test_before_any_training_a_sampled_cell_is_returned_the_same_for_a_seed(name: str) -> None:
    cells = [sampling_optimizer(name, seed=seed).derive() for seed in range(8)]
    assert cells == [sampling_optimizer(name, seed=seed).derive() for seed in range(8)]
    assert len(set(cells)) > 1


@pytest.mark.parametrize("name", METHODS)
def test_the_chosen_architecture_survives_a_checkpoint(name: str) -> None:
    optimizer = sampling_optimizer(name)
    train(optimizer, range(2))
    other = sampling_optimizer(name, seed=5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert other.chosen == optimizer.chosen
    assert isinstance(other.chosen, CellChoice)
    state = optimizer.state_dict()
    del state["chosen"]
    with pytest.raises(KeyError):
        other.load_state_dict(state)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("perturbation.kind", "uniform", "perturbation: a method that relaxes nothing has no mixture"),
        ("selection.samples", "0", "selection.samples: expected a whole number from 1 to"),
        ("selection.final_batches", "-1", "selection.final_batches: expected a whole number from 0 to"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(name: str, key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        resolve(get_method(name), get_space(1), {}, {key: value}, None)
    assert "\n" not in str(caught.value)
