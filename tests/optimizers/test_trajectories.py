"""Three steps of the published training loop, reproduced."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.hessian import exact_hessian, spectrum
from optimizers.base import Batch, Optimizer
from spaces.supernet import Weights
from tests.golden_vectors import (
    Arrays,
    below,
    golden_arrays,
    published_blocks,
    published_rows,
    published_weights,
    relative_error,
)
from tests.optimizers.building import small_optimizer

TOLERANCE = 1e-9
METHODS = {"darts": "darts", "rs": "sdarts_rs", "adv": "sdarts_adv"}


@pytest.mark.parametrize("space", [1, 3])
@pytest.mark.parametrize("variant", METHODS)
def test_three_steps_equal_the_published_ones(variant: str, space: int) -> None:
    arrays = golden_arrays(f"traj_{variant}_{space}")
    config = json.loads(str(arrays["config"]))
    optimizer = published_optimizer(METHODS[variant], space, arrays)
    optimizer.set_learning_rate(config["lr"])
    optimizer.epsilon = config["epsilon"]
    optimizer.noise = recorded_noise(optimizer, arrays)
    gradients = recording(optimizer, "architecture_gradient")
    mixtures = recording(optimizer, "weight_mixture")
    steps = sum(f"train_x_{step}" in arrays for step in range(3))
    assert steps >= 1
    for step in range(steps):
        training, validation = recorded_batch(arrays, f"train_{{}}_{step}"), validation_batch(arrays, step)
        optimizer.architecture_step(training, validation)
        assert_rows(optimizer, gradients[step], arrays, f"step{step}/arch_grad/alpha_{{}}")
        assert_rows(optimizer, optimizer.alphas, arrays, f"step{step}/after_arch_step/alpha_{{}}")
        optimizer.weight_step(step, training)
        assert_rows(optimizer, mixtures[step].rows, arrays, f"step{step}/weights_used_in_w_step/alpha_{{}}")
        assert_weights(optimizer, below(arrays, f"step{step}/after_w_step/"))
    if steps == 3:
        # The published Hessian comes next; its forward moves the running statistics (SPEC (e)).
        optimizer.architecture_loss(validation_batch(arrays, 0), update_statistics=True)
        assert_weights(optimizer, below(arrays, "final_sd/"))
        assert_hessian_and_validation(optimizer, arrays)


def assert_hessian_and_validation(optimizer: Optimizer, arrays: Arrays) -> None:
    """The published "Hessian norm", and the validation loss that is measured after it."""
    last = validation_batch(arrays, 0)
    hessian = exact_hessian(optimizer.architecture_loss(last, update_statistics=False), optimizer.alphas)
    norm = spectrum(hessian, optimizer.config.alphas.weight_decay).published_hessian_norm
    assert norm == pytest.approx(float(arrays["hessian_reported_norm"]), rel=TOLERANCE)
    weights = optimizer.evaluation_weights(last, refresh=False)
    with torch.no_grad():
        losses = [
            F.cross_entropy(optimizer.supernet(weights, optimizer.relax(), batch.images), batch.labels)
            for batch in (validation_batch(arrays, 0), validation_batch(arrays, 1))
        ]
    assert float(torch.stack(losses).mean()) == pytest.approx(float(arrays["infer_obj"]), rel=TOLERANCE)


def published_optimizer(name: str, space: int, arrays: Arrays) -> Optimizer:
    """A method at the recorded weights and alphas, in float64."""
    optimizer = small_optimizer(name, space, channels=4, image_channels=3, epochs=100, steps=3)
    supernet = optimizer.supernet
    weights = published_weights(below(arrays, "sd/"), supernet.space, 3, torch.float64)
    alphas = published_rows(arrays, "alpha_{}", supernet.space)
    with torch.no_grad():
        for name, tensor in optimizer.weights.parameters.items():
            tensor.copy_(weights.parameters[name])
        for name, tensor in optimizer.weights.buffers.items():
            tensor.copy_(weights.buffers[name])
        for alpha, recorded in zip(optimizer.alphas, alphas, strict=True):
            alpha.copy_(recorded)
    return optimizer


def recording(optimizer: Optimizer, hook: str) -> list[Any]:
    """What a hook of the optimizer returns from now on, call by call."""
    returned: list[Any] = []
    original = getattr(optimizer, hook)

    def record(*arguments: Any) -> Any:
        returned.append(original(*arguments))
        return returned[-1]

    setattr(optimizer, hook, record)
    return returned


def recorded_noise(optimizer: Optimizer, arrays: Arrays) -> list[torch.Tensor]:
    """The recorded uniform draws, one call a tensor and step, scaled back to [-1, 1]."""
    epsilon = json.loads(str(arrays["config"]))["epsilon"]
    shapes = optimizer.supernet.space.row_shapes
    noise = []
    for row, shape in enumerate(shapes):
        keys = [f"noise_{step * len(shapes) + row:03d}" for step in range(3)]
        draws = [torch.tensor(arrays[key]).reshape(shape) / epsilon for key in keys if key in arrays]
        if draws:
            noise.append(torch.stack(draws))
    return noise


def recorded_batch(arrays: Arrays, pattern: str) -> Batch:
    return Batch(torch.tensor(arrays[pattern.format("x")]).double(), torch.tensor(arrays[pattern.format("y")]))


def validation_batch(arrays: Arrays, step: int) -> Batch:
    """The recorded iterator holds two batches, then starts over."""
    return recorded_batch(arrays, f"valid_{{}}_{step % 2}")


def assert_rows(optimizer: Optimizer, ours: Sequence[torch.Tensor], arrays: Arrays, pattern: str) -> None:
    theirs = published_rows(arrays, pattern, optimizer.supernet.space)
    for row, expected in zip(ours, theirs, strict=True):
        assert relative_error(row, expected.numpy()) < TOLERANCE, pattern


def assert_weights(optimizer: Optimizer, state: Arrays) -> None:
    """Every recorded weight and statistic equals ours."""
    space = optimizer.supernet.space
    compared = 0
    parts = {"weight": "0.weight", "scale": "1.weight", "shift": "1.bias"}
    for name, sources in published_blocks(space, 3).items():
        for ours, theirs in parts.items():
            compared += compare(optimizer.weights.parameters[f"{name}.{ours}"], sources, theirs, state)
        for ours, theirs in (("mean", "1.running_mean"), ("variance", "1.running_var")):
            compared += compare(optimizer.weights.buffers[f"{name}.{ours}"], sources, theirs, state)
    for ours, theirs in (
        ("postprocess.weight", "postprocess.op.1.weight"),
        ("classifier.weight", "classifier.weight"),
        ("classifier.bias", "classifier.bias"),
    ):
        if theirs in state:
            compared += 1
            assert relative_error(optimizer.weights.parameters[ours], state[theirs]) < TOLERANCE, theirs
    recorded = [key for key in state if "num_batches" not in key and "postprocess.op.2" not in key]
    assert compared == len(recorded)


def compare(ours: torch.Tensor, sources: list[str], suffix: str, state: Arrays) -> int:
    share = len(ours) // len(sources)
    compared, start = 0, 0
    for source in sources:
        key = f"{source}.{suffix}"
        length = len(state[key]) if key in state else share
        if key in state:
            assert relative_error(ours[start : start + length], state[key]) < TOLERANCE, key
            compared += 1
        start += length
    return compared


def test_weights_class_is_what_the_optimizer_holds() -> None:
    arrays = golden_arrays("traj_darts_1")
    assert isinstance(published_optimizer("darts", 1, arrays).weights, Weights)
