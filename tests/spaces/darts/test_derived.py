from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import EVALUATION, DerivedSize, InputShape, Pass
from spaces.darts.config import SupernetConfig
from spaces.darts.derived import DerivedConfig, DerivedNetwork, parameter_count
from spaces.darts.noise import KeyedNoise
from spaces.darts.space import SPACES
from tests.support.published_darts import (
    filled,
    fixed_noise,
    inputs,
    network_arrays,
    numbers,
    projections,
    published_genotype,
    published_names,
)

SMALL = DerivedConfig(channels=4, cells=6)


def generated(batch: int, side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, side, side, generator=generator), torch.arange(batch) % 10


def drop_path_factors(network: DerivedNetwork, batch: int) -> Tensor:
    """Factors in the order in which the published network draws them: none for an identity."""
    factors = torch.full((network.config.cells, network.paths, batch), torch.nan, dtype=torch.float64)
    calls = 0
    for cell, group in enumerate(network.groups):
        for place, (operation, source) in enumerate(network.genotype.cell(group)):
            if operation != "skip_connect" or (group == "reduce" and source < 2):
                factors[cell, place] = torch.tensor(numbers(f"path {calls}", (batch, 1, 1, 1))).flatten()
                calls += 1
    return factors


@pytest.mark.parametrize(
    ("case", "genotype", "config", "side", "batch"),
    [
        ("derived", "c10_s5_random", DerivedConfig(4, 6, auxiliary=True), 32, 4),
        ("dropped", "c10_s1_pcdarts", SMALL, 8, 4),
        ("noisy", "c10_s4_pcdarts", SMALL, 8, 4),
        ("imagenet", "c10_s5_pgd", DerivedConfig(4, 6, "imagenet", auxiliary=True), 224, 2),
    ],
)
def test_derived_network_computes_what_the_published_one_computes(
    case: str, genotype: str, config: DerivedConfig, side: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyedNoise, "maps", lambda self, place, shape, dtype: fixed_noise(shape).to(dtype))
    golden = network_arrays()
    network = DerivedNetwork(published_genotype(genotype), config, InputShape(3, 10))
    weights = network.initial_weights(torch.Generator(), torch.float64)
    names = published_names(weights, network.genotype, config.cells)
    weights = filled(weights, names)
    images, labels = inputs(case, side, batch)
    factors = drop_path_factors(network, batch) if case == "dropped" else None

    logits, auxiliary = network(weights, images, Pass(training=True, path_factors=factors, noise=torch.tensor(1)))
    loss = F.cross_entropy(logits, labels)
    if config.auxiliary:
        assert auxiliary is not None
        np.testing.assert_allclose(auxiliary.detach().numpy(), golden[f"{case}/auxiliary"], rtol=1e-9, atol=1e-9)
        loss = loss + 0.4 * F.cross_entropy(auxiliary, labels)
    gradients = torch.autograd.grad(loss, list(weights.parameters.values()))
    evaluated = network(weights.frozen(), images)

    assert evaluated.auxiliary is None
    for actual, key in [
        (logits.detach().numpy(), "logits"),
        (projections(dict(zip(weights.parameters, gradients, strict=True)), names), "gradient_projections"),
        (projections(weights.buffers, names), "buffer_projections"),
        (evaluated.logits.numpy(), "evaluation_logits"),
    ]:
        np.testing.assert_allclose(actual, golden[f"{case}/{key}"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("genotype", "config", "classes", "count"),
    [
        ("c10_s5_random", DerivedConfig(), 10, 3_606_166),
        ("c10_s5_random", DerivedConfig(auxiliary=True), 10, 4_082_592),
        ("c10_s5_pgd", DerivedConfig(), 10, 3_344_806),
        ("c10_s5_pgd", DerivedConfig(auxiliary=True), 10, 3_821_232),
        ("c10_s1_random", DerivedConfig(), 10, 3_405_502),
        ("c10_s1_pgd", DerivedConfig(), 10, 3_377_206),
        ("c10_s2_pgd", DerivedConfig(), 10, 4_281_382),
        ("c10_s3_pgd", DerivedConfig(), 10, 4_341_862),
        ("c10_s4_pgd", DerivedConfig(), 10, 4_701_718),
        ("c100_s1_pgd", DerivedConfig(16, 8), 100, 322_196),
        ("c100_s4_pgd", DerivedConfig(16, 8), 100, 434_132),
        ("svhn_s1_pgd", DerivedConfig(16, 8), 10, 270_042),
        ("c10_s3_pgd", DerivedConfig(48, 14, "imagenet"), 1000, 6_131_680),
        ("c10_s5_pgd", DerivedConfig(48, 14, "imagenet", auxiliary=True), 1000, 6_029_640),
    ],
)
def test_weights_by_formula_and_counted_are_the_published_number(
    genotype: str, config: DerivedConfig, classes: int, count: int
) -> None:
    cells, shape = published_genotype(genotype), InputShape(3, classes)
    assert parameter_count(cells, config, shape) == count
    weights = DerivedNetwork(cells, config, shape).initial_weights(torch.Generator())
    assert sum(tensor.numel() for tensor in weights.parameters.values()) == count


def test_drop_path_leaves_an_identity_alone_and_drops_the_rest() -> None:
    network = DerivedNetwork(published_genotype("c10_s2_pcdarts"), SMALL, InputShape(3, 10))
    weights = network.initial_weights(torch.Generator().manual_seed(0))
    images, _ = generated(3, 8)
    whole = network(weights, images).logits
    factors = torch.ones(network.config.cells, network.paths, 3)
    assert network.genotype.normal[0] == ("skip_connect", 1)
    factors[0, 0] = 0
    torch.testing.assert_close(network(weights, images, Pass(path_factors=factors)).logits, whole)
    factors[0, 1, 2] = 0
    dropped = network(weights, images, Pass(path_factors=factors)).logits
    torch.testing.assert_close(dropped[:2], whole[:2])
    assert not torch.allclose(dropped[2], whole[2])


def test_the_network_for_imagenet_trains_for_two_steps() -> None:
    config = DerivedConfig(48, 14, "imagenet", auxiliary=True)
    network = DerivedNetwork(published_genotype("c10_s5_random"), config, InputShape(3, 1000))
    weights = network.initial_weights(torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(weights.parameters.values(), lr=0.1, momentum=0.9, weight_decay=3e-5)
    images, labels = generated(2, 224)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        logits, auxiliary = network(weights, images, Pass(training=True))
        assert auxiliary is not None
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1)
        (loss + 0.4 * F.cross_entropy(auxiliary, labels, label_smoothing=0.1)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights.parameters.values(), 5)
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert network(weights, images).logits.shape == (2, 1000)


def test_an_auxiliary_head_refuses_images_that_it_was_not_made_for() -> None:
    genotype, shape = published_genotype("c10_s5_random"), InputShape(3, 10)
    network = DerivedNetwork(genotype, DerivedConfig(4, 6, auxiliary=True), shape)
    weights = network.initial_weights(torch.Generator())
    with pytest.raises(ValueError, match="expected images of 32 x 32 pixels, got 8 x 8; train without it"):
        network(weights, generated(1, 8)[0], EVALUATION)
    imagenet = DerivedNetwork(genotype, DerivedConfig(4, 6, "imagenet", auxiliary=True), shape)
    with pytest.raises(ValueError, match="expected images of 224 x 224 pixels, got 64 x 64"):
        imagenet(imagenet.initial_weights(torch.Generator()), generated(1, 64)[0])
    plain = DerivedNetwork(genotype, DerivedConfig(4, 6, "imagenet"), shape)
    assert plain(plain.initial_weights(torch.Generator()), generated(1, 64)[0]).logits.shape == (1, 10)


def test_sizes_that_no_network_has_are_refused() -> None:
    genotype, shape = published_genotype("c10_s5_random"), InputShape(3, 10)
    with pytest.raises(ValueError, match="even number of channels, got 5"):
        DerivedNetwork(genotype, DerivedConfig(5, 6, "imagenet"), shape)
    with pytest.raises(ValueError, match="at least 3 cells"):
        DerivedNetwork(genotype, DerivedConfig(4, 2), shape)
    network = DerivedNetwork(genotype, SMALL, shape)
    with pytest.raises(ValueError, match="multiples of 4 pixels"):
        network(network.initial_weights(torch.Generator()), torch.zeros(1, 3, 9, 9))


def test_a_scale_says_the_size_in_words() -> None:
    assert DerivedConfig().scale == "36 channels, 20 cells"


def test_a_judge_trains_the_derived_network_with_its_auxiliary_head() -> None:
    space = SPACES["s2"]
    genotype = space.sample(random.Random(0))
    size = DerivedSize(channels=4, cells=3, auxiliary=True)
    network = space.derived_network(genotype, SupernetConfig(channels=8, cells=6), InputShape(3, 10), size)
    assert network.config == DerivedConfig(channels=4, cells=3, auxiliary=True)
    assert space.derived_network(genotype, SupernetConfig(8, 6), InputShape(3, 10), DerivedSize()).config == (
        DerivedConfig(channels=8, cells=6)
    )
    weights = network.initial_weights(torch.Generator().manual_seed(0), torch.float32)
    mixture = space.mixture_of(genotype, torch.float32)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    factors = torch.ones(len(network.groups), network.paths, 2)
    logits, auxiliary = network(weights, mixture, images, Pass(training=True, path_factors=factors))
    assert logits.shape == auxiliary.shape == (2, 10)
    assert network(weights, mixture, images).shape == (2, 10)
    assert sum(tensor.numel() for tensor in weights.parameters.values()) == parameter_count(
        genotype, DerivedConfig(channels=4, cells=3, auxiliary=True), InputShape(3, 10)
    )
