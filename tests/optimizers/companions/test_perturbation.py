from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from optimizers.companions.perturbation import Perturbation, clip_to_simplex
from optimizers.config import PerturbationConfig
from spaces.base import InputShape
from spaces.mixture import Mixture, Row
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import get_space
from spaces.nb101.supernet import Supernet
from tests.support.building import random_batch, small_optimizer
from tests.support.golden_vectors import (
    Arrays,
    below,
    golden_arrays,
    golden_json,
    published_mixture,
    published_rows,
    published_weights,
    relative_error,
)

ATTACKS = [
    "f64_eps0.15_steps7",
    "f64_eps0.3_steps7",
    "f64_eps0.03_steps7",
    "f64_eps0.15_steps7_norandomstart",
    "f64_eps0.3_steps1",
    "f64_restored_case",
]


@pytest.mark.parametrize("case", ATTACKS)
@pytest.mark.parametrize("space", [1, 3])
def test_attack_visits_the_published_points(space: int, case: str) -> None:
    arrays = below(golden_arrays(f"pgd_{space}"), f"{case}/")
    supernet = Supernet(get_space(space), SupernetConfig(channels=4, cells=3), InputShape(3, 10))
    folded = supernet.fold(published_weights(below(arrays, "sd/"), supernet.space, 3, torch.float64))
    stem = supernet.stem(folded, torch.tensor(arrays["input"]))
    labels = torch.tensor(arrays["target"])
    losses: list[float] = []
    points: list[Mixture] = []

    def loss(mixture: Mixture) -> torch.Tensor:
        value = F.cross_entropy(supernet.after_stem(folded, mixture, stem), labels)
        losses.append(value.item())
        points.append(mixture)
        return value

    clean = published_mixture(arrays, "softmaxed_{}", supernet.space)
    perturbation, noise, epsilon = recorded_attack(arrays, supernet)
    perturbed = perturbation.apply(clean, noise, epsilon, loss)
    assert losses == pytest.approx(arrays["losses"].tolist(), rel=1e-9)
    for number, point in enumerate(points):
        assert_same(point, arrays, f"state_{number}/alpha_{{}}")
    assert_same(perturbed, arrays, "perturbed_{}")
    put_back = all(torch.equal(a, b) for a, b in zip(perturbed.rows, clean.rows, strict=True))
    assert put_back == bool(arrays["restored"])


def recorded_attack(arrays: Arrays, supernet: Supernet) -> tuple[Perturbation, list[torch.Tensor], float]:
    epsilon, random_start = float(arrays["epsilon"]), "noise_0" in arrays
    config = PerturbationConfig(kind="adversarial", steps=int(arrays["steps"]), random_start=random_start)
    shapes = supernet.space.row_shapes
    if random_start:
        noise = [row / epsilon for row in published_rows(arrays, "noise_{}", supernet.space)]
    else:
        noise = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    return Perturbation(config, 100), noise, epsilon


def assert_same(mixture: Mixture, arrays: Arrays, pattern: str) -> None:
    for ours, theirs in zip(mixture.rows, range(len(mixture.rows)), strict=True):
        assert relative_error(ours, arrays[pattern.format(theirs)]) < 1e-9


@pytest.mark.parametrize("space", [1, 3])
def test_random_smoothing_adds_the_recorded_noise(space: int) -> None:
    arrays = below(golden_arrays(f"pgd_{space}"), "f64_eps0.3_steps7/")
    epsilon = float(arrays["epsilon"])
    clean = published_mixture(arrays, "softmaxed_{}", get_space(space))
    noise = [row / epsilon for row in published_rows(arrays, "rs_noise_{}", get_space(space))]
    perturbed = Perturbation(PerturbationConfig(kind="uniform"), 100).apply(clean, noise, epsilon)
    assert_same(perturbed, arrays, "rs_perturbed_{}")


def test_clip_is_the_published_map() -> None:
    cases = golden_json("clip")["cases"]
    assert cases
    for case in cases:
        for given_rows, expected in zip(case["input"], case["output"], strict=True):
            ours = clip_to_simplex(torch.tensor(given_rows))
            assert torch.allclose(ours, torch.tensor(expected), rtol=1e-6, atol=1e-7)


