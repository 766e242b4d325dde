"""Image data sets as arrays in memory: CIFAR-10, a folder of Parquet files, and scikit-learn's digits.

Every loader gives the training images in a fixed order, of which a search trains on the first half and validates on
the second, and the test images, which only a table may see. Importing this module imports none of the libraries that
read the files.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from harness.data.folder import data_folder, replaced_atomically
from harness.errors import UserError

CIFAR10_MEAN = (0.49139968, 0.48215827, 0.44653124)
CIFAR10_STD = (0.24703233, 0.24348505, 0.26158768)
"""Of the published searches (SmoothDARTS optimizers/darts/utils.py), as fractions of 255, in the order RGB."""


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
        std: per channel, likewise.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: int
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_cifar10(folder: Path) -> ImageArrays:
    """CIFAR-10 in its official order and split, from the files that torchvision downloads.

    Args:
        folder: holds `cifar-10-batches-py`.

    Returns:
        50,000 training and 10,000 test images [3, 32, 32], normalised by the published searches' constants.

    Raises:
        UserError: a file is missing, or is not the official one by its MD5.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    official = [*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])]
    for file_name, md5 in official:
        path = folder / CIFAR10.base_folder / file_name
        if not path.is_file():
            raise UserError(
                f"{path}: missing; get CIFAR-10 with `python -m harness.prepare`, "
                "or use --bench digits, which needs no download"
            )
        if not check_integrity(path, md5):
            raise UserError(
                f"{path}: damaged, not the official CIFAR-10 file (expected MD5 {md5}); "
                "get it anew with `python -m harness.prepare`, or use --bench digits, which needs no download"
            )
    splits = [CIFAR10(str(folder), train=train, download=False) for train in (True, False)]
    images = [np.ascontiguousarray(np.asarray(split.data, dtype=np.uint8).transpose(0, 3, 1, 2)) for split in splits]
    labels = [np.asarray(split.targets, dtype=np.int64) for split in splits]
    return ImageArrays(
        train_images=images[0],
        train_labels=labels[0],
        test_images=images[1],
        test_labels=labels[1],
        classes=len(splits[0].classes),
        name="cifar10",
        mean=CIFAR10_MEAN,
        std=CIFAR10_STD,
    )


def download_cifar10(folder: Path) -> None:
    """Download CIFAR-10 with torchvision, which checks it and shows its own progress; nothing to do if it is there.

    Args:
        folder: made if need be; gets `cifar-10-batches-py` and the archive it comes in, 340 MB together.

    Raises:
        UserError: the server cannot be reached, the connection breaks, or what came is damaged.
        OSError: the folder cannot be written.
    """
    from tarfile import TarError

    from torchvision.datasets import CIFAR10

    again = "run the command again, or use --bench digits, which needs no download"
    try:
        CIFAR10(str(folder), download=True)
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and not _is_network_failure(error):
            raise
        raise UserError(f"{CIFAR10.url}: could not download CIFAR-10 ({error}); {again}") from error
    except (RuntimeError, TarError, EOFError) as error:
        raise UserError(f"{CIFAR10.url}: the download of CIFAR-10 came damaged or incomplete; {again}") from error


