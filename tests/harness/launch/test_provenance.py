"""What a run says when it goes on under other conditions."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.launch.provenance import changed_since, module_digests

START: dict[str, Any] = {
    "started": "2026-01-01T00:00:00+00:00",
    "source": "12ab",
    "harness": "0.1.0",
    "torch": "2.6.0",
    "cpu": "one",
    "device": "cpu",
    "plugin": {"file": "mine.py", "sha256": "34cd"},
}


def test_the_same_conditions_at_another_time_are_no_change() -> None:
    assert changed_since(START, {**START, "started": "2026-02-02T00:00:00+00:00"}) == []


@pytest.mark.parametrize(
    ("entries", "change"),
    [
        ({"source": "56ef+"}, "the source was 12ab, is 56ef+"),
        ({"torch": "2.7.0"}, "torch was 2.6.0, is 2.7.0"),
        ({"cpu": "another"}, "the processor was one, is another"),
        ({"plugin": {"file": "mine.py", "sha256": "0000"}}, "the plug-in's file mine.py has changed"),
    ],
)
def test_other_code_processor_or_torch_is_named(entries: dict[str, Any], change: str) -> None:
    assert changed_since(START, {**START, **entries}) == [change]


def test_what_an_earlier_version_did_not_record_is_no_change() -> None:
    assert changed_since({}, START) == []


def test_modules_from_outside_are_named_when_their_files_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_space_module.py").write_text("SIDE = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("my_space_module")
    before = {"modules": module_digests(["my_space_module", "sys", "not_imported"])}
    assert list(before["modules"]) == ["my_space_module"]
    (tmp_path / "my_space_module.py").write_text("SIDE = 5\n")
    now = {"modules": module_digests(["my_space_module"])}
    sys.modules.pop("my_space_module")
    assert changed_since({**START, **before}, {**START, **now}) == ["the module my_space_module has changed"]
    assert changed_since({**START, **before}, {**START, **before}) == []
    assert changed_since(START, {**START, **now}) == []
