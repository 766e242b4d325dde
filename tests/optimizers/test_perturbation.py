from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given

from optimizers.config import PerturbationConfig
from optimizers.perturbation import Perturbation, clip_to_simplex
from spaces.mixture import Mixture
from spaces.search_space import get_space
from spaces.supernet import Supernet, SupernetConfig
from tests.golden_vectors import (
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
    supernet = Supernet(get_space(space), SupernetConfig(channels=4, cells=3))
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
        return ((mixture.output - target) ** 2).sum()

    clean = Mixture(torch.full((1, 3), 1 / 3), target, ())
    noise = [torch.zeros(1, 3), torch.tensor([0.1, -0.1, 0.05])]

    def with_zero(mixture: Mixture) -> torch.Tensor:
        return loss(mixture) + 0 * mixture.operations.sum()

    epsilon = 0.1
    started = clip_to_simplex(target + epsilon * noise[1])
    perturbed = Perturbation(PerturbationConfig(kind="adversarial"), 100).apply(clean, noise, epsilon, with_zero)
    assert loss(perturbed) > loss(clean._replace(output=started))
    # At most epsilon away in each of three entries before they are divided by their sum.
    lowest, highest = (target - epsilon) / (1 + 3 * epsilon), (target + epsilon) / (1 - 3 * epsilon)
    assert ((perturbed.output >= lowest - 1e-6) & (perturbed.output <= highest + 1e-6)).all()


def _has_reference() -> bool:
    try:
        golden_json("schedules")
    except pytest.skip.Exception:
        return False
    return True
