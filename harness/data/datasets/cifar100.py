"""CIFAR-100 (Krizhevsky 2009) with its 100 fine labels, in the files that torchvision downloads."""

from __future__ import annotations

from pathlib import Path

from harness.data.arrays import LabelledImages
from harness.data.datasets.cifar10 import read_batches
from harness.data.registry import register_dataset
from harness.data.torchvision_files import downloading


def download_cifar100(folder: Path) -> None:
    """Download CIFAR-100 with torchvision; nothing to do if it is there.

    Args:
        folder: made if need be; gets `cifar-100-python` and the archive it comes in, 340 MB together.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: the folder cannot be written.
    """
    from torchvision.datasets import CIFAR100

    with downloading(CIFAR100.url, "CIFAR-100"):
        CIFAR100(str(folder), download=True)


@register_dataset(
    "cifar100",
    "CIFAR-100, 50,000 training and 10,000 test images of 100 classes",
    download=download_cifar100,
    # Of the published searches (SmoothDARTS sota/cnn/utils.py).
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    classes=100,
    padding=4,
    flip=True,
    extent=(50_000, 32),
)
def read_cifar100(folder: Path) -> LabelledImages:
    """CIFAR-100 in its official order and split.

    Args:
        folder: holds `cifar-100-python`.

    Returns:
        50,000 training and 10,000 test images [3, 32, 32].

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets import CIFAR100

    return read_batches(CIFAR100, folder, title="CIFAR-100", name="cifar100")
