"""scikit-learn's 1,797 handwritten digits of 8x8 pixels, which need no download."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.arrays import ImageArrays, LabelledImages
from harness.data.registry import ImageSource, get_dataset, register_dataset


class DigitsIndices(NamedTuple):
    """Rows of scikit-learn's digits in each split.

    Attributes:
        training: int64 [600], what a search trains on.
        validation: int64 [600], what a search validates on.
        test: int64 [597], what only a table may see.
    """

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def digits_indices() -> DigitsIndices:
    """The fixed split of the digits: NumPy's `RandomState(0).permutation(1797)`, whose stream is frozen (NEP 19)."""
    order = np.random.RandomState(0).permutation(1797).astype(np.int64)
    return DigitsIndices(training=order[:600], validation=order[600:1200], test=order[1200:])


def load_digits() -> ImageArrays:
    """The digits as a search takes them: what `read_digits` reads, with its normalisation."""
    return ImageSource(get_dataset("digits")).images()


@register_dataset(
    "digits",
    "scikit-learn's digits, 1,200 training and 597 test images of 8x8 pixels, grey; no download",
    # Of the 600 images that a search trains on.
    mean=(0.305641237745098,),
    std=(0.37535582025083936,),
    classes=10,
    # One pixel is an eighth of the side, as CIFAR-10's four are; a mirrored digit is none.
    padding=1,
    flip=False,
)
def read_digits(folder: Path) -> LabelledImages:
    """The digits in the split of `digits_indices`.

    Args:
        folder: not looked into; the images come with scikit-learn.

    Returns:
        1,200 training images [1, 8, 8], of which the first half is the training and the second half the validation
        split of a search, and 597 test images. A grey value v of 0 to 16 is stored as round(255 v / 16).
    """
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    pixels = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    indices = digits_indices()
    searched = np.concatenate([indices.training, indices.validation])
    return LabelledImages(pixels[searched], labels[searched], pixels[indices.test], labels[indices.test])
