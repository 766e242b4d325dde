"""A checkpoint is believed only where it is whole and of the run that reads it, and nothing is loaded before."""

from __future__ import annotations

import functools
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import UserError
from harness.records import seal
from harness.records.run_folder import RunFolder, RunFolderError
from harness.search.loop import Search
from tests.support.kept_runs import kept_search, without_seconds

STOPPED_AT = 2


def begun(results: Path, optimizer: str = "darts", seed: int = 0, **settings: Any) -> RunFolder:
    """A run that was stopped after epoch 2."""
    search = kept_search(results, optimizer, seed, keep=(1,), **settings)
    search.run(stopped=lambda: len(search.folder.epochs()) == STOPPED_AT + 1)
    return search.folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("stopped")
    begun(results)
    return results


def again(stopped: Path, results: Path) -> Search:
    """The search of a copy of the run that was stopped, before it goes on."""
    shutil.copytree(stopped, results, dirs_exist_ok=True)
    return kept_search(results, keep=(1,))


def refused(search: Search, message: str) -> None:
    """The search does not go on, and neither its state nor its folder is changed."""
    weights = [tensor.clone() for tensor in search.optimizer.weights.parameters.values()]
    before = {path: path.read_bytes() for path in search.folder.path.iterdir() if path.is_file()}
    with pytest.raises((UserError, RunFolderError), match=message) as caught:
        search.run()
    assert "\n" not in str(caught.value)
    assert all(map(torch.equal, weights, search.optimizer.weights.parameters.values()))
    assert before == {path: path.read_bytes() for path in search.folder.path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "checkpoint.pt: is of seed 1, expected is 0"),
        ({"optimizer": "sdarts_rs"}, "checkpoint.pt: is of method 'sdarts_rs', expected is 'darts'"),
        ({"weights__momentum": 0.5}, "checkpoint.pt: is of a run with other settings"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(
    other: dict[str, Any], message: str, stopped: Path, tmp_path: Path
) -> None:
    theirs = begun(tmp_path / "theirs", **other)
    search = again(stopped, tmp_path / "ours")
    shutil.copy(theirs.checkpoint, search.folder.checkpoint)
    refused(search, message)


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_a_flipped_bit_is_noticed(place: float, stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    content = bytearray(search.folder.checkpoint.read_bytes())
    content[min(int(place * len(content)), len(content) - 3)] ^= 4
    search.folder.checkpoint.write_bytes(content)
    refused(search, r"checkpoint\.pt: ")


def rewritten(path: Path, change: Callable[[dict[str, Any]], None], old: bool = False) -> None:
    """Change what a checkpoint holds: with a seal of its own again, or without one, as format 1 was."""
    archive, names = seal.read_sealed(path)
    saved = torch.load(io.BytesIO(archive), weights_only=True)
    change(saved)
    if old:
        saved["format"] = 1
    content = io.BytesIO()
    torch.save(saved, content)
    assert names is not None
    path.write_bytes(content.getvalue() if old else seal.sealed(content.getvalue(), names))


def set_first(part: str, change: Callable[[torch.Tensor], torch.Tensor], saved: dict[str, Any]) -> None:
    tensors = saved["optimizer"][part]
    key = 0 if isinstance(tensors, list) else next(iter(tensors))
    tensors[key] = change(tensors[key])


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("part", ["parameters", "buffers", "alphas"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.bfloat16), "got torch.bfloat16"),
        (lambda tensor: tensor[..., :-1], r"expected .* as torch.float32 \["),
        (lambda tensor: tensor * math.nan, "is not finite"),
        (lambda tensor: tensor + math.inf, "is not finite"),
        (lambda tensor: tensor.tolist(), "as a tensor, got list"),
    ],
)
def test_tensors_that_are_not_the_searchs_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], message: str, part: str, old: bool, stopped: Path, tmp_path: Path
) -> None:
    search = again(stopped, tmp_path)
    rewritten(search.folder.checkpoint, functools.partial(set_first, part, change), old)
    refused(search, rf"not a checkpoint of this configuration \(ValueError: .*{message}")


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved["line"].update(test_error=0.001), "holds another line of epoch 2"),
        (lambda saved: saved["line"].update(test_error=math.nan), "checkpoint.pt: "),
        (lambda saved: saved.pop("line"), "not a checkpoint of this configuration"),
        (lambda saved: saved.update(epoch=1), "checkpoint.pt: "),
        (lambda saved: saved.update(epoch=3), "checkpoint is of epoch 3|checkpoint.pt: "),
        (lambda saved: saved.update(epoch=-1), "checkpoint.pt: "),
    ],
)
def test_a_forged_line_or_epoch_is_refused(
    change: Callable[[dict[str, Any]], None], message: str, old: bool, stopped: Path, tmp_path: Path
) -> None:
    search = again(stopped, tmp_path)
    rewritten(search.folder.checkpoint, change, old)
    refused(search, message)


