"""CIFAR-10 (Krizhevsky 2009), in the files that torchvision downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from harness.data.arrays import LabelledImages
from harness.data.registry import register_dataset
from harness.data.torchvision_files import check_official_files, downloading

CIFAR10_MEAN = (0.49139968, 0.48215827, 0.44653124)
CIFAR10_STD = (0.24703233, 0.24348505, 0.26158768)
"""Of the published searches (SmoothDARTS optimizers/darts/utils.py), as fractions of 255, in the order RGB."""


def download_cifar10(folder: Path) -> None:
    """Download CIFAR-10 with torchvision, which checks it and shows its own progress; nothing to do if it is there.

    Args:
        folder: made if need be; gets `cifar-10-batches-py` and the archive it comes in, 340 MB together.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: the folder cannot be written.
    """
    from torchvision.datasets import CIFAR10

    with downloading(CIFAR10.url, "CIFAR-10"):
        CIFAR10(str(folder), download=True)


@register_dataset(
    "cifar10",
    "CIFAR-10, 50,000 training and 10,000 test images",
    download=download_cifar10,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    classes=10,
    padding=4,
    flip=True,
    extent=(50_000, 32),
)
def read_cifar10(folder: Path) -> LabelledImages:
    """CIFAR-10 in its official order and split, from the files that torchvision downloads.

    Args:
        folder: holds `cifar-10-batches-py`.

    Returns:
        50,000 training and 10,000 test images [3, 32, 32].

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets import CIFAR10

    return read_batches(CIFAR10, folder, title="CIFAR-10", name="cifar10")


def read_batches(dataset_class: Any, folder: Path, *, title: str, name: str) -> LabelledImages:
    """Both splits of one of the two CIFAR data sets, whose files are alike.

    Args:
        dataset_class: torchvision's.
        folder: holds the folder of its files.
        title: for messages.
        name: what `python -m harness.prepare --data` calls it.

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    meta = dataset_class.meta
    files = [*dataset_class.train_list, *dataset_class.test_list, (meta["filename"], meta["md5"])]
    check_official_files(folder / dataset_class.base_folder, files, title=title, name=name)
    splits = [dataset_class(str(folder), train=train, download=False) for train in (True, False)]
    images = [np.ascontiguousarray(np.asarray(split.data, dtype=np.uint8).transpose(0, 3, 1, 2)) for split in splits]
    labels = [np.asarray(split.targets, dtype=np.int64) for split in splits]
    return LabelledImages(images[0], labels[0], images[1], labels[1])
