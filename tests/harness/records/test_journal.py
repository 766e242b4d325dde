from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from harness.records.journal import ResultError, is_there, journal

CONDITIONS = {"points": 3, "method": "darts"}


def test_what_was_appended_before_an_interruption_is_there_afterwards(tmp_path: Path) -> None:
    result = tmp_path / "landscape" / "epoch2.json"
    with contextlib.suppress(KeyboardInterrupt), journal(result, CONDITIONS) as first:
        first.append({"row": 0})
        first.append({"row": 1})
        raise KeyboardInterrupt
    assert not result.exists()
    with journal(result, CONDITIONS) as second:
        assert second.parts == [{"row": 0}, {"row": 1}]
        second.append({"row": 2})
        second.finish({**CONDITIONS, "rows": second.parts})
    assert json.loads(result.read_text())["rows"] == [{"row": 0}, {"row": 1}, {"row": 2}]
    assert [path.name for path in result.parent.iterdir()] == ["epoch2.json"]


@pytest.mark.parametrize("torn", ['{"row": 1', '{"row": 1}\n{"ro', "?\n"])
def test_a_torn_line_is_dropped_and_the_next_one_is_whole(torn: str, tmp_path: Path) -> None:
    result = tmp_path / "epoch2.json"
    with journal(result, CONDITIONS) as first:
        first.append({"row": 0})
    with (tmp_path / "epoch2.parts.jsonl").open("a") as file:
        file.write(torn)
    with journal(result, CONDITIONS) as second:
        there = len(second.parts)
        second.append({"row": there})
    with journal(result, CONDITIONS) as third:
        assert third.parts == [{"row": row} for row in range(there + 1)]
    assert there == torn.startswith('{"row": 1}') + 1


def test_parts_under_other_conditions_are_not_taken(tmp_path: Path) -> None:
    result = tmp_path / "epoch2.json"
    with journal(result, CONDITIONS) as first:
        first.append({"row": 0})
    with journal(result, {**CONDITIONS, "points": 5}) as second:
        assert second.parts == []


def test_a_second_process_at_the_same_result_is_refused(tmp_path: Path) -> None:
    result = tmp_path / "epoch2.json"
    with (
        journal(result, CONDITIONS),
        pytest.raises(ResultError, match="another process is computing this"),
        journal(result, CONDITIONS),
    ):
        pass


def test_a_result_is_there_or_not_or_of_other_conditions(tmp_path: Path) -> None:
    result = tmp_path / "epoch2.json"
    assert not is_there(result, CONDITIONS)
    result.write_text(json.dumps({**CONDITIONS, "more": 1}))
    assert is_there(result, CONDITIONS)
    with pytest.raises(ResultError, match="was computed with points = 3, asked for is 5; move it away"):
        is_there(result, {**CONDITIONS, "points": 5})
    result.write_text("[")
    with pytest.raises(ResultError, match="expected a result as JSON"):
        is_there(result, CONDITIONS)


def test_a_journal_is_not_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "epoch2.parts.jsonl").symlink_to(victim)
    with (
        pytest.raises(ResultError, match=r"epoch2\.parts\.jsonl: is a link"),
        journal(tmp_path / "epoch2.json", CONDITIONS),
    ):
        pass
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "?"])
def test_a_result_that_is_none_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "epoch2.json").write_text(content)
    with pytest.raises(ResultError, match=r"epoch2\.json: expected a result as JSON"):
        is_there(tmp_path / "epoch2.json", CONDITIONS)
