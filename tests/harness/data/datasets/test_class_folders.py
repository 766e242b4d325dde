"""Folders of images by class: numbering, order, and what is said of folders that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.datasets.class_folders import read_class_folders
from harness.data.registry import ImageSource, get_dataset
from harness.errors import UserError
from tests.support.image_files import encode, random_image

CLASSES = ["ape", "bee", "cat"]


def write_image(folder: Path, split: str, name: str, seed: int, **size: int) -> None:
    path = folder / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(random_image(seed, **size), "JPEG" if name.endswith("jpg") else "PNG"))


@pytest.fixture
def animals(tmp_path: Path, cached_in: Path) -> Path:
    """Forty training and two test images of each of three classes, lossless."""
    folder = tmp_path / "animals"
    for number, name in enumerate(CLASSES):
        for image in range(40):
            write_image(folder, "train", f"{name}/{image:02}.png", 100 * number + image)
        for image in range(2):
            write_image(folder, "test", f"{name}/{image}.PNG", 1000 + 100 * number + image)
    (folder / "train" / "readme.txt").write_text("not a class")
    (folder / "train" / "ape" / ".hidden.png").write_bytes(b"left by a file manager")
    return folder


def test_classes_are_numbered_by_name_and_every_image_is_there(animals: Path) -> None:
    arrays = read_class_folders(animals)
    assert arrays.train_images.shape == (120, 3, 6, 5)
    assert arrays.test_images.shape == (6, 3, 6, 5)
    assert np.bincount(arrays.train_labels).tolist() == [40, 40, 40]
    expected = {random_image(100 * label + k).tobytes(): label for label in range(3) for k in range(40)}
    got = {
        np.ascontiguousarray(image.transpose(1, 2, 0)).tobytes(): int(label)
        for image, label in zip(arrays.train_images, arrays.train_labels, strict=True)
    }
    assert got == expected


def test_both_halves_of_the_training_images_hold_every_class_in_an_order_that_stays(animals: Path) -> None:
    labels = read_class_folders(animals).train_labels
    for half in (labels[:60], labels[60:]):
        assert np.bincount(half, minlength=3).min() >= 10
    order = np.random.RandomState(0).permutation(120)
    assert labels.tolist() == (order // 40).tolist()


def test_the_data_set_counts_its_classes_and_measures_its_normalisation(animals: Path) -> None:
    arrays = ImageSource(get_dataset("folder"), animals).images()
    assert (arrays.name, arrays.classes) == ("folder:animals", 3)
    training = arrays.train_images / 255
    assert arrays.mean == pytest.approx(training.mean((0, 2, 3)), rel=1e-12)
    assert arrays.std == pytest.approx(training.std((0, 2, 3)), rel=1e-12)


def test_decoded_images_are_kept_and_an_added_one_is_noticed(animals: Path, cached_in: Path) -> None:
    first = read_class_folders(animals)
    (cache,) = cached_in.iterdir()
    written = cache.stat().st_mtime_ns
    assert np.array_equal(read_class_folders(animals).train_images, first.train_images)
    assert cache.stat().st_mtime_ns == written
    write_image(animals, "train", "ape/99.png", 7)
    assert len(read_class_folders(animals).train_images) == 121


def test_val_serves_where_there_is_no_test_and_jpeg_and_grey_are_read(tmp_path: Path, cached_in: Path) -> None:
    for split in ("train", "val"):
        write_image(tmp_path, split, "a/1.jpg", 0, channels=1)
        write_image(tmp_path, split, "b/1.png", 1, channels=1)
    arrays = read_class_folders(tmp_path)
    assert arrays.train_images.shape == arrays.test_images.shape == (2, 1, 6, 5)


def test_what_does_not_fit_is_one_line_that_names_it(animals: Path) -> None:
    with pytest.raises(UserError, match=r"train: no such folder; expected train/CLASS/IMAGE.*--bench digits"):
        read_class_folders(animals / "nowhere")
    write_image(animals, "test", "dog/1.png", 0)
    with pytest.raises(UserError, match=r"dog: a class without training images; .*ape, bee, cat"):
        read_class_folders(animals)
    (animals / "test" / "dog" / "1.png").unlink()
    write_image(animals, "train", "cat/40.png", 0, height=7)
    with pytest.raises(UserError, match=r"expected an image of 6x5 pixels.*got 7x5|of 7x5 pixels.*got 6x5"):
        read_class_folders(animals)
    (animals / "train" / "cat" / "40.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"40\.png: damaged, or not a PNG or JPEG image"):
        read_class_folders(animals)
