"""Run the seeds of a request side by side, tell how they get on, and stop them cleanly.

Every seed runs in a process of its own from a fixed number of threads, so that it computes to the bit what it would
compute alone. Processes tell the parent of each recorded line; the parent alone writes to the terminal. Ctrl-C (or
SIGTERM) lets each finish the step it is in; what was recorded stays, and the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import queue
import re
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.benchmarks.registry import Benchmark, flattened, get_benchmark
from harness.errors import EXIT_USER_ERROR, UserError
from harness.launch.progress import Progress
from harness.records.run_folder import CONFIG, ENVIRONMENT, EPOCHS, Line, RunFolder, RunFolderError, run_path
from harness.search.settings import SearchConfig, resolve
from harness.tables.query import CellTable
from harness.tables.truths import Truths
from optimizers.registry import BUILT_IN_MODULES, Method, get_method, shadowed_offer
from spaces.nb101.space import get_space

if TYPE_CHECKING:
    from harness.search.loop import Search

EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """A command line, parsed.

    Attributes:
        bench: name or TOML path of the benchmark.
        space: 1, 2 or 3.
        optimizer: name of the method.
        seeds: seeds to run.
        epochs: epochs asked for; None for the benchmark's.
        results: results folder.
        device: auto, cpu or cuda.
        overrides: settings by dotted key, as text.
        name: name of the variant, or None.
        workers: seeds side by side; None for one a core, or one on a GPU.
        threads: CPU threads of each seed.
        table_backend: index, or nasbench for the official API.
        keep: epochs whose checkpoints are kept.
        command: the command line, for `env.json`.
    """

    bench: str
    space: int
    optimizer: str
    seeds: Sequence[int]
    epochs: int | None = None
    results: Path = Path("results")
    device: str = "auto"
    overrides: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    workers: int | None = None
    threads: int = 1
    table_backend: str = "index"
    keep: Sequence[int] = ()
    command: Sequence[str] = ()


@dataclass(frozen=True)
class _Seed:
    """One seed, as its process gets it; everything in it can be pickled."""

    request: Request
    config: SearchConfig
    seed: int
    path: Path
    device: str
    record: dict[str, Any]


@dataclass(frozen=True)
class _Plan:
    """What is to be done for one request."""

    method: str
    seeds: Sequence[_Seed]
    pending: Sequence[_Seed]
    workers: int


def launch(requests: Sequence[Request], dry_run: bool = False) -> int:
    """Run all seeds that are not finished, one request after the other.

    Returns:
        exit status: 0, 2 if a seed failed for a reason the user can mend, 1 if for another, 130 if interrupted.

    Raises:
        UserError: something cannot be run as asked; then nothing is.
    """
    if not dry_run:
        _start_importing()
    plans = [_plan(request) for request in requests]
    if dry_run:
        for plan in plans:
            _describe(plan)
        return 0
    for request in requests:
        _check_writable(request.results)
    status = 0
    for plan in plans:
        status = max(status, _run_all(plan.pending, plan.workers) if plan.pending else 0)
        for seed in plan.seeds:
            print(_summary(seed))
        if status == EXIT_INTERRUPTED:
            break
    return status


def _plan(request: Request) -> _Plan:
    """Settings and state of a request's seeds; tells of each."""
    bench = get_benchmark(request.bench)
    method = known_method(request.optimizer)
    if note := shadowed_offer(request.optimizer):
        print(f"note: {note}", file=sys.stderr)
    config, changed = resolve(method, bench.settings, request.overrides, request.epochs)
    name = _variant_name(request.name, changed)
    method_name = method.folder + (f"@{name}" if name else "")
    device = known_device(request.device)
    record = _record(request, bench, config, name)
    seeds = [
        _Seed(
            request,
            config,
            seed,
            run_path(request.results, bench.name, request.space, method_name, seed),
            device,
            {**record, "seed": seed},
        )
        for seed in request.seeds
    ]
    pending = []
    for seed in seeds:
        state = _state(seed)
        print(f"seed {seed.seed}: {state}, {seed.path}", flush=True)
        if missed := _missed(seed):
            print(f"note: seed {seed.seed}: past and not kept: epoch {', '.join(map(str, missed))}", file=sys.stderr)
        if not state.startswith("finished"):
            pending.append(seed)
    workers = request.workers or (1 if device == "cuda" else max(1, (os.cpu_count() or 1) // request.threads))
    return _Plan(method_name, seeds, pending, min(workers, len(pending)))


def _describe(plan: _Plan) -> None:
    """Say what would be run."""
    first = plan.seeds[0]
    print(
        f"would run {len(plan.pending)} of {len(plan.seeds)} seeds of {plan.method} on {first.record['bench']}, "
        f"space {first.request.space}, {first.config.epochs} epochs, {first.record['scale']}, on {first.device}, "
        f"{plan.workers} side by side"
    )
    print(json.dumps(first.config.to_json(), indent=1))


def known_method(name: str) -> Method:
    """The method called `name`.

    Raises:
        UserError: no such method, or a plug-in that cannot be used.
    """
    try:
        return get_method(name)
    except ValueError as error:
        raise UserError(str(error)) from None


def _start_importing() -> None:
    """Start the server that seeds are forked from: it imports torch once for all, while this process does so too.

    The server never touches CUDA, so that its children may.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.launch.seed_imports"])
    forkserver.ensure_running()


def _record(request: Request, bench: Benchmark, config: SearchConfig, name: str | None) -> dict[str, Any]:
    """What `config.json` holds, the seed aside; loads the data, so that mistakes show before any process starts."""
    images, table = bench.images(), bench.table(request.space)
    if request.table_backend == "nasbench":
        from harness.tables.official import check_source

        check_source(table)
    half = len(images.train_images) // 2
    count = config.data.images or half
    if not 1 <= count <= half:
        raise UserError(f"data.images: expected 1 to {half} images in each split of {bench.name}, got {count}")
    if config.network.cells < 1 or config.network.channels < 1 or config.data.batch_size < 1:
        raise UserError("expected at least 1 of network.cells, network.channels and data.batch_size")
    if config.network.partial_channels < 1 or config.network.channels % config.network.partial_channels:
        raise UserError(
            f"expected network.channels ({config.network.channels}) to be a multiple of network.partial_channels "
            f"({config.network.partial_channels})"
        )
    if late := [epoch for epoch in request.keep if epoch > config.epochs]:
        raise UserError(f"--keep: expected epochs from 0 to {config.epochs}, got {late[0]}")
    return {
        "format": 1,
        "bench": bench.name,
        "space": request.space,
        "optimizer": request.optimizer,
        "name": name,
        "epochs": config.epochs,
        "scale": f"{config.network.channels} channels, {config.network.cells} cells, {count:,}+{count:,} images",
        "images": images.name,
        "table": {
            "label": table.info.label,
            "kind": table.info.kind,
            "sha256": table.info.source_sha256,
            **Truths(table, get_space(request.space)).record(config.epochs),
        },
        "threads": request.threads,
        "keep": list(request.keep),
        "settings": config.to_json(),
    }


def _variant_name(name: str | None, changed: Mapping[str, Any]) -> str | None:
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(f"--name: expected letters, digits, '.', '_' and '-', got {name!r}")
        return name
    if not changed:
        return None
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]


def known_device(wanted: str) -> str:
    """cpu or cuda; `auto` is cuda where there is one.

    Raises:
        UserError: cuda is wanted and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("--device cuda: torch finds no CUDA device; use --device cpu, or install a CUDA build of torch")
    return "cuda" if available and wanted != "cpu" else "cpu"


def _state(seed: _Seed) -> str:
    """Where a seed stands, in words.

    Raises:
        UserError: its folder holds a run of another configuration.
    """
    folder = RunFolder(seed.path)
    if not (seed.path / CONFIG).exists():
        if (seed.path / EPOCHS).exists():
            raise UserError(f"{seed.path}: holds epochs but no {CONFIG}; move the folder away")
        return f"new, {seed.config.epochs} epochs"
    _check_same(folder.config(), seed)
    lines = folder.epochs()
    if folder.is_finished():
        return f"finished before ({seed.config.epochs} epochs), skipped"
    return f"goes on after epoch {lines[-1]['epoch']}" if lines else f"new, {seed.config.epochs} epochs"


def _missed(seed: _Seed) -> list[int]:
    """Epochs that were to be kept and cannot be any more."""
    folder = RunFolder(seed.path)
    # Of the last recorded epoch there is the checkpoint to resume from.
    return [
        epoch for epoch in seed.request.keep if epoch < len(folder.epochs()) - 1 and not folder.kept(epoch).exists()
    ]


def _check_same(found: Mapping[str, Any], seed: _Seed) -> None:
    wanted = json.loads(json.dumps(seed.record))
    records = (wanted, _with_later_settings(found, seed.config))
    ours, theirs = (flattened(_identity(record)) for record in records)
    if differing := [key for key in ours | theirs if ours.get(key) != theirs.get(key)]:
        first = differing[0]
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise UserError(
            f"{seed.path}: holds a run with {first} = {theirs.get(first)!r}, asked for is {ours.get(first)!r}{more}; "
            "give this one a --name or other --results"
        )


def _with_later_settings(found: Mapping[str, Any], config: SearchConfig) -> dict[str, Any]:
    """A record in which settings that came after it have their defaults, under which it is what it was.

    What is only measured besides may also begin with an epoch after the first.
    """
    defaults = SearchConfig(method=type(config.method)()).to_json()
    defaults["hessian"]["mixture"] = config.hessian.mixture
    settings = found.get("settings", {})
    merged = {section: {**fields, **settings.get(section, {})} for section, fields in defaults.items()}
    return {**found, "settings": {**settings, **merged}}


def _identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is.

    How many threads it has decides its last bits alone, and a resumed run keeps the number it started with. Which
    checkpoints are kept decides nothing. What the table says of the space follows from the table; runs of older
    versions lack it.
    """
    table = {key: value for key, value in record.get("table", {}).items() if key in ("label", "kind", "sha256")}
    return {**{key: value for key, value in record.items() if key not in ("threads", "keep")}, "table": table}


def _check_writable(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{results}: cannot be written ({error.strerror}); give another --results") from None


def _run_all(pending: Sequence[_Seed], workers: int) -> int:
    context = multiprocessing.get_context("forkserver")
    messages: Any = context.Queue()
    stop = context.Event()
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        stop.set()

    handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    progress = Progress([seed.seed for seed in pending], pending[0].config.epochs)
    waiting, running = list(pending), dict[int, Any]()
    failures: dict[int, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers and not interrupted:
                seed = waiting.pop(0)
                process = context.Process(target=_work, args=(seed, messages, stop), name=f"seed{seed.seed}")
                process.start()
                running[seed.seed] = process
            if interrupted and not running:
                break
            try:
                number, kind, content = messages.get(timeout=0.2)
            except queue.Empty:
                for number in [n for n, process in running.items() if process.exitcode is not None]:
                    if messages.empty():
                        code = running.pop(number).exitcode
                        if code != 0:
                            failures[number] = 1
                            progress.say(
                                f"seed {number}: its process died (exit status {code}); run the command again to go on"
                            )
                continue
            if kind == "line":
                progress.line(number, content)
                continue
            running.pop(number).join()
            if kind == "failed":
                failures[number] = content[0]
                progress.say(f"seed {number}: {content[1]}", error=True)
    except KeyboardInterrupt:
        for process in running.values():
            process.kill()
    finally:
        progress.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if interrupted:
        command = shlex.join(pending[0].request.command)
        print(
            f"interrupted; every recorded epoch is kept. The same command goes on from there: {command}",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    return max(failures.values(), default=0)


def _work(seed: _Seed, messages: Any, stop: Any) -> None:
    """Run one seed in a process of its own; tells of every line and of the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        parent = multiprocessing.parent_process()

        def stopped() -> bool:
            # A parent that was killed outright cannot say so; its seeds then stop as if it had.
            return stop.is_set() or (parent is not None and not parent.is_alive())

        _search(seed, lambda line: messages.put((seed.seed, "line", line)), stopped)
        messages.put((seed.seed, "ended", None))
    except (UserError, RunFolderError) as error:
        messages.put((seed.seed, "failed", (EXIT_USER_ERROR, f"error: {' '.join(str(error).split())}")))
    except OSError as error:
        text = f"error: {error.filename or seed.path}: {error.strerror}; what was recorded is kept"
        messages.put((seed.seed, "failed", (EXIT_USER_ERROR, text)))
    except Exception:
        messages.put((seed.seed, "failed", (1, traceback.format_exc())))
    # Taking torch apart takes seconds, and nothing is left to tidy once the messages are out.
    messages.close()
    messages.join_thread()
    os._exit(0)


def _search(seed: _Seed, report: Any, stopped: Any) -> None:
    folder = RunFolder(seed.path)
    with folder.locked():
        record = seed.record
        if (seed.path / CONFIG).exists():
            record = folder.config()
            _check_same(record, seed)
            record = {**record, "keep": sorted({*record.get("keep", ()), *seed.request.keep})}
        bench, method = get_benchmark(seed.request.bench), known_method(seed.request.optimizer)
        search = build(folder, record, bench, method, seed.config, _answering(bench, seed.request), seed.device)
        # A resumed run names every machine and version that it ran on.
        starts = folder.environment()["starts"] if (seed.path / ENVIRONMENT).exists() else []
        folder.create(record, {"starts": [*starts, _environment(seed, method)]})
        search.run(report, stopped)


def build(
    folder: RunFolder,
    record: Mapping[str, Any],
    bench: Benchmark,
    method: Method,
    config: SearchConfig,
    table: CellTable,
    device: str,
) -> Search:
    """The search that a folder's record describes, before its first epoch; sets torch's number of threads."""
    import torch

    from harness.data.images import halve
    from harness.search.loop import Search, Task

    torch.set_num_threads(int(record["threads"]))
    arrays = bench.images()
    training, validation = halve(arrays, device, limit=config.data.images or None)
    space, keep = get_space(record["space"]), record.get("keep", ())
    task = Task(bench.name, space, method, config, record["seed"], record["scale"], keep)
    return Search(task, folder, training, validation, table, arrays.classes)


def _answering(bench: Benchmark, request: Request) -> CellTable:
    """What answers for the cells of a search."""
    table = bench.table(request.space)
    if request.table_backend == "index":
        return table
    from harness.tables.official import OfficialTable

    return OfficialTable(table)


def _environment(seed: _Seed, method: Method) -> dict[str, Any]:
    import numpy
    import torch

    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": list(seed.request.command),
        "harness": __version__,
        "source": source_revision(),
        "plugin": _plugin_source(method),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "device": torch.cuda.get_device_name() if seed.device == "cuda" else "cpu",
        "cuda": torch.version.cuda if seed.device == "cuda" else None,
        "table_backend": seed.request.table_backend,
    }


def source_revision() -> str | None:
    """The commit of the checkout that runs, with `+` where files differ from it; None outside a checkout."""
    here = Path(__file__).parents[2]
    try:
        revision = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changes else "")


