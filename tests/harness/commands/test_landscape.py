from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.cli import run_command
from harness.commands import landscape
from harness.errors import UserError
from harness.records.journal import ResultError
from harness.records.run_folder import LANDSCAPE, RunFolder
from harness.revisit.search import revisit
from harness.revisit.surface import Surface, check_suitable, coordinates
from spaces.mixture import Mixture
from spaces.nb101.space import get_space
from tests.support.kept_runs import EPOCHS, Killed, kept_run, killed_at_call

POINTS, RADIUS = 5, 1.5


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    results = tmp_path_factory.mktemp("results")
    return {name: kept_run(results, name) for name in ("darts", "sdarts_rs", "nasp", "random_ws", "gdas")}


def copied(run: RunFolder, results: Path) -> RunFolder:
    """The same run below another results folder, without what was computed from it."""
    target = RunFolder(results.joinpath(*run.path.parts[-4:]))
    for source in [*run.path.glob("*.*"), *run.path.glob("checkpoints/*")]:
        (target.path / source.relative_to(run.path)).parent.mkdir(parents=True, exist_ok=True)
        (target.path / source.relative_to(run.path)).write_bytes(source.read_bytes())
    return target


def flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]).double()


def whole_split(then: Any) -> tuple[Tensor, Tensor]:
    batches = list(then.search.validation_batches(then.epoch))
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


def test_the_directions_are_orthonormal_over_all_alphas_together(runs: dict[str, RunFolder]) -> None:
    surface = Surface(revisit(runs["darts"], 2, device="cpu"))
    assert [part.shape for part in surface.x] == [alpha.shape for alpha in surface.alphas]
    x, y = flat(surface.x), flat(surface.y)
    assert float(x @ x) == pytest.approx(1, abs=1e-12)
    assert float(y @ y) == pytest.approx(1, abs=1e-12)
    assert float(x @ y) == pytest.approx(0, abs=1e-12)


def test_x_is_the_plain_gradient_of_the_validation_loss_at_fixed_weights(runs: dict[str, RunFolder]) -> None:
    then = revisit(runs["darts"], 2, device="cpu")
    surface, optimizer = Surface(then), then.search.optimizer
    weights = optimizer.evaluation_weights(then.search.last_validation_batch(2), refresh=True)
    images, labels = whole_split(then)
    alphas = [torch.tensor(alpha, requires_grad=True) for alpha in then.line["alphas"]]
    logits = optimizer.supernet(
        weights, Mixture(get_space(1).layout, tuple(alpha.softmax(-1) for alpha in alphas)), images
    )
    plain = flat(torch.autograd.grad(F.cross_entropy(logits, labels), alphas))
    assert surface.gradient_norm == pytest.approx(float(plain.norm()), rel=1e-4)
    torch.testing.assert_close(flat(surface.x), plain / plain.norm(), rtol=1e-4, atol=1e-5)


def test_y_is_drawn_by_seed_and_epoch(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    one, again, later = (Surface(revisit(runs["darts"], epoch, device="cpu")) for epoch in (0, 0, 2))
    other = Surface(revisit(kept_run(tmp_path, "darts", seed=1), 0, device="cpu"))
    assert torch.equal(flat(one.y), flat(again.y))
    for different in (later, other):
        assert abs(float(flat(one.y) @ flat(different.y))) < 0.9


@pytest.mark.parametrize("optimizer", ["darts", "sdarts_rs", "nasp"])
@pytest.mark.parametrize("epoch", [0, EPOCHS])
def test_the_centre_is_the_recorded_accuracy_and_loss(
    optimizer: str, epoch: int, runs: dict[str, RunFolder], tmp_path: Path
) -> None:
    run = copied(runs[optimizer], tmp_path)
    landscape.compute(revisit(run, epoch, device="cpu"), 3, RADIUS)
    found, line = run.computed(LANDSCAPE, epoch), run.epochs()[epoch]
    recorded = {"accuracy": line["supernet_valid_accuracy"], "loss": line["supernet_valid_loss"]}
    assert found["centre"] == found["recorded"] == recorded
    assert found["accuracy"][1][1] == recorded["accuracy"]
    assert np.unique(found["loss"]).size > 5


def test_a_point_is_what_the_supernet_gives_at_those_alphas(runs: dict[str, RunFolder]) -> None:
    then = revisit(runs["darts"], 2, device="cpu")
    surface, optimizer = Surface(then), then.search.optimizer
    before = [alpha.clone() for alpha in optimizer.alphas]
    [measured] = surface.row([1.25], -0.5)
    assert all(torch.equal(alpha, was) for alpha, was in zip(optimizer.alphas, before, strict=True))
    weights = optimizer.evaluation_weights(then.search.last_validation_batch(2), refresh=True)
    alphas = [a + 1.25 * x - 0.5 * y for a, x, y in zip(before, surface.x, surface.y, strict=True)]
    mixture = Mixture(get_space(1).layout, tuple(alpha.float().softmax(-1) for alpha in alphas))
    images, labels = whole_split(then)
    logits = optimizer.supernet(weights, mixture, images).detach()
    assert measured.accuracy == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert measured.loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-4)


