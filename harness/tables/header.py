"""The header of an index, checked before anything believes it: it is JSON that anyone can write.

A checksum says that a header is whole, not that it is true. So its parts are of the types and sizes that the program
writes, its arrays lie within the file, and only a table with the SHA-256 of an official file is called official.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

OFFICIAL_FILES = {
    "4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1": "nasbench_only108.tfrecord",
    "3d64db8180fb1b0207212f9032205064312b6907a3bbc81eabea10db2f5c7e9c": "nasbench_full.tfrecord",
}
"""SHA-256 of the two files that google-research/nasbench publishes, and their names."""

_INFO = {
    "label": str,
    "kind": str,
    "source": str,
    "source_sha256": str,
    "source_bytes": int,
    "cells": int,
    "records": int,
    "epoch_budgets": list,
    "repeats": int,
    "fewest_repeats": int,
    "spaces": list,
    "format_version": int,
}
"""Key of `info` -> its type."""

_LONGEST_LABEL = 200

_NAMED_IN_MESSAGES = ("label", "kind", "source", "source_sha256")
"""What is read of an older index."""

_MOST = 1 << 31
"""More cells, records or epochs no index holds."""


class HeaderError(Exception):
    """A header that no index has; the message says what is wrong."""


def parsed(encoded: bytes) -> dict[str, Any]:
    """The header as JSON has it.

    Raises:
        HeaderError: it is not JSON, nested too deep, or no object.
    """
    try:
        header = json.loads(encoded)
    except RecursionError:
        raise HeaderError("its header is nested too deep") from None
    except ValueError:
        raise HeaderError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise HeaderError("its header is no JSON object")
    return header


def described(header: Mapping[str, Any]) -> dict[str, Any]:
    """The `info` of a header of any format version, with what can be made anew from it.

    Raises:
        HeaderError: it has none, or one without source, label and kind.
    """
    info: dict[str, Any] = _part(header, "info", dict)
    for key in _NAMED_IN_MESSAGES:
        _part(info, key, str)
    for key in ("spaces", "epoch_budgets"):
        _check_numbers(key, info.get(key, []))
    if info["kind"] == "official" and info["source_sha256"] not in OFFICIAL_FILES:
        raise HeaderError(
            f"it calls itself official, and its source has SHA-256 {info['source_sha256'][:12]!r}..., which no "
            "official file has"
        )
    return info


def check_label(label: str) -> None:
    """Refuse a label of a table that is not an official one, and that passes for it, or steers a terminal.

    Raises:
        HeaderError: it does.
    """
    letters = "".join(filter(str.isalnum, label)).lower()
    if not letters or letters.removesuffix("official") == "nasbench101":
        raise HeaderError(f"a table that is not official by its SHA-256 cannot be labelled {label!r}")
    if not label.isascii() or not label.isprintable() or len(label) > _LONGEST_LABEL:
        raise HeaderError(
            f"expected a label of at most {_LONGEST_LABEL} letters, digits and signs that can be told from any other "
            f"(ASCII), got {label[:_LONGEST_LABEL]!r}"
        )


def check(header: Mapping[str, Any], end: int, columns: Sequence[str], cell_bytes: int) -> None:
    """Refuse a header of the present format that is none.

    Args:
        header: as `parsed` gives it.
        end: where the arrays end in the file.
        columns: the columns of a record.
        cell_bytes: size of a cell.

    Raises:
        HeaderError: a part is missing, too many, of another type or size, or lies beyond the file.
    """
    info = described(header)
    if unknown := sorted(set(header) - {"info", "arrays", "record", "constants"} | set(info) - set(_INFO)):
        raise HeaderError(f"its header has the unknown key {unknown[0][:60]!r}")
    for key, kind in _INFO.items():
        value = _part(info, key, kind)
        if kind is int and key != "source_bytes" and not 0 <= value < _MOST:
            raise HeaderError(f"its header says {key} {str(value)[:20]}")
    if not info["epoch_budgets"]:
        raise HeaderError("its header names no epoch budget")
    if info["kind"] not in ("official", "other"):
        raise HeaderError(f"its header says kind {info['kind'][:60]!r}, expected official or other")
    if info["kind"] == "other":
        check_label(info["label"])
    record_bytes = _record_bytes(header, columns)
    cells, budgets = info["cells"], len(info["epoch_budgets"])
    if info["records"] > cells * budgets * info["repeats"]:
        raise HeaderError("its header says more records than its cells have")
    sizes = {
        "hash_high": 8 * cells,
        "cells": cell_bytes * cells,
        "first_record": 4 * (cells * budgets + 1),
        "records": record_bytes * info["records"],
    }
    _check_arrays(header, sizes, end)


def _check_arrays(header: Mapping[str, Any], sizes: Mapping[str, int], end: int) -> None:
    """Each array is there once, has the size that its cells and records take, and lies within the file."""
    arrays: dict[object, Mapping[str, Any]] = {}
    for item in _part(header, "arrays", list):
        if not isinstance(item, dict):
            raise HeaderError("its header describes an array as no JSON object")
        arrays[_part(item, "name", str)] = item
    if set(arrays) != set(sizes) or len(header["arrays"]) != len(sizes):
        raise HeaderError(f"its header describes other arrays than {', '.join(sizes)}")
    for name, size in sizes.items():
        item = arrays[name]
        position, length, _ = (_part(item, key, int) for key in ("position", "bytes", "crc32c"))
        if length != size:
            raise HeaderError(f"its array {name} has {str(length)[:20]} bytes by its header, expected {size}")
        if position < 0 or position + length > end:
            raise HeaderError(f"its array {name} lies beyond the file")


def _record_bytes(header: Mapping[str, Any], columns: Sequence[str]) -> int:
    """Bytes of a record, whose columns are numbers that stand in records or once in the header."""
    size, stored = 0, []
    for pair in _part(header, "record", list):
        code = re.fullmatch(r"<[fu]([48])", str(pair[1])) if isinstance(pair, list) and len(pair) == 2 else None
        if code is None or not isinstance(pair[0], str):
            raise HeaderError(f"its header describes a column as {str(pair)[:60]}")
        stored.append(pair[0])
        size += int(code[1])
    constants = _part(header, "constants", dict)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in constants.values()):
        raise HeaderError("its header has a constant that is no number")
    if sorted([*stored, *constants]) != sorted(columns):
        raise HeaderError("its header has other columns than a record has")
    return size


def _check_numbers(key: str, values: object) -> None:
    whole = isinstance(values, list) and all(type(value) is int and 0 < value < _MOST for value in values)
    if not whole:
        raise HeaderError(f"its header says {key} {str(values)[:60]}, expected a list of whole numbers")


def _part(content: Mapping[str, Any], key: str, kind: type) -> Any:
    """The value under a key.

    Raises:
        HeaderError: it is missing or of another type.
    """
    if key not in content:
        raise HeaderError(f"its header lacks {key}")
    if type(content[key]) is not kind:
        raise HeaderError(f"its header says {key} {str(content[key])[:60]}")
    return content[key]
