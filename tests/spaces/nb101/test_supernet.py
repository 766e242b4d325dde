from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from spaces.base import InputShape, Pass
from spaces.nb101.architecture import CellChoice
from spaces.nb101.coefficients import Coefficients
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import SPACES, get_space
from spaces.nb101.supernet import Supernet
from tests.support.golden_vectors import (
    Arrays,
    below,
    golden_arrays,
    published_blocks,
    published_mixture,
    published_rows,
    published_weights,
    relative_error,
)
from tests.support.mixtures import SILENT, TRAINING, mixture_of, random_mixture, stacked

RGB = InputShape(3, 10)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
VARIANTS = {
    "": ("f32", "f64", "f64_weight"),
    "_nasp": ("f64", "f64_binarized"),
    "_pcdarts": ("f64", "f64_weight"),
}
CASES = [
    pytest.param(variant, space, tag, torch.float32 if tag == "f32" else torch.float64, id=f"{space}{variant}-{tag}")
    for variant, tags in VARIANTS.items()
    for space in (1, 3)
    for tag in tags
]


def small_supernet(space: int, variant: str = "") -> Supernet:
    parts = 4 if variant == "_pcdarts" else 1
    return Supernet(get_space(space), SupernetConfig(channels=4, cells=3, partial_channels=parts), RGB)


@pytest.mark.parametrize(("variant", "space", "tag", "dtype"), CASES)
def test_supernet_computes_what_the_published_network_computes(
    variant: str, space: int, tag: str, dtype: torch.dtype
) -> None:
    arrays = golden_arrays(f"supernet{variant}_{space}")
    if f"{tag}/train_logits" not in arrays:
        pytest.skip("not in the committed cut")
    supernet = small_supernet(space, variant)
    weights = published_weights(below(arrays, "sd/"), supernet.space, 3, dtype)
    images, labels = torch.tensor(arrays["input"]).to(dtype), torch.tensor(arrays["target"])
    if tag == "f64_weight":
        alphas = published_rows(arrays, "softmaxed_alpha_{}", supernet.space)
    elif tag == "f64_binarized":
        alphas = published_rows(arrays, "binarized_alpha_{}", supernet.space)
    else:
        alphas = published_rows(arrays, "alpha_{}", supernet.space, dtype)
    for alpha in alphas:
        alpha.requires_grad_()
    rows = alphas if tag == "f64_weight" else [alpha.softmax(dim=-1) for alpha in alphas]
    mixture = mixture_of(supernet.space, rows)
    tolerance = TOLERANCE[dtype]

    if f"{tag}/eval_logits_stored_stats" in arrays:
        stored = supernet(weights, mixture, images)
        assert relative_error(stored, arrays[f"{tag}/eval_logits_stored_stats"]) < tolerance
    logits = supernet(weights, mixture, images, TRAINING)
    assert relative_error(logits, arrays[f"{tag}/train_logits"]) < tolerance
    loss = F.cross_entropy(logits, labels)
    assert relative_error(loss, arrays[f"{tag}/train_loss"]) < tolerance

    gradients = torch.autograd.grad(loss, [*alphas, *weights.parameters.values()])
    error = largest_gradient_error(gradients, arrays, tag, supernet, list(weights.parameters))
    if dtype == torch.float64 or error < tolerance:
        assert error < tolerance
    else:
        ours_of_alphas = torch.cat([part.flatten() for part in gradients[: len(alphas)]])
        assert error_across_kinks(ours_of_alphas, arrays, supernet) < 3e-4

    for name, sources in published_blocks(supernet.space, 3).items():
        for ours, theirs in (("mean", "running_mean"), ("variance", "running_var")):
            keys = [f"{tag}/buffers_after_train/{source}.1.{theirs}" for source in sources]
            if keys[0] in arrays:
                merged = torch.cat([torch.tensor(arrays[key]) for key in keys]).numpy()
                assert relative_error(weights.buffers[f"{name}.{ours}"], merged) < tolerance
    after = supernet(weights, mixture, images)
    assert relative_error(after, arrays[f"{tag}/eval_logits_after_train_forward"]) < tolerance


