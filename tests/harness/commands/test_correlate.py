from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from harness.cli import run_command
from harness.commands import correlate
from harness.errors import UserError
from harness.records.run_folder import CORRELATION, RunFolder
from harness.revisit import ranking
from harness.revisit.ranking import draw_cells, measure
from harness.revisit.search import Revisited, ValidationPass, revisit
from harness.tables.truths import Truths
from spaces.base import Pass
from spaces.nb101.space import get_space
from tests.harness.commands.test_landscape import copied
from tests.support.kept_runs import Killed, kept_run, killed_at_call

OPTIMIZERS = {
    "darts": {},
    "random_ws": {"selection__samples": 8, "selection__finalists": 2},
    "pc_darts": {"network__channels": 4},
    "gdas": {},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    results = tmp_path_factory.mktemp("results")
    settings: dict[str, dict[str, Any]] = OPTIMIZERS
    return {name: kept_run(results, name, **changed) for name, changed in settings.items()}


def truths_of(then: Revisited) -> Truths:
    assert then.table is not None
    return Truths(then.table, get_space(1))


def drawn(then: Revisited, count: int) -> list[ranking.Drawn]:
    return draw_cells(then, count, truths_of(then))


def test_cells_are_different_and_have_the_tables_errors(runs: dict[str, RunFolder]) -> None:
    then = revisit(runs["darts"], 2, device="cpu")
    cells = drawn(then, 40)
    assert len({one.metrics.hash for one in cells}) == 40
    for one in cells:
        assert then.table is not None
        assert one.metrics == then.table.query(one.architecture.key)


def test_cells_are_the_same_for_all_methods_and_epochs_of_a_seed(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    expected = drawn(revisit(runs["darts"], 0, device="cpu"), 20)
    assert drawn(revisit(runs["darts"], 2, device="cpu"), 20) == expected
    assert drawn(revisit(runs["random_ws"], device="cpu"), 20) == expected
    assert drawn(revisit(kept_run(tmp_path, seed=1), device="cpu"), 20) != expected


def test_all_cells_of_the_space_can_be_drawn_and_no_more(
    runs: dict[str, RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    then = revisit(runs["darts"], device="cpu")
    truths = truths_of(then)
    monkeypatch.setattr(truths, "hashes", truths.hashes[:5])
    assert len(draw_cells(then, 5, truths)) == 5
    with pytest.raises(UserError, match="--cells: expected at most 5, the cells of space 1 in the table digits, got 6"):
        draw_cells(then, 6, truths)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_cell_is_measured_as_its_zeros_and_ones_at_the_shared_weights(
    optimizer: str, runs: dict[str, RunFolder]
) -> None:
    then = revisit(runs[optimizer], 2, device="cpu")
    cells = drawn(then, 12)
    measured = [one for chunk in measure(then, cells) for one in chunk]
    assert [one["cell"] for one in measured] == [one.metrics.hash for one in cells]
    search, supernet = then.search, then.search.optimizer.supernet
    folded = ValidationPass(then).weights
    for one, found in list(zip(cells, measured, strict=True))[-2:]:
        mixture = get_space(1).mixture_of(one.architecture, torch.float32)
        stored, batch, hits = 0.0, 0.0, 0
        for images, labels in ((b.inputs, b.targets) for b in search.validation_batches(2)):
            with torch.no_grad():
                logits = supernet(folded, mixture, images)
                how = Pass(training=True, update_statistics=False)
                own = supernet(search.optimizer.weights, mixture, images, how)
            stored += float(F.cross_entropy(logits, labels, reduction="sum")) / search.validation.count
            batch += float(F.cross_entropy(own, labels, reduction="sum")) / search.validation.count
            hits += int((own.argmax(1) == labels).sum())
        assert found["stored"]["loss"] == pytest.approx(stored, rel=1e-4)
        assert found["batch"] == {"accuracy": hits / search.validation.count, "loss": pytest.approx(batch, rel=1e-4)}


def test_with_stored_statistics_a_cell_is_the_subnetwork_that_the_search_scores(runs: dict[str, RunFolder]) -> None:
    then = revisit(runs["random_ws"], 2, device="cpu")
    cells = drawn(then, 5)
    [chunk] = measure(then, cells)
    optimizer = then.search.optimizer
    folded = optimizer.supernet.fold(optimizer.weights)
    for one, found in zip(cells, chunk, strict=True):
        hits = 0
        for batch in then.search.validation_batches(2):
            stem = optimizer.supernet.stem(folded, batch.inputs)
            logits = optimizer.supernet.of_architecture(folded, one.architecture, stem)
            hits += int((logits.argmax(1) == batch.targets).sum())
        assert found["stored"]["accuracy"] == hits / then.search.validation.count


def test_correlations_are_with_the_error_and_the_loss_over_all_and_the_best() -> None:
    """The supernet's error orders the best four cells backwards and puts them before the others, in order."""
    table = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]
    errors = [0.4, 0.3, 0.2, 0.1, 0.5, 0.6, 0.7, 0.8]
    sampled = [
        {"test_error": test, "batch": {"accuracy": 1 - error, "loss": None if test == 0.08 else test}}
        for test, error in zip(table, errors, strict=True)
    ]
    found = correlate.correlations(sampled, "batch", 0.04)
    assert found["top"]["error"]["n"] == 4
    assert found["top"]["error"]["kendall"]["value"] == pytest.approx(-1)
    assert found["all"]["error"]["kendall"]["value"] == pytest.approx((22 - 6) / 28)
    assert found["all"]["loss"]["spearman"]["value"] == pytest.approx(1)


def test_killed_and_started_again_no_cell_is_measured_twice_and_the_result_is_the_same(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "CHUNK", 4)
    whole, cut = (copied(runs["darts"], tmp_path / name) for name in ("whole", "cut"))
    correlate.compute(revisit(whole, 2, device="cpu"), 14)
    original, sizes = ValidationPass.measure, []

    def counted(self: ValidationPass, mixtures: Any, skip_zeros: bool | None = None) -> Any:
        sizes.append(len(mixtures))
        return original(self, mixtures, skip_zeros)

    with monkeypatch.context() as patch:
        patch.setattr(ValidationPass, "measure", killed_at_call(5, counted))
        with pytest.raises(Killed):
            correlate.compute(revisit(cut, 2, device="cpu"), 14)
        patch.setattr(ValidationPass, "measure", counted)
        correlate.compute(revisit(cut, 2, device="cpu"), 14)
    assert sizes == [4, 4, 4, 4, 4, 4, 2, 2]  # each chunk once with either kind of statistics
    assert cut.computed(CORRELATION, 2) == whole.computed(CORRELATION, 2)


def test_the_command_prints_a_table_and_draws(
    runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("darts", "random_ws"):
        copied(runs[name], tmp_path)
    arguments = [str(tmp_path), "--epoch", "2", "--cells", "12", "--device", "cpu"]
    assert correlate.main(arguments) == 0
    out = capsys.readouterr().out
    stem = tmp_path / "figures" / "correlation_digits_space1_seed0_epoch2"
    assert out.splitlines()[-3:] == [f"{stem}.{kind}" for kind in ("png", "pdf", "csv")]
    assert "random_ws, digits, space 1, seed 0, epoch 2: 12 cells, 24 validation images" in out
    assert out.count("batch statistics, loss, all cells ") == 2
    run = RunFolder(tmp_path / "digits" / "space1" / "darts" / "seed0")
    content = run.computed(CORRELATION, 2)
    spearman = content["correlations"]["batch"]["all"]["loss"]["spearman"]["value"]
    losses = [cell["batch"]["loss"] for cell in content["sampled"]]
    errors = [cell["test_error"] for cell in content["sampled"]]
    assert spearman == pytest.approx(stats.spearmanr(losses, errors).statistic)
    truths = truths_of(revisit(run, device="cpu"))
    assert content["top_test_error"] == pytest.approx(np.quantile(truths.test, 0.25))
    before = out
    assert correlate.main(arguments) == 0
    assert capsys.readouterr().out == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "2686"], "--cells: expected at most 2685"),
        (["--cells", "0"], "expected a whole number of 1 or more"),
        (["--epoch", "1"], "no checkpoint of epoch 1"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, runs: dict[str, RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: correlate.main([str(runs["darts"].path), *arguments])) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
