"""What is recorded of the step from mixture to cell, against plain recomputations in float64."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.probes.base import State
from harness.probes.projection import ProjectionProbe, mean_entropy, squared_distance
from harness.records.run_folder import Line
from harness.search.loop import Search
from harness.search.settings import HessianConfig, SearchConfig
from optimizers.base import Optimizer
from optimizers.darts import Darts
from optimizers.steps import Batch
from spaces.mixture import Mixture, Row
from spaces.nb101.architecture import CellChoice
from spaces.nb101.config import SupernetConfig
from spaces.nb101.space import SearchSpace, get_space
from tests.support.building import random_batch, small_optimizer
from tests.support.golden_vectors import below, golden_arrays, published_mixture, published_weights, relative_error
from tests.support.kept_runs import without_seconds
from tests.support.mixtures import mixture_of
from tests.support.plain_supernet import plain_logits
from tests.support.small_searches import STOPPING, search_on_digits, small_search

NETWORK = SupernetConfig(channels=2, cells=3)

MEASURED = ("projection_loss", "projection_accuracy", "mixture_distance", "mixture_spectral_norm", "entropy")


def test_the_plain_network_is_the_published_one() -> None:
    arrays, space = golden_arrays("supernet_1"), get_space(1)
    weights = published_weights(below(arrays, "sd/"), space, 3, torch.float64)
    mixture = published_mixture(arrays, "alpha_{}", space).map(lambda row: row.softmax(-1))
    images = torch.tensor(arrays["input"]).double()
    for training, name in ((False, "eval_logits_stored_stats"), (True, "train_logits")):
        logits = plain_logits(
            weights.parameters,
            weights.buffers,
            mixture.rows,
            images,
            parent_counts=space.parent_counts,
            training=training,
        )
        assert relative_error(logits, arrays[f"f64/{name}"]) < 1e-9


def searched(path: Path, space: int, optimizer: str) -> Search:
    """A finished search of two epochs in float64, its validation images as they are."""
    small = {"network.channels": "2", "data.images": "24", "data.batch_size": "10", "validation.augment": "false"}
    search = search_on_digits(path, optimizer, small, space=space, epochs=2, dtype=torch.float64)
    search.run()
    return search


@pytest.mark.parametrize(("space", "optimizer"), [(1, "darts"), (2, "sdarts_rs"), (1, "nasp")])
def test_a_recorded_line_equals_a_plain_recomputation(tmp_path: Path, space: int, optimizer: str) -> None:
    search = searched(tmp_path, space, optimizer)
    line = search.folder.epochs()[-1]
    plain = Plain(search)
    last = search.last_validation_batch(2)
    images, labels = last.inputs, last.targets
    present, projected = plain.present_rows(line["alphas"], optimizer), plain.projected_rows(line["alphas"])

    # The Hessians, of the last batch in training mode, by torch's own double differentiation of the plain network.
    alphas = torch.cat([torch.tensor(alpha, dtype=torch.float64).flatten() for alpha in line["alphas"]])
    by_mixture = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
        lambda flat: plain.loss(plain.split(flat), images, labels), torch.cat([row.flatten() for row in present])
    )
    assert line["mixture_spectral_norm"] == pytest.approx(float(torch.linalg.matrix_norm(by_mixture, 2)), rel=1e-8)
    if optimizer != "nasp":  # whose softmax stands at the binarised point
        by_alphas = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
            lambda flat: plain.loss([row.softmax(-1) for row in plain.split(flat)], images, labels), alphas
        )
        assert line["trace"] == pytest.approx(float(by_alphas.trace()), rel=1e-8)
        assert line["spectral_norm"] == pytest.approx(float(torch.linalg.matrix_norm(by_alphas, 2)), rel=1e-8)

    whole = next(search.validation.plain_batches(24))
    everything, truth = whole.inputs, whole.targets
    for name, rows in (("supernet_valid", present), ("projection", projected)):
        logits = plain.evaluated(rows, images, everything)
        assert line[f"{name}_loss"] == pytest.approx(float(F.cross_entropy(logits, truth)), rel=1e-8)
        assert line[f"{name}_accuracy"] == pytest.approx(float((logits.argmax(1) == truth).double().mean()))

    flat = [np.concatenate([row.flatten().numpy() for row in rows]) for rows in (present, projected)]
    assert line["mixture_distance"] == pytest.approx(((flat[0] - flat[1]) ** 2).sum(), rel=1e-9)
    shares = [scipy.stats.entropy(row) / np.log(len(row)) for rows in present for row in np.atleast_2d(rows.numpy())]
    assert line["entropy"] == pytest.approx(np.mean(shares), rel=1e-9)
    assert line["projection_loss"] != pytest.approx(line["supernet_valid_loss"], rel=1e-3)


class Plain:
    """The plain network at the weights that a search ended with."""

    def __init__(self, search: Search) -> None:
        space = search.optimizer.supernet.space
        assert isinstance(space, SearchSpace)
        self.space = space
        self.parameters = {name: tensor.detach() for name, tensor in search.optimizer.weights.parameters.items()}
        self.buffers = search.optimizer.weights.buffers

    def logits(self, rows: list[Tensor], images: Tensor, buffers: dict[str, Tensor], training: bool) -> Tensor:
        counts = self.space.parent_counts
        return plain_logits(self.parameters, buffers, rows, images, parent_counts=counts, training=training)

    def loss(self, rows: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(rows, images, self.copied(), training=True), labels)

    def evaluated(self, rows: list[Tensor], refreshing: Tensor, images: Tensor) -> Tensor:
        """Logits with the statistics that a batch leaves behind."""
        buffers = self.copied()
        self.logits(rows, refreshing, buffers, training=True)
        return self.logits(rows, images, buffers, training=False)

    def copied(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.buffers.items()}

    def split(self, flat: Tensor) -> list[Tensor]:
        shapes = self.space.row_shapes
        parts = torch.split(flat, [math.prod(shape) for shape in shapes])
        return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]

    def present_rows(self, alphas: list[Any], optimizer: str) -> list[Tensor]:
        rows = [torch.tensor(alpha, dtype=torch.float64) for alpha in alphas]
        if optimizer == "nasp":
            rows[0] = F.one_hot(rows[0].argmax(1), 3).double()
        return [row.softmax(-1) for row in rows]

    def projected_rows(self, alphas: list[Any]) -> list[Tensor]:
        """Ones at the largest operation of each block and at the largest parents of each node."""
        operations, output, *inputs = [np.array(alpha) for alpha in alphas]
        ones = np.zeros_like(operations)
        for block, row in enumerate(operations):
            ones[block, row.argmax()] = 1
        rows = [ones]
        counts = {node: count for node, count in enumerate(self.space.parent_counts, start=1) if count < node}
        *of_blocks, of_output = counts.values()
        for alpha, count in ((output, of_output), *zip(inputs, of_blocks, strict=True)):
            parents = np.zeros(len(alpha))
            parents[np.argsort(alpha)[-count:]] = 1
            rows.append(parents)
        return [torch.tensor(row) for row in rows]


def test_measuring_the_projection_changes_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it, without = (small_search(tmp_path / name, "sdarts_adv") for name in ("with", "without"))
    with_it.run()
    monkeypatch.setattr(ProjectionProbe, "measure", lambda *arguments: {})
    without.run()
    lines = without_seconds(with_it.folder.epochs())
    assert all(line.keys() >= set(MEASURED) for line in lines)
    assert without_seconds(without.folder.epochs()) == [less(line, MEASURED) for line in lines]
    for name, tensor in with_it.optimizer.weights.buffers.items():
        assert torch.equal(tensor, without.optimizer.weights.buffers[name])


def less(line: Line, names: tuple[str, ...]) -> Line:
    return {name: value for name, value in line.items() if name not in names}


def test_the_hessian_by_the_mixture_is_taken_at_the_hessians_epochs_where_it_is_asked_for(tmp_path: Path) -> None:
    asked, not_asked, watched = (
        small_search(tmp_path / "asked", "darts", hessian__every=3),
        small_search(tmp_path / "not", "darts", hessian__every=3, hessian__mixture=False),
        small_search(tmp_path / "watched", "darts_es", hessian__every=3),
    )
    for search in (asked, not_asked, watched):
        search.run()
    for search in (asked, watched):
        taken = [line["epoch"] for line in search.folder.epochs() if line["mixture_spectral_norm"] is not None]
        assert taken == [0, 3, 4]
    lines, without = (without_seconds(search.folder.epochs()) for search in (asked, not_asked))
    assert {line["mixture_spectral_norm"] for line in without} == {None}
    assert [less(line, ("mixture_spectral_norm",)) for line in lines] == [
        less(line, ("mixture_spectral_norm",)) for line in without
    ]


def test_after_an_early_stop_the_fields_are_those_of_the_epoch_returned(tmp_path: Path) -> None:
    search = small_search(tmp_path, "darts_es", **{**STOPPING, "hessian__every": 1})
    search.run()
    lines = search.folder.epochs()
    assert lines[-1]["returned_epoch"] == 1
    for line in lines[3:]:
        assert [line[name] for name in MEASURED] == [lines[1][name] for name in MEASURED]
    assert lines[1]["mixture_spectral_norm"] is not None


def test_a_run_from_before_the_fields_goes_on_and_has_them_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, older = small_search(tmp_path / "whole", "darts"), small_search(tmp_path / "older", "darts")
    whole.run()
    with monkeypatch.context() as patch:
        patch.setattr(ProjectionProbe, "measure", lambda *arguments: {})
        older.run(stopped=lambda: len(older.folder.epochs()) == 3)
    small_search(tmp_path / "older", "darts").run()
    lines, expected = (without_seconds(search.folder.epochs()) for search in (older, whole))
    assert lines == [less(line, MEASURED) for line in expected[:3]] + expected[3:]


@pytest.mark.parametrize(("optimizer", "has"), [("gdas", True), ("random_ws", False)])
def test_methods_that_sample_have_what_can_be_said_of_them(tmp_path: Path, optimizer: str, has: bool) -> None:
    few = {} if has else {"selection__samples": 8, "selection__finalists": 2}
    search = small_search(tmp_path, optimizer, network__channels=4, hessian__every=1, **few)
    search.run()
    for line in search.folder.epochs():
        assert line["mixture_spectral_norm"] is None
        assert {line[name] is None for name in MEASURED if name != "mixture_spectral_norm"} == {not has}
    if has:
        # Of the probabilities: a sample's operations are 0 or 1.
        probabilities = [torch.tensor(alpha).double().softmax(-1) for alpha in line["alphas"]]
        assert line["entropy"] == pytest.approx(mean_entropy(mixture_of(get_space(1), probabilities)), rel=1e-6)


def state_of(optimizer: Optimizer, batch: Batch) -> State:
    """The state of a method after an epoch, with one batch for everything that is measured."""
    config = SearchConfig(optimizer.config, NETWORK, hessian=HessianConfig(mixture=True))
    return State(optimizer, config, 1, batch, lambda size: iter([batch]), len(batch.targets), 100, hessian_due=True)


def test_a_method_with_an_evaluation_of_its_own_is_not_measured() -> None:
    class Evaluated(Darts):
        projects = False

        def evaluation_weights(self, batch: Batch, refresh: bool) -> Any:
            return super().evaluation_weights(batch, refresh)

    optimizer, batch = small_optimizer("darts"), random_batch(0)
    assert None not in ProjectionProbe().measure(state_of(optimizer, batch)).values()
    optimizer.__class__ = Evaluated
    assert ProjectionProbe().measure(state_of(optimizer, batch)) == dict.fromkeys(MEASURED)


def test_a_method_with_a_derivation_of_its_own_is_measured_at_what_it_derives() -> None:
    class LeastLikely(Darts):
        def derive(self) -> CellChoice:
            return get_space(1).derive([-alpha.detach().numpy() for alpha in self.alphas])

    optimizer, batch = small_optimizer("darts", alphas__initial_scale=1.0), random_batch(0)
    likely = ProjectionProbe().measure(state_of(optimizer, batch))
    present, theirs = optimizer.relax().detach(), LeastLikely.derive(optimizer)
    optimizer.__class__ = LeastLikely
    measured = ProjectionProbe().measure(state_of(optimizer, batch))
    distance = squared_distance(present, get_space(1).mixture_of(theirs, torch.float64))
    assert measured["mixture_distance"] == distance != likely["mixture_distance"]
    assert measured["entropy"] == likely["entropy"]


def test_what_is_not_finite_is_none() -> None:
    optimizer, batch = small_optimizer("darts"), random_batch(0)
    with torch.no_grad():
        next(iter(optimizer.weights.parameters.values())).fill_(math.nan)
    measured = ProjectionProbe().measure(state_of(optimizer, batch))
    assert (measured["projection_loss"], measured["mixture_spectral_norm"]) == (None, None)
    # Of outputs that are no numbers, the first counts as the largest.
    assert measured["projection_accuracy"] == pytest.approx(float((batch.targets == 0).double().mean()))
    assert None not in (measured["mixture_distance"], measured["entropy"])


def test_entropy_runs_from_zero_to_one_and_the_distance_of_cells_is_their_mean() -> None:
    layout = (Row("operations", "operation", (4, 3)), Row("output", "output", (5,)), Row("inputs3", "parents", (3,)))
    uniform = Mixture(layout, tuple(torch.full(row.shape, 1 / row.shape[-1]) for row in layout))
    picked = uniform.map(lambda row: F.one_hot(torch.zeros(row.shape[:-1], dtype=torch.int64), row.shape[-1]).float())
    assert mean_entropy(uniform) == pytest.approx(1)
    assert mean_entropy(picked) == 0
    expected = 4 * (4 / 9 + 2 / 9) + (16 / 25 + 4 / 25) + (4 / 9 + 2 / 9)
    assert squared_distance(uniform, picked) == pytest.approx(expected)
    of_two_cells = uniform.map(lambda row: torch.stack([row, row]))
    assert squared_distance(of_two_cells, picked) == pytest.approx(expected)
    gates = uniform.map(lambda row: 7 * row)
    assert mean_entropy(gates) == pytest.approx(1)
