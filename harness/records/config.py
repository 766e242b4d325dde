"""What a run's `config.json` says: checked once, with one clear error, and read by name from then on.

`read_config` gives the typed view. The functions below it take the plain content, for those that build a search from it
or compare it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.records.catalogue import Quantity, recorded_quantities
from harness.records.line import as_number
from harness.records.run_folder import CONFIG, RunFolder, RunFolderError, SpaceLabel

FORMAT = 1
NO_JUDGE = "none"
"""The kind of judge of a run that asked none how good its architectures are, so that its errors are null."""

#: entry -> kinds that it may be of
_NEEDED: Mapping[str, tuple[type, ...]] = {
    "bench": (str,),
    "space": (int, str),
    "optimizer": (str,),
    "seed": (int,),
    "epochs": (int,),
}
_OPTIONAL: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "table": (dict,),
    "scale": (str,),
    "settings": (dict,),
    "quantities": (list,),
}
_KINDS = {str: "text", int: "a whole number", dict: "an object", list: "a list"}
BENCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The name of a benchmark: it becomes a folder's and a file's, and stands beside others, which letters of other scripts
imitate."""

_LONGEST = 1000
_SPACE = re.compile(r"(?!space\d+$)[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Config:
    """A run's configuration.

    Attributes:
        bench: the benchmark's name.
        space: the search space.
        method: the optimizer, with `@NAME` where its settings have a name.
        seed: the seed.
        epochs: how many epochs were asked for.
        scale: the size of network and data, in words; None where it was not recorded.
        quantities: those that the run records beyond the built-in ones.
        content: everything in the file, also what this version does not know.
    """

    bench: str
    space: SpaceLabel
    method: str
    seed: int
    epochs: int
    scale: str | None
    quantities: tuple[Quantity, ...]
    content: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of method, network and data, nested; empty where they were not recorded."""
        return dict(self.content.get("settings") or {})

    @property
    def table(self) -> str:
        """The label of what the errors come from, a table or another judge."""
        return table_label(self.content)

    @property
    def table_sha256(self) -> str:
        """The SHA-256 of what the errors come from, empty where it was not recorded."""
        return table_sha256(self.content)

    @property
    def table_identity(self) -> str:
        """The label with the start of the SHA-256, since two tables may share a label."""
        return f"{self.table} ({self.table_sha256[:12]})" if self.table_sha256 else self.table

    @property
    def judge_kind(self) -> str:
        """Of what kind the judge is: `official`, `trained`, `none` and so on; empty where it was not recorded."""
        return str((self.content.get("table") or {}).get("kind") or "")

    @property
    def optimum(self) -> float | None:
        """The lowest test error of the space, where the run recorded it: `table.optimum.test_error`."""
        recorded = (self.content.get("table") or {}).get("optimum")
        return as_number(recorded.get("test_error")) if isinstance(recorded, dict) else None

    @property
    def random_search(self) -> tuple[float, ...]:
        """Expected test error of random search after 1, 2, ... draws, where recorded: `table.random_search`."""
        recorded = (self.content.get("table") or {}).get("random_search")
        errors = recorded.get("test_error") if isinstance(recorded, dict) else None
        numbers = [as_number(error) for error in errors] if isinstance(errors, list) else []
        return () if None in numbers else tuple(number for number in numbers if number is not None)


def read_config(folder: RunFolder) -> Config:
    """A run's configuration.

    Raises:
        RunFolderError: the file cannot be read, or an entry is missing or of another kind.
    """
    content = folder.config()
    check_config(folder, content)
    try:
        quantities = recorded_quantities(content.get("quantities") or [])
    except ValueError as error:
        raise RunFolderError(f"{folder.path}: {CONFIG}: {error}") from None
    return Config(
        bench=content["bench"],
        space=content["space"],
        method=method_name(content),
        seed=content["seed"],
        epochs=content["epochs"],
        scale=content.get("scale"),
        quantities=quantities,
        content=content,
    )


def check_config(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Refuse a configuration that lacks what figures and statistics need.

    Raises:
        RunFolderError: an entry is missing or of another kind.
    """
    if content.get("format", FORMAT) != FORMAT:
        raise RunFolderError(
            f"{folder.path}: expected format {FORMAT}, got {content['format']!r}; draw it with the version that wrote "
            "it"
        )
    given = {key: kinds for key, kinds in _OPTIONAL.items() if content.get(key) is not None}
    for key, kinds in {**_NEEDED, **given}.items():
        value = content.get(key)
        if not isinstance(value, kinds) or isinstance(value, bool):
            expected = " or ".join(_KINDS[kind] for kind in kinds)
            raise _other(folder, key, expected, value)
    _check_names(folder, content)
    space = content["space"]
    if isinstance(space, str) and not _SPACE.fullmatch(space):
        raise RunFolderError(
            f"{folder.path}: {CONFIG}: expected space as a whole number, or as a name that begins with a letter, "
            f"got {space!r}"
        )


def _check_names(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Refuse names that cannot be shown, or that pass for others.

    Raises:
        RunFolderError: one is such.
    """
    if not BENCH.fullmatch(content["bench"]):
        expected = "a name of letters from a to z, digits, '-', '_' and '.', which becomes a file's"
        raise _other(folder, "bench", expected, content["bench"])
    label = (content.get("table") or {}).get("label", "")
    if not isinstance(label, str) or not label.isascii():
        raise _other(folder, "table.label", "text without letters that may imitate others (ASCII)", label)
    texts = {key: content.get(key) or "" for key in ("optimizer", "name", "scale")}
    for key, text in {**texts, "table.label": label}.items():
        if len(text) > _LONGEST or any(unicodedata.category(letter) == "Cc" for letter in text):
            expected = f"text of at most {_LONGEST} letters without control characters"
            raise _other(folder, key, expected, text[:_LONGEST])


def resumable_config(folder: RunFolder) -> dict[str, Any]:
    """The content of a configuration that a search is to go on from, whose parts are of the kinds that this takes.

    Raises:
        RunFolderError: the file cannot be read, or a part is of another kind.
    """
    content = folder.config()
    check_config(folder, content)
    keep, settings = content.get("keep", []), content.get("settings") or {}
    if not isinstance(keep, list) or not all(type(epoch) is int for epoch in keep):
        raise _other(folder, "keep", "a list of whole numbers", keep)
    for section, fields in settings.items():
        if not isinstance(fields, dict):
            raise _other(folder, f"settings.{section}", "an object", fields)
    if not isinstance(content.get("table", {}), dict):
        raise _other(folder, "table", "an object", content["table"])
    return content


def _other(folder: RunFolder, key: str, kind: str, value: object) -> RunFolderError:
    return RunFolderError(f"{folder.path}: {CONFIG}: expected {key} as {kind}, got {value!r}")


def method_name(content: Mapping[str, Any]) -> str:
    """The optimizer, with `@NAME` where its settings have a name."""
    name = content.get("name")
    return f"{content['optimizer']}@{name}" if name else str(content["optimizer"])


def table_label(content: Mapping[str, Any]) -> str:
    """The label of the table, or another judge, that a run's errors come from; `none` where it was not recorded."""
    return str((content.get("table") or {}).get("label", "none"))


def table_sha256(content: Mapping[str, Any]) -> str:
    """The SHA-256 of the table that a run's errors come from, empty where it was not recorded."""
    return str((content.get("table") or {}).get("sha256") or "")


def results_folder(run: Path) -> Path:
    """The results folder that a run lies in: RESULTS/<bench>/<space>/<method>/seed<i>."""
    parents = run.resolve().parents
    return parents[min(3, len(parents) - 1)]


def differing(expected: Mapping[str, Any], got: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """Dotted names of the entries in which two nested settings differ.

    An entry that only one of the two has came with a later version. Runs of the same name then have it at its default,
    unless a user gave two configurations one `--name`.
    """
    for key in expected.keys() & got.keys():
        left, right = expected[key], got[key]
        if isinstance(left, dict) and isinstance(right, dict):
            yield from differing(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}"
