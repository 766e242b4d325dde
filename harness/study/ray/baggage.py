"""What travels to nodes besides orders: plug-ins, and with `ship_data` the files that benchmarks read.

Plug-ins travel by Ray's `runtime_env`, those that are installed as packages aside. Data travels as an archive for each
benchmark, which a node unpacks once into a folder that is called by its SHA-256; there the benchmark's own file lies,
too, so that paths in it, which are relative to it, lead to what came with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from harness.benchmarks.registry import get_benchmark
from harness.data.folder import ENVIRONMENT_VARIABLE, data_folder
from harness.errors import UserError
from harness.launch.request import Request
from harness.study.ray.probe import plugin_modules
from harness.study.ray.scratch import scratch_root
from harness.study.task import SEARCH, Task

_DATA = "data-"
_KEPT_SECONDS = 7 * 24 * 3600
"""Seconds after its last use that a node keeps data which came with a study."""

_MARK = "{data}"
"""What stands in an order for the folder that a node unpacked its data into; the node puts it in."""


@dataclass(frozen=True)
class Archive:
    """The files that a benchmark reads.

    Attributes:
        content: a zip archive.
        sha256: of it.
        bench: the benchmark's name, or the place of its file in the archive.
        data: the place of the data folder in the archive.
    """

    content: bytes = field(repr=False)
    sha256: str
    bench: str
    data: str


@dataclass
class Baggage:
    """What a study's tasks need on every node.

    Attributes:
        modules: files and folders of plug-ins.
        archives: benchmark -> what it reads.
    """

    modules: Sequence[str] = ()
    archives: Mapping[str, Archive] = field(default_factory=dict)
    _references: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, tasks: Sequence[Task], ship_data: bool) -> Baggage:
        """What tasks that were planned in this process need.

        Raises:
            UserError: data is to travel that cannot be read, or lies beside its benchmark's file in no common folder.
        """
        requests = [Request.from_json(task.content["request"]) for task in tasks if task.kind == SEARCH]
        names = dict.fromkeys(name for request in requests for name in plugin_modules(request))
        modules = dict.fromkeys(path for name in names if (path := _to_send(name)))
        benches: dict[str, set[int | str]] = {}
        for task in tasks:
            spaces = benches.setdefault(_bench_of(task), set())
            if task.kind == SEARCH and task.content["record"]["table"].get("sha256"):
                spaces.add(task.content["record"]["space"])
        archives = {bench: _archive(bench, spaces) for bench, spaces in benches.items()} if ship_data else {}
        return cls(tuple(modules), archives)

    def sent(self, ray: Any) -> Sequence[Any]:
        """The archives in Ray's object store, each put there once."""
        if not self._references:
            self._references += [ray.put(archive.content) for archive in self.archives.values()]
        return self._references

    def content_of(self, task: Task) -> dict[str, Any]:
        """What an attempt's process is given, with the benchmark where it lies on the node."""
        content = dict(task.content)
        if task.kind != SEARCH:
            done = {number for number in task.jobs if (task.path / f"job{number:06d}.json").exists()}
            content["groups"] = [
                [job for job in group if job["number"] not in done] for group in task.content["groups"]
            ]
        return self._moved(content, _bench_of(task))

    def environment_of(self, task: Task) -> dict[str, str]:
        """Variables of an attempt's process."""
        archive = self.archives.get(_bench_of(task))
        return {ENVIRONMENT_VARIABLE: f"{_MARK}{archive.sha256}/{archive.data}"} if archive else {}

    def needs(self, needs: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """What a node is held against, with the benchmarks where they lie on it."""
        moved = {}
        for name, need in needs.items():
            if "seed" in need:
                bench = str(need["seed"]["request"]["bench"])
                moved[name] = {**need, "seed": self._moved(need["seed"], bench)}
            else:
                bench = str(need["images"])
                moved[name] = self._moved(need, bench)
            if archive := self.archives.get(bench):
                moved[name]["data"] = f"{_MARK}{archive.sha256}/{archive.data}"
        return moved

    def _moved(self, content: Mapping[str, Any], bench: str) -> dict[str, Any]:
        archive = self.archives.get(bench)
        if not bench.endswith(".toml"):
            return dict(content)
        there = f"{_MARK}{archive.sha256}/{archive.bench}" if archive else str(Path(bench).resolve())
        if "request" in content:
            return {**content, "request": {**content["request"], "bench": there}}
        return {**content, "images": there}


def unpacked_here(archive: bytes) -> Path:
    """The folder that an archive is unpacked in on this node, which is done where it was not; old ones are removed.

    Raises:
        UserError: the archive leads out of its folder.
        OSError: it cannot be written.
    """
    root = scratch_root()
    target = root / f"{_DATA}{hashlib.sha256(archive).hexdigest()}"
    for path in root.glob(f"{_DATA}*"):
        if path != target and time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
    if target.is_dir():
        os.utime(target)
        return target
    building = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=root))
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            for name in files.namelist():
                parts = PurePosixPath(name).parts
                if not parts or ".." in parts or name.startswith("/"):
                    raise UserError(f"data that came with the study holds {name!r}, which leads out of its folder")
            files.extractall(building)
        # Another worker of this node may have been faster.
        with contextlib.suppress(OSError):
            building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def settled(content: Any) -> Any:
    """What an order says, with this node's folders for the data that came with the study."""
    if isinstance(content, str) and content.startswith(_MARK):
        return str(scratch_root() / f"{_DATA}{content.removeprefix(_MARK)}")
    if isinstance(content, dict):
        return {key: settled(value) for key, value in content.items()}
    return content


