"""Small searches on digits whose folders can be revisited, run in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarks.registry import get_benchmark
from harness.records.run_folder import Line, RunFolder, run_path
from harness.search.loop import Search
from harness.search.settings import resolve
from harness.search.setup import build
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.support.judging import TableOf

EPOCHS = 4
SMALL = {"network.channels": "2", "data.images": "24", "data.batch_size": "10", "hessian.every": "0"}


def kept_search(
    results: Path, optimizer: str = "darts", seed: int = 0, keep: Sequence[int] = (0, 2), **settings: Any
) -> Search:
    """A search of four epochs that records into its place below `results`, as `harness.run` makes it."""
    bench, method = get_benchmark("digits"), get_method(optimizer)
    overrides = {**SMALL, **{key.replace("__", "."): str(value) for key, value in settings.items()}}
    space = get_space(1)
    config, _ = resolve(method, space, bench.settings, overrides, EPOCHS)
    table = bench.table(1)
    record = {
        "format": 1,
        "bench": "digits",
        "space": 1,
        "optimizer": optimizer,
        "name": None,
        "seed": seed,
        "epochs": EPOCHS,
        "scale": "tiny",
        "threads": 1,
        "keep": list(keep),
        "settings": config.to_json(),
        "table": {"label": table.info.label, "kind": table.info.kind, "sha256": table.info.source_sha256},
    }
    folder = RunFolder(run_path(results, "digits", 1, optimizer, seed))
    folder.create(record, {"starts": []})
    return build(folder, record, bench.images(), method, space, config, TableOf(table), "cpu")


def kept_run(results: Path, optimizer: str = "darts", seed: int = 0, **settings: Any) -> RunFolder:
    """The folder of such a search, finished."""
    search = kept_search(results, optimizer, seed, **settings)
    search.run()
    return search.folder


def without_seconds(lines: Sequence[Line]) -> list[Line]:
    """Lines without what no two searches share."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


class Killed(Exception):
    """What a test raises where a process might be killed."""


def killed_at_call(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which works until its call of that number, counted from 1."""
    calls = 0

    def limited(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        return function(*arguments, **named)

    return limited
