"""A run's configuration: read by name, and refused in one clear sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.records.config import read_config
from harness.records.run_folder import (
    RunFolder,
    RunFolderError,
    SpaceLabel,
    run_path,
    space_folder,
    space_name,
    space_names,
    space_order,
)

CONTENT: dict[str, Any] = {"bench": "digits", "space": 1, "optimizer": "darts", "seed": 0, "epochs": 2}


def folder_with(tmp_path: Path, **entries: Any) -> RunFolder:
    folder = RunFolder(tmp_path / "seed0")
    folder.create({**CONTENT, **entries}, {})
    return folder


def test_what_is_there_is_read_by_name_and_the_rest_has_a_default(tmp_path: Path) -> None:
    config = read_config(folder_with(tmp_path, name="wide", space="toy", table={"label": "t", "sha256": "ab" * 32}))
    assert (config.method, config.space, config.table_identity) == ("darts@wide", "toy", "t (abababababab)")
    assert (config.scale, config.settings, config.optimum, config.random_search) == (None, {}, None, ())
    assert config.content["epochs"] == 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"space": 1.5}, "expected space as a whole number or text, got 1.5"),
        ({"space": True}, "expected space as a whole number or text, got True"),
        ({"space": "../toy"}, "a name that begins with a letter, got '../toy'"),
        ({"space": "space1"}, "a name that begins with a letter"),
        ({"seed": "0"}, "expected seed as a whole number, got '0'"),
        ({"quantities": {}}, "expected quantities as a list"),
        ({"quantities": [{"name": "x"}]}, "expected label of the quantity 'x'"),
        ({"format": 2}, "expected format 1, got 2"),
    ],
)
def test_another_kind_of_entry_is_refused_with_what_was_expected(
    tmp_path: Path, entry: dict[str, Any], words: str
) -> None:
    with pytest.raises(RunFolderError) as refused:
        read_config(folder_with(tmp_path, **entry))
    assert words in str(refused.value)


def test_spaces_have_numbers_or_names() -> None:
    assert [space_folder(1), space_folder("toy")] == ["space1", "toy"]
    assert [space_name(1), space_name("toy")] == ["space 1", "toy"]
    assert [space_names([1]), space_names(["toy", 2, 1]), space_names(["toy", "darts"])] == [
        "space 1",
        "spaces 1, 2, toy",
        "darts, toy",
    ]
    spaces: list[SpaceLabel] = ["toy", 2, "darts", 1]
    assert sorted(spaces, key=space_order) == [1, 2, "darts", "toy"]
    assert run_path(Path("r"), "b", "toy", "darts", 0) == Path("r/b/toy/darts/seed0")
