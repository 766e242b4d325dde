"""The keeper: what it writes, and what it refuses to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.records.chain import check_of, start
from harness.records.files import write_atomically
from harness.records.run_folder import RunFolder
from harness.records.seal import run_names, sealed
from harness.study.ray import keeper as keeping
from harness.study.ray.keeper import END, RECORDED, STALE, STOP, Keeper
from harness.study.ray.parcel import packed, unpacked

CONFIG = {
    "bench": "digits",
    "space": 1,
    "optimizer": "darts",
    "name": None,
    "seed": 0,
    "epochs": 3,
    "threads": 1,
    "settings": {"weights": {"momentum": 0.9}},
    "table": {"sha256": "0" * 64},
}
ARCHIVE = b"PK\x05\x06" + 18 * b"\0"
TASK = "digits/space1/darts/seed0"


def checkpoint(epoch: int, config: dict[str, Any] = CONFIG) -> bytes:
    """Bytes that have a seal of an epoch."""
    return sealed(ARCHIVE, {**run_names(config), "epoch": epoch, "lines": ""})


def lines(count: int, config: dict[str, Any] = CONFIG) -> list[str]:
    """The first lines of a run, with their checksums."""
    check, texts = start(config), []
    for epoch in range(count):
        line = {"epoch": epoch, "test_error": 0.1}
        check = check_of(check, line)
        texts.append(json.dumps({**line, "check": check}))
    return texts


def record(
    attempt: int, texts: Sequence[str], files: dict[str, bytes] | None = None, begin: bool = False, **content: Any
) -> bytes:
    files = dict(files or {})
    if begin:
        files |= {"config.json": json.dumps(CONFIG).encode(), "env.json": b'{"starts": [{"cpu": "one"}]}'}
    return packed({"task": TASK, "attempt": attempt, "lines": list(texts), **content}, files)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / TASK


def opened(path: Path, attempt: int = 1, keeper: Keeper | None = None, **changed: Any) -> Keeper:
    keeper = keeper or Keeper()
    order = {"task": TASK, "attempt": attempt, "kind": "search", "path": str(path), "jobs": [], **changed}
    assert keeper.open(order) is not None
    return keeper


def failure(verdict: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(verdict)
    return found


def test_lines_and_checkpoint_are_written_and_told(path: Path) -> None:
    keeper = opened(path)
    texts = lines(2)
    assert keeper.record(record(1, texts[:1], {"checkpoint.pt": checkpoint(0)}, begin=True)) == RECORDED
    kept = {"checkpoint.pt": checkpoint(1), "checkpoints/epoch1.pt": checkpoint(1)}
    assert keeper.record(record(1, texts[1:], kept)) == RECORDED
    assert (path / "epochs.jsonl").read_text() == "".join(f"{text}\n" for text in texts)
    assert (path / "checkpoint.pt").read_bytes() == checkpoint(1)
    assert (path / "checkpoints" / "epoch1.pt").read_bytes() == checkpoint(1)
    assert RunFolder(path).starts() == [{"cpu": "one"}]
    told = [event["content"] for _, event in keeper.fetch(0)]
    assert told == [{"epoch": 0, "test_error": 0.1}, {"epoch": 1, "test_error": 0.1}]
    assert keeper.fetch(2) == []


def test_a_record_of_any_but_the_newest_attempt_is_refused(path: Path) -> None:
    keeper = opened(path)
    texts = lines(2)
    assert keeper.record(record(1, texts[:1], {"checkpoint.pt": checkpoint(0)}, begin=True)) == RECORDED
    opened(path, 2, keeper)
    before = (path / "epochs.jsonl").read_bytes()
    assert keeper.record(record(1, texts[1:], {"checkpoint.pt": checkpoint(1)})) == STALE
    assert (path / "epochs.jsonl").read_bytes() == before
    assert (path / "checkpoint.pt").read_bytes() == checkpoint(0)
    assert keeper.order(TASK, 1) == END
    assert keeper.record(record(2, texts[1:], {"checkpoint.pt": checkpoint(1)})) == RECORDED


def test_an_attempt_that_is_over_records_nothing_and_lets_go_of_the_folder(path: Path) -> None:
    keeper = opened(path)
    keeper.close(TASK, 1)
    assert keeper.record(record(1, lines(1), {"checkpoint.pt": checkpoint(0)}, begin=True)) == STALE
    assert not (path / "config.json").exists()
    with RunFolder(path).locked(patience=0.0):
        pass


def test_a_folder_that_another_process_holds_is_not_opened(path: Path) -> None:
    order = {"task": TASK, "attempt": 1, "kind": "search", "path": str(path), "jobs": []}
    with RunFolder(path).locked():
        assert Keeper().open(order) is None
    assert Keeper().open(order) is not None


def test_a_newer_attempt_gets_the_files_that_are_recorded_without_a_torn_line(path: Path) -> None:
    keeper = opened(path)
    texts = lines(1)
    keeper.record(record(1, texts, {"checkpoint.pt": checkpoint(0)}, begin=True))
    with (path / "epochs.jsonl").open("a") as file:
        file.write('{"epoch": 1, "te')
    given = keeper.open({"task": TASK, "attempt": 2, "kind": "search", "path": str(path), "jobs": []})
    assert given is not None
    content, files = unpacked(given)
    assert content == {"lines": 1}
    assert set(files) == {"config.json", "env.json", "epochs.jsonl", "checkpoint.pt"}
    assert files["epochs.jsonl"].decode() == texts[0] + "\n"


def test_the_keeper_can_be_killed_between_any_two_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several lines at once: the checkpoint is never more than its own line ahead."""
    texts = lines(4)
    written: list[tuple[str, int]] = []

    def remember(target: Path, data: bytes) -> None:
        write_atomically(target, data)
        log = path / "epochs.jsonl"
        written.append((target.name, log.read_bytes().count(b"\n") if log.exists() else 0))

    monkeypatch.setattr(keeping, "write_atomically", remember)
    keeper = opened(path)
    assert keeper.record(record(1, texts, {"checkpoint.pt": checkpoint(3)}, begin=True)) == RECORDED
    assert written == [("env.json", 0), ("config.json", 0), ("checkpoint.pt", 3)]


