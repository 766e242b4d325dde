from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.errors import UserError
from optimizers.p_darts import PDarts, StageConfig, largest, with_fewer_skips
from spaces.base import Space
from spaces.darts.space import SPACES
from spaces.darts.supernet import DartsSupernet
from tests.support.space_searches import search_in

SMALL = {"stages.added_cells": "0,1,2", "network.channels": 2, "network.cells": 3, "alphas.learning_rate": 0.5}


def p_darts(path: Path, epochs: int, space: str = "darts", **settings: Any) -> PDarts:
    search = search_in(path, space, "p_darts", epochs, {**SMALL, **settings})
    assert isinstance(search.optimizer, PDarts)
    return search.optimizer


def kept_by_argmin(names: Sequence[str], alphas: Sequence[float], count: int) -> list[str]:
    """What an edge keeps, one operation after the other thrown out, as the published code's `get_min_k` does."""
    strengths = np.exp(np.asarray(alphas, dtype=np.float64))
    remaining = list(names)
    while len(remaining) > count:
        weakest = int(np.argmin([strengths[list(names).index(name)] for name in remaining]))
        del remaining[weakest]
    return remaining


def test_operations_kept_after_each_stage_are_those_of_a_plain_recomputation(tmp_path: Path) -> None:
    search = search_in(tmp_path / "run", "darts", "p_darts", 3, {**SMALL, "data.images": 8})
    search.run()
    lines = search.folder.epochs()
    assert [line["stage"] for line in lines] == [1, 1, 2, 3]
    optimizer = search.optimizer
    expected: list[Any] = [[list(names) for names in edges] for edges in SPACES["darts"].labels()]
    for line, count in ((lines[1], 5), (lines[2], 3)):
        # The alphas of a line are those after its epoch, the last of its stage.
        expected = [
            [kept_by_argmin(names, alphas, count) for names, alphas in zip(edges, rows, strict=True)]
            for edges, rows in zip(expected, line["alphas"], strict=True)
        ]
        assert np.shape(line["alphas"]) == (2, 14, {5: 8, 3: 5}[count])
    assert [[list(names) for names in edges] for edges in optimizer.supernet.space.labels()] == expected
    assert len({tuple(names) for edges in expected for names in edges}) > 1
    assert np.shape(lines[3]["alphas"]) == (2, 14, 3)


def test_each_stage_is_deeper_and_starts_anew(tmp_path: Path) -> None:
    optimizer = p_darts(tmp_path / "run", 75)
    first = copy.deepcopy(optimizer.weights.parameters["stem.convolution.weight"].detach())
    cells, rates, moving = [], [], []
    for epoch in (0, 9, 10, 24, 25, 49, 50, 74):
        optimizer.begin_epoch(epoch)
        cells.append(len(optimizer.supernet.groups))
        rates.append(optimizer.weight_optimizer.param_groups[0]["lr"])
        moving.append(optimizer.moves_alphas)
    assert cells == [3, 3, 3, 3, 4, 4, 5, 5]
    assert moving == [False, False, True, True, False, True, False, True]
    assert rates[0] == rates[4] == rates[6] == pytest.approx(0.025 * (1 + math.cos(math.pi / 25)) / 2)
    assert rates[3] == rates[5] == rates[7] == pytest.approx(0, abs=1e-12)
    assert not torch.equal(first, optimizer.weights.parameters["stem.convolution.weight"])
    assert not optimizer.alpha_optimizer.state
    assert optimizer.alpha_optimizer.param_groups[0]["params"][0] is optimizer.alphas[0]


def test_dropout_falls_linearly_and_then_exponentially(tmp_path: Path) -> None:
    optimizer = p_darts(tmp_path / "run", 75)
    shares = []
    for epoch in (0, 25, 34, 35, 40, 50, 60):
        optimizer.begin_epoch(epoch)
        network = optimizer.supernet
        assert isinstance(network, DartsSupernet)
        shares.append(network.config.skip_dropout)
    expected = [0, 0.4 * 24 / 25, 0.4 * 15 / 25, 0.4, 0.4 * math.exp(-1), 0.7 * 24 / 25, 0.7]
    assert shares == pytest.approx(expected)


