"""Three steps of the published training loop, reproduced."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.probes.hessian import exact_hessian, loss_hessian, spectrum
from optimizers.base import Optimizer
from optimizers.companions.perturbation import Perturbation
from optimizers.gdas import Gdas
from optimizers.steps import Batch, Purpose
from optimizers.weight_training import set_rate
from spaces.base import Weights
from spaces.nb101.fast.cpu import DirectSupernet
from spaces.nb101.space import SearchSpace
from spaces.nb101.supernet import Supernet
from tests.support.building import small_optimizer
from tests.support.golden_vectors import (
    Arrays,
    below,
    golden_arrays,
    published_blocks,
    published_rows,
    published_weights,
    relative_error,
)

TOLERANCE = 1e-9
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "darts": ("darts", {}),
    "rs": ("sdarts_rs", {}),
    "adv": ("sdarts_adv", {}),
    "gdas": ("gdas", {}),
    "nasp": ("nasp", {}),
    "pcdarts": ("pc_darts", {}),
    "darts2": ("darts_2nd", {}),
    "gdas2": ("gdas", {"alphas__unrolled": True, "alphas__unrolled_momentum": False}),
    "pcdarts2": ("pc_darts", {"alphas__unrolled": True}),
    "warm": ("darts", {"alphas__warm_start_epochs": 1, "weights__pile_up_gradients": True}),
}
ONLY_IN_SPACE_1 = ("darts2", "gdas2", "pcdarts2", "warm")
CASES = [(variant, space) for variant in PUBLISHED for space in (1, 3) if space == 1 or variant not in ONLY_IN_SPACE_1]


@pytest.mark.parametrize("kind", [Supernet, DirectSupernet])
@pytest.mark.parametrize(("variant", "space"), CASES)
def test_three_steps_equal_the_published_ones(variant: str, space: int, kind: type[Supernet]) -> None:
    arrays = golden_arrays(f"traj_{variant}_{space}")
    config = json.loads(str(arrays["config"]))
    name, settings = PUBLISHED[variant]
    optimizer = published_optimizer(name, space, arrays, kind, **settings)
    set_rate(optimizer.weight_optimizer.param_groups[0], config["lr"])
    for companion in optimizer.companions:
        assert isinstance(companion, Perturbation)
        companion.radius = torch.tensor(config["epsilon"], dtype=torch.float64)
        companion.noise = recorded_noise(optimizer, arrays)
    if isinstance(optimizer, Gdas):
        use_recorded_gumbel(optimizer, arrays)
    gradients = recording(optimizer, "architecture_gradient")
    moved = recording(optimizer, "architecture_step", lambda _: [alpha.detach().clone() for alpha in optimizer.alphas])
    mixtures = recording(optimizer, "weight_mixture")
    steps = sum(f"train_x_{step}" in arrays for step in range(3))
    assert steps >= 1
    for step in range(steps):
        optimizer.step(step, recorded_batch(arrays, f"train_{{}}_{step}"), validation_batch(arrays, step))
        if variant != "warm":
            assert_rows(optimizer, gradients[step], arrays, f"step{step}/arch_grad/alpha_{{}}")
            assert_rows(optimizer, moved[step], arrays, f"step{step}/after_arch_step/alpha_{{}}")
        multiplied = f"step{step}/weights_used_in_w_step/alpha_{{}}"
        if variant in ("gdas", "gdas2", "nasp", "pcdarts", "pcdarts2"):
            # Recorded before the network samples, binarises or takes its softmax of them.
            assert_rows(optimizer, moved[step], arrays, multiplied)
        else:
            assert_rows(optimizer, mixtures[step].rows, arrays, multiplied)
        assert_weights(optimizer, below(arrays, f"step{step}/after_w_step/"))
    if steps == 3:
        # The published Hessian comes next; its forward moves the running statistics (SPEC (e)).
        optimizer.architecture_loss(validation_batch(arrays, 0), update_statistics=True)
        assert_rows(optimizer, optimizer.alphas, arrays, "final_alpha_{}")
        assert_weights(optimizer, below(arrays, "final_sd/"))
        assert_hessian_and_validation(optimizer, arrays)


def assert_hessian_and_validation(optimizer: Optimizer, arrays: Arrays) -> None:
    """The published "Hessian norm", and the validation loss that is measured after it."""
    last = validation_batch(arrays, 0)
    hessians = [
        exact_hessian(optimizer.architecture_loss(last, update_statistics=False), optimizer.alphas),
        loss_hessian(optimizer, last),
    ]
    norm = spectrum(hessians[0], optimizer.config.alphas.weight_decay).published_hessian_norm
    assert norm == pytest.approx(float(arrays["hessian_reported_norm"]), rel=TOLERANCE)
    assert optimizer.shift_invariant
    assert torch.allclose(hessians[0], hessians[1], rtol=0, atol=1e-12)
    if "infer_obj" not in arrays:
        return
    weights = optimizer.evaluation_weights(last, refresh=False)
    with torch.no_grad():
        losses = [
            F.cross_entropy(optimizer.evaluate(weights, index, batch.inputs), batch.targets)
            for index, batch in enumerate((validation_batch(arrays, 0), validation_batch(arrays, 1)))
        ]
    assert float(torch.stack(losses).mean()) == pytest.approx(float(arrays["infer_obj"]), rel=TOLERANCE)


def use_recorded_gumbel(optimizer: Gdas, arrays: Arrays) -> None:
    """Gumbel noise from the recorded exponential draws, in their order: forward pass, cell, tensor."""
    rows, cells = len(optimizer.supernet.space.row_shapes), len(optimizer.supernet.groups)
    order: list[Purpose] = ["architecture", "weights"]
    if optimizer.config.alphas.unrolled:
        order = ["unrolled", "architecture", "unrolled_plus", "unrolled_minus", "weights"]

    def noise(forward: int) -> list[torch.Tensor]:
        first = forward * cells * rows
        draws = [torch.tensor(arrays[f"exponential_draw_{first + k:03d}"]) for k in range(cells * rows)]
        shapes = optimizer.supernet.space.row_shapes
        return [-torch.stack(draws[row::rows]).log().reshape(cells, *shape) for row, shape in enumerate(shapes)]

    optimizer.gumbel = {}
    for position, purpose in enumerate(order):
        passes = [noise(step * len(order) + position) for step in range(3)]
        optimizer.gumbel[purpose] = [torch.stack(row) for row in zip(*passes, strict=True)]
    for_hessian = [row[None] for row in noise(3 * len(order))]
    optimizer.draw_gumbel = lambda *key, **named: for_hessian  # type: ignore[method-assign]
    temperature = json.loads(str(arrays["config"]))["tau"]
    optimizer.temperature = lambda purpose: temperature  # type: ignore[method-assign]


def published_optimizer(name: str, space: int, arrays: Arrays, kind: type[Supernet] = Supernet, **settings: Any) -> Any:
    """A method at the recorded weights and alphas, in float64."""
    optimizer: Any = small_optimizer(
        name, space, channels=4, image_channels=3, epochs=100, steps=3, kind=kind, **settings
    )
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


def recording(optimizer: Optimizer, hook: str, read: Callable[[Any], Any] = lambda returned: returned) -> list[Any]:
    """What a hook of the optimizer returns from now on, or what is read after it, call by call."""
    returned: list[Any] = []
    original = getattr(optimizer, hook)

    def record(*arguments: Any) -> Any:
        result = original(*arguments)
        returned.append(read(result))
        return result

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
    space = optimizer.supernet.space
    assert isinstance(space, SearchSpace)
    theirs = published_rows(arrays, pattern, space)
    for row, expected in zip(ours, theirs, strict=True):
        assert relative_error(row, expected.numpy()) < TOLERANCE, pattern


def assert_weights(optimizer: Optimizer, state: Arrays) -> None:
    """Every recorded weight and statistic equals ours."""
    space = optimizer.supernet.space
    assert isinstance(space, SearchSpace)
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
