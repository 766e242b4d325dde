"""What would be run: the settings of each request, and where each of its seeds stands.

Planning finds the mistakes before any process starts. It loads data and tables, once however many requests name them,
and imports the methods, and with them torch, for their settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.benchmarks.registry import Benchmark, get_benchmark
from harness.errors import MissingDataError, UserError, printable
from harness.launch.identity import check_same, first_difference
from harness.launch.request import Request
from harness.launch.seed import Seed
from harness.records.config import resumable_config
from harness.records.line import DIVERGED
from harness.records.run_folder import CONFIG, EPOCHS, RunFolder, run_path

if TYPE_CHECKING:
    from harness.data.arrays import ImageArrays
    from harness.judges.base import Judge
    from harness.search.settings import SearchConfig
    from optimizers.registry import Method
    from spaces.registry import AnySpace

MOST_THREADS = 1024


@dataclass(frozen=True)
class Plan:
    """What is to be done for one request.

    Attributes:
        method: the method's name in paths, with `@NAME` where settings differ from its preset.
        config: all settings.
        seeds: all seeds of the request.
        pending: those that are not finished.
        workers: how many seeds may run side by side.
    """

    method: str
    config: SearchConfig
    seeds: Sequence[Seed]
    pending: Sequence[Seed]
    workers: int


def plan_all(requests: Sequence[Request], loaded: Loaded | None = None) -> list[Plan]:
    """The plan of each request; tells of each seed on the terminal.

    A folder that several requests mean is planned for the first of them alone.

    Args:
        requests: what is asked for.
        loaded: what is loaded already; None for nothing.

    Raises:
        UserError: something cannot be run as asked, or two requests mean one folder with different settings.
    """
    from optimizers.companions.registry import companion_problems

    loaded = loaded or Loaded()
    for problem in companion_problems():
        loaded.note(f"{problem}; searches go on without it")
    planned: dict[Path, Seed] = {}
    plans = []
    for request in requests:
        plan = plan_request(request, loaded, several=len(requests) > 1)
        for seed in plan.seeds:
            earlier = planned.setdefault(seed.path, seed)
            if difference := first_difference(earlier.record, seed.record, "then with"):
                raise UserError(f"{seed.path}: asked for twice, with {difference}; give one of them a --name")
        pending = [seed for seed in plan.seeds if planned[seed.path] is seed and not _announce(seed)]
        if pending:
            _check_fits(replace(plan, pending=pending), loaded)
        plans.append(replace(plan, pending=pending))
    return plans


def describe_all(requests: Sequence[Request]) -> None:
    """Say what would be run, with all settings, and for the first request how long a seed of it would take.

    Where images or a table are not there yet, the same is said without them, and what is missing in a line on stderr.

    Raises:
        UserError: something cannot be run as asked.
    """
    from harness.launch.estimate import estimate, random_images

    loaded = Loaded()
    asked = [_asked(request, loaded) for request in requests]
    first = asked[0]
    try:
        plans = plan_all(requests, loaded)
    except MissingDataError as error:
        for request, one in zip(requests, asked, strict=True):
            _describe(one, f"{len(request.seeds)} seeds", one.config.network.scale, one.workers)
        images = random_images(first.bench.source.described_by())
        record = {"bench": first.bench.name, "space": first.space.label, "scale": "", "threads": requests[0].threads}
        print(f"note: cannot be run before its data are there: {error}", file=sys.stderr)
    else:
        for plan, one in zip(plans, asked, strict=True):
            pending = len(plan.pending)
            seeds = f"{pending} of {len(plan.seeds)} seeds"
            _describe(one, seeds, plan.seeds[0].record["scale"], min(plan.workers, pending))
        if not plans[0].pending:
            return
        images, record = loaded.images(requests[0].bench), plans[0].seeds[0].record
    if images is not None:
        print("estimate: timing a few steps, for which nobody needs to wait", file=sys.stderr, flush=True)
        time = estimate(record, images, first.space, first.method, first.config, first.device)
        print(f"estimate: {time}", file=sys.stderr)


def _describe(asked: _Asked, seeds: str, scale: str, side_by_side: int) -> None:
    print(
        f"would run {seeds} of {asked.name} on {asked.bench.name}, space {asked.space.label}, "
        f"{asked.config.epochs} epochs, {scale}, on {asked.device}, {side_by_side} side by side"
    )
    print(json.dumps(asked.config.to_json(), indent=1), flush=True)


class Loaded:
    """Benchmarks with their images, and what judges say of their spaces; each is loaded once.

    Args:
        without_data: load none, for a plan that says what would be run where the data need not be.

    Attributes:
        notes: what was said on the terminal already, which is said once.
    """

    def __init__(self, without_data: bool = False) -> None:
        self.without_data = without_data
        self.bench = cache(get_benchmark)
        self.images = cache(self._images)
        self.digest = cache(self._digest)
        self.shadowed = cache(self._shadowed)
        self.notes: set[str] = set()
        self._truths: dict[tuple[str, str, int | str, int], dict[str, Any]] = {}

    def _shadowed(self, optimizer: str) -> str | None:
        """What is to be said of another package's method of this name; looking for it opens every package's list."""
        from optimizers.registry import shadowed_offer

        return shadowed_offer(optimizer)

    def _images(self, bench: str) -> ImageArrays:
        return self.bench(bench).images()

    def _digest(self, bench: str) -> str:
        """SHA-256 of the images and the labels that searches train and validate on."""
        import numpy as np

        arrays = self.images(bench)
        digest = hashlib.sha256()
        for array in (arrays.train_images, arrays.train_labels):
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def note(self, text: str) -> None:
        """Say something on the terminal, unless it was said."""
        if text not in self.notes:
            self.notes.add(text)
            print(f"note: {printable(text)}", file=sys.stderr)

    def truths(self, judge: Judge, space: AnySpace, epochs: int) -> dict[str, Any]:
        """What a judge says of a whole space; judges of one source say the same."""
        key = judge.info.label, judge.info.sha256, space.label, epochs
        if key not in self._truths:
            self._truths[key] = judge.truths(epochs)
        return self._truths[key]


@dataclass(frozen=True)
class _Asked:
    """What a request means, as far as it can be said without images and tables.

    Attributes:
        bench: the benchmark.
        space: the space.
        method: the method.
        config: all settings.
        variant: what stands behind `@`, or None.
        device: cpu or cuda.
        workers: how many seeds may run side by side.
    """

    bench: Benchmark
    space: AnySpace
    method: Method
    config: SearchConfig
    variant: str | None
    device: str
    workers: int

    @property
    def name(self) -> str:
        """The method's name in paths, with `@NAME` where settings differ from its preset."""
        return self.method.folder + (f"@{self.variant}" if self.variant else "")


