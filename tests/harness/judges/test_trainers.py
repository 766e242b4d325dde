"""Trainings are the same at each call, decided by architecture, repeat, recipe and data alone."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.benchmarks.registry import get_benchmark
from harness.data.datasets import ImageArrays, load_digits
from harness.data.images import Augmentation
from harness.errors import UserError
from harness.judges.network_trainer import NetworkTrainer, image_splits, images_sha256, recipe_identity
from harness.judges.recipe import FURTHER, TrainRecipe
from harness.judges.registry import JUDGES, JudgeOptions, get_judge
from harness.judges.train import TrainJudge
from harness.tabulation.cell_trainer import CellTrainer
from harness.tabulation.training import Recipe, Splits, train_cells
from spaces.base import Architecture, DerivedSize, InputShape, Network, Pass
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import get_space
from spaces.registry import get_space as registered_space
from tests.support.cell_architecture import CellArchitecture
from tests.support.two_groups import TwoGroups, TwoGroupsArchitecture, TwoGroupsConfig

TINY = TrainRecipe(
    epochs=1, batch_size=50, training_images=100, validation_images=60, test_images=60, learning_rate=0.1
)
LONGER = dataclasses.replace(TINY, epochs=8, training_images=400, batch_size=40, test_images=200)
AUGMENTATION = Augmentation(padding=1, flip=False)
ARCHITECTURE = TwoGroupsArchitecture({"normal": (2, 0, 3), "reduce": (1, 2, 0)})
CELL = CellArchitecture(get_space(1).cells()[100])


@pytest.fixture(scope="module")
def digits() -> ImageArrays:
    return load_digits()


Make = Callable[..., Any]


def network_trainer(digits: ImageArrays, recipe: TrainRecipe = TINY, **more: Any) -> NetworkTrainer:
    return NetworkTrainer(TwoGroups(), TwoGroupsConfig(channels=8), recipe, digits, AUGMENTATION, **more)


def cell_trainer(digits: ImageArrays, recipe: TrainRecipe = TINY) -> CellTrainer:
    return CellTrainer(4, 3, recipe, digits, AUGMENTATION)


TRAINERS = pytest.mark.parametrize(("make", "architecture"), [(network_trainer, ARCHITECTURE), (cell_trainer, CELL)])


@TRAINERS
def test_training_is_the_same_at_each_call_and_differs_between_repeats(
    digits: ImageArrays, make: Make, architecture: Architecture
) -> None:
    trainer = make(digits)
    errors = [trainer.train(architecture, repeat) for repeat in (0, 1, 0)]
    assert errors[0] == errors[2] == make(digits).train(architecture, 0)
    assert errors[0] != errors[1]
    assert all(0 <= error <= 1 for error in errors[0])


@TRAINERS
def test_training_learns(digits: ImageArrays, make: Make, architecture: Architecture) -> None:
    assert make(digits, LONGER).train(architecture, 0).test < 0.7


@TRAINERS
def test_augmentation_changes_the_training(digits: ImageArrays, make: Make, architecture: Architecture) -> None:
    varied = make(digits, dataclasses.replace(LONGER, augment=True))
    errors = varied.train(architecture, 0)
    assert errors == varied.train(architecture, 0)
    assert errors != make(digits, LONGER).train(architecture, 0)


@TRAINERS
@pytest.mark.parametrize(
    "changed", [{"epochs": 2}, {"batch_size": 25}, {"learning_rate": 0.2}, {"test_images": 50}, {"augment": True}]
)
def test_another_recipe_is_another_identity(
    digits: ImageArrays, make: Make, architecture: Architecture, changed: dict[str, Any]
) -> None:
    assert make(digits, dataclasses.replace(TINY, **changed)).identity() != make(digits).identity()


@TRAINERS
def test_other_images_are_another_identity_and_more_repeats_are_not(
    digits: ImageArrays, make: Make, architecture: Architecture
) -> None:
    other = digits.test_labels.copy()
    other[3] = (other[3] + 1) % 10
    changed = dataclasses.replace(digits, test_labels=other)
    assert make(changed).identity() != make(digits).identity()
    assert make(digits, dataclasses.replace(TINY, repeats=5)).identity() == make(digits).identity()


def test_digest_of_images_tells_pixels_labels_and_normalisation(digits: ImageArrays) -> None:
    brighter = digits.train_images.copy()
    brighter[0, 0, 0, 0] += 1
    digests = [
        images_sha256(arrays)
        for arrays in (
            digits,
            dataclasses.replace(digits, train_images=brighter),
            dataclasses.replace(digits, mean=(0.5,)),
            dataclasses.replace(digits, train_images=np.flip(digits.train_images, 0)),
        )
    ]
    assert len(set(digests)) == 4
    assert digests[0] == images_sha256(load_digits())


def test_cell_is_trained_as_those_of_a_table_are(digits: ImageArrays) -> None:
    assert CellTrainer(8, 3, TrainRecipe(), digits).recipe == Recipe()
    (measured,) = train_cells([CELL.cell], 1, Recipe(channels=4, epochs=1), Splits.of(digits))
    errors = CellTrainer(4, 3, TrainRecipe(epochs=1), digits).train(CELL, 1)
    assert errors == (1 - measured["test_accuracy"], 1 - measured["validation_accuracy"])


def test_operations_that_do_not_count_get_no_gradient(digits: ImageArrays) -> None:
    trainer = network_trainer(digits)
    network, mixture = trainer._network(ARCHITECTURE)
    weights = network.initial_weights(torch.Generator().manual_seed(0), torch.float32)
    before = {name: tensor.detach().clone() for name, tensor in weights.parameters.items()}
    trainer._descend(network, weights, mixture, ("key", 0))
    moved = {name for name, tensor in weights.parameters.items() if not torch.equal(tensor, before[name])}
    assert moved == {"stem", "classifier", "0.0.convolution", "0.2.wide_convolution", "1.1.convolution"}


def test_space_may_give_a_network_of_its_own(digits: ImageArrays) -> None:
    class Deriving(TwoGroups):
        def derived_network(
            self, architecture: Architecture, config: TwoGroupsConfig, shape: InputShape, size: DerivedSize
        ) -> Network | None:
            wide = architecture.key == ARCHITECTURE.key
            return self.network(dataclasses.replace(config, channels=5), shape) if wide else None

    trainer = NetworkTrainer(Deriving(), TwoGroupsConfig(), TINY, digits)
    other = TwoGroupsArchitecture({"normal": (2, 2, 2), "reduce": (1, 2, 0)})
    widths = []
    for architecture in (ARCHITECTURE, other):
        network, mixture = trainer._network(architecture)
        weights = network.initial_weights(torch.Generator().manual_seed(0), torch.float32)
        widths.append(len(weights.parameters["stem"]))
        inputs, _ = trainer.splits["test"].batch(_draws(60), 0)
        assert network(weights, mixture, inputs, Pass(skip_zeros=True)).shape == (60, 10)
    assert widths == [5, 2]


def _draws(count: int) -> Any:
    from harness.data.images import draw_epoch

    return draw_epoch(count, count, torch.Generator().manual_seed(0), Augmentation(0, False))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"training_images": 10**6}, r"train\.training_images: expected at most the \d+ images that there are"),
        ({"test_images": 10**6}, r"train\.test_images: expected at most the"),
        ({"batch_size": 101}, r"train\.batch_size: expected at most the 100 training images, got 101"),
    ],
)
def test_recipe_that_the_images_cannot_serve_is_one_clear_line(
    digits: ImageArrays, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        image_splits(digits, dataclasses.replace(TINY, **changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, r"train\.epochs: expected 1 or more, got 0"),
        ({"learning_rate": -1.0}, r"train\.learning_rate: expected a number above 0, got -1\.0"),
        ({"momentum": 1.0}, r"train\.momentum: expected a number from 0 to below 1"),
        ({"test_images": -1}, r"train\.test_images: expected 0 \(all\) or more, got -1"),
        ({"learning_rate": float("nan")}, r"train\.learning_rate"),
    ],
)
def test_number_out_of_its_range_is_one_clear_line(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TrainRecipe(**changed)


def test_network_that_cannot_be_built_is_one_clear_line(digits: ImageArrays) -> None:
    trainer = NetworkTrainer(TwoGroups(), TwoGroupsConfig(channels=0), TINY, digits)
    with pytest.raises(UserError, match="two_groups: no network to train at these settings: expected at least 1"):
        trainer.train(ARCHITECTURE, 0)
    with pytest.raises(UserError, match=r"network\.cells: .*expected a multiple of 3, got 4"):
        CellTrainer(4, 4, TINY, digits)
    with pytest.raises(UserError, match="channels: expected at least"):
        CellTrainer(1, 3, TINY, digits).train(CellArchitecture(_widest()), 0)


def _widest() -> Any:
    return next(cell for cell in get_space(1).cells() if sum(parent > 0 for parent in cell.parents[-1]) > 1)


def test_judges_by_name(tmp_path: Path) -> None:
    bench, space = get_benchmark("digits"), get_space(1)
    assert get_judge("none", bench, space).info.kind == "none"
    table = get_judge("table", bench, space, JudgeOptions(table_kind="measured"))
    assert (table.info.label, table.info.kind) == ("digits", "measured")
    options = JudgeOptions(network=SupernetConfig(channels=4, cells=3), recipe=TINY, every=5, folder=tmp_path)
    trained = get_judge("train", bench, space, options)
    assert (trained.info.label, trained.info.kind) == ("digits, 1 epochs from scratch", "trained")
    assert isinstance(trained, TrainJudge)
    assert trained.every == 5
    other = get_judge("train", bench, TwoGroups(), dataclasses.replace(options, network=TwoGroupsConfig()))
    for judge, architecture in ((trained, CELL), (other, ARCHITECTURE)):
        verdict = judge.judge(architecture, 5, last=False)
        assert verdict.test_error is not None
        assert verdict.seconds > 0
        assert judge.judge(architecture, 7, last=True).seconds == 0
        assert judge.judge(architecture, 7, last=False).test_error is None
    with pytest.raises(UserError, match=f"unknown judge 'oracle'; known: {', '.join(JUDGES)}"):
        get_judge("oracle", bench, space)


def test_what_a_judge_lacks_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @dataclasses.dataclass
    class Untabulated:
        name: str = "plain"
        images: Callable[[], ImageArrays] = load_digits
        table: None = None

    with pytest.raises(UserError, match="--judge table: plain has no table; take --judge train, or --judge none"):
        get_judge("table", Untabulated(), TwoGroups())
    with pytest.raises(UserError, match="--judge train: expected the settings of the network"):
        get_judge("train", Untabulated(), TwoGroups())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = JudgeOptions(network=TwoGroupsConfig(), device="cuda", folder=tmp_path)
    with pytest.raises(UserError, match="finds no CUDA device here"):
        get_judge("train", Untabulated(), TwoGroups(), options)


def test_later_settings_at_their_defaults_leave_earlier_trainings_valid() -> None:
    settings = recipe_identity(TrainRecipe(), AUGMENTATION)["recipe"]
    assert set(settings) & set(FURTHER) == set()
    assert len(settings) == 10
    changed = recipe_identity(TrainRecipe(cutout=4, everything=True), AUGMENTATION)["recipe"]
    assert {name: changed[name] for name in set(changed) - set(settings)} == {"cutout": 4, "everything": True}


def test_each_further_setting_of_a_recipe_changes_the_training(digits: ImageArrays) -> None:
    recipe = dataclasses.replace(TINY, epochs=2, augment=True)
    changes: list[dict[str, Any]] = [
        {"channels": 4},
        {"cutout": 4},
        {"gradient_clip": 0.1},
        {"rate_by_epoch": True},
        {"shrink": 2},
    ]
    trainers = [network_trainer(digits, dataclasses.replace(recipe, **change)) for change in ({}, *changes)]
    plain, *others = (_trained_classifier(trainer) for trainer in trainers)
    for change, weights in zip(changes, others, strict=True):
        assert weights.shape != plain.shape or not torch.equal(weights, plain), change


def _trained_classifier(trainer: NetworkTrainer) -> torch.Tensor:
    network, mixture = trainer._network(ARCHITECTURE)
    weights = network.initial_weights(torch.Generator().manual_seed(0), torch.float32)
    trainer._descend(network, weights, mixture, ("key", 0))
    return weights.parameters["classifier"].detach()


def test_drop_path_rises_from_none_and_keeps_the_mean(digits: ImageArrays) -> None:
    space = registered_space("s2")
    recipe = dataclasses.replace(TINY, epochs=4, drop_path=0.4)
    trainer = NetworkTrainer(space, space.config_class(channels=4, cells=3), recipe, digits)
    network, _ = trainer._network(space.sample(random.Random(0)))
    generator = torch.Generator().manual_seed(0)
    assert trainer._path_factors(network, 0, generator) is None
    factors = trainer._path_factors(network, 3, generator)
    assert factors is not None
    assert factors.shape == (3, 8, TINY.batch_size)
    assert sorted(set(factors.flatten().tolist())) == pytest.approx([0, 1 / 0.7])
    assert float(factors.mean()) == pytest.approx(1, abs=0.15)


def test_rate_by_epoch_is_the_published_cosine(digits: ImageArrays) -> None:
    trainer = network_trainer(digits, dataclasses.replace(TINY, epochs=4, rate_by_epoch=True))
    rates = [trainer._rate(epoch, step, 2) for epoch in range(4) for step in range(2)]
    expected = [0.1 * (1 + math.cos(math.pi * (epoch + 1) / 4)) / 2 for epoch in range(4) for _ in range(2)]
    assert rates == pytest.approx(expected)


def test_all_training_images_are_both_halves(digits: ImageArrays) -> None:
    splits = image_splits(digits, TrainRecipe(everything=True))
    halves = image_splits(digits, TrainRecipe())
    assert torch.equal(splits["train"].images, torch.cat([halves["train"].images, halves["validation"].images]))
    whole = network_trainer(digits, dataclasses.replace(TINY, everything=True))
    assert whole.train(ARCHITECTURE, 0).validation is None


@pytest.mark.parametrize(
    ("changed", "message"), [({"auxiliary_weight": 1.0}, "no auxiliary head"), ({"cells": 1}, "no setting")]
)
def test_what_a_space_cannot_train_is_one_clear_line(
    digits: ImageArrays, changed: dict[str, Any], message: str
) -> None:
    recipe = dataclasses.replace(TINY, **changed)
    with pytest.raises(UserError, match=message):
        network_trainer(digits, recipe).train(ARCHITECTURE, 0)
    with pytest.raises(UserError, match=f"train.{next(iter(changed))}: NAS-Bench-1Shot1's cells are trained without"):
        cell_trainer(digits, recipe)
