"""A recorded search as it was after an epoch, from a checkpoint, and its supernet at other mixtures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from harness.errors import UserError
from harness.records import seal
from harness.records.files import write_atomically
from harness.records.run_folder import RunFolder, RunFolderError
from harness.revisit.search import ValidationPass, checkpoints, revisit
from harness.search import checkpoint, loop
from tests.support.kept_runs import EPOCHS, Killed, kept_run, kept_search, without_seconds
from tests.support.mixtures import SILENT


@pytest.fixture(scope="module")
def darts(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return kept_run(tmp_path_factory.mktemp("darts"))


def loaded(path: Path) -> dict[str, Any]:
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    del saved["line"]["seconds"]
    return saved


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other


def test_a_kept_checkpoint_is_that_of_a_search_that_stopped_after_the_epoch(darts: RunFolder, tmp_path: Path) -> None:
    assert darts.kept_epochs() == [0, 2]
    stopped = kept_search(tmp_path, keep=())
    stopped.run(stopped=lambda: len(stopped.folder.epochs()) == 3)
    assert stopped.folder.kept_epochs() == []
    assert_same(loaded(darts.kept(2)), loaded(stopped.folder.checkpoint))


def test_keeping_changes_no_line(darts: RunFolder, tmp_path: Path) -> None:
    assert without_seconds(kept_run(tmp_path, keep=()).epochs()) == without_seconds(darts.epochs())


@pytest.mark.parametrize("when", ["before the checkpoint", "before the kept one", "before the line"])
def test_killed_around_a_kept_checkpoint_the_resumed_search_has_it(
    when: str, darts: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = kept_search(tmp_path)
    search.run(stopped=lambda: len(search.folder.epochs()) == 2)
    cut_at = {"before the checkpoint": search.folder.checkpoint, "before the kept one": search.folder.kept(2)}

    def write(path: Path, data: bytes) -> None:
        if path == cut_at.get(when):
            raise Killed
        write_atomically(path, data)

    def append(folder: RunFolder, line: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        for module in (checkpoint, loop):
            patch.setattr(module, "write_atomically", write)
        patch.setattr(RunFolder, "append", append)
        with pytest.raises(Killed):
            search.run()
    assert search.folder.kept_epochs() == ([0, 2] if when == "before the line" else [0])
    kept_search(tmp_path).run()
    assert_same(loaded(search.folder.kept(2)), loaded(darts.kept(2)))
    assert without_seconds(search.folder.epochs()) == without_seconds(darts.epochs())


def test_an_epoch_asked_for_when_resuming_after_it_is_still_kept(darts: RunFolder, tmp_path: Path) -> None:
    search = kept_search(tmp_path, keep=())
    search.run(stopped=lambda: len(search.folder.epochs()) == 3)
    kept_search(tmp_path, keep=(2,)).run()
    assert search.folder.kept_epochs() == [2]
    assert_same(loaded(search.folder.kept(2)), loaded(darts.kept(2)))


def test_the_last_epoch_has_a_checkpoint_without_being_asked_for(darts: RunFolder) -> None:
    assert checkpoints(darts) == {0: darts.kept(0), 2: darts.kept(2), EPOCHS: darts.checkpoint}
    assert revisit(darts).epoch == EPOCHS


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        ("darts", {}),
        ("sdarts_adv", {"validation__refresh_statistics": False}),
        ("nasp", {"nasp__softmax_one_hot": False}),
        ("pc_darts", {"network__channels": 4, "validation__augment": False}),
    ],
)
def test_at_its_own_mixture_the_supernet_has_the_recorded_accuracy_and_loss(
    optimizer: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = kept_run(tmp_path, optimizer, **settings)
    for epoch in (0, 2, EPOCHS):
        then = revisit(folder, epoch, device="cpu")
        [measured] = ValidationPass(then).measure([then.search.optimizer.mixture("evaluation")])
        line = folder.epochs()[epoch]
        assert then.line == line
        assert (measured.accuracy, measured.loss) == (line["supernet_valid_accuracy"], line["supernet_valid_loss"])


def test_a_method_that_samples_is_as_it_was_too(tmp_path: Path) -> None:
    folder = kept_run(tmp_path, "gdas")
    for epoch in (0, 2):
        then = revisit(folder, epoch, device="cpu")
        search, optimizer = then.search, then.search.optimizer
        weights = optimizer.evaluation_weights(search.last_validation_batch(epoch), refresh=True)
        loss = 0.0
        for index, batch in enumerate(search.validation_batches(epoch)):
            logits = optimizer.evaluate(weights, index, batch.inputs).detach()
            loss += float(F.cross_entropy(logits, batch.targets, reduction="sum"))
        assert loss / search.validation.count == pytest.approx(then.line["supernet_valid_loss"], rel=1e-6)


def test_with_batch_statistics_each_batch_is_normalised_by_its_own(darts: RunFolder) -> None:
    then = revisit(darts, 2, device="cpu")
    mixture = then.search.optimizer.mixture("evaluation")
    before = {name: tensor.clone() for name, tensor in then.search.optimizer.weights.buffers.items()}
    [measured] = ValidationPass(then, "batch").measure([mixture])
    hits = 0
    for batch in then.search.validation_batches(2):
        logits = then.search.optimizer.supernet(then.search.optimizer.weights, mixture, batch.inputs, SILENT)
        hits += int((logits.argmax(dim=1) == batch.targets).sum())
    assert measured.accuracy == hits / then.search.validation.count
    for name, tensor in then.search.optimizer.weights.buffers.items():
        assert torch.equal(tensor, before[name])


def test_mixtures_measured_together_are_as_each_alone(darts: RunFolder) -> None:
    then = revisit(darts, device="cpu")
    validation, mixture = ValidationPass(then), then.search.optimizer.mixture("evaluation").detach()
    other = mixture.map(lambda row: row.flip(-1))
    assert validation.measure([mixture, other]) == validation.measure([mixture]) + validation.measure([other])


def edited(darts: RunFolder, tmp_path: Path, **changes: Any) -> RunFolder:
    """A folder with the run's lines and checkpoint, and another record, as a run of that record would leave them."""
    folder = RunFolder(tmp_path / "run")
    folder.create({**darts.config(), **changes}, {})
    for line in darts.epochs():
        folder.append(line)
    archive, names = seal.read_sealed(darts.checkpoint)
    assert names is not None
    lines = folder.check_after(darts.epochs()[: names["epoch"]])
    names |= {**seal.run_names(folder.config()), "lines": lines}
    folder.checkpoint.write_bytes(seal.sealed(archive, names))
    return folder


