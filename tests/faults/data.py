"""Tables, images and archives from elsewhere: bombs, pipes, forged lengths, and paths that lead out of an archive."""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.server
import io
import lzma
import os
import random
import struct
import tarfile
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from harness.data.decoding import MOST_CLASSES
from harness.data.registry import ImageSource, get_dataset
from harness.tables.open import prepare_table
from harness.tables.tfrecord import masked_crc32c, write_tfrecord
from tests.faults.case import Case, Survival
from tests.faults.files import png
from tests.support.image_files import encode, random_image

BLOCK = 16 << 20
"""Bytes of zeros that a bomb holds several times."""

Make = Callable[[Path], object]


def cases() -> list[Case | Survival]:
    """Every fault of data."""
    return [*_tables(), *_parquet(), *_others()]


def _tables() -> list[Case]:
    tables: list[tuple[str, Make, str]] = [
        ("a gzip bomb, 130 MB of zeros in 130 KB", lambda path: path.write_bytes(_gzip_bomb()), "bytes came of"),
        ("an xz bomb, 130 MB of zeros in 20 KB", lambda path: path.write_bytes(_xz_bomb()), "bytes came of"),
        (
            "xz with a dictionary of 4 GB",
            lambda path: path.write_bytes(_xz_of_large_dictionary()),
            "Memory usage limit exceeded",
        ),
        (
            "xz with something else behind it",
            lambda path: path.write_bytes(lzma.compress(b"x" * 99) + b"junk"),
            "decompress",
        ),
        ("xz cut short", lambda path: path.write_bytes(lzma.compress(os.urandom(999))[:500]), "ends too early"),
        ("gzip cut short", lambda path: path.write_bytes(gzip.compress(os.urandom(999))[:500]), "decompress"),
        ("gzip with a wrong checksum", _gzip_of_wrong_checksum, "decompress"),
        *(
            (
                f"a record of {words} bytes, with the right checksum",
                functools.partial(_length, length=length),
                f"{length} bytes",
            )
            for words, length in (("2^63", 1 << 63), ("2^64 - 1", (1 << 64) - 1), ("2^25", 1 << 25))
        ),
        ("a record cut short", lambda path: _length(path, 1 << 20), "the file ends inside the record"),
        ("a length with a wrong checksum", lambda path: path.write_bytes(bytes(16)), "checksum of the record's length"),
        ("empty", lambda path: path.write_bytes(b""), "the file is empty"),
        ("HTML", lambda path: path.write_bytes(b"<html>404</html>"), "be sure it is a TFRecord"),
        ("records that are no JSON", lambda path: write_tfrecord(path, [b"\xff"]), "the content is not JSON"),
        ("records nested 10,000 deep", lambda path: write_tfrecord(path, [b"[" * 10_000]), "the content is not JSON"),
        ("records that are a list of four", lambda path: write_tfrecord(path, [b"[1,2,3,4]"]), "JSON list of five"),
        ("a pipe", os.mkfifo, "no such file"),
        ("/dev/zero", lambda path: path.symlink_to("/dev/zero"), "no such file"),
        ("a folder", lambda path: path.mkdir(), "no such file"),
        ("a link to itself", lambda path: path.symlink_to(path.name), "no such file"),
    ]
    return [Case("table to index", fault, words, _prepared(make)) for fault, make, words in tables]


def _parquet() -> list[Case | Survival]:
    bomb = png(13_000)
    rows: list[tuple[str, list[bytes], list[int], str]] = [
        ("a PNG of 13,000 x 13,000 pixels in a few bytes", [bomb], [0], "at most 2048 x 2048 pixels"),
        ("a label of 10^9", [png(8)], [10**9], f"below {MOST_CLASSES:,}, got 1000000000"),
        ("a label of 2^62", [png(8)], [1 << 62], f"below {MOST_CLASSES:,}, got"),
        ("a label of -1", [png(8)], [-1], "a label from 0"),
        ("images of two sizes", [png(8), png(9)], [0, 1], "expected an image of 8x8 pixels"),
        ("HTML in the place of an image", [b"<html>"], [0], "damaged, or not a PNG or JPEG image"),
        ("70 MB of zeros as images", [bytes(BLOCK)] * 5, [0] * 5, "which no images are"),
    ]
    return [
        *(
            Case("images in Parquet", fault, words, _parquet_of(images, labels))
            for fault, images, labels, words in rows
        ),
        Case("images in Parquet", "a pipe", "is no regular file", _parquet_pipe),
        Case("images in Parquet", "some other file", "damaged, or not a Parquet file", _parquet_garbage),
        Survival(
            "cache of decoded images",
            "a flipped bit, 60 times at random",
            "the images are decoded again; other images are never given",
            _cache_flipped,
        ),
        Survival(
            "cache of decoded images",
            "arrays of other shapes, types and labels",
            "the images are decoded again",
            _cache_of_other_shapes,
        ),
    ]


def _others() -> list[Case | Survival]:
    return [
        Case("images in folders", "a pipe called image.png alone", "holds no images", _piped_image),
        Case(
            "archives",
            "a data set's archive with `../escaped` in it",
            "came damaged or incomplete",
            _archive_that_leads_out,
        ),
    ]


def _gzip_bomb() -> bytes:
    return gzip.compress(bytes(BLOCK), 9) * 8


