"""SVHN, street view house numbers (Netzer et al. 2011): the cropped digits, without the extra training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.data.arrays import LabelledImages
from harness.data.registry import register_dataset
from harness.data.torchvision_files import check_official_files, downloading

_SPLITS = ("train", "test")


def download_svhn(folder: Path) -> None:
    """Download SVHN with torchvision; nothing to do if it is there.

    Args:
        folder: made if need be; gets `train_32x32.mat` and `test_32x32.mat`, 250 MB together.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: the folder cannot be written.
    """
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import download_url

    for split in _SPLITS:
        url, file_name, md5 = SVHN.split_list[split]
        with downloading(url, "SVHN"):
            download_url(url, str(folder), file_name, md5)


@register_dataset(
    "svhn",
    "SVHN, 73,257 training and 26,032 test images of house numbers",
    download=download_svhn,
    # Of the published searches (SmoothDARTS sota/cnn/utils.py), which mirror these digits too: a setting, `data.flip`.
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.198, 0.201, 0.197),
    classes=10,
    padding=4,
    flip=True,
    extent=(73_257, 32),
)
def read_svhn(folder: Path) -> LabelledImages:
    """SVHN in its official order and split, label k for the digit k.

    Args:
        folder: holds `train_32x32.mat` and `test_32x32.mat`.

    Returns:
        73,257 training and 26,032 test images [3, 32, 32].

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets import SVHN

    files = [(SVHN.split_list[split][1], SVHN.split_list[split][2]) for split in _SPLITS]
    check_official_files(folder, files, title="SVHN", name="svhn")
    train, test = (SVHN(str(folder), split=split) for split in _SPLITS)
    return LabelledImages(
        np.ascontiguousarray(train.data),
        np.asarray(train.labels, dtype=np.int64),
        np.ascontiguousarray(test.data),
        np.asarray(test.labels, dtype=np.int64),
    )
