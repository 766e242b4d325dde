"""What lies in the folder of a search that goes on: a checkpoint, lines, a configuration that are not this run's.

It is long since it is one table, whose rows share how a folder is changed and how the search then goes on.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harness.records import seal
from harness.records.run_folder import RunFolder
from harness.search.settings import resolve
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.faults.case import Case, Survival
from tests.support.seeds_here import asked, begun, folder_of, lines_of, quiet, search

Change = Callable[[RunFolder], object]


def cases() -> list[Case | Survival]:
    """Every fault of a folder to go on from."""
    return [*_checkpoints(), *_lines(), *_configurations(), *_links(), *_gone_on(), *_diverged()]


def _checkpoints() -> list[Case]:
    of_others: list[tuple[str, dict[str, Any], str]] = [
        ("another seed's, of the same epoch", {"seed": 1}, "is of seed 1, expected is 0"),
        ("another seed's, of the next epoch", {"seed": 1, "recorded": None}, "is of seed 1, expected is 0"),
        ("another method's", {"optimizer": "gdas"}, "is of method 'gdas@small', expected is 'darts@small'"),
        ("of other settings", {"weights__momentum": "0.5"}, "is of a run with other settings"),
    ]
    changed: list[tuple[str, Change, str]] = [
        *((f"a flipped bit at {place} of it", _flipped(place), "checkpoint.pt: ") for place in (0.1, 0.5, 0.9)),
        ("cut in half", lambda folder: os.truncate(folder.checkpoint, 20_000), "not a checkpoint, or one that was cut"),
        ("empty", lambda folder: folder.checkpoint.write_bytes(b""), "not a checkpoint, or one that was cut"),
        ("some other file", lambda folder: folder.checkpoint.write_bytes(b"PNG" * 999), "not a checkpoint"),
        ("missing", _without_checkpoints, "missing, though 3 epochs are recorded; move the folder away"),
        ("a folder", lambda folder: _replaced(folder.checkpoint).mkdir(), "is a folder; expected a regular file"),
        ("a pipe", lambda folder: os.mkfifo(_replaced(folder.checkpoint)), "is a pipe; expected a regular file"),
        (
            "a link to another seed's",
            lambda folder: _replaced(folder.checkpoint).symlink_to(folder.kept(1)),
            "is a link; expected the file itself",
        ),
        ("of another epoch, with that one's line", _kept_one_forged, "was written after other lines"),
    ]
    # Sealed anew, as by somebody who knows how.
    held: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
        ("weights cast to bfloat16", _tensor(lambda one: one.to(torch.bfloat16)), "got torch.bfloat16"),
        ("weights that are NaN", _tensor(lambda one: one * math.nan), "is not finite"),
        ("weights that are infinite", _tensor(lambda one: one + math.inf), "is not finite"),
        ("weights of another shape", _tensor(lambda one: one[..., :-1]), "expected"),
        ("a list in the place of weights", _tensor(lambda one: one.tolist()), "as a tensor, got list"),
        ("no weights", lambda saved: saved["optimizer"].pop("parameters"), "not a checkpoint of this configuration"),
        ("a forged line", lambda saved: saved["line"].update(train_loss=0.5), "holds another line of epoch 2"),
        ("no line", lambda saved: saved.pop("line"), "not a checkpoint of this configuration"),
        ("null as its line", lambda saved: saved.update(line=None), "not a checkpoint of this configuration"),
        ("the line of another epoch", lambda saved: saved["line"].update(epoch=1), "it is of epoch 2 and of epoch 1"),
        ("an epoch that is a text", lambda saved: saved.update(epoch="2"), "not a checkpoint of this configuration"),
        ("another format", lambda saved: saved.update(format=9), "format 9"),
        ("nothing", lambda saved: saved.clear(), "not a checkpoint of this configuration"),
    ]
    return [
        *(Case("checkpoint", fault, words, _with_file_of(other, "checkpoint.pt")) for fault, other, words in of_others),
        *(Case("checkpoint", fault, words, _resumed(change)) for fault, change, words in changed),
        *(Case("checkpoint", f"holds {fault}", words, _resumed(_rewritten(change))) for fault, change, words in held),
    ]


def _lines() -> list[Case]:
    log: list[tuple[str, Callable[[bytes], bytes], str]] = [
        ("a digit changed", _number_changed(b"0.123"), "does not match its checksum"),
        ("NaN in the place of a number", _number_changed(b"NaN"), "holds a number that is none"),
        ("1e999 in the place of a number", _number_changed(b"1e999"), "holds a number that is none"),
        ("the first line deleted", lambda text: text.partition(b"\n")[2], "expected epoch 0, got 1"),
        ("a line twice", lambda text: text.partition(b"\n")[0] + b"\n" + text, "expected epoch 1, got 0"),
        ("a line without its checksum", _without_check, "lacks the checksum that the line before has"),
        ("a byte-order mark", lambda text: b"\xef\xbb\xbf" + text, "not the line of an epoch"),
        ("nested 100,000 deep", lambda text: b"[" * 100_000 + b"\n" + text, "not the line of an epoch"),
        ("an integer of 5,000 digits", lambda text: b'{"epoch": ' + b"9" * 5000 + b"}\n", "not the line of an epoch"),
        ("HTML", lambda text: b"<html>\n", "not the line of an epoch"),
        ("a line that is a list", lambda text: b"[]\n" + text, "not the line of an epoch"),
        ("zeros, as after a loss of power", lambda text: text + bytes(512) + b"\n", "not the line of an epoch"),
        ("truncated to no line", lambda text: b"", "checkpoint is of epoch 2, but 0 lines are recorded"),
    ]
    of_another = "or the run in config.json was changed"
    return [
        *(Case("lines of a run", fault, words, _resumed(_logged(change))) for fault, change, words in log),
        Case("lines of a run", "another seed's", of_another, _with_file_of({"seed": 1}, "epochs.jsonl")),
        Case("lines of a run", "another method's", of_another, _with_file_of({"optimizer": "gdas"}, "epochs.jsonl")),
        Case("lines of a run", "deleted", "checkpoint is of epoch 2, but 0 lines", _resumed(_unlinked("epochs.jsonl"))),
        Case("lines of a run", "a pipe", "is a pipe; expected a regular file", _resumed(_piped("epochs.jsonl"))),
    ]


def _configurations() -> list[Case]:
    changed: list[tuple[str, dict[str, Any], str]] = [
        ("threads changed to 2", {"threads": 2}, "holds a run with threads = 2, asked for is 1; go on with --threads"),
        ("threads 0", {"threads": 0}, "holds a run with threads = 0, asked for is 1"),
        ("threads a text", {"threads": "1"}, "holds a run with threads = '1', asked for is 1"),
        ("threads 100,000", {"threads": 100_000}, "holds a run with threads = 100000"),
        ("the images' digest changed", {"images_sha256": "0" * 64}, "holds a run with images_sha256 ="),
        ("settings a list", {"settings": []}, "expected settings as an object"),
        (
            "a section of settings a number",
            {"settings": {"weights": 3}},
            "expected settings.weights as an object, got 3",
        ),
        ("the table null", {"table": None}, "expected table as an object, got None"),
        ("the table a list", {"table": []}, "expected table as an object"),
        ("kept epochs null", {"keep": None}, "expected keep as a list of whole numbers"),
        ("kept epochs of mixed kinds", {"keep": [1, "x", None]}, "expected keep as a list of whole numbers"),
        ("epochs a text", {"epochs": "3"}, "expected epochs as a whole number"),
        ("the seed a list", {"seed": [0]}, "expected seed as a whole number"),
        ("another seed", {"seed": 7}, "holds a run with seed = 7, asked for is 0"),
        ("a later format", {"format": 2}, "expected format 1, got 2"),
    ]
    written = [
        ("nested 100,000 deep", b"[" * 100_000, "not JSON"),
        ("a list", b"[]", "expected a JSON object"),
        ("empty", b"", "not JSON"),
        ("an empty object", b"{}", "expected bench as text, got None"),
        ("no text", b"\xff\xfe\x00", "not JSON"),
        ("an integer of 5,000 digits", b'{"seed": ' + b"9" * 5000 + b"}", "not JSON"),
    ]
    environments: list[tuple[str, object, str]] = [
        ("an empty object", {}, "expected starts as a list of objects"),
        ("starts a number", {"starts": 3}, "expected starts as a list of objects"),
        ("starts null", {"starts": None}, "expected starts as a list of objects"),
        ("a start that is a text", {"starts": ["x"]}, "expected starts as a list of objects"),
    ]
    return [
        *(Case("config.json", fault, words, _resumed(_configured(change))) for fault, change, words in changed),
        *(Case("config.json", fault, words, _resumed(_written("config.json", to))) for fault, to, words in written),
        *(
            Case("env.json", fault, words, _resumed(_written("env.json", json.dumps(content).encode())))
            for fault, content, words in environments
        ),
        Case("env.json", "nested 100,000 deep", "not JSON", _resumed(_written("env.json", b"[" * 100_000))),
        Case(
            "config.json", "missing, lines there", "holds epochs but no config.json", _resumed(_unlinked("config.json"))
        ),
    ]


def _links() -> list[Case]:
    return [
        Case("links", "epochs.jsonl is one, to a file elsewhere", "", _linked("epochs.jsonl")),
        Case("links", ".lock is one, to a file elsewhere", "", _linked(".lock")),
        Case("links", "checkpoints/ is one, to another folder", "is a link, which is not written into", _kept_linked),
    ]


def _gone_on() -> list[Survival]:
    again = "it is recorded again, and the run ends as one never stopped"
    torn = [
        ("a last line without its end", _logged(lambda text: text[:-20])),
        ("a last line of zeros", _logged(lambda text: text + bytes(100))),
        ("the last line lost", _logged(lambda text: b"".join(text.splitlines(keepends=True)[:-1]))),
    ]
    older = "the epochs between are made again, come out as they are recorded, and the run ends as one never stopped"
    return [
        *(Survival("lines of a run", fault, again, _ends(change)) for fault, change in torn),
        Survival("checkpoint", "older than the lines", older, _ends(_kept_one_in_its_place)),
        Survival("checkpoint", "missing, one of epoch 1 kept", older, _ends(_unlinked("checkpoint.pt"))),
        Survival(
            "checkpoint",
            "left half written by a killed process",
            "the next start removes the temporary file, and the run ends as one never stopped",
            _temporary,
        ),
        Survival(
            "env.json",
            "code, processor and torch changed since the run was begun",
            "the run goes on, and a note on stderr names each",
            _other_conditions,
        ),
    ]


def _diverged() -> list[Survival]:
    return [
        Survival(
            "divergence",
            f"`--set weights.learning_rate=1e9` ({optimizer})",
            "the last line says which quantity at which step; no architecture is derived, figures leave the run out",
            functools.partial(_diverges, optimizer=optimizer),
        )
        for optimizer in ("darts", "gdas", "darts_2nd")
    ]


def _resumed(change: Change) -> Callable[[Path], None]:
    """The search goes on after its folder was changed."""

    def make(folder: Path) -> None:
        request = begun(folder)
        change(folder_of(request))
        with quiet():
            search(request)

    return make


def _with_file_of(other: dict[str, Any], name: str) -> Callable[[Path], None]:
    """The search goes on with a file of another one in the place of its own."""

    def make(folder: Path) -> None:
        theirs = folder_of(begun(folder / "theirs", **other)).path / name
        request = begun(folder / "ours")
        shutil.copy(theirs, folder_of(request).path / name)
        with quiet():
            search(request)

    return make


def _flipped(place: float) -> Change:
    def change(folder: RunFolder) -> None:
        content = bytearray(folder.checkpoint.read_bytes())
        content[int(place * len(content))] ^= 4
        folder.checkpoint.write_bytes(content)

    return change


def _rewritten(change: Callable[[dict[str, Any]], object]) -> Change:
    def rewrite(folder: RunFolder) -> None:
        archive, names = seal.read_sealed(folder.checkpoint)
        saved = torch.load(io.BytesIO(archive), weights_only=True)
        change(saved)
        content = io.BytesIO()
        torch.save(saved, content)
        assert names is not None
        folder.checkpoint.write_bytes(seal.sealed(content.getvalue(), names))

    return rewrite


def _tensor(change: Callable[[torch.Tensor], object]) -> Callable[[dict[str, Any]], None]:
    """Change the first weights of a checkpoint."""

    def rewrite(saved: dict[str, Any]) -> None:
        tensors = saved["optimizer"]["parameters"]
        name = next(iter(tensors))
        tensors[name] = change(tensors[name])

    return rewrite


def _without_checkpoints(folder: RunFolder) -> None:
    folder.checkpoint.unlink()
    folder.kept(1).unlink()


def _kept_one_in_its_place(folder: RunFolder) -> None:
    shutil.copy(folder.kept(1), folder.checkpoint)


def _kept_one_forged(folder: RunFolder) -> None:
    """The checkpoint of epoch 1 passed off as that of epoch 2."""
    archive, names = seal.read_sealed(folder.kept(1))
    saved = torch.load(io.BytesIO(archive), weights_only=True)
    saved["epoch"], saved["line"] = 2, folder.epochs()[2]
    content = io.BytesIO()
    torch.save(saved, content)
    assert names is not None
    folder.checkpoint.write_bytes(seal.sealed(content.getvalue(), {**names, "epoch": 2}))


def _logged(change: Callable[[bytes], bytes]) -> Change:
    def rewrite(folder: RunFolder) -> None:
        log = folder.path / "epochs.jsonl"
        log.write_bytes(change(log.read_bytes()))

    return rewrite


def _number_changed(number: bytes) -> Callable[[bytes], bytes]:
    """Another number as the training loss of epoch 1."""

    def change(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        before, key, rest = lines[1].partition(b'"train_loss": ')
        lines[1] = before + key + number + rest[rest.index(b",") :]
        return b"".join(lines)

    return change


def _without_check(text: bytes) -> bytes:
    lines = text.splitlines()
    line = json.loads(lines[1])
    line.pop("check")
    lines[1] = json.dumps(line).encode()
    return b"\n".join(lines) + b"\n"


def _configured(entries: dict[str, Any]) -> Change:
    def rewrite(folder: RunFolder) -> None:
        path = folder.path / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return rewrite


def _written(name: str, content: bytes) -> Change:
    return lambda folder: (folder.path / name).write_bytes(content)


def _unlinked(name: str) -> Change:
    return lambda folder: (folder.path / name).unlink()


def _piped(name: str) -> Change:
    return lambda folder: os.mkfifo(_replaced(folder.path / name))


def _replaced(path: Path) -> Path:
    path.unlink(missing_ok=True)
    return path


def _linked(name: str) -> Callable[[Path], None]:
    """A link in the place of one of the run's files; what it leads to must stay as it is."""

    def make(folder: Path) -> None:
        request = begun(folder / "results")
        own = folder_of(request).path / name
        victim = folder / "victim"
        victim.write_bytes(own.read_bytes() + b"torn" if own.exists() else b"mine")
        before = victim.read_bytes()
        _replaced(own).symlink_to(victim)
        try:
            with quiet():
                search(request)
        finally:
            assert victim.read_bytes() == before

    return make