@given(st.lists(st.floats(-2, 2, width=32), min_size=2, max_size=6))
def test_a_clipped_row_lies_on_the_simplex(entries: list[float]) -> None:
    row = clip_to_simplex(torch.tensor(entries, dtype=torch.float64))
    assert (row >= 0).all()
    assert row.sum().item() == pytest.approx(1)


def test_a_row_with_nothing_left_becomes_its_largest_entry() -> None:
    assert clip_to_simplex(torch.tensor([-0.5, -0.1, -0.3])).tolist() == [0, 1, 0]


def test_epsilon_grows_as_published_and_stops_short_of_its_end() -> None:
    published = golden_json("schedules")["epsilon"] if _has_reference() else [0.03 + 0.27 * e / 100 for e in range(100)]
    perturbation = Perturbation(PerturbationConfig(kind="uniform"), 100)
    assert [perturbation.epsilon(epoch) for epoch in range(100)] == pytest.approx(published)
    assert perturbation.epsilon(99) == pytest.approx(0.2973)


def test_epsilon_reaches_its_end_where_asked() -> None:
    perturbation = Perturbation(PerturbationConfig(kind="uniform", reach_end=True), 100)
    assert perturbation.epsilon(0) == 0.03
    assert perturbation.epsilon(99) == pytest.approx(0.3)
    assert Perturbation(PerturbationConfig(kind="uniform", reach_end=True), 1).epsilon(0) == 0.03


@pytest.mark.parametrize("kind", ["uniform", "gaussian"])
def test_noise_has_the_variance_of_the_uniform_distribution(kind: str) -> None:
    config = PerturbationConfig(kind=kind)  # type: ignore[arg-type]
    draws = Perturbation(config, 100).draw([(50, 3)], 200, torch.Generator().manual_seed(0), torch.float64)[0]
    assert draws.shape == (200, 50, 3)
    assert draws.mean().item() == pytest.approx(0, abs=0.01)
    assert draws.var().item() == pytest.approx(1 / 3, rel=0.02)
    assert (draws.abs() <= 1).all().item() == (kind == "uniform")


def test_attack_raises_the_loss_and_stays_near_the_clean_point() -> None:
    target = torch.tensor([0.2, 0.5, 0.3])

    def loss(mixture: Mixture) -> torch.Tensor:
        square: torch.Tensor = ((mixture.rows[1] - target) ** 2).sum()
        return square

    layout = (Row("operations", "operation", (1, 3)), Row("output", "output", (3,)))
    clean = Mixture(layout, (torch.full((1, 3), 1 / 3), target))
    noise = [torch.zeros(1, 3), torch.tensor([0.1, -0.1, 0.05])]

    def with_zero(mixture: Mixture) -> torch.Tensor:
        return loss(mixture) + 0 * mixture.rows[0].sum()

    epsilon = 0.1
    started = clip_to_simplex(target + epsilon * noise[1])
    perturbed = Perturbation(PerturbationConfig(kind="adversarial"), 100).apply(clean, noise, epsilon, with_zero)
    assert loss(perturbed) > loss(clean.with_rows((clean.rows[0], started)))
    # At most epsilon away in each of three entries before they are divided by their sum.
    lowest, highest = (target - epsilon) / (1 + 3 * epsilon), (target + epsilon) / (1 - 3 * epsilon)
    assert ((perturbed.rows[1] >= lowest - 1e-6) & (perturbed.rows[1] <= highest + 1e-6)).all()


SHAPES = [(4, 3), (5,), (3,), (4,)]
ENTRIES = 24


def l2(kind: Literal["uniform", "gaussian", "adversarial"], **settings: Any) -> Perturbation:
    return Perturbation(PerturbationConfig(kind=kind, norm="l2", **settings), 100)


