"""Data sets as arrays: what the loaders give, and what they say when files are missing or damaged."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.datasets import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    digits_indices,
    download_cifar10,
    load_cifar10,
    load_digits,
    load_parquet,
)
from harness.errors import UserError
from tests.support.golden_vectors import reference_folder

BATCH = 4
"""Images in each file of the small CIFAR-10 that the tests write."""


def digest(array: NDArray[Any]) -> str:
    """SHA-256 of the values in C order, integers of several bytes as little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(np.ascontiguousarray(little).tobytes()).hexdigest()


def test_importing_loads_no_heavy_library() -> None:
    heavy = ["torch", "torchvision", "pyarrow", "sklearn", "PIL"]
    code = f"import sys, harness.datasets; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digits_split_is_pinned() -> None:
    indices = digits_indices()
    assert [len(part) for part in indices] == [600, 600, 597]
    assert digest(indices.training) == "c30b3d3296e8fd16eeea97be1c445b97e965759b518a3a73b0f95835ec5cfb71"
    assert digest(indices.validation) == "3d323caec5c3a4542967a13d89d2abe22762c3cb5a531f3a7061cd9fe996d514"
    assert digest(indices.test) == "ddf8ba5addb69ebbd22d11d7166b92a4a2c149c2382da8fb1e54efb360e98c93"


def test_digits_splits_share_no_image_and_leave_none_out() -> None:
    assert sorted(np.concatenate(digits_indices()).tolist()) == list(range(1797))


def test_digits_arrays_are_pinned() -> None:
    digits = load_digits()
    assert digits.train_images.shape == (1200, 1, 8, 8)
    assert digits.test_images.shape == (597, 1, 8, 8)
    assert digest(digits.train_images) == "601516ea681e8f886957b11bebee56e35ecddee92a62831b00c7ddae00dc032e"
    assert digest(digits.test_images) == "5c2b120dbadcd893266e4fe487135087cb494d82b3732ce606eab009909b38f8"
    assert digest(digits.train_labels) == "2093bdf6ce27420d2597b552f65436f18e6deddeda62a91c4f796444b0af26e1"
    assert digest(digits.test_labels) == "effa23c7143bf4f51343f05052be596aebfa21eb168559ccdd9bbb24d46c9297"
    assert (digits.classes, digits.name) == (10, "digits")


def test_digits_grey_values_span_the_bytes() -> None:
    digits = load_digits()
    values = np.unique(np.concatenate([digits.train_images, digits.test_images]))
    assert values.tolist() == [round(value * 255 / 16) for value in range(17)]


