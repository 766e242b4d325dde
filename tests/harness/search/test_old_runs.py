"""Searches that the version before the contracts began go on with this one as if nothing had happened.

`tests/golden/old_runs` holds three runs on digits that commit 02bc88e made from their first epoch to their last: their
record, all their lines, and the checkpoint of epoch 2. Here each resumes from that checkpoint, and the lines of the
epochs 3 and 4 are compared with those of then, seconds aside.
"""

from __future__ import annotations

import json
import lzma
import math
import platform
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.benchmarks.registry import get_benchmark
from harness.records.run_folder import Line, RunFolder
from harness.search.loop import Search
from harness.search.settings import recorded
from harness.search.setup import build
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.support.golden_vectors import COMMITTED
from tests.support.judging import TableOf
from tests.support.kept_runs import without_seconds

OLD_RUNS = COMMITTED / "old_runs"

STOPPED_AT = 2
"""The epoch whose checkpoint is kept."""

TOLERANCE = 1e-3
"""Of numbers on another processor or with another torch: single precision over two epochs of three steps. Validation
accuracies, of 24 images, may differ by one of them."""

names = pytest.mark.parametrize("name", ["sdarts_adv", "darts_es", "enas"])


@names
def test_a_run_begun_before_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    search, expected = interrupted(name, tmp_path)
    search.run()
    lines = search.folder.epochs()
    assert without_seconds(lines[: STOPPED_AT + 1]) == without_seconds(expected[: STOPPED_AT + 1])
    assert len(lines) == len(expected) == 5
    differing = [
        (line["epoch"], key)
        for line, theirs in zip(without_seconds(lines), without_seconds(expected), strict=True)
        for key in line.keys() | theirs.keys()
        if line.get(key, "missing") != theirs.get(key, "missing")
    ]
    if differing and (reason := elsewhere()):
        for line, theirs in zip(without_seconds(lines), without_seconds(expected), strict=True):
            assert_close(line, theirs, f"epoch {line['epoch']}")
        pytest.skip(f"equal to {TOLERANCE:g}, and not to the bit: {reason}")
    assert differing == []


@names
def test_a_run_from_before_says_of_every_number_what_a_new_one_says(name: str, tmp_path: Path) -> None:
    """A folder of then has no entry that this version would not write, and lacks none."""
    search, expected = interrupted(name, tmp_path)
    search.run()
    for line, theirs in zip(search.folder.epochs(), expected, strict=True):
        assert list(line) == list(theirs), line["epoch"]


def test_the_early_stop_lies_after_the_interruption() -> None:
    """So that what decides it, the curvature and the alphas of earlier epochs, comes from the checkpoint."""
    lines = [json.loads(line) for line in (OLD_RUNS / "darts_es" / "epochs.jsonl").read_text().splitlines()]
    assert [line.get("stopped_after") for line in lines] == [None, None, None, 3, 3]
    assert lines[-1]["returned_epoch"] == 1


def interrupted(name: str, path: Path) -> tuple[Search, list[Line]]:
    """The search of a run of then after epoch 2, in a folder of its own, and all lines that it had in the end."""
    kept = OLD_RUNS / name
    record = json.loads((kept / "config.json").read_text())
    lines = (kept / "epochs.jsonl").read_text().splitlines(keepends=True)
    folder = RunFolder(path / "seed0")
    folder.create(record, {})
    folder.checkpoint.write_bytes(lzma.decompress((kept / "checkpoint.pt.xz").read_bytes()))
    (folder.path / "epochs.jsonl").write_text("".join(lines[: STOPPED_AT + 1]))
    bench, method = get_benchmark(record["bench"]), get_method(record["optimizer"])
    space = get_space(record["space"])
    config = recorded(method, space, record["settings"], record["epochs"])
    search = build(folder, record, bench.images(), method, space, config, TableOf(bench.table(space.label)), "cpu")
    return search, [json.loads(line) for line in lines]


def elsewhere() -> str:
    """In what this machine differs from the one that made the runs, such that bits may differ; empty if in nothing."""
    here, there = conditions(), json.loads((OLD_RUNS / "made_on.json").read_text())
    return ", ".join(f"{key} {here[key]} here and {there[key]} there" for key in there if here[key] != there[key])


def conditions() -> dict[str, str]:
    """What the bits of a search on a CPU depend on, the number of threads aside."""
    processor = Path("/proc/cpuinfo")
    fields = dict.fromkeys(("vendor_id", "cpu family", "model"), "unknown")
    for line in processor.read_text().splitlines() if processor.exists() else []:
        key, _, value = line.partition(":")
        if key.strip() in fields:
            fields[key.strip()] = value.strip()
    machine = {"machine": platform.machine(), "instructions": torch.backends.cpu.get_cpu_capability()}
    return {"torch": torch.__version__, **machine, **fields}


def assert_close(ours: Any, theirs: Any, what: str) -> None:
    """Equal structures and texts, and numbers that differ by rounding."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), what
        for key in theirs:
            assert_close(ours[key], theirs[key], f"{what}, {key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), what
        for one, other in zip(ours, theirs, strict=True):
            assert_close(one, other, what)
    elif isinstance(theirs, float):
        allowed = 1.01 / 24 if "accuracy" in what else TOLERANCE
        assert math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=allowed), what
    else:
        assert ours == theirs, what
