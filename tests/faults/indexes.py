"""Indexes with headers that anyone could have written, each with the right checksum."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c

from harness.tables.index import FORMAT_VERSION, MAGIC, PREFIX
from harness.tables.open import open_table
from tests.faults.case import Case
from tests.harness.benchmarks.test_benchmarks import table_of_ten

Change = Callable[[dict[str, Any]], object]

_ARRAYS = {"hash_high": 0, "cells": 1, "first_record": 2, "records": 3}

_CHANGED: list[tuple[str, Change, str]] = [
    *(
        (f"no {key}", lambda header, key=key: header.pop(key), f"lacks {key}")
        for key in ("info", "arrays", "record", "constants")
    ),
    *(
        (f"info without {key}", lambda header, key=key: header["info"].pop(key), f"lacks {key}")
        for key in (
            "label",
            "kind",
            "source",
            "source_sha256",
            "cells",
            "records",
            "epoch_budgets",
            "repeats",
            "spaces",
        )
    ),
    *(
        (f"arrays without {key}", lambda header, key=key: header["arrays"][0].pop(key), f"lacks {key}")
        for key in ("name", "position", "bytes", "crc32c")
    ),
    ("info is a list", lambda header: header.update(info=[]), "says info"),
    ("arrays is a number", lambda header: header.update(arrays=3), "says arrays"),
    ("an array is a number", lambda header: header["arrays"].append(3), "as no JSON object"),
    ("an array twice", lambda header: header["arrays"].append(header["arrays"][0]), "other arrays"),
    ("an array is missing", lambda header: header["arrays"].pop(), "other arrays"),
    ("an object as dtype", lambda header: header.update(record=[["final_seconds", "|O"]]), "describes a column"),
    ("a text as dtype", lambda header: header.update(record=[["final_seconds", "<U8"]]), "describes a column"),
    ("a foreign byte order", lambda header: header.update(record=[["final_seconds", ">f8"]]), "describes a column"),
    ("a column of another name", lambda header: header.update(record=[["surprise", "<f8"]]), "other columns"),
    ("a constant is a text", lambda header: header["constants"].update(parameters="5"), "constant that is no number"),
    ("cells are negative", lambda header: header["info"].update(cells=-1), "says cells"),
    ("cells are a text", lambda header: header["info"].update(cells="ten"), "says cells"),
    ("more cells than there are", lambda header: header["info"].update(cells=10_000), "bytes by its header"),
    ("more records than there are", lambda header: header["info"].update(records=1 << 30), "more records than"),
    ("no epoch budget", lambda header: header["info"].update(epoch_budgets=[]), "no epoch budget"),
    ("an epoch budget is a text", lambda header: header["info"].update(epoch_budgets=["x"]), "epoch_budgets"),
    ("spaces are a list of lists", lambda header: header["info"].update(spaces=[[1]]), "spaces"),
    ("an unknown kind", lambda header: header["info"].update(kind="better"), "expected official or other"),
    ("official with another hash", lambda header: header["info"].update(kind="official"), "calls itself official"),
    *(
        (f"another table labelled {label!r}", lambda header, label=label: header["info"].update(label=label), words)
        for label, words in (
            ("NAS-Bench-101", "cannot be labelled"),
            ("NAS-Bench-101 (official)", "cannot be labelled"),
            ("\uff2e\uff21\uff33-Bench-101", "told from any other"),
            ("\u0410 table", "told from any other"),
            ("\x1b[31mred", "told from any other"),
        )
    ),
    ("an extra key", lambda header: header.update(surprise=1), "unknown key 'surprise'"),
    ("an extra key of info", lambda header: header["info"].update(surprise=1), "unknown key 'surprise'"),
    *(
        (
            f"{name} beyond the file",
            lambda header, at=at: header["arrays"][at].update(position=1 << 40),
            "beyond the file",
        )
        for name, at in _ARRAYS.items()
    ),
    ("a position below zero", lambda header: header["arrays"][0].update(position=-64), "beyond the file"),
    ("a position is a fraction", lambda header: header["arrays"][0].update(position=64.5), "says position"),
]

_WRITTEN: list[tuple[str, bytes, str]] = [
    ("header nested 100,000 deep", b"[" * 100_000, "nested too deep"),
    ("header is not JSON", b"<html>", "not JSON"),
    ("header is not text", b"\xff\xfe\xff", "not JSON"),
    ("header is a list", b"[]", "no JSON object"),
    ("header is empty", b"", "not JSON"),
]


def cases() -> list[Case]:
    """Every forged header of an index."""
    changed = [Case("index", fault, words, _changed(change)) for fault, change, words in _CHANGED]
    written = [Case("index", fault, words, _written(header)) for fault, header, words in _WRITTEN]
    return [
        *changed,
        *written,
        Case("index", "an older format without info", "lacks info", _older),
        Case("index", "cut short", "the index has", _cut),
        Case("index", "empty", "the file is empty", lambda folder: _open(folder, b"")),
        Case("index", "some other file", "not an index of a table", lambda folder: _open(folder, b"PNG" * 100)),
    ]


def _changed(change: Change) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        body, header = _whole(folder)
        change(header)
        _forge(folder, body, json.dumps(header).encode())

    return make


def _written(header: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        _forge(folder, _whole(folder)[0], header)

    return make


def _older(folder: Path) -> None:
    _forge(folder, _whole(folder)[0], b"{}", FORMAT_VERSION - 1)


def _cut(folder: Path) -> None:
    body, header = _whole(folder)
    content = _sealed(body, json.dumps(header).encode(), FORMAT_VERSION)
    _open(folder, content + b"more")


def _whole(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """What precedes the header of a good index, and the header."""
    table_of_ten(folder / "whole.index")
    content = (folder / "whole.index").read_bytes()
    _, _, position, length, _ = PREFIX.unpack_from(content)
    return content[:position], json.loads(content[position : position + length])


def _forge(folder: Path, body: bytes, header: bytes, version: int = FORMAT_VERSION) -> None:
    _open(folder, _sealed(body, header, version))


def _sealed(body: bytes, header: bytes, version: int) -> bytes:
    prefix = PREFIX.pack(MAGIC, version, len(body), len(header), google_crc32c.value(header))
    return prefix + body[PREFIX.size :] + header


def _open(folder: Path, content: bytes) -> None:
    (folder / "forged.index").write_bytes(content)
    open_table(folder / "forged.index")
