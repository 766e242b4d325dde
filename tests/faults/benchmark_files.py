"""Benchmark files that are none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from harness.benchmarks.registry import get_benchmark
from harness.search.settings import resolve
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.faults.case import Case

_WHOLE = 'name = "mine"\n[images]\nsource = "digits"\n'
_NAMES = [
    "figures",
    "statistics",
    ".x",
    "..",
    "a/b",
    "x/../../escaped",
    "",
    "x" * 255,
    "NAS-Bench-\uff11\uff10\uff11",
    "\uff44igits",
    "di\u0261its",
]

_FILES = [
    ("images is a number", 'name = "mine"\nimages = 3\n', "to be a section"),
    ("images is a list", 'name = "mine"\nimages = [1, 2]\n', "to be a section"),
    ("table is a number", f"table = 1\n{_WHOLE}", "to be a section"),
    ("judge is a list", f"judge = []\n{_WHOLE}", "to be a section"),
    ("settings is a text", f'settings = "x"\n{_WHOLE}', "to be a section"),
    ("spaces is a number", f"spaces = 1\n{_WHOLE}", "to be a section"),
    ("a space is a list", f"{_WHOLE}[spaces]\n1 = []\n", "to be a section"),
    ("a recipe is a number", f"{_WHOLE}[judge]\nrecipe = 1\n", "to be a section"),
    ("a kind of judge is a list", f"{_WHOLE}[judge]\nkind = [1]\n", "to be one of"),
    ("images' path is a number", 'name = "mine"\n[images]\nsource = "digits"\npath = 1\n', "to be text"),
    ("images' source is missing", 'name = "mine"\n', "expected [images] source"),
    ("the name is missing", '[images]\nsource = "digits"\n', "expected a name"),
    ("the name is a number", f"name = 1\n{_WHOLE.partition(chr(10))[2]}", "expected a name"),
    ("an unknown key", f"nonsense = 1\n{_WHOLE}", "unknown key nonsense"),
    ("lists nested 5,000 deep", f"{_WHOLE}[settings]\nx = {'[' * 5000}{']' * 5000}\n", "a few levels deep"),
    ("sections nested 5,000 deep", f"{_WHOLE}[settings.{'.'.join('a' * 5000)}]\nx = 1\n", ""),
    ("an integer of 5,000 digits", f"{_WHOLE}[settings]\n'data.images' = {'9' * 5000}\n", "not a TOML file"),
    ("a hexadecimal integer of 5,000 digits", f"{_WHOLE}[settings]\n'data.images' = 0x{'f' * 5000}\n", "64 bits"),
    ("no TOML at all", "<html>", "not a TOML file"),
    ("larger than a megabyte", f"{_WHOLE}#{'x' * (1 << 20)}", "of at most 1,048,576 bytes"),
    ("epochs are 0", f"{_WHOLE}[settings]\nepochs = 0\n", "epochs: expected a whole number from 1 to 100,000"),
    ("epochs are negative", f"{_WHOLE}[settings]\nepochs = -3\n", "epochs: expected a whole number from 1 to 100,000"),
    (
        "epochs are a billion",
        f"{_WHOLE}[settings]\nepochs = 1e9\n",
        "epochs: expected a whole number from 1 to 100,000",
    ),
    ("epochs are a list", f"{_WHOLE}[settings]\nepochs = [1]\n", "epochs: expected a whole number from 1 to 100,000"),
]


def cases() -> list[Case]:
    """Every fault of a benchmark file."""
    named = [(f"the name {_short(name)!r}", _WHOLE.replace("mine", name), "name") for name in _NAMES]
    return [Case("benchmark file", fault, words, _read(text)) for fault, text, words in [*named, *_FILES]] + [
        Case("benchmark file", "is a folder", "expected a TOML file", _folder),
        Case("benchmark file", "is a pipe", "expected a TOML file", _other(os.mkfifo)),
        Case(
            "benchmark file", "is /dev/zero", "expected a TOML file", _other(lambda path: path.symlink_to("/dev/zero"))
        ),
        Case("benchmark file", "is a link to itself", "", _other(lambda path: path.symlink_to(path.name))),
        Case("benchmark file", "is not text", "not a TOML file", _read(b"\xff\xfe\x00")),
        Case("benchmark file", "is missing", "no such benchmark file", lambda folder: _search(folder / "mine.toml")),
    ]


def _short(text: str) -> str:
    return re.sub(r"x{20,}", f"x... ({len(text)} letters)", text)


def _read(content: str | bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        path = folder / "mine.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        _search(path)

    return make


def _folder(folder: Path) -> None:
    (folder / "mine.toml").mkdir()
    _search(folder / "mine.toml")


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _other(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        make(folder / "mine.toml")
        _search(folder / "mine.toml")

    return meet


def _search(path: Path) -> None:
    """What a search reads of a benchmark before it starts."""
    benchmark = get_benchmark(str(path))
    resolve(get_method("darts"), get_space(1), benchmark.settings_in(1), {}, None)
