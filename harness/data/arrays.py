"""Images and labels in memory, as data sets give them and searches take them; imports numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LabelledImages(NamedTuple):
    """What a data set's files hold, before anyone says how to normalise it.

    Attributes:
        train_images: uint8 [n, channels, height, width], channels in the order RGB or the one of grey; of them, a
            search trains on the first half and validates on the second, so classes should be mixed.
        train_labels: int64 [n], 0 to classes - 1.
        test_images: uint8 [m, channels, height, width].
        test_labels: int64 [m].
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """A data set in memory.

    Attributes:
        train_images: uint8 [n, channels, height, width], channels in the order RGB or the one of grey.
        train_labels: int64 [n], 0 to classes - 1.
        test_images: uint8 [m, channels, height, width].
        test_labels: int64 [m].
        classes: how many there are.
        name: what the data are, for messages and records.
        mean: per channel, as a fraction of 255; with `std` used to normalise.
        std: standard deviation per channel, as a fraction of 255.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: int
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_IMAGES_AT_ONCE = 1000


def mean_and_std(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of [n, channels, height, width], as fractions of 255.

    Counted in integers, so that the result does not depend on the order of summation. A channel of one value gets the
    standard deviation 1, which leaves it constant.
    """
    values = np.arange(256)
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            counts += np.bincount(images[start : start + _IMAGES_AT_ONCE, channel].ravel(), minlength=256)
        total, first, second = (int((counts * values**power).sum()) for power in (0, 1, 2))
        means.append(first / total / 255)
        variance = (total * second - first**2) / total**2
        stds.append(variance**0.5 / 255 if variance > 0 else 1.0)
    return tuple(means), tuple(stds)