def _bench_of(task: Task) -> str:
    return str(task.content["request"]["bench"] if task.kind == SEARCH else task.content["images"])


def _to_send(name: str) -> str | None:
    """File or folder of the outermost package of a module; None where it is installed, or ours."""
    top = sys.modules.get(name.partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    own = Path(__file__).resolve().parents[3]
    if any(part in ("site-packages", "dist-packages") for part in path.parts):
        return None
    if path.is_relative_to(own) and path.relative_to(own).parts[0] in ("harness", "optimizers", "spaces"):
        return None
    return str(path.parent if path.name == "__init__.py" else path)


def _archive(bench: str, spaces: set[int | str]) -> Archive:
    """What a benchmark reads, as an archive."""
    benchmark = get_benchmark(bench)
    with _opened_files() as names:
        benchmark.images()
        for space in spaces:
            if space in benchmark.table_spaces:
                benchmark.table(space)
    source = benchmark.source
    if source.folder is not None and source.dataset.is_layout:
        names |= {str(path) for path in source.folder.rglob("*") if path.is_file()}
    data = data_folder().resolve()
    file = Path(bench).resolve() if bench.endswith(".toml") else None
    homes = [file.parent, data] if file else [data]
    if source.folder is not None:
        homes.append(source.folder.resolve())
    if file:
        names |= {str(file)}
    paths = sorted({path for name in names if (path := Path(name).resolve()).is_file() and _is_below(path, homes)})
    root = Path(os.path.commonpath([*paths, *([file.parent] if file else [data])])) if paths else data
    root = root if root.is_dir() else root.parent
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            archive.writestr(zipfile.ZipInfo(path.relative_to(root).as_posix()), path.read_bytes())
    packed = content.getvalue()
    place = data.relative_to(root).as_posix() if data.is_relative_to(root) else "."
    named = file.relative_to(root).as_posix() if file else bench
    return Archive(packed, hashlib.sha256(packed).hexdigest(), named, place)


def _is_below(path: Path, homes: Sequence[Path]) -> bool:
    return any(path.is_relative_to(home) for home in homes)


@contextlib.contextmanager
def _opened_files() -> Iterator[set[str]]:
    """The files that this process opens for reading while the block runs."""
    names: set[str] = set()
    watching = [True]

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[0], str):
            names.add(arguments[0])

    # A hook stays for good, and does nothing after the block.
    sys.addaudithook(hear)
    try:
        yield names
    finally:
        watching[0] = False
