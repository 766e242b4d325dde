"""What is timed is what is meant."""

from __future__ import annotations

import pytest
import torch

from benchmarks.worker import Way, Worker
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.supernet import Supernet


@pytest.mark.parametrize("fast", [True, False])
def test_every_question_is_answered_with_a_time(fast: bool) -> None:
    before = torch.get_num_threads()
    try:
        worker = Worker(Way(channels=2, cells=3, batch_size=400, threads=1, fast=fast))
    finally:
        torch.set_num_threads(before)
    assert type(worker.optimizer.supernet) is (DirectSupernet if fast else Supernet)
    moved = worker.optimizer.weights.parameters["stem.weight"].clone()
    for answer in (worker.step(), worker.hessian()):
        assert answer["seconds"] > 0
        assert answer["cpu_seconds"] > 0
    assert not torch.equal(moved, worker.optimizer.weights.parameters["stem.weight"])
    assert worker.memory()["mib"] > 10
