"""TFRecord files and the NAS-Bench-101 records in them, without TensorFlow or protobuf.

Framing of each record: its length (u64, little-endian), the masked CRC32C of those eight bytes (u32), the bytes, and
their masked CRC32C (u32). A NAS-Bench-101 record is UTF-8 JSON
`[hash, epochs, adjacency, operations, metrics]`, where `metrics` is base64 of the protobuf message `ModelMetrics`
(google-research/nasbench `nasbench/api.py`, `nasbench/lib/model_metrics.proto`).

The message is parsed here rather than by protobuf: it has eight fields of three wire types, a field of another type
than the message's is an error here and an unknown field there, and TensorFlow, which some installs need beside us,
pins the version of protobuf. The length of this module is that of both directions of one format.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import json
import lzma
import math
import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import google_crc32c

from harness.data.folder import replaced_atomically
from harness.errors import UserError
from harness.tables.compression import BROKEN, decompressed

#: Longest record that is believed; those of NAS-Bench-101 take about 400 bytes.
MAX_RECORD_BYTES = 1 << 24

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
#: The usual `ModelMetrics` up to its second field: three evaluations, each of five doubles in order.
_THREE_EVALUATIONS = struct.Struct("<" + "3sdBdBdBdBd" * 3)
_THREE_EVALUATIONS_TAGS = (b"\x0a\x2d\x09", *(number << 3 | 1 for number in range(2, 6))) * 3
_BUFFER_BYTES = 1 << 20
_MENDING = "the file is damaged or incomplete; copy or download it again"

Matrix = tuple[tuple[int, ...], ...]


class MalformedRecord(ValueError):
    """The bytes of a record are not those of a NAS-Bench-101 record."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """State of one training run at one moment (`EvaluationData`).

    Attributes:
        epoch: epochs trained so far.
        training_time: seconds trained so far.
        train_accuracy, validation_accuracy, test_accuracy: fractions in 0..1.
    """

    epoch: float = 0.0
    training_time: float = 0.0
    train_accuracy: float = 0.0
    validation_accuracy: float = 0.0
    test_accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """One training run of one cell.

    Attributes:
        hash: the cell's MD5 hex digest.
        epochs: the budget it was trained for: 4, 12, 36 or 108 in the official files.
        matrix: `[v][v]`, 0 or 1; entry `[i][j]` says that vertex i feeds vertex j.
        ops: `v` labels, the first `input`, the last `output`.
        halfway, final: evaluations at half the budget and at its end.
        trainable_parameters: size of the trained network.
        total_time: seconds for training and evaluation.
        initial: evaluation before any training; nobody uses it.
    """

    hash: str
    epochs: int
    matrix: Matrix
    ops: tuple[str, ...]
    halfway: Evaluation
    final: Evaluation
    trainable_parameters: int
    total_time: float
    initial: Evaluation = Evaluation()


class TFRecordReader:
    """The records of a TFRecord file, plain or compressed with xz or gzip, each checked against its checksums.

    Iterating gives each record's bytes once, in the order of the file, without holding more than one. The content
    tells whether a file is compressed, not its name.

    Attributes:
        path: the file.
        number: how many records were begun; while a record is in hand, its number, counted from 1.
        offset: where that record starts, in bytes of the decompressed content.

    Raises:
        UserError: while iterating: the file is empty, cut short, damaged, or no TFRecord.
        OSError: the file cannot be opened or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = 0
        self.offset = 0
        self._file = path.open("rb")
        self._content = _HashingStream(decompressed(self._file))
        self._stream = io.BufferedReader(self._content, _BUFFER_BYTES)

    def __enter__(self) -> TFRecordReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        end = 0
        while True:
            self.number += 1
            self.offset = end
            header = self._read(_HEADER.size)
            if not header:
                break
            if len(header) < _HEADER.size:
                raise self._cut_short(_HEADER.size, len(header))
            length, checksum = _HEADER.unpack(header)
            if masked_crc32c(header[:8]) != checksum:
                raise self.error(
                    f"the checksum of the record's length is wrong; {_MENDING}, and be sure it is a TFRecord"
                )
            if length > MAX_RECORD_BYTES:
                raise self.error(f"a record of {length} bytes, expected at most {MAX_RECORD_BYTES}; {_MENDING}")
            body = self._read(length + _CHECKSUM.size)
            if len(body) < length + _CHECKSUM.size:
                raise self._cut_short(_HEADER.size + length + _CHECKSUM.size, _HEADER.size + len(body))
            payload = body[:length]
            if masked_crc32c(payload) != _CHECKSUM.unpack_from(body, length)[0]:
                raise self.error(f"the checksum of the record's content is wrong; {_MENDING}")
            yield payload
            end += _HEADER.size + length + _CHECKSUM.size
        if end == 0:
            raise UserError(f"{self.path}: the file is empty (record 1 at byte 0 is missing); {_MENDING}")
        self.number -= 1

    def records(self) -> Iterator[Record]:
        """The NAS-Bench-101 records of the file.

        Raises:
            UserError: additionally, a record whose checksums are right is not one of NAS-Bench-101.
        """
        for payload in self:
            try:
                yield decode_record(payload)
            except MalformedRecord as error:
                raise self.error(f"{error}; expected a record of NAS-Bench-101, so give another file") from None

    @property
    def sha256(self) -> str:
        """SHA-256 of the decompressed content read so far: of all of it once the iteration has ended."""
        return self._content.digest.hexdigest()

    @property
    def content_bytes(self) -> int:
        """Bytes of decompressed content read so far."""
        return self._content.size

    @property
    def consumed(self) -> int:
        """Bytes of the file, compressed as it may be, read so far; for a progress bar."""
        return self._file.tell()

    def error(self, reason: str) -> UserError:
        """What is wrong with the record in hand, as one line that says where it is."""
        return UserError(f"{self.path}: record {self.number} at byte {self.offset}: {reason}")

    def _cut_short(self, expected: int, present: int) -> UserError:
        return self.error(f"the file ends inside the record, after {present} of {expected} bytes; {_MENDING}")

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except EOFError:
            raise self.error(f"the compressed file ends too early; {_MENDING}") from None
        except BROKEN as error:
            raise self.error(f"cannot decompress from about here ({error}); {_MENDING}") from None


