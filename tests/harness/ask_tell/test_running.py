from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.ask_tell.repeat import Limit
from harness.ask_tell.request import Request, plan
from harness.ask_tell.running import run
from harness.commands import audit
from harness.errors import UserError
from harness.records.repeats import find_repeats, read_repeats
from harness.records.run_folder import RunFolderError, find_folders


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    return Request("nb201", "nb201", "regularised_evolution", 4, Limit(30), results=tmp_path)


def lines(request: Request) -> list[str]:
    return (plan(request).folder.path / "repeats.jsonl").read_text().splitlines()


def test_a_folder_holds_what_was_asked_for_and_a_line_for_each_repeat(request_: Request) -> None:
    folder = run(request_)
    assert folder.path == request_.results / "nb201" / "nb201" / "regularised_evolution" / "repeats"
    record = read_repeats(folder)
    assert [repeat.evaluations for repeat in record.repeats] == [30] * 4
    assert record.random_search.mean[-1] < record.random_search.mean[0]
    assert record.optimum == pytest.approx(1 - 0.943733, abs=1e-6)
    settings = record.content["settings"]["regularised_evolution"]
    assert settings == {"population": 10, "tournament": 3, "identity": 0.0}
    assert folder.starts()[0]["libraries"]["numpy"]


def test_the_same_seed_gives_the_same_line_in_any_number_of_processes(request_: Request, tmp_path: Path) -> None:
    run(request_)
    other = dataclasses.replace(request_, results=tmp_path / "other")
    run(other, workers=2)
    assert lines(other) == lines(request_)


def test_repeats_that_are_there_are_kept_and_the_missing_ones_added(request_: Request, tmp_path: Path) -> None:
    run(dataclasses.replace(request_, repeats=2))
    before = lines(request_)
    folder = run(request_)
    assert lines(request_)[:2] == before
    assert len(folder.starts()) == 2
    assert read_repeats(folder).asked == 4
    whole = dataclasses.replace(request_, results=tmp_path / "whole")
    run(whole)
    assert lines(whole) == lines(request_)
    run(request_)
    assert len(folder.starts()) == 2


def test_a_torn_last_line_is_cut_off_and_run_again(request_: Request) -> None:
    path = run(request_).path / "repeats.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    run(request_)
    assert path.read_bytes() == content


def test_a_folder_of_something_else_is_refused_with_the_difference(request_: Request) -> None:
    run(request_)
    with pytest.raises(UserError, match="evaluations = 30, asked for is 31"):
        run(dataclasses.replace(request_, limit=Limit(31)))


def test_other_settings_have_a_folder_of_their_own(request_: Request) -> None:
    changed = dataclasses.replace(request_, overrides={"regularised_evolution.population": "5"})
    named = dataclasses.replace(changed, name="small")
    assert plan(changed).folder.path != plan(request_).folder.path
    assert plan(named).folder.path.parent.name == "regularised_evolution@small"
    assert plan(dataclasses.replace(request_, epochs=12)).folder.path != plan(request_).folder.path


def test_runs_and_repeats_are_told_apart(request_: Request) -> None:
    folder = run(request_)
    assert find_folders(request_.results) == ([], [])
    assert find_folders(folder.path) == ([], [])
    assert find_repeats(request_.results) == [folder]


def test_an_audit_verifies_them_and_names_what_was_changed(
    request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run(request_).path / "repeats.jsonl"
    assert audit.main([str(request_.results)]) == 0
    assert "1 runs: 1 verified, 0 unchecked, 0 failing" in capsys.readouterr().out
    changed = [json.loads(line) for line in path.read_text().splitlines()]
    changed[1]["incumbents"]["test_error"][-1] += 0.001
    path.write_text("".join(json.dumps(line) + "\n" for line in changed))
    assert audit.main([str(request_.results)]) == 1
    assert "repeats.jsonl:2: does not match its checksum" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("observed", 3, "expected observed as text"),
        ("repeats", True, "expected repeats as a whole number"),
        ("charged", None, "expected charged as text"),
        ("epochs", "many", "expected epochs as a whole number"),
    ],
)
def test_a_damaged_configuration_is_one_clear_error(request_: Request, key: str, value: object, words: str) -> None:
    folder = run(request_)
    content = json.loads((folder.path / "config.json").read_text())
    (folder.path / "config.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(RunFolderError, match=words):
        read_repeats(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bench": "digits", "space": "3"}, "no table of space 3"),
        ({"bench": "digits", "space": "toy"}, "no table of space toy"),
        ({"optimizer": "regularized_evolution"}, "did you mean regularised_evolution"),
        ({"optimizer": "darts"}, "unknown black-box method 'darts'"),
        ({"overrides": {"regularised_evolution.population": "0"}}, "expected a whole number from 1"),
        ({"overrides": {"population": "5"}}, "unknown setting population; known: regularised_evolution.population"),
        ({"observed": "repeat"}, "--observe repeat: NAS-Bench-201 CIFAR-10 has one number"),
        ({"limit": Limit(None, 5.0)}, "--seconds: NAS-Bench-201 CIFAR-10 has no seconds"),
        ({"epochs": 50}, "--epochs: expected one of the table's numbers of epochs, 12, 200, got 50"),
        ({"name": "../x"}, "--name: expected letters"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_written(
    request_: Request, change: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        run(dataclasses.replace(request_, **change))  # type: ignore[arg-type]
    assert list(request_.results.iterdir()) == []


def test_a_limit_that_not_one_evaluation_fits_into_is_refused(tmp_path: Path) -> None:
    request = Request("digits", "1", "random_search", 2, Limit(None, 0.001), results=tmp_path)
    with pytest.raises(UserError, match=r"not one evaluation fits into 0\.001 seconds"):
        run(request)


def test_a_missing_library_is_named_with_its_extra(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UserError, match=r"tpe: .*pip install 'one-shot-nas-harness\[optuna\]'"):
        run(dataclasses.replace(request_, optimizer="tpe"))