def largest_gradient_error(
    gradients: Sequence[torch.Tensor], arrays: Arrays, tag: str, supernet: Supernet, names: list[str]
) -> float:
    """Of the alphas' gradient, of two layers' and of the norms of all layers', relative to the largest entry.

    Batch norm takes the scale out of a convolution with one channel on either side, as PC-DARTS has here, so that its
    gradient is the rest of a cancellation, 1e-8 of the other layers'. It is compared to 1e-6 of the largest.
    """
    rows = len(supernet.space.row_shapes)
    expected = published_rows(arrays, tag + "/alpha_grad_{}", supernet.space)
    ours, theirs = (torch.cat([row.flatten() for row in part]) for part in (gradients[:rows], expected))
    errors = [relative_error(ours, theirs.numpy())]
    of_weights = dict(zip(names, gradients[rows:], strict=True))
    for name, key in (("stem.weight", "stem.op.0.weight"), ("classifier.weight", "classifier.weight")):
        errors.append(relative_error(of_weights[name], arrays[f"{tag}/wgrad/{key}"]))
    norms = below(arrays, f"{tag}/wgrad_norm/")
    least = 1e-6 * max(float(norm) for norm in norms.values())
    for name, sources in published_blocks(supernet.space, 3).items():
        sizes = [len(arrays[f"sd/{source}.0.weight"]) for source in sources]
        for part, source in zip(torch.split(of_weights[f"{name}.weight"], sizes), sources, strict=True):
            norm = float(norms[f"{source}.0.weight"])
            errors.append(abs(float(part.norm()) - norm) / max(norm, least))
    return max(errors)