def test_coordinates_are_symmetric_around_an_exact_zero() -> None:
    steps = coordinates(0.3, 7)
    assert steps == pytest.approx([-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3])
    assert steps[3] == 0
    assert steps == [-step for step in reversed(steps)]


def test_killed_and_started_again_no_row_is_measured_twice_and_the_result_is_the_same(
    runs: dict[str, RunFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (copied(runs["darts"], tmp_path / name) for name in ("whole", "cut"))
    landscape.compute(revisit(whole, 2, device="cpu"), POINTS, RADIUS)
    original, measured = Surface.row, []

    def row(self: Surface, x: Sequence[float], y: float) -> Any:
        measured.append(y)
        return original(self, x, y)

    with monkeypatch.context() as patch:
        patch.setattr(Surface, "row", killed_at_call(4, row))
        with pytest.raises(Killed):
            landscape.compute(revisit(cut, 2, device="cpu"), POINTS, RADIUS)
        patch.setattr(Surface, "row", row)
        landscape.compute(revisit(cut, 2, device="cpu"), POINTS, RADIUS)
    assert measured == coordinates(RADIUS, POINTS)
    assert cut.computed(LANDSCAPE, 2) == whole.computed(LANDSCAPE, 2)


def test_what_is_there_is_not_computed_again_and_another_extent_is_refused(
    runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(runs["darts"], tmp_path)
    landscape.compute(revisit(run, 2, device="cpu"), 3, RADIUS)
    written = run.result(LANDSCAPE, 2).stat().st_mtime_ns
    landscape.compute(revisit(run, 2, device="cpu"), 3, RADIUS)
    assert "there already" in capsys.readouterr().out
    with pytest.raises(ResultError, match=r"was computed with radius = 1\.5, asked for is 2"):
        landscape.compute(revisit(run, 2, device="cpu"), 3, 2.0)
    assert run.result(LANDSCAPE, 2).stat().st_mtime_ns == written


def test_a_gradient_of_zero_has_no_direction(runs: dict[str, RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Surface, "gradient", lambda self: [torch.zeros_like(alpha) for alpha in self.alphas])
    with pytest.raises(UserError, match=r"epoch 2: the gradient of the validation loss has length 0\.0"):
        Surface(revisit(runs["darts"], 2, device="cpu"))


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [("random_ws", "random_ws has no alphas"), ("gdas", "gdas samples its mixture anew in every pass")],
)
def test_a_method_without_a_landscape_is_refused_with_the_reason(
    optimizer: str, reason: str, runs: dict[str, RunFolder]
) -> None:
    with pytest.raises(UserError, match=reason):
        check_suitable(revisit(runs[optimizer], device="cpu"))


def test_the_command_computes_what_it_can_says_what_it_cannot_and_draws(
    runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("darts", "sdarts_rs", "random_ws"):
        copied(runs[name], tmp_path)
    arguments = [str(tmp_path), "--epoch", "0", "3", "--points", "3", "--device", "cpu"]
    assert landscape.main(arguments) == 0
    out, err = capsys.readouterr()
    stem = tmp_path / "figures" / "landscape_digits_space1_seed0_epoch0"
    assert out.splitlines()[-3:] == [f"{stem}.{kind}" for kind in ("png", "pdf", "csv")]
    assert out.count("epoch0.json: accuracy ") == 2
    assert err.count("left out: ") == 4
    assert "random_ws has no alphas" in err
    assert err.count("no checkpoint of epoch 3, only of 0, 2, 4") == 3
    content = json.loads(RunFolder(tmp_path / "digits" / "space1" / "darts" / "seed0").result(LANDSCAPE, 0).read_text())
    conditions = ("bench", "space", "method", "seed", "epoch", "table", "scale", "images", "radius", "points")
    assert [content[key] for key in conditions] == ["digits", 1, "darts", 0, 0, "digits", "tiny", 24, 2.0, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epoch", "3"], "no checkpoint of epoch 3"),
        (["--epoch", "-1"], "expected an epoch of 0 or more, got '-1'"),
        (["--points", "4"], "expected an odd number of 3 or more"),
        (["--radius", "inf"], "expected a number above 0, got 'inf'"),
        (["--bench", "nb101"], "is a run on digits, --bench names nb101"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], message: str, runs: dict[str, RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(lambda: landscape.main([str(runs["darts"].path), *arguments])) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: landscape.main([str(tmp_path)])) == 2
    assert capsys.readouterr().err.count("\n") == 1
