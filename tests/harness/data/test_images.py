"""Splits on the device: what a pass visits, and what augmentation does to an image."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.data.arrays import ImageArrays
from harness.data.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from harness.data.images import Augmentation, EpochDraws, Split, draw_epoch, halve, shrunk
from harness.errors import UserError
from tests.support.golden_vectors import golden_json

CIFAR10 = Augmentation(padding=4, flip=True)

quick = settings(deadline=None, max_examples=60)

augmentations = st.builds(
    Augmentation, padding=st.integers(0, 5), flip=st.booleans(), cutout=st.sampled_from([0, 1, 3, 4, 16])
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_split(
    count: int,
    size: tuple[int, int, int] = (3, 32, 32),
    dtype: torch.dtype = torch.float32,
    mean: tuple[float, ...] = CIFAR10_MEAN,
    std: tuple[float, ...] = CIFAR10_STD,
) -> Split:
    images = torch.randint(0, 256, (count, *size), dtype=torch.uint8, generator=generator(0))
    return Split(images, torch.arange(count) % 10, mean[: size[0]], std[: size[0]], dtype)


def plain_image(split: Split, draws: EpochDraws, place: int, mean: list[float], std: list[float]) -> Tensor:
    """The image at a place of a pass, made pixel by pixel; in float64 [channels, height, width]."""
    augmentation = draws.augmentation
    image = split.images[draws.permutation[place]].double()
    channels, height, width = image.shape
    dy, dx = int(draws.dy[place]), int(draws.dx[place])
    centre_y = int(draws.cutout[place, 0] * height)
    centre_x = int(draws.cutout[place, 1] * width)
    half = augmentation.cutout // 2
    result = torch.zeros(channels, height, width, dtype=torch.float64)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                if centre_y - half <= y < centre_y + half and centre_x - half <= x < centre_x + half:
                    continue
                column = width - 1 - x if draws.flip[place] else x
                row, column = y + dy - augmentation.padding, column + dx - augmentation.padding
                inside = 0 <= row < height and 0 <= column < width
                value = float(image[channel, row, column]) if inside else 0.0
                result[channel, y, x] = (value / 255 - mean[channel]) / std[channel]
    return result


@quick
@given(
    count=st.integers(1, 300), batch_size=st.integers(1, 100), seed=st.integers(0, 2**32), augmentation=augmentations
)
def test_each_pass_visits_every_image_once(count: int, batch_size: int, seed: int, augmentation: Augmentation) -> None:
    draws = draw_epoch(count, batch_size, generator(seed), augmentation)
    split = Split(torch.zeros(count, 1, 8, 8, dtype=torch.uint8), torch.arange(count), [0.5], [0.5])
    sizes, seen = [], []
    for images, labels in split.batches(draws):
        assert images.shape == (len(labels), 1, 8, 8)
        sizes.append(len(labels))
        seen.extend(labels.tolist())
    assert sorted(seen) == list(range(count))
    assert len(sizes) == len(draws)
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size


@quick
@given(seed=st.integers(0, 2**32), augmentation=augmentations)
def test_draws_stay_in_their_ranges(seed: int, augmentation: Augmentation) -> None:
    draws = draw_epoch(50, 7, generator(seed), augmentation)
    for offset in (draws.dy, draws.dx):
        assert offset.min() >= 0
        assert offset.max() <= 2 * augmentation.padding
    assert augmentation.flip or not draws.flip.any()
    assert draws.cutout.min() >= 0
    assert draws.cutout.max() < 1


def test_all_crops_and_both_flips_are_equally_likely() -> None:
    count = 81_000
    draws = draw_epoch(count, 96, generator(0), CIFAR10)
    crops = torch.bincount(draws.dy * 9 + draws.dx, minlength=81)
    assert (crops - 1000).abs().max() < 150
    assert abs(draws.flip.double().mean().item() - 0.5) < 0.01
    rows = torch.bincount((draws.cutout[:, 0] * 32).long(), minlength=32)
    assert len(rows) == 32
    assert (rows / count * 32 - 1).abs().max() < 0.1


@quick
@given(seed=st.integers(0, 2**32), augmentation=augmentations)
def test_a_seed_gives_the_same_draws_again(seed: int, augmentation: Augmentation) -> None:
    first = draw_epoch(40, 8, generator(seed), augmentation)
    second = draw_epoch(40, 8, generator(seed), augmentation)
    for field in ("permutation", "dy", "dx", "flip", "cutout"):
        assert torch.equal(getattr(first, field), getattr(second, field))


def test_passes_of_one_generator_differ() -> None:
    source = generator(0)
    first, second = (draw_epoch(40, 8, source, CIFAR10) for _ in range(2))
    for field in ("permutation", "dy", "dx", "flip", "cutout"):
        assert not torch.equal(getattr(first, field), getattr(second, field))


def test_a_changed_setting_leaves_the_other_draws_alone() -> None:
    source, other_source = generator(3), generator(3)
    draws = draw_epoch(40, 8, source, CIFAR10)
    others = draw_epoch(40, 8, other_source, Augmentation(padding=2, flip=False, cutout=8))
    assert torch.equal(draws.permutation, others.permutation)
    assert torch.equal(draws.cutout, others.cutout)
    assert torch.equal(source.get_state(), other_source.get_state())


def test_cifar10_pass_has_261_batches_and_the_last_holds_40_images() -> None:
    draws = draw_epoch(25_000, 96, generator(0), CIFAR10)
    split = Split(
        torch.zeros(25_000, 3, 2, 2, dtype=torch.uint8), torch.zeros(25_000, dtype=torch.int64), [0] * 3, [1] * 3
    )
    assert len(draws) == 261
    assert len(split.batch(draws, 259)[1]) == 96
    assert len(split.batch(draws, 260)[1]) == 40
    with pytest.raises(IndexError, match="from 0 to 260"):
        split.batch(draws, 261)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    augmentation=augmentations,
    size=st.tuples(st.sampled_from([1, 3]), st.integers(1, 7), st.integers(1, 7)),
    index=st.integers(0, 2),
)
def test_batch_equals_the_plain_reference(
    seed: int, augmentation: Augmentation, size: tuple[int, int, int], index: int
) -> None:
    split = random_split(7, size, torch.float64)
    draws = draw_epoch(7, 3, generator(seed), augmentation)
    images, labels = split.batch(draws, index)
    for k in range(len(images)):
        place = index * 3 + k
        expected = plain_image(split, draws, place, list(CIFAR10_MEAN), list(CIFAR10_STD))
        torch.testing.assert_close(images[k], expected, rtol=0, atol=1e-12)
        assert labels[k] == split.labels[draws.permutation[place]]


def test_batch_equals_torchvision_to_the_last_bit() -> None:
    from torchvision.transforms import functional

    split = random_split(20)
    draws = draw_epoch(20, 20, generator(1), CIFAR10)
    images, _ = split.batch(draws, 0)
    for place, image in enumerate(images):
        pixels = split.images[draws.permutation[place]].permute(1, 2, 0).numpy()
        picture = functional.pad(functional.to_pil_image(pixels), [4])
        picture = functional.crop(picture, int(draws.dy[place]), int(draws.dx[place]), 32, 32)
        picture = functional.hflip(picture) if draws.flip[place] else picture
        expected = functional.normalize(functional.to_tensor(picture), list(CIFAR10_MEAN), list(CIFAR10_STD))
        assert torch.equal(image, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_have_the_dtype_asked_for(dtype: torch.dtype) -> None:
    split = random_split(4, dtype=dtype)
    images, labels = split.batch(draw_epoch(4, 4, generator(0), CIFAR10), 0)
    assert images.dtype == dtype
    assert images.is_contiguous()
    assert labels.dtype == torch.int64
    assert next(split.plain_batches(4))[0].dtype == dtype


def test_a_batch_draws_nothing_and_changes_nothing() -> None:
    split = random_split(10)
    draws = draw_epoch(10, 4, generator(0), Augmentation(padding=4, flip=True, cutout=16))
    before, state = split.images.clone(), torch.get_rng_state()
    first, _ = split.batch(draws, 1)
    second, _ = split.batch(draws, 1)
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(before, split.images)


def test_a_batch_never_waits_for_the_device() -> None:
    """Tensors of the meta device hold no values: reading one on the host, as a wait would, raises."""
    images = torch.empty(10, 3, 32, 32, dtype=torch.uint8, device="meta")
    split = Split(images, torch.empty(10, dtype=torch.int64, device="meta"), CIFAR10_MEAN, CIFAR10_STD)
    draws = draw_epoch(10, 4, generator(0), Augmentation(padding=4, flip=True, cutout=16)).to("meta")
    assert [images.shape[0] for images, _ in split.batches(draws)] == [4, 4, 2]


def test_plain_batches_are_all_images_in_order() -> None:
    split = random_split(10)
    batches = list(split.plain_batches(4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([labels for _, labels in batches]), split.labels)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (CIFAR10_MEAN, CIFAR10_STD))
    torch.testing.assert_close(torch.cat([images for images, _ in batches]), (split.images / 255 - mean) / std)


def test_without_augmentation_a_batch_is_the_plain_one() -> None:
    split = random_split(6)
    draws = draw_epoch(6, 6, generator(0), Augmentation(padding=0, flip=False))
    images, _ = split.batch(draws, 0)
    plain, _ = next(split.plain_batches(6))
    assert torch.equal(images, plain[draws.permutation])


def test_cutout_covers_the_squares_of_the_published_code() -> None:
    boxes = [case for case in golden_json("transforms")["cutout_length_16"] if case["zero_box_y1_y2_x1_x2"]]
    assert len(boxes) >= 3
    centres = []
    for case in boxes:
        random = np.random.RandomState(case["numpy_seed"])
        random.binomial(1, case["prob"])
        centres.append([random.randint(32), random.randint(32)])
    count = len(boxes)
    draws = EpochDraws(
        batch_size=count,
        augmentation=Augmentation(padding=0, flip=False, cutout=16),
        permutation=torch.arange(count),
        dy=torch.zeros(count, dtype=torch.int64),
        dx=torch.zeros(count, dtype=torch.int64),
        flip=torch.zeros(count, dtype=torch.bool),
        cutout=torch.tensor(centres, dtype=torch.float64) / 32,
        noise=torch.zeros(1, dtype=torch.int64),
    )
    white = torch.full((count, 3, 32, 32), 255, dtype=torch.uint8)
    images, _ = Split(white, torch.zeros(count, dtype=torch.int64), CIFAR10_MEAN, CIFAR10_STD).batch(draws, 0)
    for image, case in zip(images, boxes, strict=True):
        top, bottom, left, right = case["zero_box_y1_y2_x1_x2"]
        expected = torch.zeros(32, 32, dtype=torch.bool)
        expected[top:bottom, left:right] = True
        assert torch.equal(image == 0, expected.expand(3, 32, 32))


def test_constants_are_those_of_the_published_code() -> None:
    published = golden_json("transforms")["cifar10"]["cifar10"]
    assert f"Normalize(mean={list(CIFAR10_MEAN)}, std={list(CIFAR10_STD)})" in published
    assert "RandomCrop(size=(32, 32), padding=4)" in published


def arrays(count: int) -> ImageArrays:
    """Training images of which image i holds the value i everywhere; test images that nothing can use."""
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), dtype=np.uint8)
    return ImageArrays(
        train_images=images,
        train_labels=np.arange(count, dtype=np.int64),
        test_images=cast(Any, None),
        test_labels=cast(Any, None),
        classes=count,
        name="numbered",
        mean=(0.5,),
        std=(0.25,),
    )


@pytest.mark.parametrize(
    ("count", "limit", "training", "validation"),
    [
        (10, None, range(5), range(5, 10)),
        (11, None, range(5), range(5, 11)),
        (10, 2, range(2), range(5, 7)),
        (10, 5, range(5), range(5, 10)),
        (11, 5, range(5), range(5, 10)),
    ],
)
def test_halves_are_the_first_and_the_last_training_images(
    count: int, limit: int | None, training: range, validation: range
) -> None:
    for split, expected in zip(halve(arrays(count), "cpu", limit=limit), (training, validation), strict=True):
        assert split.n == len(expected)
        assert split.labels.tolist() == list(expected)
        assert split.images[:, 0, 0, 0].tolist() == list(expected)
        images, _ = next(split.plain_batches(split.n))
        torch.testing.assert_close(images[0], torch.full((1, 4, 4), (expected[0] / 255 - 0.5) / 0.25))


def test_halving_takes_arrays_that_cannot_be_written() -> None:
    frozen = arrays(10)
    frozen.train_images.setflags(write=False)
    frozen.train_labels.setflags(write=False)
    training, _ = halve(frozen, "cpu")
    assert training.n == 5


@pytest.mark.parametrize("limit", [0, -1, 6])
def test_a_limit_that_no_half_can_meet_is_refused(limit: int) -> None:
    with pytest.raises(UserError, match=f"limit of 1 to 5 images for each half, got {limit}"):
        halve(arrays(10), "cpu", limit=limit)


def test_a_single_image_cannot_be_halved() -> None:
    with pytest.raises(UserError, match="at least 2 training images to halve, got 1"):
        halve(arrays(1), "cpu")


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(UserError, match="padding: expected 0 or more"):
        Augmentation(padding=-1, flip=True)
    with pytest.raises(UserError, match="cutout: expected"):
        Augmentation(padding=0, flip=True, cutout=-16)
    with pytest.raises(UserError, match="batch size: expected 1 or more images, got 0"):
        draw_epoch(10, 0, generator(0), CIFAR10)
    with pytest.raises(UserError, match="at least 1 image"):
        draw_epoch(0, 10, generator(0), CIFAR10)
    with pytest.raises(UserError, match="batch size"):
        next(random_split(2).plain_batches(0))


def test_images_that_are_not_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        Split(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64), CIFAR10_MEAN, CIFAR10_STD)


def test_shrunk_images_are_means_of_squares_of_pixels() -> None:
    images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    small = shrunk(images, 2)
    assert small.shape == (2, 3, 2, 2)
    assert small[0, 0].tolist() == [[2, 4], [10, 12]]  # means 2.5, 4.5, 10.5, 12.5, rounded to even
    assert shrunk(images, 1) is images
    with pytest.raises(UserError, match="expected a divisor of the images' 4 x 4 pixels, got 3"):
        shrunk(images, 3)


def test_fresh_batches_are_each_drawn_from_all_images_and_leave_the_other_draws_alone() -> None:
    passing = draw_epoch(10, 4, torch.Generator().manual_seed(3), Augmentation(2, flip=True))
    fresh = draw_epoch(10, 4, torch.Generator().manual_seed(3), Augmentation(2, flip=True), fresh=True)
    assert sorted(passing.permutation.tolist()) == list(range(10))
    batches = [fresh.permutation[start : start + 4] for start in (0, 4, 8)]
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert all(len(set(batch.tolist())) == len(batch) for batch in batches)
    assert sorted(fresh.permutation.tolist()) != list(range(10))
    for name in ("dy", "dx", "flip", "cutout", "noise"):
        assert torch.equal(getattr(passing, name), getattr(fresh, name))
