"""A task that is no classification: nothing but the task and the network looks into outputs, losses and scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.benchmarks.registry import get_benchmark
from harness.data.images import Augmentation, halve
from harness.judges.none import NoJudge
from harness.records.run_folder import RunFolder
from harness.search.loop import Assignment, Search
from harness.search.settings import resolve
from harness.search.setup import build_steps
from harness.tasks.classification import ImageExamples
from optimizers.companions.registry import joined
from optimizers.randomness import Randomness
from optimizers.registry import get_method
from optimizers.task import Score, Task
from spaces.base import InputShape
from spaces.registry import get_space


class Counting(Task):
    """Outputs `[batch, 1]` are numbers that should be the label; the score is the squared distance, lower is better."""

    name = "counting"
    loss_name = "absolute distance"
    score = Score("squared_distance", "squared labels", higher_is_better=False)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.smooth_l1_loss(outputs[:, 0], targets.to(outputs.dtype))

    def total_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.smooth_l1_loss(outputs[:, 0], targets.to(outputs.dtype), reduction="sum")

    def total_score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).square().sum()


@pytest.mark.parametrize("space", ["1", "toy"])
@pytest.mark.parametrize("optimizer", ["sdarts_adv", "gdas", "darts_2nd", "random_ws"])
def test_a_search_records_the_score_of_its_task(optimizer: str, space: str, tmp_path: Path) -> None:
    method, in_space = get_method(optimizer), get_space(space)
    scale = {"network.channels": 4, "network.cells": 2, "data.batch_size": 8, "epochs": 1, "selection.samples": 3}
    config, _ = resolve(method, in_space, {**scale, "selection.finalists": 1, "hessian.mixture": True}, {}, None)
    augmentation = Augmentation(0, flip=False)
    training, validation = (
        ImageExamples(split, augmentation, 8) for split in halve(get_benchmark("digits").images(), "cpu", limit=16)
    )
    built = method.optimizer_class(
        in_space.network(config.network, InputShape(1, 1)),
        config.method,
        task=Counting(),
        epochs=1,
        steps=2,
        randomness=Randomness(0),
        batch_size=8,
        companions=joined(config.companions, 1, method.optimizer_class),
    )
    folder = RunFolder(tmp_path)
    folder.create({"epochs": 1}, {})
    assignment = Assignment("digits", in_space.label, config, 0, "tiny")
    steps = build_steps(built, training, validation, config.compute)
    Search(assignment, folder, built, steps, training, validation, NoJudge()).run()
    _, line = folder.epochs()
    assert line["train_squared_distance"] > 0
    assert line["supernet_valid_squared_distance"] > 0
    assert not any("accuracy" in key for key in line)
    assert (line["lambda_max"] is not None) == bool(built.alphas)
    assert line["supernet_valid_loss"] == pytest.approx(line["supernet_valid_loss"])
    assert dataclasses.asdict(Counting.score)["higher_is_better"] is False
    assert torch.isfinite(torch.tensor(line["train_loss"]))
