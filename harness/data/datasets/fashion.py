"""Fashion-MNIST (Xiao et al. 2017): grey images of clothes, 28x28 pixels, in the files that torchvision downloads."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.arrays import LabelledImages
from harness.data.registry import register_dataset
from harness.data.torchvision_files import check_official_files, downloading

_FOLDER = Path("FashionMNIST", "raw")


def download_fashion(folder: Path) -> None:
    """Download Fashion-MNIST; nothing to do if it is there.

    Args:
        folder: made if need be; gets the four packed files below `FashionMNIST/raw`, 31 MB together.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: the folder cannot be written.
    """
    from torchvision.datasets import FashionMNIST
    from torchvision.datasets.utils import download_url

    # torchvision's own `download` is content with unpacked files of any content, and would not mend a damaged one.
    for file_name, md5 in FashionMNIST.resources:
        url = f"{FashionMNIST.mirrors[0]}{file_name}"
        with downloading(url, "Fashion-MNIST"):
            download_url(url, str(folder / _FOLDER), file_name, md5)


@register_dataset(
    "fashion",
    "Fashion-MNIST, 60,000 training and 10,000 test images of clothes, grey",
    download=download_fashion,
    # Of the 60,000 training images.
    mean=(0.2860,),
    std=(0.3530,),
    classes=10,
    padding=4,
    flip=True,
    extent=(60_000, 28),
)
def read_fashion(folder: Path) -> LabelledImages:
    """Fashion-MNIST in its official order and split.

    Args:
        folder: holds `FashionMNIST/raw` with the four packed files.

    Returns:
        60,000 training and 10,000 test images [1, 28, 28].

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets import FashionMNIST

    check_official_files(folder / _FOLDER, FashionMNIST.resources, title="Fashion-MNIST", name="fashion")
    content = [_unpacked(folder / _FOLDER / file_name) for file_name, _ in FashionMNIST.resources]
    train_images, train_labels, test_images, test_labels = content
    return LabelledImages(
        train_images[:, None], train_labels.astype(np.int64), test_images[:, None], test_labels.astype(np.int64)
    )


def _unpacked(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in a packed file: two zeros, type 8, the number of dimensions, each of them, the values."""
    with gzip.open(path) as file:
        content = file.read()
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    return np.array(values.reshape(tuple(map(int, shape))))