def _plugin_source(method: Method) -> dict[str, str] | None:
    """File and SHA-256 of a method from outside, which no revision of ours pins; None for a built-in one."""
    module = sys.modules[method.optimizer_class.__module__]
    if module.__name__ in BUILT_IN_MODULES or module.__file__ is None:
        return None
    return {"file": module.__file__, "sha256": hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()}


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _summary(seed: _Seed) -> str:
    """The end of a seed in a line."""
    try:
        lines = RunFolder(seed.path).epochs()
    except RunFolderError as error:
        return f"seed {seed.seed}: {error}"
    trained: list[Line] = lines[1:]
    if not trained:
        return f"seed {seed.seed}: no epoch finished, {seed.path}"
    last = trained[-1]
    text = f"seed {seed.seed}: epoch {last['epoch']}, cell {last['cell']}, test error {_percent(last['test_error'])}"
    if "stopped_after" in last:
        text += f", of epoch {last['returned_epoch']} (stopped early after epoch {last['stopped_after']})"
    judged = [line for line in trained if line["valid_error"] is not None]
    if judged:
        best = min(judged, key=lambda line: line["valid_error"])
        text += f"; best by validation: epoch {best['epoch']}, test error {_percent(best['test_error'])}"
    return f"{text}; {seed.path}"


def _percent(error: float | None) -> str:
    return "not in the table" if error is None else f"{100 * error:.2f} %"
