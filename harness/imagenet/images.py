"""A folder of images, `train/CLASS/IMAGE` and `val/CLASS/IMAGE`, read and varied as ImageNet is, by torchvision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import UserError

MEAN, STANDARD_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, as all published networks are normalised."""


class ImageFolders:
    """The two splits of a folder.

    Args:
        folder: holds `train` and `val`, each with a folder for every class.
        side: height and width of the images that are given.
        workers: processes that read images; 0 for this one.

    Raises:
        UserError: a split is missing or empty, or the two have other classes.
    """

    def __init__(self, folder: Path, side: int, workers: int = 0) -> None:
        self._workers = workers
        self._splits = {"train": _split(folder / "train", _varied(side)), "val": _split(folder / "val", _plain(side))}
        if self._splits["train"].classes != self._splits["val"].classes:
            raise UserError(f"{folder}: expected the same classes in train and val")
        self.classes = len(self._splits["train"].classes)

    def count(self, split: str) -> int:
        """Number of images in a split, `train` or `val`."""
        return len(self._splits[split])

    def batches(self, split: str, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: images `[batch, 3, side, side]`, normalised, and labels.

        Args:
            split: `train`, varied and in a random order, whose last batch is left out if it is not full; or `val`.
            size: images in a batch.
            generator: for order and variation, on the CPU.
        """
        training = split == "train"
        loader: Any = torch.utils.data.DataLoader(
            self._splits[split],
            size,
            shuffle=training,
            drop_last=training and self.count(split) > size,
            num_workers=self._workers,
            generator=generator,
        )
        with torch.random.fork_rng(devices=[]):
            # The transforms draw from the global generator where no process of their own has one.
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            yield from loader


def _split(folder: Path, transform: Any) -> Any:
    from torchvision.datasets import ImageFolder

    try:
        return ImageFolder(str(folder), transform)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: expected a folder for each class with its images ({str(error).partition(chr(10))[0]})"
        ) from None


def _varied(side: int) -> Any:
    from torchvision import transforms

    jitter = transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)
    crop = transforms.RandomResizedCrop(side)
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(), jitter, *_normalised()])


def _plain(side: int) -> Any:
    from torchvision import transforms

    # 256 pixels of which 224 are seen, or the same share.
    return transforms.Compose([transforms.Resize(round(side * 8 / 7)), transforms.CenterCrop(side), *_normalised()])


def _normalised() -> list[Any]:
    from torchvision import transforms

    return [transforms.ToTensor(), transforms.Normalize(MEAN, STANDARD_DEVIATION)]
