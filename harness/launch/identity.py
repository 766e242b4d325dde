"""What makes a run what it is: which parts of two records must agree for one to go on from the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.benchmarks.registry import flattened
from harness.errors import UserError

DECIDES_NOTHING = ("keep", "quantities")
"""Entries of a record that two records of one run may differ in. Which checkpoints are kept decides nothing, nor does
how the quantities of further probes are drawn."""

LATER_ENTRIES = ("threads", "images_sha256")
"""Entries that records from before them lack, which then say nothing of them."""

TABLE_IDENTITY = ("label", "sha256")
"""What a record names a table, or another judge, by. All else that it says of one follows from it."""


def check_same(path: Path, recorded: Mapping[str, Any], wanted: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Check that a folder holds the run that is asked for.

    Args:
        path: the run folder, for the message.
        recorded: what its `config.json` holds.
        wanted: what would be written there.
        defaults: section -> field -> value that a setting has in a record from before the setting.

    Raises:
        UserError: it holds another; the first difference is named.
    """
    if difference := first_difference(with_later_settings(recorded, defaults), wanted):
        mend = "give this one a --name or other --results"
        if difference.startswith("threads ="):
            mend = f"go on with --threads {recorded['threads']}, or {mend}"
        raise UserError(f"{path}: holds a run with {difference}; {mend}")


def first_difference(recorded: Mapping[str, Any], wanted: Mapping[str, Any], but: str = "asked for is") -> str | None:
    """In what two records are of different runs, such as `epochs = 2, asked for is 3`; None where they are of one run.

    Args:
        recorded: what a run folder's `config.json` holds.
        wanted: what would be written there.
        but: the words before the value that is wanted.
    """
    # Tuples become lists, as they have in the record that was read from a file.
    ours, theirs = (flattened(identity(json.loads(json.dumps(record)))) for record in (wanted, recorded))
    for key in LATER_ENTRIES:
        if key not in ours or key not in theirs:
            ours.pop(key, None)
            theirs.pop(key, None)
    differing = [key for key in ours | theirs if ours.get(key) != theirs.get(key)]
    if not differing:
        return None
    first = differing[0]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{first} = {theirs.get(first)!r}, {but} {ours.get(first)!r}{more}"


def with_later_settings(record: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The record with each setting that it lacks at its default, under which a run from before the setting ran."""
    settings = record.get("settings", {})
    merged = {section: {**fields, **settings.get(section, {})} for section, fields in defaults.items()}
    return {**record, "settings": {**settings, **merged}}


def identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a record that makes a run what it is."""
    table = {key: value for key, value in record.get("table", {}).items() if key in TABLE_IDENTITY}
    return {**{key: value for key, value in record.items() if key not in DECIDES_NOTHING}, "table": table}