def load_parquet(folder: Path) -> ImageArrays:
    """A data set in the Hugging Face layout: `*train*.parquet` and `*test*.parquet`, shards in the order of names.

    The columns are `img` or `image`, a struct with the PNG or JPEG file in `bytes`, and `label`, or else the only
    column of integers. Images are decoded to 8-bit RGB, or stay grey (one channel) if all of them are. The decoded
    arrays are kept in the data folder's `cache/`, under the digest of the files' paths, sizes and times, and read from
    there the next time; if that cannot be written, they are decoded each time.

    Returns:
        the rows in their order. Images of 32x32 RGB in 10 classes are normalised by CIFAR-10's constants, others by
        the mean and standard deviation of the training images. The name is `parquet:` and the folder's.

    Raises:
        UserError: files or columns are missing, a file is damaged, or an image is damaged or of another size than the
            first (the message names file and row, counted from 0), or pyarrow is not installed.
    """
    train_files, test_files = _find_shards(folder, "train"), _find_shards(folder, "test")
    ambiguous = sorted(set(train_files) & set(test_files))
    if ambiguous:
        raise UserError(f"{ambiguous[0]}: named both train and test; expected each file to belong to one of the two")
    cache = _cache_path(train_files, test_files)
    arrays = _read_cache(cache)
    if arrays is None:
        arrays = _decode_shards(train_files, test_files)
        _write_cache(cache, arrays)
    classes = 1 + int(max(arrays.train_labels.max(), arrays.test_labels.max()))
    is_like_cifar10 = arrays.train_images.shape[1:] == (3, 32, 32) and classes == 10
    mean, std = (CIFAR10_MEAN, CIFAR10_STD) if is_like_cifar10 else _mean_and_std(arrays.train_images)
    return ImageArrays(**arrays._asdict(), classes=classes, name=f"parquet:{folder.resolve().name}", mean=mean, std=std)


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
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels, in the split of `digits_indices`.

    Returns:
        1,200 training images [1, 8, 8], of which the first half is the training and the second half the validation
        split of a search, and 597 test images. A grey value v of 0 to 16 is stored as round(255 v / 16). Mean and
        standard deviation are those of the 600 images of the training split.
    """
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    pixels = np.round(images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    indices = digits_indices()
    searched = np.concatenate([indices.training, indices.validation])
    mean, std = _mean_and_std(pixels[indices.training])
    return ImageArrays(
        train_images=pixels[searched],
        train_labels=labels[searched],
        test_images=pixels[indices.test],
        test_labels=labels[indices.test],
        classes=10,
        name="digits",
        mean=mean,
        std=std,
    )


class _DecodedArrays(NamedTuple):
    """What a folder of Parquet files holds, and what the cache keeps; fields as in `ImageArrays`."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


_CACHE_FORMAT = 1
"""Raised whenever the same files would decode to other arrays."""

_ROWS_AT_ONCE = 1000


def _mean_and_std(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of [n, channels, height, width], as fractions of 255.

    Counted in integers, so that the result does not depend on the order of summation. A channel of one value gets the
    standard deviation 1, which leaves it constant.
    """
    values = np.arange(256)
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(images), _ROWS_AT_ONCE):
            counts += np.bincount(images[start : start + _ROWS_AT_ONCE, channel].ravel(), minlength=256)
        total, first, second = (int((counts * values**power).sum()) for power in (0, 1, 2))
        means.append(first / total / 255)
        variance = (total * second - first**2) / total**2
        stds.append(variance**0.5 / 255 if variance > 0 else 1.0)
    return tuple(means), tuple(stds)


def _is_network_failure(error: OSError) -> bool:
    """Whether it is the connection that failed, rather than the disk."""
    unreachable = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN}
    return isinstance(error, URLError | ConnectionError | TimeoutError | SSLError) or error.errno in unreachable


def _find_shards(folder: Path, split: str) -> list[Path]:
    shards = sorted(path for path in folder.glob(f"*{split}*.parquet") if not path.name.startswith("."))
    if not shards:
        state = "holds no such file" if folder.is_dir() else "is no folder"
        raise UserError(
            f"{folder / f'*{split}*.parquet'}: missing, {folder} {state}; expected images in the Hugging Face layout, "
            "*train*.parquet and *test*.parquet; or use --bench digits, which needs no download"
        )
    return shards


def _cache_path(train_files: Sequence[Path], test_files: Sequence[Path]) -> Path:
    key: list[object] = [_CACHE_FORMAT]
    for split, files in (("train", train_files), ("test", test_files)):
        for path in files:
            status = path.stat()
            key.append([split, str(path.resolve()), status.st_size, status.st_mtime_ns])
    return data_folder() / "cache" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.npz"


def _read_cache(path: Path) -> _DecodedArrays | None:
    """The decoded arrays, or None if there is no cache or it is damaged (a zip file carries checksums)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _DecodedArrays(**{field: stored[field] for field in _DecodedArrays._fields})
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile):
        return None


def _write_cache(path: Path, arrays: _DecodedArrays) -> None:
    """Keep the arrays; a cache that cannot be written is done without."""
    with contextlib.suppress(OSError), replaced_atomically(path) as file:
        np.savez(file, **arrays._asdict())


