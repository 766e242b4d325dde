"""CIFAR-10 and CIFAR-100: what the loaders give, what they say of missing or damaged files, and their downloads."""

from __future__ import annotations

import io
import pickle
import socket
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.arrays import LabelledImages
from harness.data.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD, download_cifar10, read_cifar10
from harness.data.datasets.cifar100 import download_cifar100, read_cifar100
from harness.data.registry import ImageSource, get_dataset
from harness.errors import UserError
from tests.harness.data.conftest import FileServer
from tests.support.first_batches import first_batches
from tests.support.image_files import md5

BATCH = 4
"""Images in each file of the small data sets that the tests write."""


@dataclass(frozen=True)
class SmallCifar:
    """One of the two data sets with four images a file, which torchvision is made to expect.

    Attributes:
        name: in the registry.
        title: in messages.
        dataset_class: torchvision's.
        download: ours.
        read: ours.
        label_key: what the files call the labels that count.
        files: content by name.
    """

    name: str
    title: str
    dataset_class: Any
    download: Callable[[Path], None]
    read: Callable[[Path], LabelledImages]
    label_key: str
    files: dict[str, bytes]

    @property
    def test_file(self) -> str:
        return str(self.dataset_class.test_list[0][0])

    def write(self, folder: Path, **instead: bytes) -> None:
        """Write the files, some with another content."""
        (folder / self.dataset_class.base_folder).mkdir(parents=True)
        for name, content in {**self.files, **instead}.items():
            (folder / self.dataset_class.base_folder / name).write_bytes(content)

    def serve(self, server: FileServer, monkeypatch: pytest.MonkeyPatch, damage: bool = False) -> None:
        """Let the server offer the archive, and torchvision look for it there."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for name, data in self.files.items():
                member = tarfile.TarInfo(f"{self.dataset_class.base_folder}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        served = content.getvalue()[:-100] if damage else content.getvalue()
        (server.folder / self.dataset_class.filename).write_bytes(served)
        monkeypatch.setattr(self.dataset_class, "url", f"{server.url}/{self.dataset_class.filename}")
        monkeypatch.setattr(self.dataset_class, "tgz_md5", md5(content.getvalue()))

    def check(self, arrays: LabelledImages) -> None:
        """What is read has the order of the files, and channels before rows before columns."""
        batches = [pickle.loads(self.files[name]) for name, _ in self.dataset_class.train_list]
        test = pickle.loads(self.files[self.test_file])
        training = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        assert np.array_equal(arrays.train_images, training)
        assert arrays.train_labels.tolist() == [label for batch in batches for label in batch[self.label_key]]
        assert np.array_equal(arrays.test_images, test["data"].reshape(-1, 3, 32, 32))
        assert arrays.test_labels.tolist() == test[self.label_key]
        assert arrays.train_images.dtype == arrays.test_images.dtype == np.uint8
        assert arrays.train_labels.dtype == arrays.test_labels.dtype == np.int64
        assert arrays.train_images.flags.c_contiguous


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SmallCifar:
    """Make torchvision expect small files."""
    from torchvision.datasets import CIFAR10, CIFAR100

    if request.param == "cifar10":
        names, test, meta, label_key, meta_key = (
            [f"data_batch_{k}" for k in range(1, 6)],
            "test_batch",
            "batches.meta",
            "labels",
            "label_names",
        )
        classes, dataset_class, download, read, title = 10, CIFAR10, download_cifar10, read_cifar10, "CIFAR-10"
    else:
        names, test, meta, label_key, meta_key = ["train"], "test", "meta", "fine_labels", "fine_label_names"
        classes, dataset_class, download, read, title = 100, CIFAR100, download_cifar100, read_cifar100, "CIFAR-100"
    files = {}
    for number, name in enumerate([*names, test]):
        data = np.random.RandomState(number).randint(0, 256, (BATCH, 3072)).astype(np.uint8)
        labels = [(classes - 1 - number - k) % classes for k in range(BATCH)]
        content = {"data": data, label_key: labels, "coarse_labels": [0] * BATCH}
        files[name] = pickle.dumps(content, protocol=2)
    files[meta] = pickle.dumps({meta_key: [f"class {k}" for k in range(classes)]}, protocol=2)
    monkeypatch.setattr(dataset_class, "train_list", [[name, md5(files[name])] for name in names])
    monkeypatch.setattr(dataset_class, "test_list", [[test, md5(files[test])]])
    monkeypatch.setattr(dataset_class, "meta", {"filename": meta, "key": meta_key, "md5": md5(files[meta])})
    return SmallCifar(request.param, title, dataset_class, download, read, label_key, files)


def test_images_come_in_the_official_order(tmp_path: Path, cifar: SmallCifar) -> None:
    cifar.write(tmp_path)
    cifar.check(cifar.read(tmp_path))


def test_each_has_its_own_normalisation_and_number_of_classes(tmp_path: Path, cifar: SmallCifar) -> None:
    cifar.write(tmp_path)
    arrays = ImageSource(get_dataset(cifar.name), tmp_path).images()
    assert (arrays.name, arrays.classes) == (cifar.name, {"cifar10": 10, "cifar100": 100}[cifar.name])
    expected = {
        "cifar10": (CIFAR10_MEAN, CIFAR10_STD),
        "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    }
    assert (arrays.mean, arrays.std) == expected[cifar.name]


def test_the_constants_of_cifar10_are_the_published_searches() -> None:
    assert CIFAR10_MEAN == (0.49139968, 0.48215827, 0.44653124)
    assert CIFAR10_STD == (0.24703233, 0.24348505, 0.26158768)
    assert ImageSource(get_dataset("cifar10")).settings() == {"data.padding": 4, "data.flip": True}


@pytest.mark.parametrize("cifar", ["cifar10"], indirect=True)
def test_a_search_on_nb101_sees_what_it_saw_before_data_sets_were_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cifar: SmallCifar
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    cifar.write(tmp_path)
    assert first_batches("nb101") == [
        "64bd4625a68cf2c045a043ac3e3b4b83f0cbeac9170508eb7fa9aeb5305b8e18",
        "27dfdd0d2ea9a7f3c5c330f568432323badacba4d4ef807edeee6ef745c2d977",
    ]


def test_missing_files_name_file_command_and_digits(tmp_path: Path, cifar: SmallCifar) -> None:
    with pytest.raises(UserError) as caught:
        cifar.read(tmp_path)
    first = tmp_path / cifar.dataset_class.base_folder / cifar.dataset_class.train_list[0][0]
    assert str(first) in str(caught.value)
    assert f"`python -m harness.prepare --data {cifar.name}`" in str(caught.value)
    assert "--bench digits" in str(caught.value)


def test_a_damaged_file_is_named(tmp_path: Path, cifar: SmallCifar) -> None:
    for number, (name, content) in enumerate(cifar.files.items()):
        damaged = bytearray(content)
        damaged[len(damaged) // 2] ^= 1
        folder = tmp_path / str(number)
        cifar.write(folder, **{name: bytes(damaged)})
        with pytest.raises(UserError, match=rf"{name}: damaged.*`python -m harness\.prepare --data {cifar.name}`"):
            cifar.read(folder)


# Python 3.12 and 3.13 warn that extracting an archive will change, which is torchvision's to mend.
ignore_extraction_warning = pytest.mark.filterwarnings("ignore:.*Python 3.14:DeprecationWarning")


@ignore_extraction_warning
def test_a_download_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer, cifar: SmallCifar
) -> None:
    cifar.serve(server, monkeypatch)
    cifar.download(tmp_path / "new" / "data")
    cifar.check(cifar.read(tmp_path / "new" / "data"))


@ignore_extraction_warning
def test_downloading_mends_a_damaged_file_and_is_content_with_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer, cifar: SmallCifar
) -> None:
    cifar.write(tmp_path / "data", **{cifar.test_file: b"damaged"})
    cifar.serve(server, monkeypatch)
    cifar.download(tmp_path / "data")
    cifar.check(cifar.read(tmp_path / "data"))
    (server.folder / cifar.dataset_class.filename).unlink()
    cifar.download(tmp_path / "data")


@ignore_extraction_warning
def test_incomplete_download_is_one_clear_error_and_the_next_try_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer, cifar: SmallCifar
) -> None:
    cifar.serve(server, monkeypatch, damage=True)
    complaint = rf"tar\.gz: the download of {cifar.title} came damaged or incomplete.*--bench digits"
    with pytest.raises(UserError, match=complaint):
        cifar.download(tmp_path / "data")
    cifar.serve(server, monkeypatch)
    cifar.download(tmp_path / "data")
    cifar.check(cifar.read(tmp_path / "data"))


def test_download_from_a_server_without_the_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer, cifar: SmallCifar
) -> None:
    monkeypatch.setattr(cifar.dataset_class, "url", f"{server.url}/nothing.tar.gz")
    complaint = rf"nothing\.tar\.gz: could not download {cifar.title} \(.*404.*--bench digits"
    with pytest.raises(UserError, match=complaint):
        cifar.download(tmp_path / "data")


def test_download_without_network_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cifar: SmallCifar
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(cifar.dataset_class, "url", f"http://127.0.0.1:{closed.getsockname()[1]}/cifar.tar.gz")
        with pytest.raises(UserError, match=rf"could not download {cifar.title} \(.*refused.*--bench digits"):
            cifar.download(tmp_path / "data")


def test_a_folder_that_cannot_be_made_is_not_blamed_on_the_network(tmp_path: Path, cifar: SmallCifar) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        cifar.download(tmp_path / "file" / "data")
