"""Under what conditions runs arose, for a report: settings by whether methods differ in them, and environments."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.records.run_folder import RunFolder, RunFolderError
from plots.runs.records import Run, counted

Data = dict[str, Any]


def settings_of(configs: Mapping[str, Data]) -> Data:
    """Settings by dotted name: those that all methods share, and those in which they differ, by method."""
    by_method = {name: dict(_flat(config.get("settings") or {})) for name, config in configs.items()}
    shared: dict[str, str] = {}
    differing: dict[str, dict[str, str]] = {}
    for setting in sorted(set(itertools.chain.from_iterable(by_method.values()))):
        values = {name: its[setting] for name, its in by_method.items() if setting in its}
        if len(set(values.values())) == 1:
            shared[setting] = next(iter(values.values()))
        else:
            differing[setting] = values
    return {"shared": shared, "differing": differing}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value)


def environments_of(runs: Iterable[Run]) -> list[Data]:
    """Distinct environments that searches were started in, with how many runs and which commands; most runs first."""
    found: dict[str, Data] = {}
    for run in runs:
        for start in _starts(run):
            facts = {key: _fact(value) for key, value in start.items() if key not in ("started", "command")}
            entry = found.setdefault(json.dumps(facts), {"facts": facts, "runs": set(), "commands": {}, "started": []})
            entry["runs"].add(run.path)
            entry["commands"][_command(start.get("command"))] = None
            entry["started"].append(str(start.get("started") or ""))
    ordered = sorted(found.values(), key=lambda entry: -len(entry["runs"]))
    return [
        {
            "facts": entry["facts"],
            "runs": counted(len(entry["runs"]), "run"),
            "commands": [command for command in entry["commands"] if command],
            "first": min(entry["started"]),
            "last": max(entry["started"]),
        }
        for entry in ordered
    ]


def _starts(run: Run) -> list[Data]:
    try:
        starts = RunFolder(run.path).environment().get("starts")
    except (OSError, RunFolderError):
        return []
    return [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []


def _fact(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _command(words: object) -> str:
    return shlex.join(map(str, words)) if isinstance(words, list) else ""