def _decode_shards(train_files: Sequence[Path], test_files: Sequence[Path]) -> _DecodedArrays:
    """Decode all images of both splits; raises as `load_parquet` does."""
    train_images, train_labels = _decode_split(train_files, None)
    test_images, test_labels = _decode_split(test_files, train_images[0].shape[1:])
    channels = max(image.shape[0] for image in [*train_images, *test_images])
    return _DecodedArrays(
        train_images=_stack(train_images, channels),
        train_labels=train_labels,
        test_images=_stack(test_images, channels),
        test_labels=test_labels,
    )


def _stack(images: Sequence[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    """One array [n, channels, height, width]; grey images among coloured ones get three equal channels."""
    return np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in images])


def _decode_split(
    files: Sequence[Path], size: tuple[int, ...] | None
) -> tuple[list[NDArray[np.uint8]], NDArray[np.int64]]:
    """Decode the images of some files, in order.

    Args:
        files: the shards of one split.
        size: (height, width) that each image must have; None takes that of the first.

    Returns:
        images, each uint8 [1 or 3, height, width], and labels, int64 [n].
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for path in files:
        for row, (data, label) in enumerate(_read_rows(path)):
            image = _decode_image(data, f"{path}: row {row}")
            size = size or image.shape[1:]
            if image.shape[1:] != size:
                raise UserError(
                    f"{path}: row {row}: expected an image of {size[0]}x{size[1]} pixels (height x width) like the "
                    f"first training image, got {image.shape[1]}x{image.shape[2]}"
                )
            if label is None or not 0 <= label <= np.iinfo(np.int64).max:
                raise UserError(f"{path}: row {row}: expected a label of 0 or more, got {label}")
            images.append(image)
            labels.append(label)
    if not images:
        raise UserError(f"{files[0]}: holds no rows; expected images")
    return images, np.array(labels, dtype=np.int64)


def _decode_image(data: object, where: str) -> NDArray[np.uint8]:
    """Decode a PNG or JPEG file to uint8 [1, height, width] if it is grey, else [3, height, width]."""
    from PIL import Image

    if not isinstance(data, bytes):
        raise UserError(f"{where}: expected the bytes of a PNG or JPEG image, got none")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.mode.startswith(("I", "F")):
                raise UserError(f"{where}: expected 8 bits a channel, got an image of more (mode {image.mode})")
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))[None]
            return np.ascontiguousarray(np.array(image.convert("RGB")).transpose(2, 0, 1))
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds on damaged data
        raise UserError(f"{where}: damaged, or not a PNG or JPEG image ({error})") from error


def _read_rows(path: Path) -> Iterator[tuple[object, int | None]]:
    """The image bytes and the label of each row, None where missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{path}: reading it takes pyarrow; install it with `pip install 'one-shot-nas-harness[parquet]'`"
        ) from None
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            image_column, label_column = _find_columns(path, file.schema_arrow)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[f"{image_column}.bytes", label_column]):
                images = batch.column(image_column).to_pylist()
                labels = batch.column(label_column).to_pylist()
                yield from ((image and image["bytes"], label) for image, label in zip(images, labels, strict=True))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: damaged, or not a Parquet file ({error})") from error


def _find_columns(path: Path, schema: Any) -> tuple[str, str]:
    """Names of the image and of the label column in a pyarrow schema."""
    from pyarrow import types

    def is_image(field: Any) -> bool:
        if field.name not in ("img", "image") or not types.is_struct(field.type):
            return False
        parts = {part.name: part.type for part in field.type}
        return "bytes" in parts and bool(types.is_binary(parts["bytes"]) or types.is_large_binary(parts["bytes"]))

    images = [field.name for field in schema if is_image(field)]
    integers = [field.name for field in schema if types.is_integer(field.type)]
    labels = ["label"] if "label" in integers else integers
    if len(images) != 1 or len(labels) != 1:
        found = ", ".join(f"{field.name}: {field.type}" for field in schema) or "none"
        raise UserError(
            f"{path}: expected one column `img` or `image`, a struct with binary `bytes`, and an integer column "
            f"`label` or only one integer column; got {found}"
        )
    return images[0], labels[0]
