from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from spaces.darts.noise import KeyedNoise

KEY = torch.tensor(11)


def test_numbers_are_standard_normal_and_independent() -> None:
    noise = KeyedNoise(KEY, 3)
    first, second = (noise.maps(place, (64, 4, 16, 16), torch.float32).double() for place in (0, 2))
    other_key = KeyedNoise(KEY + 1, 3).maps(0, (64, 4, 16, 16), torch.float32).double()
    assert stats.kstest(first.flatten().numpy(), "norm").pvalue > 1e-3
    for left, right in [
        (first, second),
        (first, other_key),
        (first[1:], first[:-1]),
        (first[:, 1:], first[:, :-1]),
        (first[..., 1:], first[..., :-1]),
        (first[:, :2], first[:, 2:]),
        (first**2, second**2),
    ]:
        assert stats.pearsonr(left.flatten().numpy(), right.flatten().numpy()).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(3, 1, 1, 1), (3, 5, 3, 3), (3, 4, 8, 8)])
def test_an_example_has_the_same_numbers_in_a_batch_of_any_size(shape: tuple[int, int, int, int]) -> None:
    noise = KeyedNoise(KEY, 1)
    whole = noise.maps(0, shape, torch.float32)
    assert whole.shape == shape
    assert torch.equal(noise.maps(0, (2, *shape[1:]), torch.float32), whole[:2])
    assert not torch.equal(whole[0], whole[1])


def test_numbers_do_not_depend_on_the_dtype_or_on_how_many_places_there_are() -> None:
    shape = (2, 3, 4, 4)
    single = KeyedNoise(KEY, 5).maps(4, shape, torch.float32)
    assert torch.equal(KeyedNoise(KEY, 9).maps(4, shape, torch.float64), single.double())
    assert single.is_contiguous(memory_format=torch.channels_last)


def test_numbers_are_those_of_splitmix64_after_box_and_muller() -> None:
    key, place = 2**63 - 5, 1
    numbers = KeyedNoise(torch.tensor(key), 3).maps(place, (2, 1, 1, 4), torch.float64)
    start = mixed(mixed(key + GAMMA) + (place + 1) * GAMMA)
    for example in range(2):
        hashes = [mixed(start + (2 * example + pair) * GAMMA) for pair in range(2)]
        radii = [math.sqrt(-2 * math.log(((bits >> 32) + 1) / 2**32)) for bits in hashes]
        angles = [2 * math.pi * (bits & 0xFFFFFFFF) / 2**32 for bits in hashes]
        polar = list(zip(radii, angles, strict=True))
        expected = [r * math.cos(a) for r, a in polar] + [r * math.sin(a) for r, a in polar]
        assert numbers[example].flatten().tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


GAMMA = 0x9E3779B97F4A7C15


def mixed(bits: int) -> int:
    """SplitMix64's finaliser in whole numbers modulo 2^64."""
    bits %= 2**64
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % 2**64
    return bits ^ bits >> 31


def test_dropout_keeps_its_share_and_is_independent_of_the_noise_there() -> None:
    noise, shape = KeyedNoise(KEY, 3), (64, 4, 16, 16)
    kept = noise.kept(1, shape, 0.3)
    assert kept.shape == shape
    assert float(kept.double().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(kept, KeyedNoise(KEY, 9).kept(1, shape, 0.3))
    assert not torch.equal(kept, noise.kept(2, shape, 0.3))
    normal = noise.maps(1, shape, torch.float32).double()
    assert float((normal[kept].mean() - normal[~kept].mean()).abs()) < 0.05
    assert bool(noise.kept(0, shape, 1.0).all())