def test_digits_are_normalised_by_the_training_split_alone() -> None:
    digits = load_digits()
    training = digits.train_images[:600] / 255
    assert digits.mean == pytest.approx((training.mean(),), rel=1e-12)
    assert digits.std == pytest.approx((training.std(),), rel=1e-12)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def small_cifar10(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Make torchvision expect a CIFAR-10 of four images a file, and give the files' content by their names."""
    from torchvision.datasets import CIFAR10

    files = {}
    for number, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
        data = np.random.RandomState(number).randint(0, 256, (BATCH, 3072)).astype(np.uint8)
        files[name] = pickle.dumps({"data": data, "labels": [(number + k) % 10 for k in range(BATCH)]}, protocol=2)
    files["batches.meta"] = pickle.dumps({"label_names": [f"class {k}" for k in range(10)]}, protocol=2)
    listed = [[name, md5(content)] for name, content in files.items()]
    monkeypatch.setattr(CIFAR10, "train_list", listed[:5])
    monkeypatch.setattr(CIFAR10, "test_list", listed[5:6])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": listed[6][1]})
    return files


def write_cifar10(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for name, content in files.items():
        (folder / "cifar-10-batches-py" / name).write_bytes(content)


def check_small_cifar10(folder: Path, files: dict[str, bytes]) -> None:
    """What is loaded has the order of the files, and channels before rows before columns."""
    arrays = load_cifar10(folder)
    batches = [pickle.loads(files[name]) for name in [f"data_batch_{k}" for k in range(1, 6)]]
    test = pickle.loads(files["test_batch"])
    assert np.array_equal(
        arrays.train_images, np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    )
    assert arrays.train_labels.tolist() == [label for batch in batches for label in batch["labels"]]
    assert np.array_equal(arrays.test_images, test["data"].reshape(-1, 3, 32, 32))
    assert arrays.test_labels.tolist() == test["labels"]
    assert arrays.train_images.dtype == arrays.test_images.dtype == np.uint8
    assert arrays.train_labels.dtype == arrays.test_labels.dtype == np.int64
    assert arrays.train_images.flags.c_contiguous
    assert (arrays.classes, arrays.name, arrays.mean, arrays.std) == (10, "cifar10", CIFAR10_MEAN, CIFAR10_STD)


def test_cifar10_comes_in_the_official_order(tmp_path: Path, small_cifar10: dict[str, bytes]) -> None:
    write_cifar10(tmp_path, small_cifar10)
    check_small_cifar10(tmp_path, small_cifar10)


def test_missing_cifar10_names_file_command_and_digits(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_cifar10(tmp_path)
    assert str(tmp_path / "cifar-10-batches-py" / "data_batch_1") in str(caught.value)
    assert "python -m harness.prepare" in str(caught.value)
    assert "--bench digits" in str(caught.value)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_damaged_cifar10_names_the_file(tmp_path: Path, small_cifar10: dict[str, bytes], name: str) -> None:
    damaged = bytearray(small_cifar10[name])
    damaged[len(damaged) // 2] ^= 1
    write_cifar10(tmp_path, small_cifar10 | {name: bytes(damaged)})
    with pytest.raises(UserError, match=rf"{name}: damaged.*`python -m harness\.prepare`"):
        load_cifar10(tmp_path)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server on the loopback device: its address, and the folder that it serves."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


def serve_archive(
    monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], files: dict[str, bytes], damage: bool = False
) -> None:
    """Let the server offer CIFAR-10's archive, and torchvision look for it there."""
    from torchvision.datasets import CIFAR10

    address, folder = server
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    served = content.getvalue()[:-100] if damage else content.getvalue()
    (folder / "cifar-10-python.tar.gz").write_bytes(served)
    monkeypatch.setattr(CIFAR10, "url", f"{address}/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(content.getvalue()))


# Python 3.12 and 3.13 warn that extracting an archive will change, which is torchvision's to mend.
ignore_extraction_warning = pytest.mark.filterwarnings("ignore:.*Python 3.14:DeprecationWarning")


@ignore_extraction_warning
def test_downloaded_cifar10_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], small_cifar10: dict[str, bytes]
) -> None:
    serve_archive(monkeypatch, server, small_cifar10)
    download_cifar10(tmp_path / "new" / "data")
    check_small_cifar10(tmp_path / "new" / "data", small_cifar10)


@ignore_extraction_warning
def test_downloading_mends_a_damaged_file_and_is_content_with_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], small_cifar10: dict[str, bytes]
) -> None:
    write_cifar10(tmp_path / "data", small_cifar10 | {"data_batch_2": b"damaged"})
    serve_archive(monkeypatch, server, small_cifar10)
    download_cifar10(tmp_path / "data")
    check_small_cifar10(tmp_path / "data", small_cifar10)
    (server[1] / "cifar-10-python.tar.gz").unlink()
    download_cifar10(tmp_path / "data")


@ignore_extraction_warning
def test_incomplete_download_is_one_clear_error_and_the_next_try_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path], small_cifar10: dict[str, bytes]
) -> None:
    serve_archive(monkeypatch, server, small_cifar10, damage=True)
    with pytest.raises(
        UserError, match=r"tar\.gz: the download of CIFAR-10 came damaged or incomplete.*--bench digits"
    ):
        download_cifar10(tmp_path / "data")
    serve_archive(monkeypatch, server, small_cifar10)
    download_cifar10(tmp_path / "data")
    check_small_cifar10(tmp_path / "data", small_cifar10)


def test_download_from_a_server_without_the_file_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path]
) -> None:
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "url", f"{server[0]}/nothing.tar.gz")
    with pytest.raises(UserError, match=r"nothing\.tar\.gz: could not download CIFAR-10 \(.*404.*--bench digits"):
        download_cifar10(tmp_path / "data")


def test_download_without_network_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{closed.getsockname()[1]}/cifar.tar.gz")
        with pytest.raises(UserError, match=r"could not download CIFAR-10 \(.*refused.*--bench digits"):
            download_cifar10(tmp_path / "data")


