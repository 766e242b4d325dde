"""The LSTM that proposes cells in ENAS (Pham et al. 2018, section 2.3; SmoothDARTS `enas/micro_controller.py`).

The space says what is to be decided (`Space.choices`). In NAS-Bench-1Shot1 the controller visits the nodes 2..n+1 of a
cell (node 1 has no choice). At each it takes three steps of one LSTM: attention over the lower nodes gives the
distribution of the node's parents, then the state that has seen the last drawn parent gives that of an operation, then
the state that has seen the operation becomes what later nodes attend to. The published code lets the output have an
operation too: the one drawn at node m goes to block m - 1. Where a node has no choice of parents, as where operations
lie on edges, the operation's step sees what the last one saw; every kind of cell starts from a fresh state.

REINFORCE (section 2.2; `enas/enas_child.py`) makes a proposal more likely by how much its reward exceeds a baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from spaces.base import Architecture, CellChoices, Space
from spaces.ranges import Range

Node = tuple[tuple[int, ...], tuple[int, ...]]
"""Parents and operations of a node, by number."""

Decide = Callable[[Tensor, int], Tensor]
"""Draws from logits `[batch, candidates]` how many are asked for: `[batch, how many]`."""

#: Chooses distinct columns of a matrix of probabilities: `[batch, candidates]`, how many -> `[batch, how many]`.
Choose = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class ControllerConfig:
    """Size and quirks of the controller, and how REINFORCE trains it (SmoothDARTS `optimizers/enas/enas_child.py`)."""

    size: Annotated[int, Range(1, 8192)] = 64
    """Units of the LSTM and of the embedding."""

    initial_range: Annotated[float, Range(0, 1e3)] = 0.1
    """Weights start uniformly within plus and minus this."""

    temperature: Annotated[float, Range(0, 1e6, low_open=True)] = 5.0
    """What logits are divided by."""

    tanh_constant: Annotated[float, Range(0, 1e6, low_open=True)] = 2.5
    """Logits are squashed to plus and minus this, so that the controller stays curious."""

    op_tanh_reduce: Annotated[float, Range(0, 1e6, low_open=True)] = 5.0
    """The logits of operations are squashed this many times more."""

    op_bias: bool = False
    """Whether maxpool and conv3x3 are favoured from the start, 42 : 42 : 16. Published, and meant for the first two of
    another list of operations (`micro_controller.py:33-38`)."""

    steps: Annotated[int, Range(0, 1_000_000)] = 300
    """Steps of REINFORCE after each epoch, each on one validation batch."""

    learning_rate: Annotated[float, Range(0, 1e9)] = 3.5e-4
    """Learning rate of Adam. As the next three, fixed in the published code, whose option for it is not read."""

    beta1: Annotated[float, Range(0, 1, high_open=True)] = 0.1
    """Adam's decay of the first moment."""

    beta2: Annotated[float, Range(0, 1, high_open=True)] = 0.999
    """Adam's decay of the second moment."""

    epsilon: Annotated[float, Range(0, 1e3, low_open=True)] = 1e-3
    """Adam's denominator term."""

    entropy_weight: Annotated[float, Range(-1e6, 1e6)] = 1e-4
    """Share of the sample's entropy (in nats) in the reward, which is otherwise the accuracy in percent."""

    baseline_decay: Annotated[float, Range(0, 1)] = 0.99
    """Decay of the moving average of rewards; it takes the new reward in before it is subtracted from it."""


@dataclass(frozen=True)
class Proposal:
    """Architectures that the controller drew.

    Attributes:
        architectures: one for each row.
        cross_entropy: `[batch]`, minus the log-probability, but that a node with several parents counts the mean of
            theirs, each under the distribution of the first; differentiable.
        entropy: `[batch]`, sum over the decisions, in nats.
    """

    architectures: list[Architecture]
    cross_entropy: Tensor
    entropy: Tensor