def test_an_epoch_without_a_checkpoint_is_refused_with_those_there_are(darts: RunFolder) -> None:
    with pytest.raises(UserError, match=r"no checkpoint of epoch 3, only of 0, 2, 4; `harness.run --keep 3`"):
        revisit(darts, 3)


def test_a_record_without_any_checkpoint_is_refused(darts: RunFolder, tmp_path: Path) -> None:
    folder = edited(darts, tmp_path)
    folder.checkpoint.unlink()
    with pytest.raises(UserError, match="holds no checkpoint"):
        revisit(folder)


@pytest.mark.parametrize(
    ("changes", "bench", "message"),
    [
        ({"bench": "elsewhere"}, None, "its benchmark elsewhere came from a file; give that as --bench"),
        ({"bench": "elsewhere"}, "digits", "is a run on elsewhere, --bench names digits"),
        ({"table": {"label": "digits", "sha256": "0" * 64}}, None, "its table had SHA-256 000000000000"),
        ({"settings": {"network": {"depth": 3}}}, None, "unknown setting 'network.depth'"),
        ({"settings": {"network": {"channels": 4}}}, None, "not a checkpoint of this configuration"),
    ],
)
def test_a_run_that_cannot_be_rebuilt_is_refused(
    changes: dict[str, Any], bench: str | None, message: str, darts: RunFolder, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        revisit(edited(darts, tmp_path, **changes), bench=bench)


def test_a_benchmark_from_a_file_is_given_again(darts: RunFolder, tmp_path: Path) -> None:
    table = revisit(darts, device="cpu").table
    assert table is not None
    file = tmp_path / "elsewhere.toml"
    file.write_text(f'name = "elsewhere"\n[images]\nsource = "digits"\n[table]\npath = "{table.path}"\n')
    then = revisit(edited(darts, tmp_path, bench="elsewhere"), bench=str(file), device="cpu")
    assert (then.search.assignment.bench, then.line) == ("elsewhere", darts.epochs()[-1])


def test_a_record_that_lacks_a_part_is_refused(darts: RunFolder, tmp_path: Path) -> None:
    folder = edited(darts, tmp_path)
    record = folder.config()
    del record["settings"]
    (folder.path / "config.json").write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match=r"config\.json lacks settings"):
        revisit(folder)


def test_a_checkpoint_ahead_of_the_lines_is_refused_until_the_run_is_resumed(darts: RunFolder, tmp_path: Path) -> None:
    folder = edited(darts, tmp_path)
    lines = (folder.path / "epochs.jsonl").read_text().splitlines(keepends=True)
    (folder.path / "epochs.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="expected the checkpoint of epoch 3, got that of 4; resume the run first"):
        revisit(folder)


def test_after_an_early_stop_the_weights_are_not_the_lines(tmp_path: Path) -> None:
    stopping = {"window": 1, "look_back": 2, "start_epoch": 1, "ratio": 0.01}
    settings: dict[str, Any] = {f"early_stopping__{key}": value for key, value in stopping.items()}
    folder = kept_run(tmp_path, "darts_es", **settings)
    assert folder.epochs()[-1]["stopped_after"] == 3
    assert revisit(folder, 2, device="cpu").epoch == 2
    with pytest.raises(UserError, match=r"had stopped early after epoch 3.* ask for an epoch before 3"):
        revisit(folder, EPOCHS, device="cpu")
