"""Parquet folders: what the loader gives, and what it says when files are missing or damaged."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.arrays import ImageArrays
from harness.data.datasets.cifar10 import CIFAR10_MEAN, CIFAR10_STD
from harness.data.registry import ImageSource, get_dataset
from harness.errors import UserError
from tests.support.golden_vectors import reference_folder
from tests.support.image_files import encode, random_image


def load_parquet(folder: Path, like: str | None = None) -> ImageArrays:
    return ImageSource(get_dataset("parquet"), folder, get_dataset(like) if like else None).images()


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


def write_squares(folder: Path, prefix: str = "") -> Path:
    """Ten classes of 32x32 RGB, as CIFAR-10, SVHN and others have them."""
    for split in ("train", "test"):
        images = [encode(random_image(seed, 32, 32)) for seed in range(10)]
        write_parquet(folder / f"{prefix}{split}.parquet", images, range(10))
    return folder


@pytest.mark.parametrize("prefix", ["cifar10_", "cifar10-png-", "CIFAR10_"])
def test_files_named_after_cifar10_are_normalised_by_its_constants(
    tmp_path: Path, cached_in: Path, prefix: str
) -> None:
    arrays = load_parquet(write_squares(tmp_path / "any", prefix))
    assert (arrays.mean, arrays.std) == (CIFAR10_MEAN, CIFAR10_STD)


@pytest.mark.parametrize("folder", ["cifar10", "cifar10-jpeg"])
def test_a_folder_named_after_cifar10_is_normalised_by_its_constants(
    tmp_path: Path, cached_in: Path, folder: str
) -> None:
    arrays = load_parquet(write_squares(tmp_path / folder))
    assert (arrays.mean, arrays.std, arrays.name) == (CIFAR10_MEAN, CIFAR10_STD, f"parquet:{folder}")


def test_ten_classes_of_32x32_alone_do_not_make_images_cifar10(tmp_path: Path, cached_in: Path) -> None:
    measured = load_parquet(write_squares(tmp_path / "any"))
    assert measured.mean == pytest.approx(measured.train_images.mean((0, 2, 3)) / 255, rel=1e-12)
    svhn = get_dataset("svhn")
    named = load_parquet(write_squares(tmp_path / "other", "svhn_"))
    said = load_parquet(tmp_path / "any", like="svhn")
    assert (named.mean, named.std) == (said.mean, said.std) == (svhn.mean, svhn.std)


def test_images_of_other_channels_than_they_are_said_to_have_are_refused(tmp_path: Path, cached_in: Path) -> None:
    write_squares(tmp_path)
    with pytest.raises(UserError, match=r"parquet: expected images of 1 channels, as .* of fashion are, got 3"):
        load_parquet(tmp_path, like="fashion")


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
        (encode(random_image(0)), -1, "expected a label from 0, below 100,000, got -1"),
        (encode(random_image(0)), None, "expected a label from 0, below 100,000, got None"),
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