class Controller:
    """The policy over the cells of a space. It lives on the CPU, where so small a network is fastest.

    Args:
        space: the search space.
        config: size and quirks.
        generator: draws the initial weights.

    Attributes:
        parameters: name -> leaf; 41,987 numbers at the default size.
        baseline: moving average of the rewards, in percent.
    """

    def __init__(self, space: Space[Any], config: ControllerConfig, generator: torch.Generator) -> None:
        self.space, self.config = space, config
        self.cells = space.choices()
        counts = {count for cell in self.cells for node in cell.nodes for count in node.operations}
        if config.op_bias and counts != {3}:
            raise ValueError("controller.op_bias: is meant for three operations (NAS-Bench-1Shot1)")
        size, ops = config.size, max(counts)
        shapes = {
            "embedding": (1 + ops, size),
            "lstm.input": (4 * size, size),
            "lstm.hidden": (4 * size, size),
            "lstm.input_bias": (4 * size,),
            "lstm.hidden_bias": (4 * size,),
            "op": (ops, size),
            "attention.key": (size, size),
            "attention.query": (size, size),
            "attention.score": (1, size),
        }
        bound = config.initial_range
        self.parameters = {
            name: torch.rand(shape, generator=generator).mul_(2 * bound).sub_(bound) for name, shape in shapes.items()
        }
        self.parameters["op_bias"] = torch.tensor([10.0, 10.0, 0.0]) if config.op_bias else torch.zeros(ops)
        self.fixed_op_bias = torch.tensor([0.25, 0.25, -0.25]) if config.op_bias else torch.zeros(ops)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.optimizer = torch.optim.Adam(
            self.parameters.values(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
        )
        self.baseline = 0.0

    def propose(self, count: int, choose: Choose) -> Proposal:
        """Draw architectures side by side.

        Args:
            count: how many, the batch.
            choose: draws the decisions; called for the parents of node 2, its operation, the parents of node 3, ...
        """
        cross_entropy, entropy = torch.zeros(count), torch.zeros(count)

        def decide(logits: Tensor, how_many: int) -> Tensor:
            nonlocal cross_entropy, entropy
            log_probabilities = logits.log_softmax(dim=1)
            probabilities = log_probabilities.exp()
            chosen = choose(probabilities.detach(), how_many)
            cross_entropy = cross_entropy - log_probabilities.gather(1, chosen).mean(dim=1)
            entropy = entropy - (probabilities * log_probabilities).sum(dim=1).detach()
            return chosen

        decisions = [self._cell(kind, count, decide) for kind in self.cells]
        by_row = [[[node[row] for node in cell] for cell in decisions] for row in range(count)]
        architectures = [self.space.decided(choices) for choices in by_row]
        return Proposal(architectures, cross_entropy, entropy)

    def _cell(self, kind: CellChoices, count: int, decide: Decide) -> list[list[Node]]:
        """The decisions of one kind of cell: for each node those of every architecture of the batch."""
        config, weight = self.config, self.parameters
        start = weight["embedding"][:1].expand(count, -1)
        hidden = state = torch.zeros(count, config.size)
        nodes, keys = [], []
        for _ in range(kind.inputs):
            hidden, state = self._lstm(start, hidden, state)
            nodes.append(torch.zeros(count, config.size))
            keys.append(F.linear(hidden, weight["attention.key"]))
        decided: list[list[Node]] = []
        entry = start
        for node in kind.nodes:
            parents = torch.zeros(count, 0, dtype=torch.int64)
            if node.parents:
                hidden, state = self._lstm(start, hidden, state)
                query = F.linear(hidden, weight["attention.query"])
                scores = F.linear(torch.tanh(torch.stack(keys, 1) + query[:, None]), weight["attention.score"])[:, :, 0]
                parents = decide(config.tanh_constant * torch.tanh(scores / config.temperature), node.parents)
                entry = torch.stack(nodes, 1)[torch.arange(count), parents[:, -1]]
            operations = []
            for candidates in node.operations:
                hidden, state = self._lstm(entry, hidden, state)
                scores = torch.tanh((F.linear(hidden, weight["op"]) + weight["op_bias"]) / config.temperature)
                logits = config.tanh_constant / config.op_tanh_reduce * scores + self.fixed_op_bias
                operation = decide(logits[:, :candidates], 1)[:, 0]
                operations.append(operation)
                entry = weight["embedding"][operation + 1]
            hidden, state = self._lstm(entry, hidden, state)
            nodes.append(hidden)
            keys.append(F.linear(hidden, weight["attention.key"]))
            chosen, labels = parents.tolist(), torch.stack(operations, 1).tolist()
            decided.append([(tuple(above), tuple(own)) for above, own in zip(chosen, labels, strict=True)])
        return decided

    def reinforce(self, proposal: Proposal, accuracy: float) -> None:
        """One step on a proposal of one architecture.

        Args:
            accuracy: of that architecture, in percent.
        """
        config = self.config
        reward = accuracy + config.entropy_weight * float(proposal.entropy)
        self.baseline = config.baseline_decay * self.baseline + (1 - config.baseline_decay) * reward
        loss = proposal.cross_entropy.sum() * (reward - self.baseline)
        parameters = list(self.parameters.values())
        # Where no node has a choice of parents, nothing attends.
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """All that training has moved."""
        parameters = {name: tensor.detach() for name, tensor in self.parameters.items()}
        return {"parameters": parameters, "optimizer": self.optimizer.state_dict(), "baseline": self.baseline}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave.

        Raises:
            KeyError: a part is missing.
        """
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(state["parameters"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]

    def _lstm(self, entry: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        names = ("lstm.input", "lstm.hidden", "lstm.input_bias", "lstm.hidden_bias")
        return torch.lstm_cell(entry, (hidden, cell), *(self.parameters[name] for name in names))


def draw_with(generator: torch.Generator) -> Choose:
    """Decisions drawn without replacement, one after the other."""
    return lambda probabilities, how_many: torch.multinomial(probabilities, how_many, generator=generator)
