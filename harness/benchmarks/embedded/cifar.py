"""CIFAR-10 and CIFAR-100 as their authors give them, or pixel-exact copies of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.data.folder import data_folder
from harness.data.registry import ImageSource, get_dataset

if TYPE_CHECKING:
    from harness.data.arrays import ImageArrays

OFFICIAL_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
"""Data set -> where the data folder has the official files."""


@dataclass(frozen=True)
class CifarSource(ImageSource):
    """The official files, or where they are missing a copy in `cifar10-png` or `cifar100-png` of the data folder.

    The copy is a Parquet folder of lossless images, which have lost their official order; results name it.
    """

    def images(self) -> ImageArrays:
        """Read the images.

        Raises:
            UserError: neither is there, or what is there is damaged.
        """
        copy = data_folder() / f"{self.dataset.name}-png"
        official = data_folder() / OFFICIAL_FOLDERS[self.dataset.name]
        if copy.is_dir() and not official.exists():
            return ImageSource(get_dataset("parquet"), copy, like=self.dataset).images()
        return super().images()


CIFAR10 = CifarSource(get_dataset("cifar10"))
CIFAR100 = CifarSource(get_dataset("cifar100"))
