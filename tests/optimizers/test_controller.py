"""The controller against what the published one computed (golden `controller*`, float32)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from optimizers.controller import Choose, Controller, ControllerConfig, Proposal, draw_with
from spaces.nb101.architecture import CellChoice
from spaces.nb101.space import get_space
from tests.support.golden_vectors import Arrays, below, golden_arrays, golden_json, relative_error

PUBLISHED_NAMES = {
    "embedding": "encoder.weight",
    "lstm.input": "lstm.weight_ih",
    "lstm.hidden": "lstm.weight_hh",
    "lstm.input_bias": "lstm.bias_ih",
    "lstm.hidden_bias": "lstm.bias_hh",
    "op": "w_soft.weight",
    "attention.key": "w_attn_1.weight",
    "attention.query": "w_attn_2.weight",
    "attention.score": "v_attn.weight",
    "op_bias": "b_soft",
}


def new_controller(space: int, seed: int = 0, **settings: Any) -> Controller:
    return Controller(get_space(space), ControllerConfig(**settings), torch.Generator().manual_seed(seed))


def load_published(controller: Controller, state: Arrays) -> None:
    """Take over weights saved under the published names."""
    assert set(state) == set(PUBLISHED_NAMES.values())
    with torch.no_grad():
        for name, published in PUBLISHED_NAMES.items():
            tensor = controller.parameters[name]
            tensor.copy_(torch.tensor(state[published]).reshape(tensor.shape))


def recorded_choices(indices: Iterator[int]) -> Choose:
    """Decisions read from a recording."""
    return lambda probabilities, how_many: torch.tensor([[next(indices) for _ in range(how_many)]])


@pytest.mark.parametrize("space", [1, 3])
def test_recorded_samples_have_the_published_probabilities(space: int) -> None:
    recorded = golden_json("controller")[f"space{space}"]
    controller = new_controller(space, op_bias=True)
    load_published(controller, below(golden_arrays(f"controller_{space}"), "controller/"))
    samples = recorded[f"samples_seed_{1000 + space}"]
    assert len(samples) == 20
    for sample in samples:
        decisions = iter(sample["decisions"])

        def choose(probabilities: torch.Tensor, how_many: int, decisions: Iterator[Any] = decisions) -> torch.Tensor:
            decision = next(decisions)
            assert how_many == decision["num_samples"]
            # The logits are those of the log-probabilities up to a constant, which cancels in the softmax.
            assert relative_error(probabilities[0].log(), np.log(decision["prob"])) < 1e-6
            return torch.tensor([decision["indices"]])

        proposal = controller.propose(1, choose)
        assert next(decisions, None) is None
        (architecture,) = proposal.architectures
        assert isinstance(architecture, CellChoice)
        assert get_space(space).matrix(architecture.parents).tolist() == sample["adjacency"]
        assert list(architecture.ops) == sample["ops"]
        assert architecture.key == sample["hash"]
        assert proposal.cross_entropy.item() == pytest.approx(sample["log_prob_actually_sum_of_CE"], rel=1e-6)
        assert proposal.entropy.item() == pytest.approx(sample["entropy"], rel=1e-6)


@pytest.mark.parametrize("space", [1, 3])
def test_gradient_of_the_first_sample_is_the_published_one(space: int) -> None:
    arrays = golden_arrays(f"controller_{space}")
    controller = new_controller(space, op_bias=True)
    load_published(controller, below(arrays, "controller/"))
    first = golden_json("controller")[f"space{space}"][f"samples_seed_{1000 + space}"][0]
    indices = iter([index for decision in first["decisions"] for index in decision["indices"]])
    loss = controller.propose(1, recorded_choices(indices)).cross_entropy.sum()
    gradients = torch.autograd.grad(loss, list(controller.parameters.values()))
    recorded = below(arrays, "first_sample_logprob_grad/")
    largest = max(float(np.abs(gradient).max()) for gradient in recorded.values())
    for name, gradient in zip(controller.parameters, gradients, strict=True):
        published = recorded[PUBLISHED_NAMES[name]]
        difference = np.abs(gradient.numpy().reshape(published.shape) - published).max()
        assert difference < 1e-7 * largest, name
        # The query's gradient is 1e-4 of the others', so that single precision leaves it four digits.
        assert relative_error(gradient, published) < (1e-4 if name == "attention.query" else 1e-5), name


def test_default_size_is_the_published_one() -> None:
    for space in (1, 2, 3):
        parameters = new_controller(space).parameters.values()
        assert sum(parameter.numel() for parameter in parameters) == 41987


def frequencies(controller: Controller) -> Counter[str]:
    with torch.no_grad():
        proposal = controller.propose(4000, draw_with(torch.Generator().manual_seed(0)))
    return Counter(op for architecture in proposal.architectures for op in architecture.to_json()["ops"])


def test_a_fresh_controller_favours_no_operation_unless_asked_for_the_published_bias() -> None:
    total = 4000 * 4
    assert all(abs(count / total - 1 / 3) < 0.02 for count in frequencies(new_controller(1)).values())
    biased = frequencies(new_controller(1, op_bias=True))
    for op, share in (("maxpool3x3", 0.421), ("conv3x3-bn-relu", 0.421), ("conv1x1-bn-relu", 0.158)):
        assert biased[op] / total == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("space", [1, 2, 3])
def test_every_proposal_is_an_architecture_of_the_space(space: int) -> None:
    controller = new_controller(space)
    with torch.no_grad():
        proposal = controller.propose(300, draw_with(torch.Generator().manual_seed(1)))
    for architecture in proposal.architectures:
        assert get_space(space).read(architecture.to_json()) == architecture
    assert len(set(proposal.architectures)) > 250


def test_drawing_side_by_side_equals_drawing_one_by_one() -> None:
    controller = new_controller(3)
    rows: list[torch.Tensor] = []

    def draw(probabilities: torch.Tensor, how_many: int) -> torch.Tensor:
        rows.append(draw_with(torch.Generator().manual_seed(len(rows)))(probabilities, how_many))
        return rows[-1]

    together = controller.propose(5, draw)
    for row in range(5):
        recorded = iter([int(index) for decision in rows for index in decision[row]])
        alone: Proposal = controller.propose(1, recorded_choices(recorded))
        assert alone.architectures[0] == together.architectures[row]
        assert alone.cross_entropy[0].item() == pytest.approx(together.cross_entropy[row].item(), rel=1e-5)
        assert alone.entropy[0].item() == pytest.approx(together.entropy[row].item(), rel=1e-5)
