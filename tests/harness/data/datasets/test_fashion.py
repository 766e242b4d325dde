"""Fashion-MNIST: grey images, missing and damaged files, and the download from loopback."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.datasets.fashion import download_fashion, read_fashion
from harness.data.registry import ImageSource, get_dataset
from harness.errors import UserError
from tests.harness.data.conftest import FileServer
from tests.support.image_files import md5

TRAIN = np.random.RandomState(0).randint(0, 256, (5, 28, 28)).astype(np.uint8)
TEST = np.random.RandomState(1).randint(0, 256, (3, 28, 28)).astype(np.uint8)


def packed(values: NDArray[np.uint8]) -> bytes:
    """An array as the data set's files hold it."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return gzip.compress(header + values.tobytes(), mtime=0)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, server: FileServer) -> dict[str, bytes]:
    """Make torchvision expect small files from the server, and give their content by name."""
    from torchvision.datasets import FashionMNIST

    files = {
        "train-images-idx3-ubyte.gz": packed(TRAIN),
        "train-labels-idx1-ubyte.gz": packed(np.array([9, 0, 3, 3, 1], dtype=np.uint8)),
        "t10k-images-idx3-ubyte.gz": packed(TEST),
        "t10k-labels-idx1-ubyte.gz": packed(np.array([2, 8, 9], dtype=np.uint8)),
    }
    assert [name for name, _ in FashionMNIST.resources] == list(files)
    monkeypatch.setattr(FashionMNIST, "resources", [(name, md5(content)) for name, content in files.items()])
    monkeypatch.setattr(FashionMNIST, "mirrors", [f"{server.url}/"])
    return files


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_images_have_one_channel_and_the_order_of_the_files(tmp_path: Path, files: dict[str, bytes]) -> None:
    write(tmp_path / "FashionMNIST" / "raw", files)
    arrays = ImageSource(get_dataset("fashion"), tmp_path).images()
    assert np.array_equal(arrays.train_images, TRAIN[:, None])
    assert np.array_equal(arrays.test_images, TEST[:, None])
    assert arrays.train_labels.tolist() == [9, 0, 3, 3, 1]
    assert arrays.test_labels.tolist() == [2, 8, 9]
    assert (arrays.name, arrays.classes, arrays.mean, arrays.std) == ("fashion", 10, (0.2860,), (0.3530,))


def test_missing_and_damaged_files_are_named(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match=r"train-images-.*\.gz: missing; get Fashion-MNIST with .*--data fashion"):
        read_fashion(tmp_path)
    write(tmp_path / "FashionMNIST" / "raw", {**files, "t10k-labels-idx1-ubyte.gz": b""})
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz: damaged, not the official Fashion-MNIST file"):
        read_fashion(tmp_path)


def test_a_download_can_be_read_mends_a_damaged_file_and_is_not_repeated(
    tmp_path: Path, files: dict[str, bytes], server: FileServer
) -> None:
    write(server.folder, files)
    data = tmp_path / "data"
    write(data / "FashionMNIST" / "raw", {"t10k-images-idx3-ubyte.gz": b"damaged"})
    download_fashion(data)
    assert np.array_equal(read_fashion(data).test_images, TEST[:, None])
    for name in files:
        (server.folder / name).unlink()
    download_fashion(data)


def test_a_failed_download_is_one_clear_error(tmp_path: Path, files: dict[str, bytes], server: FileServer) -> None:
    with pytest.raises(UserError, match=r"ubyte\.gz: could not download Fashion-MNIST \(.*404.*--bench digits"):
        download_fashion(tmp_path)
