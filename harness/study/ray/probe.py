"""What a node is: its code, torch, processor and GPU, and whether it has the data that tasks were planned with.

What needs no torch is told first, so that a node with other code is not asked for more.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import __version__
from harness.data.folder import ENVIRONMENT_VARIABLE
from harness.errors import UserError
from harness.launch.pool import Link
from harness.launch.provenance import processor
from harness.launch.request import Request
from harness.records.run_folder import RunFolderError
from harness.study.ray.hosting import run_forked
from harness.study.task import SEARCH, Task

_CODE = ("harness", "optimizers", "spaces")


def code() -> str:
    """Version and SHA-256 of the project's code that runs here, plots aside."""
    digest = hashlib.sha256()
    home = Path(__file__).parents[3]
    for room in _CODE:
        for path in sorted((home / room).rglob("*.py")):
            digest.update(f"{path.relative_to(home).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{__version__} ({digest.hexdigest()[:12]})"


def need_of(task: Task) -> str:
    """What a task needs of a node's data and plug-ins, as lines call it; tasks that need the same share it."""
    if task.kind != SEARCH:
        return "/".join(task.group[:2])
    request = task.content["request"]
    outside = [name for name in (str(request["optimizer"]), *request["imports"]) if ":" in name or "." in name]
    return " with ".join(["/".join(task.group[:2]), *outside])


def needs_of(tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """What tasks need -> what a node is held against; called where the tasks were planned.

    Raises:
        UserError: images of a table cannot be loaded.
    """
    first: dict[str, Task] = {}
    for task in tasks:
        first.setdefault(need_of(task), task)
    needs: dict[str, dict[str, Any]] = {}
    for name, task in first.items():
        if task.kind == SEARCH:
            plugins = plugin_digests(Request.from_json(task.content["request"]))
            needs[name] = {"seed": dict(task.content), "plugins": plugins}
        else:
            from harness.launch.plan import Loaded

            images = str(task.content["images"])
            needs[name] = {"images": images, "images_sha256": Loaded().digest(images)}
    return needs


def plugin_modules(request: Request) -> list[str]:
    """The modules that a request names: of its method, its space, and those that are imported first."""
    named = [name.partition(":")[0] for name in (request.optimizer, str(request.space)) if ":" in name]
    return list(dict.fromkeys([*named, *request.imports]))


def plugin_digests(request: Request) -> dict[str, str | None]:
    """SHA-256 of the files of the modules that a request names, once they are imported."""
    digests: dict[str, str | None] = {}
    for name in plugin_modules(request):
        file = getattr(sys.modules.get(name), "__file__", None)
        digests[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    return digests


def look(expected: str, needs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What this node says of itself, as the fields of `harness.study.ray.nodes.Machine`.

    Args:
        expected: the code of the study process; where this node has another, the rest is left out.
        needs: as `needs_of` gives it.

    Raises:
        UserError: the process that has torch did not end well.
    """
    own = {"host": platform.node(), "code": code(), "cpu": processor(), "gpu": gpu_model()}
    if own["code"] != expected:
        return own
    told, failure = run_forked(look_with_torch, dict(needs))
    if failure:
        raise UserError(failure.text.strip().splitlines()[-1])
    return {**own, **told[0]}


def look_with_torch(needs: Mapping[str, Mapping[str, Any]], link: Link) -> None:
    """In a process with torch: tell its version, the processor's instruction set, and what is missing of the data."""
    import torch

    unfit = {name: what for name, need in needs.items() if (what := _missing(need))}
    link.tell(
        {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability(), "unfit": unfit},
    )


def gpu_model() -> str:
    """The GPU's model as torch calls it; empty where there is none, all of them where they differ."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return " and ".join(sorted({line.strip() for line in listed.splitlines() if line.strip()}))


def _missing(need: Mapping[str, Any]) -> str | None:
    """What this node lacks, or has otherwise; None where it has all."""
    if "data" in need:
        os.environ[ENVIRONMENT_VARIABLE] = need["data"]
    try:
        return _differing_images(need) if "seed" not in need else _differing(need)
    except (UserError, RunFolderError, OSError) as error:
        return " ".join(str(error).split())


def _differing_images(need: Mapping[str, Any]) -> str | None:
    from harness.launch.plan import Loaded

    return None if Loaded().digest(need["images"]) == need["images_sha256"] else "its images are others"


def _differing(need: Mapping[str, Any]) -> str | None:
    """In what a search that this node would run differs from the planned one."""
    from harness.launch.plan import Loaded
    from harness.launch.seed import Seed
    from harness.search.settings import resolve
    from harness.search.setup import import_for, judge_of, known_method, known_space

    seed, loaded = Seed.from_json(need["seed"]), Loaded()
    request, record = seed.request, seed.record
    import_for(request)
    bench, method, space = loaded.bench(request.bench), known_method(request.optimizer), known_space(record["space"])
    digests = plugin_digests(request)
    for name, digest in need["plugins"].items():
        if digests.get(name) != digest:
            return f"its plug-in {name} is another"
    if loaded.digest(request.bench) != record["images_sha256"]:
        return "its images are others"
    config, _ = resolve(method, space, bench.settings_in(space.label), request.overrides, request.epochs)
    judge = judge_of(bench, space, config, "cpu", request)
    if judge.info.sha256 != record["table"]["sha256"]:
        return f"its table is another ({judge.info.label})"
    return None
