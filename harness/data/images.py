"""Images on the device: the two halves a search trains and validates on, and their augmentation.

Everything random about one pass over a split is drawn on the CPU before the pass (`draw_epoch`). Taking a batch
(`Split.batch`) is then a pure function of tensors on the device: it draws nothing and never waits for the device, so
that a step can be repeated, resumed and captured in a CUDA graph (`Split.at`, with places that are tensors).

The augmentation is that of the published searches, for training and validation images alike: zero padding (black, so
before the normalisation), a random crop back to the image's size, a horizontal flip, normalisation, and optionally
cutout, which sets a square to 0, the mean (SmoothDARTS optimizers/darts/train_search.py, utils.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harness.data.arrays import ImageArrays
from harness.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """How the images of a search are varied.

    Attributes:
        padding: black pixels added on each side before the random crop; 0 crops nothing. A data set names its own.
        flip: whether each image is mirrored left to right with probability 1/2. A data set says whether it makes sense.
        cutout: side of the square set to the mean, 0 for none; the published code offers 16. An odd side counts as the
            even one below, as in the published code.
    """

    padding: int
    flip: bool
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise UserError(f"padding: expected 0 or more pixels, got {self.padding}")
        if self.cutout < 0:
            raise UserError(f"cutout: expected a side of 0 (none) or more pixels, got {self.cutout}")


@dataclass(frozen=True)
class EpochDraws:
    """What is random in one pass over `count` images: entry k of each tensor belongs to the k-th image of the pass.

    Attributes:
        batch_size: images in each batch but the last, which holds the remainder.
        augmentation: what the draws are for.
        permutation: which image comes k-th, int64 [count]; each once unless batches are drawn afresh.
        dy: the crop's first row in the padded image, int64 [count], 0 to 2 * padding.
        dx: the crop's first column, int64 [count], 0 to 2 * padding.
        flip: whether the image is mirrored, bool [count].
        cutout: centre of the square, row then column, as fractions of the image's height and width,
            float64 [count, 2], in [0, 1).
        noise: a key for each batch, int64 [batches]; a network that draws noise of its own draws it by this.
    """

    batch_size: int
    augmentation: Augmentation
    permutation: Tensor
    dy: Tensor
    dx: Tensor
    flip: Tensor
    cutout: Tensor
    noise: Tensor

    def __len__(self) -> int:
        """Number of batches, the remainder counted: 261 for 25,000 images in batches of 96."""
        return -(-len(self.permutation) // self.batch_size)

    def to(self, device: torch.device | str) -> EpochDraws:
        """The same draws on a device."""
        return EpochDraws(
            batch_size=self.batch_size,
            augmentation=self.augmentation,
            permutation=self.permutation.to(device),
            dy=self.dy.to(device),
            dx=self.dx.to(device),
            flip=self.flip.to(device),
            cutout=self.cutout.to(device),
            noise=self.noise.to(device),
        )

    def overwrite(self, draws: EpochDraws) -> None:
        """Put other draws of the same pass here, where a recorded step reads them."""
        for name in ("permutation", "dy", "dx", "flip", "cutout", "noise"):
            getattr(self, name).copy_(getattr(draws, name))


def shrunk(images: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Images of a fraction of the height and width, each pixel the mean of a square of pixels, rounded.

    Args:
        images: [n, channels, height, width].
        factor: side of the squares; 1 leaves the images as they are.

    Raises:
        UserError: it does not divide height and width.
    """
    count, channels, height, width = images.shape
    if factor == 1:
        return images
    if height % factor or width % factor:
        raise UserError(f"data.shrink: expected a divisor of the images' {height} x {width} pixels, got {factor}")
    squares = images.reshape(count, channels, height // factor, factor, width // factor, factor)
    means: npt.NDArray[np.uint8] = np.rint(squares.mean(axis=(3, 5), dtype=np.float64)).astype(np.uint8)
    return means


def draw_epoch(
    count: int, batch_size: int, generator: torch.Generator, augmentation: Augmentation, *, fresh: bool = False
) -> EpochDraws:
    """Draw one pass over all images of a split, on the CPU.

    The generator advances by the same amount whatever the augmentation, so a changed setting changes only what it
    names: the order, and the draws of the other settings, stay.

    Args:
        count: images in the split, each of which the pass visits once.
        batch_size: images a batch.
        generator: a CPU generator, keyed by the caller to seed, purpose and epoch.
        augmentation: what to draw for.
        fresh: whether every batch is the first of an order of its own, so that an image may come again in the pass.

    Raises:
        UserError: no images, or a batch size below 1.
    """
    if count < 1:
        raise UserError(f"expected at least 1 image to draw batches from, got {count}")
    if batch_size < 1:
        raise UserError(f"batch size: expected 1 or more images, got {batch_size}")
    permutation = torch.randperm(count, generator=generator)
    uniform = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    offsets = (uniform[:, :2] * (2 * augmentation.padding + 1)).long()
    noise = torch.randint(2**62, (-(-count // batch_size),), generator=generator)
    if fresh:
        sizes = [min(batch_size, count - start) for start in range(0, count, batch_size)]
        permutation = torch.cat([torch.randperm(count, generator=generator)[:size] for size in sizes])
    return EpochDraws(
        batch_size=batch_size,
        augmentation=augmentation,
        permutation=permutation,
        dy=offsets[:, 0].contiguous(),
        dx=offsets[:, 1].contiguous(),
        flip=(uniform[:, 2] < 0.5) & augmentation.flip,
        cutout=uniform[:, 3:].contiguous(),
        noise=noise,
    )


class Split:
    """Labelled images that stay on one device as bytes, and become numbers batch by batch.

    Attributes:
        images: uint8 [n, channels, height, width].
        labels: int64 [n], on the same device.
        n: how many.
        dtype: of the images that batches hold, float32 or float64.
        device: where images, labels and batches lie.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take images and labels as they are, without copying them.

        Args:
            images: uint8 [n, channels, height, width].
            labels: int64 [n].
            mean: per channel, as a fraction of 255.
            std: standard deviation per channel, as a fraction of 255.
            dtype: of the batches.
        """
        channels = images.shape[1]
        if images.dtype != torch.uint8 or labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                "expected uint8 images [n, channels, height, width] and int64 labels [n], got "
                f"{images.dtype} {list(images.shape)} and {labels.dtype} {list(labels.shape)}"
            )
        self.images = images.contiguous()
        self.labels = labels
        self.n = len(images)
        self.dtype = dtype
        self.device = images.device
        self._mean = torch.tensor(mean, dtype=dtype, device=images.device).view(1, channels, 1, 1)
        self._std = torch.tensor(std, dtype=dtype, device=images.device).view(1, channels, 1, 1)

    def batch(self, draws: EpochDraws, index: int) -> tuple[Tensor, Tensor]:
        """The batch at a place of a pass, augmented and normalised.

        Args:
            draws: of this split's count, on this split's device.
            index: 0 to len(draws) - 1.

        Returns:
            images, `dtype` [b, channels, height, width], and labels, int64 [b]; b is the batch size, or the remainder
            in the last batch.

        Raises:
            IndexError: there is no such batch in the pass.
        """
        if not 0 <= index < len(draws):
            raise IndexError(f"expected a batch from 0 to {len(draws) - 1}, got {index}")
        return self.at(draws, slice(index * draws.batch_size, (index + 1) * draws.batch_size))

    def at(self, draws: EpochDraws, chosen: slice | Tensor) -> tuple[Tensor, Tensor]:
        """The images at any places of a pass, as `batch` gives them.

        Args:
            draws: of this split's count, on this split's device.
            chosen: places in the pass, a slice or int64 [b] on the device; a captured step computes them there.
        """
        augmentation = draws.augmentation
        which = draws.permutation[chosen]
        images = self.images.index_select(0, which)
        if augmentation.padding:
            images = _crop(images, augmentation.padding, draws.dy[chosen], draws.dx[chosen])
        if augmentation.flip:
            images = _flip(images, draws.flip[chosen])
        normalised = self._normalise(images)
        if augmentation.cutout:
            _cut_out(normalised, augmentation.cutout, draws.cutout[chosen])
        return normalised, self.labels.index_select(0, which)

    def batches(self, draws: EpochDraws) -> Iterator[tuple[Tensor, Tensor]]:
        """All batches of a pass, as `batch` gives them."""
        for index in range(len(draws)):
            yield self.batch(draws, index)

    def plain_batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order, normalised and not augmented; the last batch holds the remainder.

        Raises:
            UserError: a batch size below 1.
        """
        if batch_size < 1:
            raise UserError(f"batch size: expected 1 or more images, got {batch_size}")
        for start in range(0, self.n, batch_size):
            chosen = slice(start, start + batch_size)
            yield self._normalise(self.images[chosen]), self.labels[chosen]

    def _normalise(self, images: Tensor) -> Tensor:
        """(pixel / 255 - mean) / std, in the order that gives torchvision's numbers to the last bit."""
        return images.to(self.dtype).div_(255).sub_(self._mean).div_(self._std)


def halve(
    arrays: ImageArrays,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    limit: int | None = None,
) -> tuple[Split, Split]:
    """The training and the validation split of a search: first and last half of the training images.

    An odd image goes to validation. On the CPU the splits share the arrays' memory. Test images have no way in here:
    only a table answers for them.

    Args:
        arrays: the data set.
        device: where the splits are to lie.
        dtype: of their batches.
        limit: use only so many images, the first ones, of each half; None uses all.

    Raises:
        UserError: a half would be empty, or the limit is below 1 or above what a half holds.
    """
    middle = len(arrays.train_images) // 2
    if middle < 1:
        raise UserError(f"{arrays.name}: expected at least 2 training images to halve, got {len(arrays.train_images)}")
    if limit is not None and not 1 <= limit <= middle:
        raise UserError(f"{arrays.name}: expected a limit of 1 to {middle} images for each half, got {limit}")

    def split(start: int, stop: int) -> Split:
        if limit is not None:
            stop = start + limit
        images = torch.from_numpy(np.require(arrays.train_images[start:stop], requirements=["C", "W"]))
        labels = torch.from_numpy(np.require(arrays.train_labels[start:stop], requirements=["C", "W"]))
        return Split(images.to(device), labels.to(device), arrays.mean, arrays.std, dtype)

    return split(0, middle), split(middle, len(arrays.train_images))


def _crop(images: Tensor, padding: int, dy: Tensor, dx: Tensor) -> Tensor:
    """Cut an image's size out of each padded image: one indexed copy from a view of every possible crop.

    Row s of the overlapping view is what a crop that starts at byte s of the padded batch would hold. This is several
    times faster on a CPU than indexing by rows and columns, and needs no padded copy of the data set.
    """
    count, channels, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    pitch = width + 2 * padding
    plane = pitch * (height + 2 * padding)
    reach = (channels - 1) * plane + (height - 1) * pitch + width
    crops = padded.as_strided(
        (padded.numel() - reach + 1, channels, height, width),
        (1, plane, pitch, 1),
    )
    first = torch.arange(0, count * channels * plane, channels * plane, device=images.device)
    return crops.index_select(0, first + dy * pitch + dx)


def _flip(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror the images marked in `flip`, bool [b]; copying whole images beats choosing pixel by pixel."""
    count = len(images)
    both = torch.cat([images, images.flip(3)])
    return both.index_select(0, torch.arange(count, device=images.device) + count * flip)


def _cut_out(images: Tensor, side: int, centres: Tensor) -> None:
    """Set a square about a centre (y, x) to 0, in place; what of it lies outside the image is ignored.

    Its rows are [y - side // 2, y + side // 2), its columns [x - side // 2, x + side // 2).

    Multiplies by a mask, as the published code does, which is also the fastest way on a CPU.

    Args:
        images: [b, channels, height, width].
        side: of the square, in pixels.
        centres: fractions of height and width, float64 [b, 2].
    """
    half = side // 2

    def covered(size: int, fractions: Tensor) -> Tensor:
        distance = torch.arange(size, device=images.device) - (fractions * size).long()[:, None]
        return (distance >= -half) & (distance < half)

    rows, columns = covered(images.shape[2], centres[:, 0]), covered(images.shape[3], centres[:, 1])
    kept = ~(rows[:, None, :, None] & columns[:, None, None, :])
    images.mul_(kept.to(images.dtype))
