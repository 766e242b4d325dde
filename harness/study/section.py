"""A section of a study file, read key by key: every mistake is said with the line that it stands in."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness.benchmarks.registry import flattened
from harness.errors import UserError

KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("format", "name", "bench", "search", "table", "run", "compare"),
    "search": (
        "optimizers",
        "spaces",
        "seeds",
        "epochs",
        "grid",
        "skip",
        "set",
        "keep",
        "threads",
        "name",
        "priority",
        "rungs",
        "judge",
        "judge_every",
        "imports",
    ),
    "table": ("images", "space", "repeats", "cells", "first", "label", "recipe", "out", "priority"),
    "run": (
        "device",
        "cpus",
        "gpus",
        "workers",
        "retries",
        "silent_minutes",
        "budget_hours",
        "mixed_kinds",
        "ship_data",
        "sync_seconds",
    ),
    "compare": ("baseline", "measure", "family"),
}
"""Kind of section -> its keys; nothing for the top of the file."""

_MOST_SHOWN = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HEAD = re.compile(rf"\s*\[\[?\s*({'|'.join(filter(None, KEYS))})\s*\]")


@dataclass(frozen=True)
class Section:
    """A section of the file, read key by key.

    Attributes:
        path: of the file.
        source: text of the file.
        kind: `search`, `table`, `run`, `compare`, or nothing for the top.
        number: of the section among those of its kind, from 1; 0 where there is only one.
        content: as TOML gives it.
    """

    path: Path
    source: str
    kind: str
    number: int
    content: Mapping[str, Any]

    def fail(self, key: str, message: str) -> NoReturn:
        """Raise a mistake with line and key."""
        where = f"[[{self.kind}]] {self.number}: " if self.number else f"[{self.kind}] " if self.kind else ""
        raise UserError(f"{self.path}:{self.line(key)}: {where}{message}")

    def line(self, key: str = "") -> int:
        """The line of a key, or of the section's head where it cannot be told."""
        lines = self.source.splitlines()
        heads = [(place, head[1]) for place, line in enumerate(lines, 1) if (head := _HEAD.match(line))]
        own = [index for index, (_, kind) in enumerate(heads) if kind == self.kind]
        first, last = 1, len(lines)
        if own:
            index = own[min(max(self.number, 1), len(own)) - 1]
            first = heads[index][0]
            last = heads[index + 1][0] - 1 if index + 1 < len(heads) else last
        if not key:
            return first
        pattern = re.compile(rf"(?<![\w.]){re.escape(key)}(?![\w])")
        for place, line in enumerate(lines[first - 1 : last], first):
            if pattern.search(line.partition("#")[0]):
                return place
        return first

    def check_keys(self) -> None:
        """Refuse unknown keys."""
        for key in self.content:
            self.check_known(key, KEYS[self.kind])

    def check_known(self, key: str, known: Collection[str], where: str = "") -> None:
        """Refuse a key that is not known.

        Args:
            key: the key.
            known: those that are.
            where: what the message begins with.
        """
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
            self.fail(key, f"{where}unknown key {shown(key)}; {hint}")

    def section(self, key: str) -> Section:
        """A section within."""
        value = self.content.get(key, {})
        if not isinstance(value, Mapping):
            self.fail(key, f"{key}: expected a section [{key}], got {shown(value)}")
        section = Section(self.path, self.source, key, 0, value)
        section.check_keys()
        return section

    def sections(self, key: str) -> list[Section]:
        """Sections of one name, each checked for unknown keys."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            self.fail(key, f"{key}: expected sections [[{key}]], got {shown(value)}")
        sections = [Section(self.path, self.source, key, number, each) for number, each in enumerate(value, 1)]
        for section in sections:
            section.check_keys()
        return sections

    def text_of(self, key: str, value: object) -> str:
        """Text that is not empty."""
        if not isinstance(value, str) or not value or not value.isprintable():
            self.fail(key, f"{key}: expected text, got {shown(value)}")
        return value

    def text(self, key: str) -> str | None:
        """Text, or None where the key is missing."""
        return self.text_of(key, self.content[key]) if key in self.content else None

    def name(self, key: str, needed: bool = False) -> str | None:
        """What becomes part of a folder's name."""
        value = self.content.get(key)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not _NAME.fullmatch(value) or ".." in value:
            self.fail(
                key,
                f"{key}: expected letters from a to z, digits, '.', '_' and '-', at most 100, that begin with a letter "
                f"or a digit and have no '..', got {shown(value)}",
            )
        return value

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int | None:
        """A whole number within bounds."""
        value = self.content.get(key, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
            self.fail(key, f"{key}: expected a whole number from {low:,} to {high:,}, got {shown(value)}")
        return value

    def positive(self, key: str) -> float | None:
        """A finite number above 0, or None where the key is missing."""
        value = self.content.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            self.fail(key, f"{key}: expected a number above 0, got {shown(value)}")
        return float(value)

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        """One of some words."""
        value = self.content.get(key, default)
        if value not in choices:
            self.fail(key, f"{key}: expected one of {', '.join(choices)}, got {shown(value)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            self.fail(key, f"{key}: expected true or false, got {shown(value)}")
        return value

    def items(self, key: str, needed: bool = False) -> list[Any]:
        """A list; of different entries, and at least one where it is needed."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or (needed and not value):
            self.fail(key, f"{key}: expected a list{' of one or more' if needed else ''}, got {shown(value)}")
        for index, each in enumerate(value):
            if each in value[:index]:
                self.fail(key, f"{key}: expected each once, got {shown(each)} twice")
        return value

    def settings(self, key: str) -> dict[str, Any]:
        """Values by dotted key."""

        value = self.content.get(key, {})
        if not isinstance(value, Mapping):
            self.fail(key, f'{key}: expected settings such as {{ "weights.momentum" = 0.9 }}, got {shown(value)}')
        return flattened(value)

    def setting(self, key: str, setting: str, value: object) -> str:
        """The value of a setting, as text."""
        if not isinstance(value, (str, bool, int, float)) or (isinstance(value, float) and not math.isfinite(value)):
            self.fail(setting, f"{key}: {setting}: expected a number, text, true or false, got {shown(value)}")
        return str(value).lower() if isinstance(value, bool) else str(value)


def shown(value: object) -> str:
    """A value as a message repeats it."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