@functools.cache
def _xz_bomb() -> bytes:
    return lzma.compress(bytes(BLOCK), preset=0) * 8


def _xz_of_large_dictionary() -> bytes:
    """A stream whose header asks for the largest dictionary there can be, with the right checksum."""
    content = bytearray(lzma.compress(b"x" * 99, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]))
    start, end = 12, 12 + 4 * (content[12] + 1)
    assert content[start + 2 : start + 4] == b"\x21\x01"
    content[start + 4] = 40
    content[end - 4 : end] = struct.pack("<I", zlib.crc32(content[start : end - 4]))
    return bytes(content)


def _gzip_of_wrong_checksum(path: Path) -> None:
    content = bytearray(gzip.compress(b"x" * 99))
    content[-8] ^= 1
    path.write_bytes(content)


def _length(path: Path, length: int) -> None:
    """The beginning of a record that claims so many bytes."""
    claimed = struct.pack("<Q", length)
    path.write_bytes(claimed + struct.pack("<I", masked_crc32c(claimed)) + bytes(100))


def _prepared(make: Make) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        source = folder / "some.tfrecord"
        make(source)
        prepare_table(str(source), folder, out=folder / "some.index")

    return meet


def _parquet_of(images: list[bytes], labels: list[int]) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        _write_parquet(folder / "train.parquet", images, labels)
        _write_parquet(folder / "test.parquet", images[:1], labels[:1])
        with _data_folder(folder):
            ImageSource(get_dataset("parquet"), folder).images()

    return meet


def _write_parquet(path: Path, images: list[bytes], labels: list[int]) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed; it is the extra 'parquet'")
    from pyarrow import parquet

    rows = pyarrow.array([{"bytes": image} for image in images], pyarrow.struct([("bytes", pyarrow.binary())]))
    table = pyarrow.table({"img": rows, "label": pyarrow.array(labels, pyarrow.int64())})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False)


def _parquet_pipe(folder: Path) -> None:
    os.mkfifo(folder / "train.parquet")
    os.mkfifo(folder / "test.parquet")
    ImageSource(get_dataset("parquet"), folder).images()


def _parquet_garbage(folder: Path) -> None:
    for split in ("train", "test"):
        (folder / f"{split}.parquet").write_bytes(b"<html>" * 99)
    with _data_folder(folder):
        ImageSource(get_dataset("parquet"), folder).images()


def _folder_of_images(folder: Path) -> None:
    for number in range(4):
        for split in ("train", "test"):
            path = folder / split / str(number % 2) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(random_image(number)))


def _cache_flipped(folder: Path) -> None:
    draw = random.Random(0)
    _folder_of_images(folder / "images")
    with _data_folder(folder):
        whole = ImageSource(get_dataset("folder"), folder / "images").images()
        (cache,) = (folder / "cache").iterdir()
        content = cache.read_bytes()
        for _ in range(60):
            flipped = bytearray(content)
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            cache.write_bytes(flipped)
            again = ImageSource(get_dataset("folder"), folder / "images").images()
            assert np.array_equal(again.train_images, whole.train_images)
            assert np.array_equal(again.test_labels, whole.test_labels)


def _cache_of_other_shapes(folder: Path) -> None:
    _folder_of_images(folder / "images")
    with _data_folder(folder):
        whole = ImageSource(get_dataset("folder"), folder / "images").images()
        (cache,) = (folder / "cache").iterdir()
        right = dict(np.load(cache))
        for entry, wrong in (
            ("train_images", right["train_images"][:, :, :2]),
            ("train_images", right["train_images"].astype(np.float64)),
            ("train_images", right["train_images"][0]),
            ("train_labels", right["train_labels"][:1]),
            ("train_labels", np.full_like(right["train_labels"], 10**9)),
            ("test_labels", right["test_labels"].astype(np.int8)),
            ("test_images", right["test_images"][:0]),
        ):
            np.savez(cache, **{**right, entry: wrong})
            again = ImageSource(get_dataset("folder"), folder / "images").images()
            assert np.array_equal(again.train_images, whole.train_images)
            assert np.array_equal(again.train_labels, whole.train_labels)


def _piped_image(folder: Path) -> None:
    (folder / "train" / "cat").mkdir(parents=True)
    os.mkfifo(folder / "train" / "cat" / "image.png")
    with _data_folder(folder):
        ImageSource(get_dataset("folder"), folder).images()


def _archive_that_leads_out(folder: Path) -> None:
    """The server of CIFAR-10 gives another archive than the official one."""
    from torchvision.datasets import CIFAR10

    from harness.data.datasets.cifar10 import download_cifar10

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name in ("../escaped", "cifar-10-batches-py/data_batch_1"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"evil"))
    official = CIFAR10.url
    with _serving(content.getvalue()) as address, contextlib.redirect_stderr(io.StringIO()):
        CIFAR10.url = f"{address}/cifar-10-python.tar.gz"
        try:
            download_cifar10(folder / "data")
        finally:
            CIFAR10.url = official
            assert not (folder / "escaped").exists()
            assert not (folder / "data" / "cifar-10-batches-py").exists()


@contextlib.contextmanager
def _serving(content: bytes) -> Iterator[str]:
    """A server on this machine that answers everything with one file; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def _data_folder(folder: Path) -> Iterator[None]:
    """Where caches go."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_DATA", str(folder))
        yield
