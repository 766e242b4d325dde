"""Compressed content is read as it was written, and within bounds."""

from __future__ import annotations

import gzip
import io
import itertools
import lzma
import random

import pytest

from harness.tables import compression
from harness.tables.compression import BROKEN, BombError, decompressed

CONTENT = random.Random(0).randbytes(300_000) + bytes(200_000)


def read(file: bytes, size: int = 4096) -> bytes:
    """All content, in pieces."""
    stream = io.BufferedReader(decompressed(io.BytesIO(file)), size)  # type: ignore[type-var]
    return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress, bytes])
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_content_is_that_which_was_compressed(compress: type[bytes], size: int) -> None:
    assert read(compress(CONTENT), size) == CONTENT


def test_streams_one_after_the_other_with_padding_between_are_one_content() -> None:
    parts = [CONTENT[:1], CONTENT[1:70_000], b"", CONTENT[70_000:]]
    for padding in (b"", bytes(4), bytes(100_000)):
        assert read(padding.join(map(lzma.compress, parts)) + padding) == CONTENT
    assert read(b"".join(map(gzip.compress, parts))) == CONTENT


@pytest.mark.parametrize("cut", [10, 100, 200_000])
def test_a_file_that_ends_too_early_is_noticed(cut: int) -> None:
    for compress in (lzma.compress, gzip.compress):
        with pytest.raises(BROKEN):
            read(compress(CONTENT)[:cut])


def test_what_follows_a_stream_must_be_one() -> None:
    for junk in (b"junk", b"junk" * 100):
        with pytest.raises(BROKEN):
            read(lzma.compress(CONTENT) + junk)


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress])
def test_content_far_larger_than_its_file_is_given_up_early(
    compress: type[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    file = compress(bytes(1 << 20)) * 20
    stream = decompressed(io.BytesIO(file))
    pieces = iter(lambda: stream.read(1 << 16), b"")
    assert len(b"".join(itertools.islice(pieces, 16))) == 1 << 20
    with pytest.raises(BombError, match=r"bytes came of [\d,]+, so that this is no table"):
        list(itertools.islice(pieces, 64))


def test_the_highest_preset_of_xz_is_within_the_memory_allowed() -> None:
    assert read(lzma.compress(CONTENT, preset=9 | lzma.PRESET_EXTREME)) == CONTENT