def cell_by_switches(space: Space[Any], row: np.ndarray[Any, Any], most: int) -> set[tuple[int, str]]:
    """Edges and operations of the normal cell by the published way: switches, and one skip after the other deleted."""
    row, names = row.copy(), space.labels()[0]
    row[:, [name == "none" for name in names[0]]] = 0
    while True:
        edges = [0, 1]
        for start, count in ((2, 3), (5, 4), (9, 5)):
            strongest = sorted(range(count), key=lambda edge, start=start: row[start + edge].max())  # type: ignore[misc]
            edges += [start + strongest[-1], start + strongest[-2]]
        cell = {(edge, names[edge][int(row[edge].argmax())]) for edge in edges}
        skips = [edge for edge, name in cell if name == "skip_connect"]
        if len(skips) <= most:
            return cell
        place = names[0].index("skip_connect")
        row[min(skips, key=lambda edge: row[edge, place]), place] = 0


@pytest.mark.parametrize("most", [0, 2, 8])
def test_the_normal_cell_has_no_more_skips_than_allowed(most: int) -> None:
    space = SPACES["darts"]
    generator = np.random.default_rng(3)
    for _ in range(5):
        rows = [generator.dirichlet(np.ones(8), size=14) for _ in range(2)]
        rows[0][:, 3] += generator.random(14) * 0.3
        cell = with_fewer_skips(space, [row.copy() for row in rows], most)
        graphs = cell.graphs()[0]
        inner = {(source, to, name) for source, to, name in graphs.edges if name}
        edges = [(source, node) for node in range(2, 6) for source in range(node)]
        assert inner == {(*edges[edge], name) for edge, name in cell_by_switches(space, rows[0], most)}
        assert sum(name == "skip_connect" for *_, name in inner) <= most
        assert space.one_hot(cell)[1].tolist() == space.one_hot(space.derive(rows))[1].tolist()


def test_skips_of_edges_with_nothing_else_stay() -> None:
    names = (("none", "skip_connect"),) * 14
    space = SPACES["s3"].narrowed([names, names])
    assert set(with_fewer_skips(space, [np.full((14, 2), 0.5)] * 2, 2).operations()) == {"skip_connect"}


def test_of_equals_the_first_is_dropped_first() -> None:
    assert largest(("a", "b", "c"), (0.2, 0.2, 0.6), 2) == ("b", "c")
    assert largest(("a", "b", "c"), (0.5, 0.1, 0.4), 2) == ("a", "c")
    assert largest(("a", "b"), (0.5, 0.5), 5) == ("a", "b")


def test_it_resumes_across_the_boundary_of_stages(tmp_path: Path) -> None:
    settings = {**SMALL, "perturbation.kind": "uniform", "data.images": 8}
    whole = search_in(tmp_path / "whole", "s3", "p_darts", 3, {**settings, "stages.kept": "2"})
    whole.run()
    for cut in (1, 2):
        resumed = search_in(tmp_path / f"cut{cut}", "s3", "p_darts", 3, {**settings, "stages.kept": "2"})

        def stop(line: dict[str, Any], cut: int = cut) -> None:
            if line["epoch"] == cut:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            resumed.run(stop)
        resumed = search_in(tmp_path / f"cut{cut}", "s3", "p_darts", 3, {**settings, "stages.kept": "2"})
        resumed.run()
        pairs = zip(whole.folder.epochs(), resumed.folder.epochs(), strict=True)
        assert all(ours["alphas"] == theirs["alphas"] and ours["cell"] == theirs["cell"] for ours, theirs in pairs)
        for name, tensor in whole.optimizer.weights.parameters.items():
            assert torch.equal(tensor, resumed.optimizer.weights.parameters[name])


def test_a_space_that_cannot_be_narrowed_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"p_darts cannot search space nb201: its network has no network\.cells"):
        search_in(tmp_path / "run", "nb201", "p_darts", 3)
    with pytest.raises(UserError, match="p_darts cannot search space 1: nb101_1: does not say which operations"):
        search_in(tmp_path / "run", "1", "p_darts", 3)


@pytest.mark.parametrize("text", ["", "a", "0,6,x", "-1", "5000"])
def test_lists_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="numbers from 0 to 1000 separated by commas"):
        StageConfig(added_cells=text)