@pytest.mark.parametrize(
    ("parcel", "said"),
    [
        (record(1, lines(2)[1:], begin=True), "expected epoch 0, got 1"),
        (record(1, [lines(1)[0].replace("0.1", "0.2")], begin=True), "checksum of other lines"),
        (record(1, lines(1), {"checkpoint.pt": checkpoint(0)[:-30] + 30 * b"x"}, begin=True), "not as it was written"),
        (record(1, lines(1), {"checkpoint.pt": b"cos\nsystem\n(S'true'\ntR."}, begin=True), "not a checkpoint"),
        (record(1, lines(1), {"checkpoint.pt": checkpoint(0, {**CONFIG, "seed": 1})}, begin=True), "is of seed 1"),
        (record(1, lines(1), {"checkpoint.pt": checkpoint(7)}, begin=True), "is of epoch 7"),
        (record(1, lines(1), {"../env.json": b"{}"}, begin=True), "no attempt writes"),
        (record(1, lines(1), {"checkpoints/../../epoch1.pt": b""}, begin=True), "no attempt writes"),
        (record(1, lines(1), begin=True)[:-5], "torn"),
        (b"\x80\x05cos\nsystem\n", "no record"),
    ],
)
def test_a_record_that_does_not_go_on_from_what_is_written_changes_nothing(
    path: Path, parcel: bytes, said: str
) -> None:
    keeper = opened(path)
    told = failure(keeper.record(parcel))
    assert said in told["text"]
    assert not told["died"]
    assert sorted(file.name for file in path.iterdir() if file.name != ".lock") == []


def test_a_record_of_another_run_than_the_folders_is_refused(path: Path) -> None:
    keeper = opened(path)
    keeper.record(record(1, lines(1), {"checkpoint.pt": checkpoint(0)}, begin=True))
    other = json.dumps({**CONFIG, "seed": 3}).encode()
    parcel = record(1, [], {"config.json": other, "env.json": b'{"starts": []}'})
    assert "another run" in failure(keeper.record(parcel))["text"]
    assert RunFolder(path).config() == CONFIG


def test_a_full_disk_ends_the_attempt_and_may_be_otherwise_the_next_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(target: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(target))

    keeper = opened(path)
    monkeypatch.setattr(keeping, "write_atomically", full)
    told = failure(keeper.record(record(1, lines(1), {"checkpoint.pt": checkpoint(0)}, begin=True)))
    assert told["passing"]
    assert "No space left on device; what was recorded is kept" in told["text"]


def test_a_folder_that_is_damaged_ends_the_attempt_before_it_begins(path: Path) -> None:
    keeper = opened(path)
    keeper.record(record(1, lines(2), {"checkpoint.pt": checkpoint(1)}, begin=True))
    log = path / "epochs.jsonl"
    log.write_bytes(log.read_bytes().replace(b"0.1", b"0.7", 1))
    given = keeper.open({"task": TASK, "attempt": 2, "kind": "search", "path": str(path), "jobs": []})
    assert given is not None
    content, files = unpacked(given)
    assert "does not match its checksum" in content["failure"]["text"]
    assert content["failure"]["status"] == 2
    assert files == {}


def test_the_last_line_of_a_diverged_search_is_written_behind_the_checkpoint_before_it(path: Path) -> None:
    texts = lines(2)
    last = {"epoch": 2, "test_error": None, "diverged": "training loss"}
    last["check"] = check_of(json.loads(texts[1])["check"], last)
    keeper = opened(path)
    parcel = record(1, [*texts, json.dumps(last)], {"checkpoint.pt": checkpoint(1)}, begin=True)
    assert keeper.record(parcel) == RECORDED
    assert RunFolder(path).epochs()[-1]["diverged"] == "training loss"


def test_jobs_of_a_table_are_written_where_they_are_of_the_unit(path: Path) -> None:
    path.mkdir(parents=True)
    keeper = opened(path, kind="table", jobs=[3, 4])
    told = {"jobs": [3], "cells": 9, "seconds": 1.0}
    good = packed({"task": TASK, "attempt": 1, "told": [told]}, {"job000003.json": b'{"cells": []}'})
    assert keeper.record(good) == RECORDED
    assert (path / "job000003.json").read_bytes() == b'{"cells": []}'
    assert [event["content"] for _, event in keeper.fetch(0)] == [told]
    other = packed({"task": TASK, "attempt": 1, "told": [told]}, {"job000005.json": b'{"cells": []}'})
    assert "not the measurements" in failure(keeper.record(other))["text"]
    assert not (path / "job000005.json").exists()


def test_an_attempt_hears_that_it_should_stop(path: Path) -> None:
    keeper = opened(path)
    assert keeper.order(TASK, 1) is None
    keeper.stop(TASK, 1)
    assert keeper.order(TASK, 1) == STOP
    keeper.close(TASK, 1)
    assert keeper.order(TASK, 1) == END