def joint(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Rows `[steps, *shape]` as vectors `[steps, entries]`."""
    return torch.cat([row.flatten(1) for row in rows], dim=1)


def test_noise_of_the_l2_ball_is_uniform_in_it() -> None:
    draws = joint(l2("uniform").draw(SHAPES, 20_000, torch.Generator().manual_seed(0), torch.float64))
    assert draws.shape == (20_000, ENTRIES)
    lengths = draws.norm(dim=1)
    assert lengths.max() <= 1
    # The m-th power of the length is uniform; no direction is preferred, and the variance is 1 / (m + 2).
    powers = lengths**ENTRIES
    assert [powers.mean().item(), powers.var().item()] == pytest.approx([1 / 2, 1 / 12], rel=0.03)
    assert torch.allclose(draws.var(dim=0), torch.full((ENTRIES,), 1 / (ENTRIES + 2)).double(), rtol=0.06)
    assert draws.mean(dim=0).abs().max() < 0.01


def test_gaussian_noise_has_the_variance_of_the_l2_balls_uniform() -> None:
    draws = joint(l2("gaussian").draw(SHAPES, 20_000, torch.Generator().manual_seed(0), torch.float64))
    assert draws.var().item() == pytest.approx(1 / (ENTRIES + 2), rel=0.02)
    assert draws.norm(dim=1).max() > 1


def uniform_mixture(*cells: int) -> Mixture:
    rows = [torch.full((*cells, *shape), 1 / shape[-1], dtype=torch.float64) for shape in SHAPES]
    return Mixture(get_space(1).layout, tuple(rows))


def ascent(*cells: int) -> list[torch.Tensor]:
    """A direction that stays on the simplices: every row adds up to zero."""
    generator = torch.Generator().manual_seed(3)
    rows = [torch.randn(*cells, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]
    return [row - row.mean(dim=-1, keepdim=True) for row in rows]


def linear(slope: Sequence[torch.Tensor]) -> Callable[[Mixture], torch.Tensor]:
    def loss(mixture: Mixture) -> torch.Tensor:
        return torch.stack([(s * row).sum() for s, row in zip(slope, mixture.rows, strict=True)]).sum()

    return loss


def test_an_l2_attack_on_a_linear_loss_ends_where_steepest_ascent_leaves_the_ball() -> None:
    clean, slope, epsilon = uniform_mixture(), ascent(), 0.1
    perturbed = l2("adversarial", random_start=False).apply(clean, slope, epsilon, linear(slope))
    length = torch.cat([row.flatten() for row in slope]).norm()
    for row, point, direction in zip(perturbed.rows, clean.rows, slope, strict=True):
        assert torch.allclose(row, point + epsilon * direction / length, rtol=1e-9)


def test_every_cell_has_an_l2_ball_of_its_own() -> None:
    clean, slope, epsilon = uniform_mixture(2), ascent(2), 0.1
    slope = [row * torch.tensor([1.0, 100.0]).view(2, *(1 for _ in row.shape[1:])) for row in slope]
    perturbed = l2("adversarial", random_start=False).apply(clean, slope, epsilon, linear(slope))
    moves = joint([row - point for row, point in zip(perturbed.rows, clean.rows, strict=True)])
    assert moves.norm(dim=1).tolist() == pytest.approx([epsilon, epsilon])
    assert torch.allclose(moves / epsilon, F.normalize(joint(slope), dim=1))


def test_an_l2_attack_survives_a_gradient_of_zero() -> None:
    clean = uniform_mixture()
    perturbed = l2("adversarial", random_start=False).apply(clean, ascent(), 0.1, linear([0 * row for row in ascent()]))
    for row, point in zip(perturbed.rows, clean.rows, strict=True):
        assert torch.allclose(row, point, rtol=1e-12)


@pytest.mark.parametrize("kind", ["uniform", "adversarial"])
@pytest.mark.parametrize("name", ["darts", "gdas", "nasp", "pc_darts"])
def test_every_method_carries_an_l2_perturbation(name: str, kind: str) -> None:
    optimizer = small_optimizer(name, perturbation__kind=kind, perturbation__norm="l2")
    optimizer.begin_epoch(9)
    clean = optimizer.mixture("weights", 1).detach()
    perturbed = optimizer.weight_mixture(1, random_batch(0))
    for row, point in zip(perturbed.rows, clean.rows, strict=True):
        assert torch.allclose(row.sum(dim=-1), torch.ones((), dtype=row.dtype))
        assert (row >= 0).all()
        assert kind == "adversarial" or not torch.equal(row, point)
    optimizer.weight_step(1, random_batch(0))


def _has_reference() -> bool:
    try:
        golden_json("schedules")
    except pytest.skip.Exception:
        return False
    return True
