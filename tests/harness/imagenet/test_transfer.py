"""A searched cell's network on large images: two steps on generated ones, its recipe, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.commands import transfer
from harness.errors import UserError
from harness.imagenet.images import ImageFolders
from harness.imagenet.recipe import ImagenetRecipe
from harness.imagenet.training import Transfer
from harness.records.run_folder import RunFolderError
from spaces.registry import get_space
from tests.support.space_searches import search_in

GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=range(2, 6))"
)
"""DARTS's second-order cell (Liu et al. 2019)."""

SMALL = {"channels": 4, "cells": 3, "epochs": 2, "batch_size": 4, "side": 64, "auxiliary_weight": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of three classes: eight to train on, which makes two steps, and three to validate on."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for number in range(count):
            place = tmp_path / "images" / split / f"class{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 255, (90, 80 + number, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.jpg")
    return tmp_path / "images"


def command(folder: Path, out: Path, *more: str, **changed: Any) -> list[str]:
    sets = [part for key, value in {**SMALL, **changed}.items() for part in ("--set", f"{key}={value}")]
    options = ["--architecture", GENOTYPE, "--images", str(folder), "--out", str(out), "--device", "cpu"]
    return [*options, *sets, *more]


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "transfer.jsonl").read_text().splitlines()]


def training(folder: Path, out: Path, **changed: Any) -> Transfer:
    recipe, space = ImagenetRecipe(**{**SMALL, **changed}), get_space("darts")
    images = ImageFolders(folder, recipe.side)
    return Transfer(space, space.parse(GENOTYPE), recipe, images, out)


def test_two_epochs_are_trained_and_recorded(folder: Path, tmp_path: Path) -> None:
    assert transfer.main(command(folder, tmp_path / "out")) == 0
    lines = lines_of(tmp_path / "out")
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(0 <= line["top1_error"] <= 1 and line["top5_error"] == 0 for line in lines)
    assert all(np.isfinite(line["train_loss"]) for line in lines)
    config = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert config["images"] == {"train": 8, "val": 3}
    assert config["recipe"]["channels"] == 4


def test_the_last_architecture_of_a_run_is_transferred(folder: Path, tmp_path: Path) -> None:
    search = search_in(tmp_path / "run", "s2", "darts", 1)
    search.run()
    sets = command(folder, tmp_path / "out")[8:]
    options = ["--run", str(tmp_path / "run"), "--images", str(folder), "--out", str(tmp_path / "out")]
    assert transfer.main([*options, *sets]) == 0
    config = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert config["space"] == "s2"
    assert config["architecture"] == search.folder.epochs()[-1]["architecture"]
    with pytest.raises(RunFolderError, match="expected a run folder"):
        transfer.main(["--run", str(tmp_path / "elsewhere"), *options[2:], *sets])


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(folder: Path, tmp_path: Path) -> None:
    whole = training(folder, tmp_path / "whole")
    whole.run()
    training(folder, tmp_path / "stopped").run(epochs=1)
    resumed = training(folder, tmp_path / "stopped")
    assert resumed.epoch == 1
    resumed.run()
    for name, tensor in whole.weights.parameters.items():
        assert torch.equal(tensor, resumed.weights.parameters[name])
    assert lines_of(tmp_path / "whole") == lines_of(tmp_path / "stopped")


def test_another_training_in_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    training(folder, tmp_path / "out")
    with pytest.raises(UserError, match="is of another training"):
        training(folder, tmp_path / "out", weight_decay=0.0)


def test_the_published_size_has_the_published_number_of_weights(folder: Path, tmp_path: Path) -> None:
    images = ImageFolders(folder, 224)
    images.classes = 1000
    space = get_space("darts")
    built = Transfer(space, space.parse(GENOTYPE), ImagenetRecipe(), images, tmp_path / "out")
    # 4.7 M weights on ImageNet (Liu et al. 2019, table 3).
    assert round(built.parameters / 1e6, 1) == 4.7


@pytest.mark.parametrize(
    ("epoch", "batch", "rate"),
    [
        (0, 1024, 0.1),
        (1, 1024, 0.5 * 244 / 245 * 2 / 5),
        (10, 1024, 0.5 * 235 / 245),
        (0, 256, 0.5),
        (244, 1024, 0.5 / 245),
        (245, 1024, 0.5 * 5 / (245 * 5)),
        (249, 1024, 0.5 / (245 * 5)),
    ],
)
def test_the_rate_warms_up_falls_and_flattens(epoch: int, batch: int, rate: float) -> None:
    assert ImagenetRecipe(batch_size=batch).rate(epoch) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("more", "changed", "message"),
    [
        (["--space", "nb201"], {}, "no architecture to transfer: expected"),
        ([], {"side": 0}, "side: expected 1 or more, got 0"),
        ([], {"width": 3}, "unknown setting 'width'; known: channels, cells"),
        ([], {"auxiliary_weight": 0.4}, "auxiliary head: expected images of 224 x 224 pixels, got 64 x 64"),
        (["--run", "somewhere"], {}, "expected either --run, or --space and --architecture"),
    ],
)
def test_what_cannot_be_transferred_is_one_clear_line(
    folder: Path, tmp_path: Path, more: list[str], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        transfer.main(command(folder, tmp_path / "out", *more, **changed))


def test_a_folder_without_classes_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    (folder / "val").rename(folder / "validation")
    with pytest.raises(UserError, match="val: expected a folder for each class with its images"):
        transfer.main(command(folder, tmp_path / "out"))
