"""Training of stand-alone networks: what is measured depends on cell, repeat and recipe alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import optimizers.randomness
from harness.data.datasets import ImageArrays, load_digits
from harness.errors import UserError
from harness.tabulation.jobs import Job, plan_jobs
from harness.tabulation.training import Recipe, Splits, TensorFlowRMSProp, nominal_training_time, train_cells
from spaces.nb101.cell import CONV3X3, INPUT, OUTPUT, Cell
from spaces.nb101.space import get_space


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return plan_jobs(get_space(1).cells()[:30], 2)


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Three classes of 4x4 images that are easily told apart."""
    generator = np.random.RandomState(0)
    labels = generator.randint(3, size=90)
    images = (labels[:, None, None, None] * 80 + generator.randint(40, size=(90, 1, 4, 4))).astype(np.uint8)
    return Splits.of(ImageArrays(images[:60], labels[:60], images[60:], labels[60:], 3, "toy", (0.4,), (0.3,)))


def test_measurement_does_not_depend_on_the_jobs_before(jobs: list[Job], splits: Splits) -> None:
    recipe = Recipe(channels=2, stacks=2, epochs=2, batch_size=10)
    first = train_cells(jobs[2].cells, 0, recipe, splits)
    train_cells(jobs[1].cells, 1, recipe, splits)
    torch.rand(5)
    assert train_cells(jobs[2].cells, 0, recipe, splits) == first


def test_weights_are_drawn_by_cell_and_repeat_and_the_order_by_repeat_and_epoch(
    jobs: list[Job], splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[tuple[object, ...]] = []
    plain = optimizers.randomness.keyed_generator

    def watched(*key: object) -> torch.Generator:
        keys.append(key)
        return plain(*key)

    monkeypatch.setattr(optimizers.randomness, "keyed_generator", watched)
    train_cells(jobs[2].cells, 1, Recipe(channels=2, stacks=2, epochs=3, batch_size=10), splits)
    assert [key for key in keys if key[0] == "order"] == [("order", 1, 0), ("order", 1, 1), ("order", 1, 2)]
    weights = [key for key in keys if key[0] != "order"]
    assert {key[:2] for key in weights} == {(cell.hash, 1) for cell in jobs[2].cells}
    assert len(set(weights)) == len(weights)


def test_repeats_differ(jobs: list[Job], splits: Splits) -> None:
    recipe = Recipe(channels=2, stacks=2, epochs=1, batch_size=10)
    accuracies = [
        [cell["train_accuracy"] for cell in train_cells(jobs[2].cells, repeat, recipe, splits)] for repeat in (0, 1)
    ]
    assert accuracies[0] != accuracies[1]


def test_training_learns_what_is_easy(jobs: list[Job], splits: Splits) -> None:
    measured = train_cells(jobs[2].cells, 0, Recipe(channels=4, stacks=2, epochs=12, batch_size=10), splits)
    for cell in measured:
        for name in ("train", "validation", "test"):
            assert cell[f"{name}_accuracy"] > 0.9
            assert cell[f"{name}_accuracy"] * 30 == pytest.approx(round(cell[f"{name}_accuracy"] * 30))
    assert [cell["hash"] for cell in measured] == [cell.hash for cell in jobs[2].cells]
    assert len({cell["training_time"] for cell in measured}) > 1


def test_training_time_is_that_of_three_forward_passes_of_every_image_seen(splits: Splits) -> None:
    cell = Cell([[0, 1, 0], [0, 0, 1], [0, 0, 0]], (INPUT, CONV3X3, OUTPUT))
    recipe = Recipe(channels=2, stacks=1, epochs=3, batch_size=20)
    # 16 pixels: the stem's 1 * 2 * 9, the projection's 2 * 2, the convolution's 2 * 2 * 9; then 2 * 3 classes
    forward = 16 * (18 + 4 + 36) + 6
    seen = 3 * 20  # of 30 images, one batch of 20 an epoch
    assert nominal_training_time(cell, recipe, splits) == pytest.approx(3 * forward * seen / 1e9, rel=1e-12)
    assert train_cells([cell], 0, recipe, splits)[0]["training_time"] == nominal_training_time(cell, recipe, splits)


def test_optimizer_is_tensorflows_rmsprop() -> None:
    recipe = Recipe(momentum=0.8, decay=0.7, epsilon=0.5, weight_decay=0.01)
    parameter = torch.tensor([1.0, -2.0], dtype=torch.float64)
    optimizer = TensorFlowRMSProp([parameter], recipe)
    expected, square, moment = [1.0, -2.0], [1.0, 1.0], [0.0, 0.0]
    for step, gradients in enumerate([[0.5, 3.0], [-1.0, 2.0], [0.25, -4.0]]):
        learning_rate = 0.1 / (step + 1)
        optimizer.step([torch.tensor(gradients, dtype=torch.float64)], learning_rate)
        for i in (0, 1):
            # d/dw of weight_decay * w ** 2 / 2, then tensorflow/core/kernels/training_ops.cc, ApplyRMSProp
            gradient = gradients[i] + 0.01 * expected[i]
            square[i] += (1 - 0.7) * (gradient * gradient - square[i])
            moment[i] = 0.8 * moment[i] + learning_rate * gradient / math.sqrt(square[i] + 0.5)
            expected[i] -= moment[i]
    assert parameter.tolist() == pytest.approx(expected, rel=1e-12)


def test_splits_are_the_halves_of_the_training_images_and_the_test_images() -> None:
    arrays = load_digits()
    splits = Splits.of(arrays)
    assert {name: len(images) for name, images in splits.images.items()} == {
        "train": 600,
        "validation": 600,
        "test": 597,
    }
    assert splits.labels["validation"].tolist() == arrays.train_labels[600:].tolist()
    assert splits.labels["test"].tolist() == arrays.test_labels.tolist()
    pixels = arrays.train_images[601].astype(np.float64) / 255
    expected = (pixels - arrays.mean[0]) / arrays.std[0]
    np.testing.assert_allclose(splits.images["validation"][1].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert float(splits.images["train"].mean()) == pytest.approx(0, abs=1e-5)
    assert float(splits.images["train"].std()) == pytest.approx(1, abs=1e-3)


def test_recipe_out_of_range_is_refused_where_it_is_made() -> None:
    with pytest.raises(UserError, match="learning rate: expected a number above 0, got nan"):
        Recipe(learning_rate=math.nan)
