"""TFRecord files are read as they were written, and damage never passes unnoticed."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import lzma
import math
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UserError
from harness.tables.tfrecord import (
    Evaluation,
    MalformedRecord,
    Record,
    TFRecordReader,
    content_sha256,
    decode_record,
    encode_record,
    masked_crc32c,
    write_tfrecord,
)
from tests.support.golden_vectors import reference_folder

PAYLOADS = [b"first", b"", b"the third record"]

fractions = st.floats(0, 1)
seconds = st.floats(0, 1e6)
evaluations = st.builds(Evaluation, seconds, seconds, fractions, fractions, fractions)


@st.composite
def nasbench_records(draw: st.DrawFn) -> Record:
    count = draw(st.integers(2, 7))
    matrix = draw(st.lists(st.lists(st.integers(0, 1), min_size=count, max_size=count), min_size=count, max_size=count))
    return Record(
        hash=draw(st.binary(min_size=16, max_size=16)).hex(),
        epochs=draw(st.integers(1, 1000)),
        matrix=tuple(map(tuple, matrix)),
        ops=tuple(draw(st.sampled_from(["input", "conv3x3-bn-relu", "output"])) for _ in range(count)),
        halfway=draw(evaluations),
        final=draw(evaluations),
        trainable_parameters=draw(st.integers(0, (1 << 31) - 1)),
        total_time=draw(seconds),
        initial=draw(evaluations),
    )


EXAMPLE = Record(
    hash="0123456789abcdef" * 2,
    epochs=108,
    matrix=((0, 1), (0, 0)),
    ops=("input", "output"),
    halfway=Evaluation(54.0, 10.5, 0.5, 0.4, 0.3),
    final=Evaluation(108.0, 21.0, 1.0, 0.9, 0.8),
    trainable_parameters=300,
    total_time=25.0,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "some.tfrecord"
    write_tfrecord(path, PAYLOADS)
    return path


def read(path: Path) -> list[bytes]:
    with TFRecordReader(path) as reader:
        return list(reader)


def test_checksum_is_the_masked_crc32c_of_tfrecord_files() -> None:
    # CRC32C of these digits is 0xE3069283, the check value of the algorithm's catalogues.
    assert masked_crc32c(b"123456789") == (0x2507C60D + 0xA282EAD8) & 0xFFFFFFFF


def test_framing_is_length_checksum_content_checksum(path: Path) -> None:
    length = struct.pack("<Q", 5)
    start = length + struct.pack("<I", masked_crc32c(length)) + b"first" + struct.pack("<I", masked_crc32c(b"first"))
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("ending", ["", ".xz", ".gz"])
def test_records_are_read_as_written_whatever_the_compression(tmp_path: Path, ending: str) -> None:
    plain, path = tmp_path / "plain", tmp_path / f"some.tfrecord{ending}"
    write_tfrecord(plain, PAYLOADS)
    write_tfrecord(path, PAYLOADS)
    with TFRecordReader(path) as reader:
        assert list(reader) == PAYLOADS
        assert reader.number == len(PAYLOADS)
        assert reader.content_bytes == plain.stat().st_size
        assert reader.consumed == path.stat().st_size
        assert reader.sha256 == content_sha256(path) == hashlib.sha256(plain.read_bytes()).hexdigest()


def test_compression_is_told_by_content_not_name(path: Path) -> None:
    path.write_bytes(lzma.compress(path.read_bytes()))
    assert read(path) == PAYLOADS
    path.write_bytes(gzip.compress(lzma.decompress(path.read_bytes())))
    assert read(path) == PAYLOADS


def test_number_and_offset_are_those_of_the_record_in_hand(path: Path) -> None:
    with TFRecordReader(path) as reader:
        places = [(reader.number, reader.offset) for _ in reader]
    assert places == [(1, 0), (2, 21), (3, 37)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_noticed(path: Path, data: st.DataObject) -> None:
    damaged = bytearray(_content(PAYLOADS, path))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    record = 1 if bit < 8 * 21 else 2 if bit < 8 * 37 else 3
    with pytest.raises(UserError, match=rf"record {record} at byte {(0, 21, 37)[record - 1]}: .*checksum"):
        read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_one_flipped_bit_in_a_compressed_file_changes_nothing_or_is_noticed(path: Path, data: st.DataObject) -> None:
    damaged = bytearray(lzma.compress(_content(PAYLOADS, path)))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    try:
        found = read(path)
    except UserError:
        return
    assert found == PAYLOADS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_file_cut_inside_a_record_is_noticed(path: Path, data: st.DataObject) -> None:
    whole = _content(PAYLOADS, path)
    size = data.draw(st.integers(1, len(whole) - 1).filter(lambda size: size not in (21, 37)))
    path.write_bytes(whole[:size])
    with pytest.raises(UserError, match=r"record \d at byte \d+: the file ends inside the record"):
        read(path)


@pytest.mark.parametrize("compress", [lzma.compress, gzip.compress])
def test_compressed_file_cut_short_is_noticed(path: Path, compress: object) -> None:
    assert callable(compress)
    content = compress(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="copy or download it again"):
        read(path)
    with pytest.raises(UserError, match="copy or download it again"):
        content_sha256(path)


@pytest.mark.parametrize("content", [b"", lzma.compress(b""), gzip.compress(b"", mtime=0)], ids=["plain", "xz", "gzip"])
def test_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.tfrecord"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"empty\.tfrecord: the file is empty"):
        read(path)


def test_other_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("hash,accuracy\n" * 100)
    with pytest.raises(UserError, match=r"table\.csv: record 1 at byte 0: .*be sure it is a TFRecord"):
        read(path)


def test_huge_length_with_a_right_checksum_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.tfrecord"
    length = struct.pack("<Q", 1 << 60)
    path.write_bytes(length + struct.pack("<I", masked_crc32c(length)) + b"x" * 100)
    with pytest.raises(UserError, match="expected at most"):
        read(path)


def test_failure_while_writing_leaves_the_old_file(path: Path) -> None:
    def failing() -> object:
        yield b"new"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_tfrecord(path, failing())  # type: ignore[arg-type]
    assert read(path) == PAYLOADS
    assert list(path.parent.iterdir()) == [path]


@given(nasbench_records())
def test_nasbench_record_survives_encoding_and_decoding(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_protobuf_fields_in_any_order_with_unknown_ones_are_understood() -> None:
    def double(number: int, value: float) -> bytes:
        return bytes([number << 3 | 1]) + struct.pack("<d", value)

    checkpoint = b"\x32\x09some/path"
    evaluation = double(5, 0.25) + checkpoint + double(2, 7.0) + double(4, 0.5)
    unknown = b"\x40\x96\x01" + b"\x4d1234" + b"\x52\x02ab"
    message = unknown + double(3, 9.0) + b"\x10\xac\x02" + 3 * (b"\x0a" + bytes([len(evaluation)]) + evaluation)
    record = decode_record(_payload(metrics=base64.b64encode(message).decode()))
    assert record.final == record.halfway == Evaluation(0.0, 7.0, 0.0, 0.5, 0.25)
    assert (record.trainable_parameters, record.total_time) == (300, 9.0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[1, 2", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "list of five"),
        (b"[1, 2, 3, 4]", "list of five"),
    ],
)
def test_malformed_json_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason):
        decode_record(payload)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hash": "xyz"}, "hash"),
        ({"hash": "ABCDEF0123456789" * 2}, "lower-case"),
        ({"hash": 7}, "hash"),
        ({"epochs": "108"}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"adjacency": "010"}, "adjacency"),
        ({"adjacency": "0200"}, "adjacency"),
        ({"adjacency": None}, "three strings"),
        ({"operations": "input,conv3x3-bn-relu,output"}, "2 vertices, but 3 operations"),
        ({"metrics": "not base64!"}, "base64"),
        ({"metrics": "é"}, "base64"),
        ({"metrics": ""}, "halfway and at the end, got 0"),
        ({"metrics": base64.b64encode(b"\x0a\x05ab").decode()}, "runs past the end"),
        ({"metrics": base64.b64encode(b"\x19ab").decode()}, "runs past the end"),
        ({"metrics": base64.b64encode(b"\x10\xff").decode()}, "a number has no end"),
        ({"metrics": base64.b64encode(b"\x10" + b"\xff" * 12).decode()}, "a number has no end"),
        ({"metrics": base64.b64encode(b"\x0b").decode()}, "type 3"),
        ({"metrics": base64.b64encode(b"\x00\x00").decode()}, "number 0"),
        ({"metrics": base64.b64encode(b"\x08\x01").decode()}, "another type"),
        ({"metrics": base64.b64encode(b"\x0a\x02\x08\x01").decode()}, "not a double"),
        ({"metrics": base64.b64encode(3 * b"\x0a\x00" + b"\x10" + b"\xff" * 9 + b"\x01").decode()}, "32 bits"),
    ],
)
def test_malformed_fields_are_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(MalformedRecord, match=reason):
        decode_record(_payload(**changes))


@pytest.mark.parametrize("accuracy", [-0.1, 1.1, math.nan, math.inf])
def test_accuracy_that_is_no_fraction_is_refused(accuracy: float) -> None:
    record = Record(**{**_fields(EXAMPLE), "final": Evaluation(108.0, 1.0, 0.5, accuracy, 0.5)})  # type: ignore[arg-type]
    with pytest.raises(MalformedRecord, match=r"outside 0\.\.1"):
        decode_record(encode_record(record))


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(message: bytes) -> None:
    for payload in (message, _payload(metrics=base64.b64encode(message).decode())):
        with contextlib.suppress(MalformedRecord):
            decode_record(payload)


def test_malformed_record_with_right_checksums_is_named_by_number(tmp_path: Path) -> None:
    path = tmp_path / "some.tfrecord"
    write_tfrecord(path, [encode_record(EXAMPLE), b"nonsense"])
    with TFRecordReader(path) as reader, pytest.raises(UserError, match=r"record 2 at byte \d+: .*not JSON"):
        list(reader.records())


def test_reference_table_is_encoded_back_byte_for_byte() -> None:
    path = reference_folder() / "data" / "nasbench101" / "nasbench101_standin.tfrecord.xz"
    with TFRecordReader(path) as reader:
        for payload in reader:
            if reader.number > 3000:
                break
            assert encode_record(decode_record(payload)) == payload


def _content(payloads: list[bytes], path: Path) -> bytes:
    write_tfrecord(path, payloads)
    return path.read_bytes()


def _fields(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__dataclass_fields__}


def _payload(**changes: object) -> bytes:
    """The example's JSON with some of its fields changed."""
    names = ("hash", "epochs", "adjacency", "operations", "metrics")
    fields = dict(zip(names, json.loads(encode_record(EXAMPLE)), strict=True))
    return json.dumps(list((fields | changes).values())).encode()