def test_a_folder_that_cannot_be_made_is_not_blamed_on_the_network(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        download_cifar10(tmp_path / "file" / "data")


@pytest.fixture
def cached_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the decoded arrays: a data folder of the test's own."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "harness-data"))
    return tmp_path / "harness-data" / "cache"


def random_image(seed: int, height: int = 6, width: int = 5, channels: int = 3) -> NDArray[np.uint8]:
    """Pixels [height, width, channels], or [height, width] for one channel."""
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)
    return pixels if channels > 1 else pixels[:, :, 0]


def encode(pixels: NDArray[Any], format: str = "PNG") -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format=format)
    return content.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    image_column: str = "img",
    label_column: str = "label",
    **more_columns: Any,
) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is the extra 'parquet'")
    from pyarrow import parquet

    struct = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    rows = [{"bytes": image, "path": f"{k}.png"} for k, image in enumerate(images)]
    columns = {image_column: pyarrow.array(rows, struct), label_column: pyarrow.array(labels, pyarrow.int64())}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns | more_columns), path)


def write_data_set(folder: Path, count: int = 3) -> list[NDArray[np.uint8]]:
    """A small colour data set with one test image; gives the pixels of its training images."""
    pixels = [random_image(seed) for seed in range(count)]
    write_parquet(folder / "train.parquet", [encode(image) for image in pixels], range(count))
    write_parquet(folder / "test.parquet", [encode(random_image(99))], [1])
    return pixels


@pytest.mark.parametrize("image_column", ["img", "image"])
def test_parquet_rows_come_in_order_as_rgb(tmp_path: Path, cached_in: Path, image_column: str) -> None:
    pixels = [random_image(seed) for seed in range(5)]
    write_parquet(tmp_path / "my-train-x.parquet", [encode(image) for image in pixels[:4]], [2, 0, 1, 2], image_column)
    write_parquet(tmp_path / "my-test-x.parquet", [encode(pixels[4])], [3], image_column)
    arrays = load_parquet(tmp_path)
    assert np.array_equal(arrays.train_images, np.stack(pixels[:4]).transpose(0, 3, 1, 2))
    assert np.array_equal(arrays.test_images, pixels[4].transpose(2, 0, 1)[None])
    assert arrays.train_labels.tolist() == [2, 0, 1, 2]
    assert arrays.test_labels.tolist() == [3]
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64
    assert (arrays.classes, arrays.name) == (4, f"parquet:{tmp_path.name}")


def test_parquet_reads_jpeg(tmp_path: Path, cached_in: Path) -> None:
    from PIL import Image

    content = encode(random_image(0, 16, 16), "JPEG")
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [content], [0])
    expected = np.array(Image.open(io.BytesIO(content))).transpose(2, 0, 1)
    assert np.array_equal(load_parquet(tmp_path).train_images[0], expected)


def test_parquet_shards_are_joined_in_the_order_of_their_names(tmp_path: Path, cached_in: Path) -> None:
    for shard in (2, 0, 1):
        images = [encode(random_image(10 * shard + k)) for k in range(2)]
        write_parquet(tmp_path / f"train-{shard:05}-of-00003.parquet", images, [shard, shard])
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [encode(random_image(0))], [0])
    (tmp_path / "._train-00000-of-00003.parquet").write_bytes(b"left by a file manager")
    arrays = load_parquet(tmp_path)
    assert arrays.train_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert np.array_equal(arrays.train_images[5], random_image(21).transpose(2, 0, 1))


def test_parquet_of_many_rows_is_read_whole(tmp_path: Path, cached_in: Path) -> None:
    images = [encode(random_image(seed, 2, 2)) for seed in range(20)]
    write_parquet(tmp_path / "train.parquet", [images[k % 20] for k in range(2500)], [k % 20 for k in range(2500)])
    write_parquet(tmp_path / "test.parquet", images[:1], [0])
    arrays = load_parquet(tmp_path)
    assert arrays.train_labels.tolist() == [k % 20 for k in range(2500)]
    assert np.array_equal(arrays.train_images[2481], random_image(1, 2, 2).transpose(2, 0, 1))


def test_grey_parquet_keeps_one_channel(tmp_path: Path, cached_in: Path) -> None:
    pixels = [random_image(seed, channels=1) for seed in range(2)]
    write_parquet(tmp_path / "train.parquet", [encode(pixels[0], "JPEG"), encode(pixels[1])], [0, 1])
    write_parquet(tmp_path / "test.parquet", [encode(pixels[0])], [0])
    arrays = load_parquet(tmp_path)
    assert arrays.train_images.shape == (2, 1, 6, 5)
    assert np.array_equal(arrays.train_images[1, 0], pixels[1])
    assert len(arrays.mean) == len(arrays.std) == 1


