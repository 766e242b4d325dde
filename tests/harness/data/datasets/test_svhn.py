"""SVHN: labels, normalisation, missing and damaged files, and the download from loopback."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.datasets.svhn import download_svhn, read_svhn
from harness.data.registry import ImageSource, get_dataset
from harness.errors import UserError
from tests.harness.data.conftest import FileServer
from tests.support.image_files import md5

LABELS = {"train": [1, 10, 9, 2], "test": [10, 3, 10]}
"""As the files count them: 10 for the digit 0."""


def pixels(split: str) -> NDArray[np.uint8]:
    """Images [height, width, channels, n] as the files hold them."""
    count = len(LABELS[split])
    return np.random.RandomState(count).randint(0, 256, (32, 32, 3, count)).astype(np.uint8)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, server: FileServer) -> dict[str, bytes]:
    """Make torchvision expect small files from the server, and give their content by name."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    files, listed = {}, dict(SVHN.split_list)
    for split, labels in LABELS.items():
        content = io.BytesIO()
        savemat(content, {"X": pixels(split), "y": np.array(labels, dtype=np.uint8)[:, None]})
        name = f"{split}_32x32.mat"
        files[name] = content.getvalue()
        listed[split] = [f"{server.url}/{name}", name, md5(files[name])]
    monkeypatch.setattr(SVHN, "split_list", listed)
    return files


def write(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_label_ten_is_the_digit_zero_and_channels_come_first(tmp_path: Path, files: dict[str, bytes]) -> None:
    arrays = read_svhn(write(tmp_path, files))
    assert arrays.train_labels.tolist() == [1, 0, 9, 2]
    assert arrays.test_labels.tolist() == [0, 3, 0]
    assert np.array_equal(arrays.train_images, pixels("train").transpose(3, 2, 0, 1))
    assert np.array_equal(arrays.test_images, pixels("test").transpose(3, 2, 0, 1))
    assert arrays.train_images.flags.c_contiguous


def test_it_is_normalised_by_its_own_constants_and_not_by_those_of_cifar10(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    arrays = ImageSource(get_dataset("svhn"), write(tmp_path, files)).images()
    assert (arrays.mean, arrays.std) == ((0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197))
    assert (arrays.classes, arrays.name) == (10, "svhn")


def test_missing_and_damaged_files_are_named(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match=r"train_32x32\.mat: missing; get SVHN with .*harness\.prepare --data svhn"):
        read_svhn(tmp_path)
    write(tmp_path, {**files, "test_32x32.mat": files["test_32x32.mat"][:-1]})
    with pytest.raises(UserError, match=r"test_32x32\.mat: damaged, not the official SVHN file"):
        read_svhn(tmp_path)


def test_a_download_can_be_read_mends_a_damaged_file_and_is_not_repeated(
    tmp_path: Path, files: dict[str, bytes], server: FileServer
) -> None:
    write(server.folder, files)
    data = write(tmp_path / "new" / "data", {"train_32x32.mat": b"damaged"})
    download_svhn(data)
    assert read_svhn(data).train_labels.tolist() == [1, 0, 9, 2]
    for name in files:
        (server.folder / name).unlink()
    download_svhn(data)


def test_a_failed_download_is_one_clear_error(tmp_path: Path, files: dict[str, bytes], server: FileServer) -> None:
    with pytest.raises(UserError, match=r"train_32x32\.mat: could not download SVHN \(.*404.*--bench digits"):
        download_svhn(tmp_path / "data")
    write(server.folder, {name: content[:-3] for name, content in files.items()})
    with pytest.raises(UserError, match=r"train_32x32\.mat: the download of SVHN came damaged or incomplete"):
        download_svhn(tmp_path / "data")
