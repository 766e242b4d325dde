"""Where a run's numbers come from: versions, machine, command, source revision and plug-in, for `env.json`."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import __version__


def environment(
    command: Sequence[str], device: str, table_backend: str, method_class: type, modules: Sequence[str] = ()
) -> dict[str, Any]:
    """What a run starts on, as one entry of `starts` in `env.json`; imports torch.

    Args:
        command: the command line.
        device: cpu or cuda.
        table_backend: index or nasbench.
        method_class: the class of the method, whose file is named where it is not ours.
        modules: further modules from outside that were imported for what they register or hold.
    """
    import numpy
    import torch

    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(command),
        "harness": __version__,
        "source": source_revision(),
        "plugin": plugin_source(method_class),
        "modules": module_digests(modules),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "cuda": torch.version.cuda if device == "cuda" else None,
        "table_backend": table_backend,
    }


def changed_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What of code, processor and torch differs between two starts of a run, in words; empty where nothing does.

    Args:
        before: an earlier entry of `starts`, of whichever version.
        now: that of `environment`.
    """
    changes = []
    for key, words in _DECIDING.items():
        if key in before and before[key] != now[key]:
            changes.append(f"{words} was {before[key]}, is {now[key]}")
    theirs, ours = (start.get("plugin") for start in (before, now))
    if isinstance(theirs, dict) and isinstance(ours, dict) and theirs.get("sha256") != ours["sha256"]:
        changes.append(f"the plug-in's file {ours['file']} has changed")
    recorded = before.get("modules")
    digests = recorded if isinstance(recorded, dict) else {}
    for name, digest in (now.get("modules") or {}).items():
        if digests.get(name, digest) != digest:
            changes.append(f"the module {name} has changed")
    return changes


_DECIDING = {
    "source": "the source",
    "harness": "the version",
    "torch": "torch",
    "cpu": "the processor",
    "instructions": "the processor's instruction set",
    "device": "the device",
}
"""Entries of a start that decide the last bits of a search, in words."""


def source_revision() -> str | None:
    """The commit of the checkout that runs, with `+` where files differ from it; None outside a checkout."""
    try:
        revision = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changes else "")


def plugin_source(method_class: type) -> dict[str, str] | None:
    """File and SHA-256 of a method from outside, which no revision of ours pins; None for a built-in one."""
    from optimizers.registry import BUILT_IN_MODULES

    module = sys.modules[method_class.__module__]
    if module.__name__ in BUILT_IN_MODULES or module.__file__ is None:
        return None
    return {"file": module.__file__, "sha256": hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()}


def module_digests(names: Sequence[str]) -> dict[str, str]:
    """Name -> SHA-256 of the file of each module that is imported and lies in one."""
    paths = {name: getattr(sys.modules.get(name), "__file__", None) for name in names}
    return {name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in paths.items() if path}


def processor() -> str:
    """The CPU's model as Linux names it; elsewhere what Python knows of it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    """What git says about the checkout that this file is in."""
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