def test_one_colour_image_makes_grey_ones_rgb(tmp_path: Path, cached_in: Path) -> None:
    grey, colour = random_image(0, channels=1), random_image(1)
    write_parquet(tmp_path / "train.parquet", [encode(grey)], [0])
    write_parquet(tmp_path / "test.parquet", [encode(colour)], [0])
    arrays = load_parquet(tmp_path)
    assert np.array_equal(arrays.train_images[0], np.stack([grey] * 3))
    assert np.array_equal(arrays.test_images[0], colour.transpose(2, 0, 1))


def test_parquet_takes_the_only_integer_column_as_label(tmp_path: Path, cached_in: Path) -> None:
    for split in ("train", "test"):
        write_parquet(
            tmp_path / f"{split}.parquet", [encode(random_image(0))], [7], label_column="fine", note=["not a number"]
        )
    assert load_parquet(tmp_path).train_labels.tolist() == [7]


def test_parquet_like_cifar10_is_normalised_by_its_constants(tmp_path: Path, cached_in: Path) -> None:
    for split in ("train", "test"):
        images = [encode(random_image(seed, 32, 32)) for seed in range(10)]
        write_parquet(tmp_path / f"{split}.parquet", images, range(10))
    arrays = load_parquet(tmp_path)
    assert (arrays.mean, arrays.std) == (CIFAR10_MEAN, CIFAR10_STD)


def test_other_parquet_is_normalised_by_its_training_images(tmp_path: Path, cached_in: Path) -> None:
    training = np.stack(write_data_set(tmp_path)) / 255
    arrays = load_parquet(tmp_path)
    assert arrays.mean == pytest.approx(training.mean((0, 1, 2)), rel=1e-12)
    assert arrays.std == pytest.approx(training.std((0, 1, 2)), rel=1e-12)


def test_images_of_one_value_can_be_normalised(tmp_path: Path, cached_in: Path) -> None:
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [encode(np.full((4, 4), 51, dtype=np.uint8))], [0])
    arrays = load_parquet(tmp_path)
    assert (arrays.mean, arrays.std) == ((0.2,), (1.0,))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("image", "label", "complaint"),
    [
        (encode(random_image(0))[:-30], 0, "damaged, or not a PNG or JPEG image"),
        (encode(random_image(0, 16, 16), "JPEG")[:-200], 0, "damaged, or not a PNG or JPEG image"),
        (encode(random_image(0), "BMP"), 0, "damaged, or not a PNG or JPEG image"),
        (b"", 0, "damaged, or not a PNG or JPEG image"),
        (None, 0, "expected the bytes of a PNG or JPEG image, got none"),
        (encode(random_image(0, channels=1).astype(np.uint16)), 0, "expected 8 bits a channel"),
        (encode(random_image(0, 5, 6)), 0, r"expected an image of 6x5 pixels \(height x width\).*got 5x6"),
        (encode(random_image(0)), -1, "expected a label of 0 or more, got -1"),
        (encode(random_image(0)), None, "expected a label of 0 or more, got None"),
    ],
)
def test_bad_row_is_named(
    tmp_path: Path, cached_in: Path, split: str, image: bytes | None, label: int | None, complaint: str
) -> None:
    good = encode(random_image(0))
    for each in ("train", "test"):
        write_parquet(tmp_path / f"{each}.parquet", [good, good], [0, 1])
    write_parquet(tmp_path / f"{split}.parquet", [good, good, image], [0, 1, label])
    with pytest.raises(UserError, match=rf"{split}\.parquet: row 2: {complaint}"):
        load_parquet(tmp_path)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_missing_parquet_says_what_was_expected(tmp_path: Path, cached_in: Path, missing: str) -> None:
    write_data_set(tmp_path)
    (tmp_path / f"{missing}.parquet").unlink()
    with pytest.raises(UserError, match=rf"\*{missing}\*\.parquet: missing.*holds no such file.*--bench digits"):
        load_parquet(tmp_path)


def test_missing_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is no folder; expected images in the Hugging Face layout"):
        load_parquet(tmp_path / "nowhere")