def _kept_linked(folder: Path) -> None:
    request = begun(folder / "results")
    (folder / "elsewhere").mkdir()
    kept = folder_of(request).kept(1).parent
    shutil.rmtree(kept)
    kept.symlink_to(folder / "elsewhere")
    longer = asked(folder / "results", keep=[2])
    try:
        with quiet():
            search(longer)
    finally:
        assert not list((folder / "elsewhere").iterdir())


def _ends(change: Change) -> Callable[[Path], None]:
    """The search goes on and comes to the lines that one has which was never stopped."""

    def meet(folder: Path) -> None:
        whole = begun(folder / "whole", recorded=None)
        request = begun(folder / "changed")
        change(folder_of(request))
        with quiet():
            search(request)
        assert lines_of(request) == lines_of(whole)
        assert folder_of(request).is_finished()

    return meet


def _temporary(folder: Path) -> None:
    left: list[Path] = []

    def leave(run: RunFolder) -> None:
        left.append(run.path / ".checkpoint.pt.4000000.tmp")
        left[0].write_bytes(b"half")

    _ends(leave)(folder)
    assert not left[0].exists()


def _other_conditions(folder: Path) -> None:
    request = begun(folder)
    path = folder_of(request).path / "env.json"
    content = json.loads(path.read_text())
    content["starts"][-1] |= {"torch": "1.0", "cpu": "Z80", "source": "0" * 40}
    path.write_text(json.dumps(content))
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        search(request)
    note = next(line for line in said.getvalue().splitlines() if "goes on under other conditions" in line)
    assert "torch was 1.0, is " in note
    assert "the processor was Z80, is " in note
    assert "the source was 0000" in note


def _diverges(folder: Path, optimizer: str) -> None:
    from plots.runs.survey import survey

    rates = {"weights.learning_rate": "1e6", "weights.learning_rate_min": "1e6"}
    resolve(get_method(optimizer), get_space("toy"), {}, rates, None)
    request = asked(folder, optimizer, epochs=4, overrides={**rates, "weights.gradient_clip": "1e9"})
    with quiet():
        search(request)
        search(request)
    last = folder_of(request).epochs()[-1]
    assert " at " in last["diverged"]
    assert last["cell"] is None
    (left_out,) = survey(folder).left_out
    assert left_out.reason == f"diverged ({last['diverged']})"