def write_tfrecord(path: Path, payloads: Iterable[bytes]) -> None:
    """Write records to a TFRecord file, compressed if its name ends in `.xz` or `.gz`.

    The file appears as a whole when all are written; on a failure nothing changes.
    """
    with replaced_atomically(path) as file, _compressed(file, path.suffix) as stream:
        for payload in payloads:
            length = struct.pack("<Q", len(payload))
            stream.write(length + _CHECKSUM.pack(masked_crc32c(length)))
            stream.write(payload + _CHECKSUM.pack(masked_crc32c(payload)))


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's content, decompressed if it is compressed with xz or gzip.

    Raises:
        UserError: the file cannot be decompressed.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = _HashingStream(decompressed(file))
        buffer = bytearray(_BUFFER_BYTES)
        try:
            while content.readinto(buffer):
                pass
            return content.digest.hexdigest()
        except BROKEN as error:
            raise UserError(f"{path}: cannot decompress ({error}); {_MENDING}") from None


def is_tfrecord(path: Path) -> bool:
    """Whether a plain file is empty or begins as a record does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(12)
    return not header or (len(header) == 12 and masked_crc32c(header[:8]) == int.from_bytes(header[8:], "little"))


def masked_crc32c(data: bytes) -> int:
    """CRC32C, rotated right by 15 bits and shifted by a constant, as TFRecord files store it."""
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def decode_record(payload: bytes) -> Record:
    """The record that these bytes hold.

    Raises:
        MalformedRecord: says what was expected and what came.
    """
    try:
        fields = json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise MalformedRecord("the content is not JSON") from None
    if not (isinstance(fields, list) and len(fields) == 5):
        raise MalformedRecord("the content is not a JSON list of five: hash, epochs, adjacency, operations, metrics")
    digest, epochs, adjacency, operations, metrics = fields
    if not (isinstance(digest, str) and len(digest) == 32 and not digest.strip("0123456789abcdef")):
        raise MalformedRecord(f"the hash is not 32 lower-case hexadecimal digits: {_shown(digest)}")
    if type(epochs) is not int or not 0 < epochs < 1 << 31:
        raise MalformedRecord(f"the epochs are not a positive integer: {_shown(epochs)}")
    if not (isinstance(adjacency, str) and isinstance(operations, str) and isinstance(metrics, str)):
        raise MalformedRecord("adjacency, operations and metrics are not three strings")
    matrix, ops = _matrix(adjacency), _operations(operations)
    if len(matrix) != len(ops):
        raise MalformedRecord(f"an adjacency matrix of {len(matrix)} vertices, but {len(ops)} operations")
    try:
        message = base64.b64decode(metrics, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRecord("the metrics are not base64") from None
    evaluations, trainable_parameters, total_time = _decode_model_metrics(message)
    initial, halfway, final = evaluations[:3]
    return Record(digest, epochs, matrix, ops, halfway, final, trainable_parameters, total_time, initial)


def encode_record(record: Record) -> bytes:
    """The bytes of a record, as the official files hold them."""
    adjacency = "".join(str(entry) for row in record.matrix for entry in row)
    message = b"".join(
        b"\x0a" + _encode_varint(len(evaluation)) + evaluation
        for evaluation in map(_encode_evaluation, (record.initial, record.halfway, record.final))
    )
    message += b"\x10" + _encode_varint(record.trainable_parameters)
    message += b"\x19" + _DOUBLE.pack(record.total_time)
    metrics = base64.b64encode(message).decode()
    return json.dumps([record.hash, record.epochs, adjacency, ",".join(record.ops), metrics]).encode()


class _HashingStream(io.RawIOBase):
    """Reads from a stream and digests what passes."""

    def __init__(self, source: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._source.read(len(view))
        view[: len(data)] = data
        self.digest.update(data)
        self.size += len(data)
        return len(data)


def _compressed(file: BinaryIO, suffix: str) -> AbstractContextManager[BinaryIO]:
    """The stream to write to; leaving it ends the compressed content, and the file stays open."""
    if suffix == ".xz":
        return cast(AbstractContextManager[BinaryIO], lzma.LZMAFile(file, "wb"))
    if suffix == ".gz":
        return cast(AbstractContextManager[BinaryIO], gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    return nullcontext(file)


# Millions of records share a few ten thousand matrices and a few hundred lists of operations.
@lru_cache(maxsize=1 << 16)
def _matrix(adjacency: str) -> Matrix:
    count = math.isqrt(len(adjacency))
    if count < 2 or count * count != len(adjacency) or adjacency.strip("01"):
        raise MalformedRecord(f"the adjacency is not v times v characters 0 and 1: {_shown(adjacency)}")
    return tuple(tuple(map(int, adjacency[start : start + count])) for start in range(0, count * count, count))


@lru_cache(maxsize=1 << 12)
def _operations(operations: str) -> tuple[str, ...]:
    return tuple(operations.split(","))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _decode_model_metrics(message: bytes) -> tuple[list[Evaluation], int, float]:
    """`ModelMetrics`: 1 repeated evaluation_data, 2 int32 trainable_parameters, 3 double total_time."""
    evaluations: list[Evaluation] = []
    parameters, total_time, rest = 0, 0.0, message
    if len(message) >= _THREE_EVALUATIONS.size:
        # The common case at a fifth of the time.
        values = _THREE_EVALUATIONS.unpack_from(message)
        if values[::2] == _THREE_EVALUATIONS_TAGS:
            evaluations = [_checked(*values[start : start + 10 : 2]) for start in (1, 11, 21)]
            rest = message[_THREE_EVALUATIONS.size :]
    for number, value in _fields(rest):
        if number == 1 and isinstance(value, bytes):
            evaluations.append(_decode_evaluation(value))
        elif number == 2 and isinstance(value, int):
            parameters = value
        elif number == 3 and isinstance(value, float):
            total_time = value
        elif number <= 3:
            raise MalformedRecord(f"field {number} of the metrics has another type than in `ModelMetrics`")
    if len(evaluations) < 3:
        raise MalformedRecord(f"expected evaluations at the start, halfway and at the end, got {len(evaluations)}")
    if parameters >= 1 << 31:
        raise MalformedRecord("the number of trainable parameters is negative or exceeds 32 bits")
    return evaluations, parameters, total_time


def _decode_evaluation(message: bytes) -> Evaluation:
    """`EvaluationData`: doubles 1 current_epoch, 2 training_time, 3..5 accuracies; 6 checkpoint_path is left out."""
    values = [0.0] * 5
    for number, value in _fields(message):
        if number <= 5:
            if not isinstance(value, float):
                raise MalformedRecord(f"field {number} of an evaluation is not a double, as in `EvaluationData`")
            values[number - 1] = value
    return _checked(*values)


def _checked(epoch: float, seconds: float, train: float, validation: float, test: float) -> Evaluation:
    if not (0.0 <= train <= 1.0 and 0.0 <= validation <= 1.0 and 0.0 <= test <= 1.0):
        raise MalformedRecord(f"accuracies outside 0..1: train {train}, validation {validation}, test {test}")
    if not (0.0 <= seconds < math.inf and 0.0 <= epoch < math.inf):
        raise MalformedRecord(f"not a training time in seconds and an epoch: {seconds}, {epoch}")
    return Evaluation(epoch, seconds, train, validation, test)


def _fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Field numbers and values of a protobuf message: varints as int, 64-bit as float, delimited as bytes."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _decode_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise MalformedRecord("the metrics are not a protobuf message: a field has number 0")
        if wire_type == 0:
            value, position = _decode_varint(message, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _decode_varint(message, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise MalformedRecord(f"the metrics are not a protobuf message: a field of type {wire_type}")
        if position + size > end:
            raise MalformedRecord("the metrics are not a protobuf message: a field runs past the end")
        content = message[position : position + size]
        yield number, _DOUBLE.unpack(content)[0] if wire_type == 1 else content
        position += size


def _decode_varint(message: bytes, position: int) -> tuple[int, int]:
    """The integer at a position, and the position after it."""
    if position < len(message) and message[position] < 0x80:
        return message[position], position + 1
    value = 0
    for shift, byte in zip(range(0, 70, 7), message[position : position + 10], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise MalformedRecord("the metrics are not a protobuf message: a number has no end")


def _encode_varint(value: int) -> bytes:
    if value < 0:
        raise ValueError(f"expected a number of at least 0, got {value}")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _encode_evaluation(evaluation: Evaluation) -> bytes:
    values = (
        evaluation.epoch,
        evaluation.training_time,
        evaluation.train_accuracy,
        evaluation.validation_accuracy,
        evaluation.test_accuracy,
    )
    return b"".join(bytes([number << 3 | 1]) + _DOUBLE.pack(value) for number, value in enumerate(values, start=1))