def test_file_named_both_train_and_test_is_refused(tmp_path: Path, cached_in: Path) -> None:
    write_data_set(tmp_path)
    write_parquet(tmp_path / "train-test.parquet", [encode(random_image(0))], [0])
    with pytest.raises(UserError, match=r"train-test\.parquet: named both train and test"):
        load_parquet(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"image_column": "picture"},
        {"label_column": "fine", "coarse": [0]},
        {"image": [b"not a struct"], "image_column": "picture"},
        {"image_column": "label", "label_column": "img"},
    ],
)
def test_missing_columns_say_what_was_expected(tmp_path: Path, cached_in: Path, columns: dict[str, Any]) -> None:
    write_data_set(tmp_path)
    write_parquet(tmp_path / "train.parquet", [encode(random_image(0))], [0], **columns)
    with pytest.raises(UserError, match=r"train\.parquet: expected one column `img` or `image`.*got .*: struct<"):
        load_parquet(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all" * 10])
def test_file_that_is_no_parquet_is_named(tmp_path: Path, cached_in: Path, content: bytes) -> None:
    write_data_set(tmp_path)
    (tmp_path / "test.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"test\.parquet: damaged, or not a Parquet file"):
        load_parquet(tmp_path)


def test_truncated_parquet_is_named(tmp_path: Path, cached_in: Path) -> None:
    write_data_set(tmp_path)
    path = tmp_path / "train.parquet"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"train\.parquet: damaged, or not a Parquet file"):
        load_parquet(tmp_path)


def test_parquet_without_rows_is_named(tmp_path: Path, cached_in: Path) -> None:
    write_data_set(tmp_path)
    write_parquet(tmp_path / "test.parquet", [], [])
    with pytest.raises(UserError, match=r"test\.parquet: holds no rows"):
        load_parquet(tmp_path)


def test_without_pyarrow_the_error_says_how_to_install_it(
    tmp_path: Path, cached_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data_set(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=re.escape("pip install 'one-shot-nas-harness[parquet]'")):
        load_parquet(tmp_path)


def same(first: Any, second: Any) -> bool:
    fields = ("train_images", "train_labels", "test_images", "test_labels", "classes", "name", "mean", "std")
    return all(np.array_equal(getattr(first, field), getattr(second, field)) for field in fields)


def test_decoded_arrays_are_read_from_the_cache(
    tmp_path: Path, cached_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data_set(tmp_path)
    decoded = load_parquet(tmp_path)
    assert [path.suffix for path in cached_in.iterdir()] == [".npz"]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert same(load_parquet(tmp_path), decoded)


def test_changed_files_are_decoded_anew(tmp_path: Path, cached_in: Path) -> None:
    write_data_set(tmp_path)
    load_parquet(tmp_path)
    write_parquet(tmp_path / "train.parquet", [encode(random_image(seed)) for seed in (5, 1, 2)], range(3))
    assert np.array_equal(load_parquet(tmp_path).train_images[0], random_image(5).transpose(2, 0, 1))


def test_files_written_at_another_time_are_decoded_anew(tmp_path: Path, cached_in: Path) -> None:
    write_data_set(tmp_path)
    load_parquet(tmp_path)
    status = (tmp_path / "test.parquet").stat()
    os.utime(tmp_path / "test.parquet", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    load_parquet(tmp_path)
    assert len(list(cached_in.iterdir())) == 2


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "other"])
def test_damaged_cache_is_rebuilt(
    tmp_path: Path, cached_in: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    write_data_set(tmp_path)
    decoded = load_parquet(tmp_path)
    (cache,) = cached_in.iterdir()
    content = bytearray(cache.read_bytes())
    content[content.index(decoded.train_images.tobytes()) + 7] ^= 4
    cache.write_bytes(
        {"flipped": bytes(content), "truncated": bytes(content[:-9]), "empty": b"", "other": b"PK other"}[damage]
    )
    assert same(load_parquet(tmp_path), decoded)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert same(load_parquet(tmp_path), decoded)


def test_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "file" / "data"))
    write_data_set(tmp_path)
    assert same(load_parquet(tmp_path), load_parquet(tmp_path))


def test_parquet_gives_all_of_the_reference_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = reference_folder()
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is the extra 'parquet'")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "file" / "no cache"))
    arrays = load_parquet(reference / "data" / "cifar10")
    assert arrays.train_images.shape == (50_000, 3, 32, 32)
    assert arrays.test_images.shape == (10_000, 3, 32, 32)
    assert np.bincount(arrays.train_labels).tolist() == [5000] * 10
    assert np.bincount(arrays.test_labels).tolist() == [1000] * 10
    assert (arrays.mean, arrays.std) == (CIFAR10_MEAN, CIFAR10_STD)