def _asked(request: Request, loaded: Loaded, elsewhere: str | None = None) -> _Asked:
    """Raises `UserError` where something is not known or not allowed."""
    from harness.search.settings import resolve
    from harness.search.setup import import_for, known_device, known_method, known_space

    import_for(request)
    bench = loaded.bench(request.bench)
    space = known_space(request.space)
    method = known_method(request.optimizer)
    config, changed = resolve(method, space, bench.settings_in(space.label), request.overrides, request.epochs)
    device = elsewhere or known_device(request.device)
    workers = request.workers or (1 if device == "cuda" else max(1, (os.cpu_count() or 1) // request.threads))
    return _Asked(bench, space, method, config, _variant_name(request.name, changed), device, workers)


def plan_request(request: Request, loaded: Loaded, several: bool, elsewhere: str | None = None) -> Plan:
    """Settings and seeds of a request, all of them pending.

    Args:
        request: the request.
        loaded: what is loaded once.
        several: whether there are other requests, so that seeds are called by their folders.
        elsewhere: the device, cpu or cuda, where seeds run on other machines than this one.

    Raises:
        UserError: something cannot be run as asked.
    """
    from harness.search.settings import default_config

    asked = _asked(request, loaded, elsewhere)
    bench, space, config, device = asked.bench, asked.space, asked.config, asked.device
    if request.judge is None and bench.judge_in(space.label) == "none":
        loaded.note(
            f"{bench.name} has no table of space {space.label}, so test errors are not recorded; "
            "--judge train trains what is found from scratch"
        )
    if note := loaded.shadowed(request.optimizer):
        loaded.note(note)
    record = _record(request, bench, space, config, asked.variant, device, loaded)
    # What is only measured besides may also begin with an epoch after the first.
    defaults = default_config(asked.method, space).to_json()
    defaults["hessian"]["mixture"] = config.hessian.mixture
    seeds = []
    for number in request.seeds:
        path = run_path(request.results, bench.name, space.label, asked.name, number)
        label = str(path.relative_to(request.results)) if several else f"seed {number}"
        seeds.append(Seed(request, number, path, label, device, {**record, "seed": number}, defaults))
    return Plan(asked.name, config, seeds, seeds, asked.workers)


def _check_fits(plan: Plan, loaded: Loaded) -> None:
    """Refuse seeds that cannot fit into this machine's memory; those on a GPU look for themselves, which wakes it.

    Raises:
        UserError: they cannot.
    """
    from harness.search.memory import check_memory
    from spaces.base import InputShape

    first = plan.pending[0]
    if first.device == "cuda":
        return
    arrays = loaded.images(first.request.bench)
    channels, height, width = arrays.train_images.shape[1:]
    pixels = (height // plan.config.data.shrink) * (width // plan.config.data.shrink)
    count = plan.config.data.images or len(arrays.train_images) // 2
    side_by_side = min(plan.workers, len(plan.pending))
    check_memory(plan.config, InputShape(channels, arrays.classes), pixels, count, "cpu", side_by_side)


def _announce(seed: Seed) -> bool:
    """Tell where a seed stands; whether there is nothing left to run of it."""
    state = _state(seed)
    print(f"{seed.label}: {state}, {seed.path}", flush=True)
    if missed := _missed(seed):
        print(f"note: {seed.label}: past and not kept: epoch {', '.join(map(str, missed))}", file=sys.stderr)
    return state.startswith(("finished", "diverged"))


def _record(
    request: Request,
    bench: Benchmark,
    space: AnySpace,
    config: SearchConfig,
    name: str | None,
    device: str,
    loaded: Loaded,
) -> dict[str, Any]:
    """What `config.json` holds, the seed aside; loads the data, so that mistakes show before any process starts."""
    from harness.probes.registry import extra_probes
    from harness.search.setup import judge_of

    if late := [epoch for epoch in request.keep if epoch > config.epochs]:
        raise UserError(f"--keep: expected epochs from 0 to {config.epochs}, got {late[0]}")
    if not 1 <= request.threads <= MOST_THREADS:
        raise UserError(f"--threads: expected 1 to {MOST_THREADS}, got {request.threads}")
    if loaded.without_data:
        return {"bench": bench.name, "space": space.label, "epochs": config.epochs, "scale": ""}
    judge = judge_of(bench, space, config, device, request)
    images = loaded.images(request.bench)
    quantities = [quantity.to_json() for probe in extra_probes(config.probes.extra) for quantity in probe.quantities]
    half = len(images.train_images) // 2
    count = config.data.images or half
    if not 1 <= count <= half:
        raise UserError(f"data.images: expected 1 to {half} images in each split of {bench.name}, got {count}")
    return {
        "format": 1,
        "bench": bench.name,
        "space": space.label,
        "optimizer": request.optimizer,
        "name": name,
        "epochs": config.epochs,
        "scale": _scale(bench, config, count),
        "images": images.name,
        "images_sha256": loaded.digest(request.bench),
        "table": {
            "label": judge.info.label,
            "kind": judge.info.kind,
            "sha256": judge.info.sha256,
            **loaded.truths(judge, space, config.epochs),
        },
        **({"quantities": quantities} if quantities else {}),
        **({"imports": list(request.imports)} if request.imports else {}),
        "threads": request.threads,
        "keep": list(request.keep),
        "settings": config.to_json(),
    }


def _scale(bench: Benchmark, config: SearchConfig, count: int) -> str:
    """Size of network and data in words, and what of the benchmark is scaled down."""
    shrunk = f", shrunk {config.data.shrink} times" if config.data.shrink > 1 else ""
    scaling = f"; {bench.scaling}" if bench.scaling else ""
    return f"{config.network.scale}, {count:,}+{count:,} images{shrunk}{scaling}"


def _variant_name(name: str | None, changed: Mapping[str, Any]) -> str | None:
    """What stands behind `@`: the user's name, or a digest of the changed settings; None where nothing is changed."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or len(name) > 100:
            raise UserError(f"--name: expected letters, digits, '.', '_' and '-', at most 100 of them, got {name!r}")
        return name
    if not changed:
        return None
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]


def _state(seed: Seed) -> str:
    """Where a seed stands, in words.

    Raises:
        UserError: its folder holds a run of another configuration.
    """
    folder = RunFolder(seed.path)
    if not (seed.path / CONFIG).exists():
        if (seed.path / EPOCHS).exists():
            raise UserError(f"{seed.path}: holds epochs but no {CONFIG}; move the folder away")
        return f"new, {seed.epochs} epochs"
    check_same(seed.path, resumable_config(folder), seed.record, seed.defaults)
    lines = folder.epochs()
    if lines and (what := lines[-1].get(DIVERGED)):
        return f"diverged before ({what}), not run again; other settings are another run, by --set"
    if folder.is_finished():
        return f"finished before ({seed.epochs} epochs), skipped"
    return f"goes on after epoch {lines[-1]['epoch']}" if lines else f"new, {seed.epochs} epochs"


def _missed(seed: Seed) -> list[int]:
    """Epochs that were to be kept and cannot be any more."""
    if not seed.request.keep:
        return []
    folder = RunFolder(seed.path)
    # Of the last recorded epoch there is the checkpoint to resume from.
    last = len(folder.epochs()) - 1
    return [epoch for epoch in seed.request.keep if epoch < last and not folder.kept(epoch).exists()]
