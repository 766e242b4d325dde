"""Images in PNG or JPEG files as arrays, decoded once and then kept in the data folder's `cache/`.

The cache goes by the digest of the files' paths, sizes and times; if it cannot be written, the images are decoded each
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.arrays import LabelledImages
from harness.data.folder import data_folder, replaced_atomically
from harness.errors import UserError

MOST_PIXELS = 2048
"""Height and width of an image; what a small file claims beyond is a decompression bomb."""

MOST_CLASSES = 100_000
"""Labels lie below; each class has its weights in the network, so that one stray label would fill the memory."""

_CACHE_FORMAT = 1
"""Raised whenever the same files would decode to other arrays."""


class EncodedImage(NamedTuple):
    """A labelled image as a file holds it.

    Attributes:
        content: the bytes of a PNG or JPEG file; None where the image is missing.
        label: 0 or more; None where it is missing.
        where: the file, and the place in it, for messages.
    """

    content: object
    label: int | None
    where: str


def cached(files: Mapping[str, Sequence[Path]], decoded: Callable[[], LabelledImages]) -> LabelledImages:
    """The images of some files, from the cache if they were decoded before.

    Args:
        files: split -> all files that the images depend on, in order.
        decoded: decodes them.

    Raises:
        UserError: as `decoded` raises it.
        OSError: a file is not there any more.
    """
    path = _cache_path(files)
    arrays = _read_cache(path)
    if arrays is None:
        arrays = decoded()
        _write_cache(path, arrays)
    return arrays


def decode(training: Iterable[EncodedImage], test: Iterable[EncodedImage]) -> LabelledImages:
    """Decode the images of both splits, to 8-bit RGB, or to one channel if all are grey.

    Raises:
        UserError: an image is damaged or of another size than the first, or has no label.
    """
    train_images, train_labels = _decode_split(training, None)
    test_images, test_labels = _decode_split(test, train_images[0].shape[1:])
    channels = max(image.shape[0] for image in [*train_images, *test_images])
    return LabelledImages(
        train_images=_stack(train_images, channels),
        train_labels=train_labels,
        test_images=_stack(test_images, channels),
        test_labels=test_labels,
    )


def _cache_path(files: Mapping[str, Sequence[Path]]) -> Path:
    key: list[object] = [_CACHE_FORMAT]
    for split, paths in files.items():
        for path in paths:
            status = path.stat()
            key.append([split, str(path.resolve()), status.st_size, status.st_mtime_ns])
    return data_folder() / "cache" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.npz"


def _read_cache(path: Path) -> LabelledImages | None:
    """The decoded arrays, or None if there is no cache or it is damaged (a zip file carries checksums)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = LabelledImages(**{field: stored[field] for field in LabelledImages._fields})
    # Whatever a damaged file makes of its reader, the images are decoded again.
    except Exception:
        return None
    return arrays if _are_images(arrays) else None


def _are_images(arrays: LabelledImages) -> bool:
    """Whether arrays are of the types and shapes that `decode` gives."""
    splits = ((arrays.train_images, arrays.train_labels), (arrays.test_images, arrays.test_labels))
    return arrays.train_images.shape[1:] == arrays.test_images.shape[1:] and all(
        images.dtype == np.uint8
        and labels.dtype == np.int64
        and images.ndim == 4
        and images.size > 0
        and labels.shape == images.shape[:1]
        and labels.min() >= 0
        and labels.max() < MOST_CLASSES
        for images, labels in splits
    )


def _write_cache(path: Path, arrays: LabelledImages) -> None:
    """Keep the arrays; a cache that cannot be written is done without."""
    with contextlib.suppress(OSError), replaced_atomically(path) as file:
        np.savez(file, **arrays._asdict())


def _stack(images: Sequence[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    """One array [n, channels, height, width]; grey images among coloured ones get three equal channels."""
    return np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in images])


def _decode_split(
    encoded: Iterable[EncodedImage], size: tuple[int, ...] | None
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Decode some images, in order.

    Args:
        encoded: the images of one split, at least one.
        size: (height, width) that each image must have; None takes that of the first.

    Returns:
        images, each uint8 [1 or 3, height, width], and labels, int64 [n].
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for content, label, where in encoded:
        image = _decode_image(content, where)
        size = size or image.shape[1:]
        if image.shape[1:] != size:
            raise UserError(
                f"{where}: expected an image of {size[0]}x{size[1]} pixels (height x width) like the first training "
                f"image, got {image.shape[1]}x{image.shape[2]}"
            )
        if label is None or not 0 <= label < MOST_CLASSES:
            raise UserError(f"{where}: expected a label from 0, below {MOST_CLASSES:,}, got {label}")
        images.append(image)
        labels.append(label)
    return images, np.array(labels, dtype=np.int64)


def _decode_image(content: object, where: str) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG file to uint8 [1, height, width] if it is grey, else [3, height, width]."""
    from PIL import Image

    if not isinstance(content, bytes):
        raise UserError(f"{where}: expected the bytes of a PNG or JPEG image, got none")
    try:
        with warnings.catch_warnings():
            # Of a large image Pillow warns; here it is refused below, before a pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
        with opened as image:
            if max(image.size) > MOST_PIXELS:
                raise UserError(
                    f"{where}: expected an image of at most {MOST_PIXELS} x {MOST_PIXELS} pixels, got "
                    f"{image.height} x {image.width}"
                )
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{where}: expected 8 bits a channel, got an image of more (mode {image.mode})")
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))[None]
            return np.ascontiguousarray(np.array(image.convert("RGB")).transpose(2, 0, 1))
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged data
        raise UserError(f"{where}: damaged, or not a PNG or JPEG image ({error})") from error
