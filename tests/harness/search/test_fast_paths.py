"""Searches on the faster paths record what searches on the plain one do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.probes.hessian import exact_hessian
from harness.records.run_folder import Line
from optimizers.base import Optimizer
from optimizers.steps import Batch
from tests.support.small_searches import search_on_digits

EPOCHS = 3


METHODS = ["darts", "darts_2nd", "sdarts_rs", "sdarts_adv", "pc_darts", "nasp", "gdas", "enas", "random_ws"]
METHODS += ["hessian_reg", "darts_es", "r_darts_l2", "r_darts_dp", "nasp_adv"]
"""Every method, and of the other perturbed ones, which are made of the same parts, one."""

WHOLE = ["darts", "sdarts_adv"]
"""Searched with all images; the others with three batches an epoch, the last of 10 images, whose Hessian is taken."""


@pytest.mark.parametrize("name", METHODS)
def test_three_epochs_on_digits_are_the_plain_ones(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, the benchmark's network: cells, errors, losses, alphas and eigenvalues of every epoch, to 1e-9."""
    fast = searched(name, tmp_path / "fast", fast=True)
    monkeypatch.setattr("harness.probes.hessian.loss_hessian", row_by_row)
    plain = searched(name, tmp_path / "plain", fast=False)
    assert_same(fast, plain, 1e-9)


def test_an_attack_by_two_threads_is_the_plain_one(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fast = searched("sdarts_adv", tmp_path / "fast", fast=True)
    finally:
        torch.set_num_threads(before)
    assert_same(fast, searched("sdarts_adv", tmp_path / "plain", fast=False), 1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["darts", "sdarts_rs", "sdarts_adv", "pc_darts"])
def test_three_epochs_on_cuda_are_the_plain_ones(name: str, tmp_path: Path) -> None:
    """Recorded steps take SGD's rate in single precision."""
    fast = searched(name, tmp_path / "fast", fast=True, device="cuda")
    assert_same(fast, searched(name, tmp_path / "plain", fast=False, device="cuda"), 1e-5)


def assert_same(fast: list[Line], plain: list[Line], tolerance: float) -> None:
    assert len(fast) == len(plain) == EPOCHS + 1
    for ours, theirs in zip(fast, plain, strict=True):
        assert ours.keys() == theirs.keys()
        for key in ours.keys() - {"seconds"}:
            assert_close(ours[key], theirs[key], tolerance, f"epoch {ours['epoch']}, {key}")


def row_by_row(optimizer: Optimizer, batch: Batch) -> torch.Tensor:
    return exact_hessian(optimizer.architecture_loss(batch, update_statistics=False), optimizer.alphas)


def searched(name: str, path: Path, *, fast: bool, device: str = "cpu") -> list[Line]:
    settings = {key: str(fast).lower() for key in ("compute.fuse", "compute.capture")}
    if name not in WHOLE:
        settings["data.images"] = "250"
    search = search_on_digits(
        path, name, settings, epochs=EPOCHS, scale="digits in float64", device=device, dtype=torch.float64
    )
    search.run()
    return search.folder.epochs()


def assert_close(ours: Any, theirs: Any, tolerance: float, what: str) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs), what
        for one, other in zip(ours, theirs, strict=True):
            assert_close(one, other, tolerance, what)
    elif isinstance(theirs, float):
        assert math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance), what
    else:
        assert ours == theirs, what
