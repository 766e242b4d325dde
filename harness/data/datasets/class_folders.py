"""Any images in folders by class: `train/<class>/<image>` and `test/<class>/<image>`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.data.arrays import LabelledImages
from harness.data.decoding import EncodedImage, cached, decode
from harness.data.registry import register_dataset
from harness.errors import UserError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_LAYOUT = "expected train/CLASS/IMAGE and test/CLASS/IMAGE, images as .png, .jpg or .jpeg"


@register_dataset(
    "folder",
    "any folder of train/CLASS/IMAGE and test/CLASS/IMAGE, PNG or JPEG",
    padding=4,
    flip=True,
    is_layout=True,
)
def read_class_folders(folder: Path) -> LabelledImages:
    """A data set as folders of images, one for each class, below `train` and `test` (or `val`, where no `test` is).

    Classes are numbered in the order of the names of the folders in `train`. All images have one size. They are
    decoded to 8-bit RGB, or stay grey (one channel) if all of them are; the decoded arrays are kept in the data
    folder's `cache/`.

    Returns:
        the images of each split in a fixed order that mixes the classes, since a search trains on the first half of
        the training images and validates on the second: NumPy's `RandomState(0).permutation` of the sorted paths.

    Raises:
        UserError: a folder is missing or holds no images, a class of the test images has no training images, or an
            image is damaged or of another size than the first.
    """
    test_folder = folder / "test" if (folder / "test").is_dir() or not (folder / "val").is_dir() else folder / "val"
    train_files, test_files = _find_images(folder / "train"), _find_images(test_folder)
    numbers = {name: number for number, name in enumerate(sorted({path.parent.name for path in train_files}))}
    unknown = next((path for path in test_files if path.parent.name not in numbers), None)
    if unknown is not None:
        raise UserError(
            f"{unknown.parent}: a class without training images; expected the classes of {folder / 'train'}, which are "
            f"{', '.join(list(numbers)[:10])}{', ...' if len(numbers) > 10 else ''}"
        )
    files = {"train": train_files, "test": test_files}
    return cached(files, lambda: decode(_images(train_files, numbers), _images(test_files, numbers)))


def _find_images(folder: Path) -> list[Path]:
    """The images of one split, sorted by path and then permuted."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {_LAYOUT}; or use --bench digits, which needs no download")
    paths = sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
        and not path.parent.name.startswith(".")
    )
    if not paths:
        raise UserError(f"{folder}: holds no images; {_LAYOUT}")
    return [paths[place] for place in np.random.RandomState(0).permutation(len(paths))]


def _images(paths: Sequence[Path], numbers: dict[str, int]) -> Iterator[EncodedImage]:
    """The images in order, each with the number of its class."""
    for path in paths:
        yield EncodedImage(path.read_bytes(), numbers[path.parent.name], str(path))