def error_across_kinks(gradient: torch.Tensor, arrays: Arrays, supernet: Supernet) -> float:
    """Error of a float32 gradient of the alphas where rounding has crossed a kink.

    At the recorded images of space 3 a ReLU or a pooling window lies within 1e-5 of switching, and the gradient jumps
    by a thousandth there. Which side float32 falls on depends on the order of its sums, so on processor and threads.
    The float64 gradient, which the recorded one pins, is taken at images moved by that much; one must agree up to
    what such a move changes smoothly (1e-4).
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.tensor(arrays["input"]).double()
    weights = published_weights(below(arrays, "sd/"), supernet.space, 3, torch.float64)
    errors = []
    for _ in range(20):
        alphas = [row.requires_grad_() for row in published_rows(arrays, "alpha_{}", supernet.space)]
        moved = images * (1 + 1e-5 * torch.randn(images.shape, generator=generator, dtype=torch.float64))
        mixture = mixture_of(supernet.space, [alpha.softmax(dim=-1) for alpha in alphas])
        logits = supernet(weights, mixture, moved, SILENT)
        exact = torch.autograd.grad(F.cross_entropy(logits, torch.tensor(arrays["target"])), alphas)
        errors.append(relative_error(gradient, torch.cat([part.flatten() for part in exact]).numpy()))
    return min(errors)


@pytest.mark.parametrize("variant", ["", "_pcdarts"])
@pytest.mark.parametrize("space", [1, 3])
def test_a_discrete_architecture_computes_what_the_published_discrete_path_computes(space: int, variant: str) -> None:
    arrays = golden_arrays(f"supernet{variant}_{space}")
    if "f64_discrete/train_logits" not in arrays:
        pytest.skip("not in the committed cut")
    supernet = small_supernet(space, variant)
    adjacency = arrays["discrete/adjacency"].astype(int)
    parents = tuple(tuple(adjacency[:, node].nonzero()[0].tolist()) for node in range(1, supernet.space.blocks + 2))
    architecture = CellChoice(parents, tuple(str(op) for op in arrays["discrete/ops"]))
    mixture = supernet.space.mixture_of(architecture, torch.float64)
    for ours, theirs in zip(mixture.rows, published_rows(arrays, "discrete/weights_{}", supernet.space), strict=True):
        assert torch.equal(ours, theirs)
    weights = published_weights(below(arrays, "sd/"), supernet.space, 3, torch.float64)
    for skip_zeros in (False, True):
        images = torch.tensor(arrays["input"]).double()
        logits = supernet(weights, mixture, images, Pass(training=True, skip_zeros=skip_zeros))
        assert relative_error(logits, arrays["f64_discrete/train_logits"]) < 1e-9


@pytest.mark.parametrize("space", [1, 2, 3])
def test_folded_weights_evaluate_like_stored_statistics(space: int) -> None:
    supernet = small_supernet(space)
    weights = supernet.initial_weights(torch.Generator().manual_seed(space), torch.float64)
    generator = torch.Generator().manual_seed(9)
    images = torch.randn(5, 3, 16, 16, generator=generator, dtype=torch.float64)
    rows = [torch.rand(shape, generator=generator, dtype=torch.float64) for shape in supernet.space.row_shapes]
    mixture = mixture_of(supernet.space, rows)
    supernet(weights, mixture, images, TRAINING)
    folded = supernet.fold(weights)
    expected = supernet(weights, mixture, images)
    assert torch.allclose(supernet(folded, mixture, images), expected, rtol=1e-10, atol=1e-12)
    split = supernet.after_stem(folded, mixture, supernet.stem(folded, images))
    assert torch.allclose(split, expected, rtol=1e-10, atol=1e-12)


def test_statistics_stay_where_they_are_unless_asked() -> None:
    supernet = small_supernet(1)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in weights.buffers.items()}
    mixture = random_mixture(supernet.space)
    images = torch.randn(4, 3, 16, 16)
    silent = supernet(weights, mixture, images, SILENT)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights.buffers.items())
    loud = supernet(weights, mixture, images, TRAINING)
    assert torch.equal(silent, loud)
    assert all(not torch.equal(before[name], tensor) for name, tensor in weights.buffers.items())


@pytest.mark.parametrize("space", [1, 2, 3])
def test_one_mixture_for_each_cell_equals_one_for_all_where_they_agree(space: int) -> None:
    supernet = small_supernet(space)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    mixture = random_mixture(supernet.space)
    other = mixture.map(lambda row: row * 0.5)
    assert torch.equal(supernet(weights, mixture, images), supernet(weights, stacked([mixture] * 3), images))
    mixed = supernet(weights, stacked([mixture, other, mixture]), images)
    assert not torch.allclose(mixed, supernet(weights, mixture, images))


def test_each_cell_multiplies_its_own_entry_of_a_dimension_of_cells() -> None:
    supernet = small_supernet(3)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    of_each = random_mixture(supernet.space, cells=3)
    listed = of_each.of_cells(supernet.groups)
    assert [tuple(row.shape) for row in listed[0]] == list(supernet.space.row_shapes)
    again = stacked([mixture_of(supernet.space, rows) for rows in listed])
    assert torch.equal(supernet(weights, of_each, images), supernet(weights, again, images))
    # The cells in another order are another function, so that the order of the entries is the cells'.
    turned = of_each.map(lambda row: row.flip(0))
    assert not torch.allclose(supernet(weights, of_each, images), supernet(weights, turned, images))
    with pytest.raises(ValueError, match="expected coefficients of 2 cells, got 3"):
        of_each.of_cells(("cell",) * 2)


@pytest.mark.parametrize("cells", [None, 3])
def test_coefficients_are_the_rows_by_name(cells: int | None) -> None:
    mixture = random_mixture(get_space(3), cells=cells)
    coefficients = Coefficients.from_rows(mixture.rows)
    assert coefficients.rows == mixture.rows
    assert coefficients.operations is mixture.rows[0]
    assert coefficients.output is mixture.rows[1]
    assert [row.shape[-1] for row in coefficients.inputs] == list(get_space(3).choosing_nodes)
    for ours, theirs in zip(coefficients.of_cells(3), mixture.of_cells(("cell",) * 3), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours.rows, theirs, strict=True))


@pytest.mark.parametrize("parts", [1, 2])
def test_skipping_zeros_changes_no_logit_and_leaves_what_is_skipped_alone(parts: int) -> None:
    supernet = Supernet(get_space(1), SupernetConfig(channels=4, cells=3, partial_channels=parts), RGB)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0), torch.float64)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 16, 16, generator=generator, dtype=torch.float64)
    rows = [torch.rand(3, *shape, generator=generator, dtype=torch.float64) for shape in supernet.space.row_shapes]
    rows[0] = F.one_hot(torch.arange(12) % 3, 3).double().view(3, 4, 3)
    mixture = mixture_of(supernet.space, rows)
    names = list(weights.parameters)
    full = supernet(weights, mixture, images, SILENT)
    before = {name: tensor.clone() for name, tensor in weights.buffers.items()}
    skipping = supernet(weights, mixture, images, Pass(training=True, skip_zeros=True))
    assert torch.allclose(skipping, full, rtol=1e-12)
    expected = dict(zip(names, torch.autograd.grad(full.sum(), list(weights.parameters.values())), strict=True))
    gradients = torch.autograd.grad(skipping.sum(), list(weights.parameters.values()), allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        skipped = gradient is None
        assert skipped == (".block" in name and not expected[name].any()), name
        assert skipped or torch.allclose(gradient, expected[name], rtol=1e-9, atol=1e-12), name
        statistics = name.rpartition(".")[0] + ".mean"
        if statistics in before and name.endswith("weight"):
            assert torch.equal(before[statistics], weights.buffers[statistics]) == skipped, name


def test_a_block_without_any_operation_gives_zeros() -> None:
    supernet = small_supernet(1)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    mixture = random_mixture(supernet.space)
    mixture = mixture.with_rows([torch.zeros_like(mixture.rows[0]), *mixture.rows[1:]])
    images = torch.randn(4, 3, 16, 16)
    assert torch.equal(supernet(weights, mixture, images, Pass(skip_zeros=True)), supernet(weights, mixture, images))


@pytest.mark.parametrize(
    ("space", "parts", "count"),
    [(1, 1, 1_101_402), (2, 1, 1_101_402), (3, 1, 1_509_594), (1, 4, 492_570), (2, 4, 492_570), (3, 4, 748_554)],
)
def test_parameter_counts_are_the_published_ones(space: int, parts: int, count: int) -> None:
    supernet = Supernet(SPACES[space], SupernetConfig(partial_channels=parts), RGB)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    assert sum(tensor.numel() for tensor in weights.parameters.values()) == count


def test_path_factors_multiply_a_blocks_output_image_by_image() -> None:
    supernet = small_supernet(1)
    weights = supernet.fold(supernet.initial_weights(torch.Generator().manual_seed(0), torch.float64))
    rows = [
        torch.rand(shape, generator=torch.Generator().manual_seed(1)).double() for shape in supernet.space.row_shapes
    ]
    mixture = mixture_of(supernet.space, rows)
    images = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(2)).double()
    plain = supernet(weights, mixture, images)
    factors = torch.ones(3, 4, 3, dtype=torch.float64)
    assert torch.equal(supernet(weights, mixture, images, Pass(path_factors=factors)), plain)
    # In one cell one block of the second image is dropped, in another one of the last image is doubled.
    factors[1, 2, 1], factors[2, 0, 2] = 0, 2
    expected = []
    for image, (cell, block, factor) in enumerate([(0, 0, 1.0), (1, 2, 0.0), (2, 0, 2.0)]):
        mixtures = [mixture_of(supernet.space, [row.clone() for row in rows]) for _ in range(3)]
        mixtures[cell].rows[0][block] *= factor
        expected.append(supernet(weights, stacked(mixtures), images[image : image + 1]))
    logits = supernet(weights, mixture, images, Pass(path_factors=factors))
    assert torch.allclose(logits, torch.cat(expected), rtol=1e-12, atol=1e-12)
    assert torch.allclose(logits[0], plain[0])
    assert not any(torch.allclose(logits[image], plain[image]) for image in (1, 2))


@pytest.mark.parametrize(("space", "parts", "count"), [(1, 1, 20_894), (1, 4, 7_958), (3, 1, 27_646), (3, 4, 11_476)])
def test_parameter_counts_of_the_golden_networks_are_the_published_ones(space: int, parts: int, count: int) -> None:
    supernet = Supernet(SPACES[space], SupernetConfig(channels=4, cells=3, partial_channels=parts), RGB)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    assert sum(tensor.numel() for tensor in weights.parameters.values()) == count


def test_channels_that_do_not_split_into_parts_are_refused() -> None:
    expected = r"^expected network\.channels \(6\) to be a multiple of network\.partial_channels \(4\)$"
    with pytest.raises(ValueError, match=expected):
        Supernet(get_space(1), SupernetConfig(channels=6, partial_channels=4), RGB)


def test_maps_shrink_to_17_and_9_pixels_as_published() -> None:
    supernet = Supernet(SPACES[1], SupernetConfig(channels=2, cells=9), RGB)
    weights = supernet.initial_weights(torch.Generator().manual_seed(0))
    mixture = random_mixture(supernet.space)
    sizes: list[int] = []
    original = F.conv2d

    def spy(state: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        sizes.append(state.shape[-1])
        return original(state, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "conv2d", spy)
        supernet(weights, mixture, torch.randn(1, 3, 32, 32))
    assert sorted(set(sizes)) == [9, 17, 32]
    assert supernet.widths == [2, 2, 2, 4, 4, 4, 8, 8, 8]


def test_golden_configuration_is_the_one_the_tests_assume() -> None:
    config = json.loads(str(golden_arrays("supernet_1")["config"]))
    assert (config["C"], config["layers"]) == (4, 3)


def test_published_mixture_has_the_shapes_of_the_space() -> None:
    space = get_space(1)
    mixture = published_mixture(golden_arrays("supernet_1"), "alpha_{}", space)
    assert tuple(tuple(row.shape) for row in mixture.rows) == space.row_shapes
