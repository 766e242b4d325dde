from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from optimizers.companions.base import Host, Stop
from optimizers.companions.early_stopping import EarlyStopping
from optimizers.config import EarlyStoppingConfig
from tests.support.building import companion_of, small_optimizer

Curve = Callable[[int], float]


def host(alphas: list[torch.Tensor]) -> Host:
    """A search of which nothing is known but its alphas."""
    return cast(Host, SimpleNamespace(alphas=alphas))


def watched(curve: Curve, epochs: int = 100, **settings: Any) -> EarlyStopping:
    """Early stopping that has seen a curve of eigenvalues, up to its stop; alphas are the epoch's number."""
    stopping = EarlyStopping(EarlyStoppingConfig(enabled=True, **settings), epochs)
    alphas = [torch.zeros(2)]
    for epoch in range(epochs + 1):
        alphas[0].fill_(epoch)
        if stopping.wants(epoch):
            stopping.observe(host(alphas), epoch, {"lambda_max": curve(epoch)})
            if stopping.stop:
                assert alphas[0].tolist() == [stopping.stop.returned] * 2
                break
    return stopping


def step_at(first: int, height: float) -> Curve:
    return lambda epoch: height if epoch >= first else 1.0


def test_the_search_returns_the_cell_that_the_earlier_mean_is_centred_on() -> None:
    # Means of epochs 13..17 and 9..13 are 1.4 and 1; the latter is centred on 11.
    assert watched(step_at(16, 2.0)).stop == Stop(after=17, returned=11)


def test_nothing_stops_while_curvature_does_not_grow() -> None:
    assert watched(lambda epoch: 1.0).stop is None
    assert watched(lambda epoch: 0.9**epoch).stop is None
    assert watched(lambda epoch: 1.05**epoch).stop is None  # 1.22 over 4 epochs


def test_the_ratio_must_be_exceeded() -> None:
    apart: dict[str, Any] = {"window": 2, "look_back": 2, "ratio": 1.25}
    assert watched(step_at(30, 1.25), **apart).stop is None
    assert watched(step_at(30, 1.2500001), **apart).stop == Stop(after=31, returned=28)


def test_growth_from_the_beginning_stops_as_soon_as_a_cell_may_be_returned() -> None:
    assert watched(lambda epoch: 2.0**epoch).stop == Stop(after=16, returned=10)
    assert watched(lambda epoch: 2.0**epoch, start_epoch=20).stop == Stop(after=26, returned=20)
    # Two full windows are needed in any case: epochs 0 to 8.
    assert watched(lambda epoch: 2.0**epoch, start_epoch=0).stop == Stop(after=8, returned=2)


def test_window_and_look_back_count_measurements() -> None:
    # Of the measurements at 26, 28, ..., 34 two are 2; those at 18, 20, ..., 26 are 1.
    assert watched(step_at(31, 2.0), every=2).stop == Stop(after=34, returned=22)
    assert watched(step_at(30, 2.0), window=1, look_back=1).stop == Stop(after=30, returned=29)


def test_no_growth_can_be_told_from_eigenvalues_that_are_not_positive() -> None:
    assert watched(lambda epoch: -1.0 if epoch < 30 else 1.0, window=1, look_back=1).stop is None


def test_a_hessian_that_is_not_finite_counts_as_grown() -> None:
    assert watched(step_at(20, float("inf"))).stop == Stop(after=20, returned=14)


def test_the_last_epoch_does_not_stop_what_has_ended() -> None:
    assert watched(step_at(30, 2.0), epochs=30, window=1).stop is None
    assert watched(step_at(29, 2.0), epochs=30, window=1).stop == Stop(after=29, returned=25)


def test_nothing_is_watched_unless_asked_for() -> None:
    assert not EarlyStopping.joins_with(EarlyStoppingConfig())
    assert EarlyStopping.joins_with(EarlyStoppingConfig(enabled=True))
    assert EarlyStopping(EarlyStoppingConfig(enabled=True), 100).wants(20) == {"lambda_max"}
    assert not EarlyStopping(EarlyStoppingConfig(enabled=True, every=3), 100).wants(20)
    assert not watched(step_at(16, 2.0)).wants(18)


@pytest.mark.parametrize("interrupted_after", [3, 12, 16])
def test_resumed_it_stops_where_it_would_have(interrupted_after: int) -> None:
    curve = step_at(16, 2.0)
    first, second = (EarlyStopping(EarlyStoppingConfig(enabled=True), 100) for _ in range(2))
    alphas = [torch.zeros(1)]
    for epoch in range(18):
        if epoch == interrupted_after + 1:
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            first = second
        alphas[0].fill_(epoch)
        first.observe(host(alphas), epoch, {"lambda_max": curve(epoch)})
    assert first.stop == Stop(after=17, returned=11)
    assert alphas[0].item() == 11


def test_the_stop_itself_survives_a_resumption() -> None:
    stopped = watched(step_at(16, 2.0))
    resumed = EarlyStopping(EarlyStoppingConfig(enabled=True), 100)
    resumed.load_state_dict(copy.deepcopy(stopped.state_dict()))
    assert resumed.stop == stopped.stop
    assert not resumed.wants(50)


def test_no_more_alphas_are_kept_than_a_stop_can_return_to() -> None:
    kept = watched(lambda epoch: 1.0).state_dict()["alphas"]
    assert list(kept) == list(range(93, 100))


def test_an_optimizer_that_stopped_derives_the_earlier_cell() -> None:
    optimizer = small_optimizer("darts_es", early_stopping__window=1, early_stopping__start_epoch=0)
    stopping = companion_of(optimizer, "early_stopping")
    cells = []
    for epoch in range(5):
        with torch.no_grad():
            for alpha in optimizer.alphas:
                alpha.copy_(torch.randn(alpha.shape, generator=torch.Generator().manual_seed(epoch)))
        cells.append(optimizer.derive())
        stopping.observe(optimizer, epoch, {"lambda_max": 1.0 if epoch < 4 else 2.0})
    assert stopping.stop == Stop(after=4, returned=0)
    assert optimizer.derive() == cells[0] != cells[4]
    resumed = small_optimizer("darts_es", early_stopping__window=1, early_stopping__start_epoch=0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.derive() == cells[0]
    assert companion_of(resumed, "early_stopping").stop == stopping.stop


def test_a_checkpoint_from_before_there_was_early_stopping_is_taken() -> None:
    optimizer = small_optimizer("darts_es")
    state = optimizer.state_dict()
    del state["companions"]
    optimizer.load_state_dict(state)
    assert companion_of(optimizer, "early_stopping").stop is None


def test_a_checkpoint_of_the_first_versions_which_knew_early_stopping_alone_is_taken() -> None:
    written, optimizer = small_optimizer("darts_es"), small_optimizer("darts_es")
    companion_of(written, "early_stopping").observe(written, 3, {"lambda_max": 0.5})
    state = written.state_dict()
    state["early_stopping"] = state.pop("companions")["early_stopping"]
    optimizer.load_state_dict(copy.deepcopy(state))
    assert companion_of(optimizer, "early_stopping").measured == {3: 0.5}


@pytest.mark.parametrize("name", ["random_ws", "enas"])
def test_a_sampling_method_refuses_it(name: str) -> None:
    with pytest.raises(ValueError, match="without alphas there is no Hessian"):
        small_optimizer(name, early_stopping__enabled=True)


@pytest.mark.parametrize("setting", [{"window": 0}, {"look_back": 0}, {"every": 0}, {"ratio": 0}, {"start_epoch": -1}])
def test_impossible_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected window, look_back and every from 1"):
        EarlyStoppingConfig(**setting)