def test_a_checkpoint_of_format_1_goes_on_with_a_note(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = again(stopped, tmp_path)
    rewritten(search.folder.checkpoint, lambda saved: None, old=True)
    search.run()
    assert len(search.folder.epochs()) == 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "checkpoint.pt: is of format 1, which says neither whose it is nor whether it is whole" in said


def test_a_checkpoint_of_a_later_format_is_refused(stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    archive, names = seal.read_sealed(search.folder.checkpoint)
    assert names is not None
    content = seal.sealed(archive, names).replace(b'"format": 2', b'"format": 3')
    search.folder.checkpoint.write_bytes(content)
    refused(search, "is not as it was written")


def test_threads_changed_in_the_record_are_noticed(stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    path = search.folder.path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threads": 2}))
    refused(search, "is of threads 1, expected is 2")


def test_lines_before_the_checkpoint_that_were_changed_are_refused(stopped: Path, tmp_path: Path) -> None:
    """Even where they are of a version without checksums, which notices nothing by itself."""
    search = again(stopped, tmp_path)
    lines = search.folder.epochs()
    lines[0]["supernet_valid_loss"] += 0.1
    (search.folder.path / "epochs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused(search, r"checkpoint\.pt: was written after other lines")


def test_a_checkpoint_is_not_read_through_a_link(stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    search.folder.checkpoint.rename(tmp_path / "elsewhere.pt")
    search.folder.checkpoint.symlink_to(tmp_path / "elsewhere.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt: is a link; expected the file itself"):
        search.run()


def test_a_checkpoint_older_than_the_lines_is_replayed(stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    before = search.folder.epochs()
    shutil.copy(search.folder.kept(1), search.folder.checkpoint)
    reported: list[int] = []
    search.run(lambda line: reported.append(line["epoch"]))
    assert search.folder.epochs()[: STOPPED_AT + 1] == before
    assert reported == [3, 4]
    whole = kept_search(tmp_path / "whole", keep=())
    whole.run()
    assert without_seconds(search.folder.epochs()) == without_seconds(whole.folder.epochs())


def test_a_replay_that_comes_out_otherwise_is_refused(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = again(stopped, tmp_path)
    shutil.copy(search.folder.kept(1), search.folder.checkpoint)
    measure = search._measure
    monkeypatch.setattr(search, "_measure", lambda *arguments: {**measure(*arguments), "test_error": 0.5})
    before = (search.folder.path / "epochs.jsonl").read_bytes()
    with pytest.raises(UserError, match="epoch 2 came out with another test_error than is recorded"):
        search.run()
    assert (search.folder.path / "epochs.jsonl").read_bytes() == before


def test_a_missing_checkpoint_is_made_up_for_by_the_newest_kept_one(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = again(stopped, tmp_path / "whole")
    whole.run()
    search = again(stopped, tmp_path / "missing")
    search.folder.checkpoint.unlink()
    search.run()
    assert "missing, though 3 epochs are recorded; goes on from the kept one of epoch 1\n" in capsys.readouterr().err
    assert without_seconds(search.folder.epochs()) == without_seconds(whole.folder.epochs())
    assert search.folder.checkpoint.exists()


def test_without_a_kept_one_a_missing_checkpoint_ends_it(stopped: Path, tmp_path: Path) -> None:
    search = again(stopped, tmp_path)
    search.folder.checkpoint.unlink()
    search.folder.kept(1).unlink()
    refused(search, "missing, though 3 epochs are recorded; move the folder away")
