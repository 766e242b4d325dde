"""Regularised evolution and REINFORCE against plain recomputations, and the contract for every method."""

from __future__ import annotations

import random

import pytest
import torch

from harness.conformance.black_box import CHECKS, BlackBoxSubject, made_up_error
from optimizers.black_box.registry import list_black_box
from optimizers.black_box.regularised_evolution import RegularisedEvolution, RegularisedEvolutionConfig
from optimizers.black_box.reinforce import Reinforce, ReinforceConfig
from spaces.nb201.architecture import OPERATIONS, Nb201Architecture
from spaces.registry import get_space


def proposed(method: RegularisedEvolution | Reinforce, count: int) -> list[object]:
    architectures: list[object] = []
    for _ in range(count):
        proposal = method.ask()
        method.tell(proposal, made_up_error(proposal.architecture))
        architectures.append(proposal.architecture)
    return architectures


def plain_evolution(seed: int, population: int, tournament: int, identity: float, count: int) -> list[object]:
    """Algorithm 1 of Real et al. (2019) on the operations of NAS-Bench-201, with every member kept in one list."""
    generator = random.Random(f"RegularisedEvolution {seed}")
    history: list[tuple[str, ...]] = []
    while len(history) < count:
        if len(history) < population:
            history.append(tuple(generator.choice(OPERATIONS) for _ in range(6)))
            continue
        alive = history[-population:]
        contestants = [alive[generator.randrange(population)] for _ in range(tournament)]
        errors = [made_up_error(Nb201Architecture(contestant)) for contestant in contestants]
        child = list(contestants[errors.index(min(errors))])
        if generator.random() >= identity:
            generator.choice(["operation"])  # the one kind of variable
            edge = generator.choice(range(6))
            child[edge] = generator.choice([operation for operation in OPERATIONS if operation != child[edge]])
        history.append(tuple(child))
    return [Nb201Architecture(operations) for operations in history]


@pytest.mark.parametrize(("population", "tournament", "identity"), [(10, 3, 0.0), (20, 5, 0.3), (1, 1, 0.0)])
def test_evolution_is_what_a_plain_recomputation_gives(population: int, tournament: int, identity: float) -> None:
    config = RegularisedEvolutionConfig(population, tournament, identity)
    for seed in range(3):
        method = RegularisedEvolution(get_space("nb201"), config, seed)
        assert proposed(method, 150) == plain_evolution(seed, population, tournament, identity, 150)


def test_a_mutation_changes_parents_operations_or_nothing_a_third_of_the_time_each() -> None:
    space = get_space("nb101_1")
    method = RegularisedEvolution(space, RegularisedEvolutionConfig(), 0)
    parent = space.sample(random.Random(1))
    before = space.values_of(parent)
    counts = {"nothing": 0, "operation": 0, "parents": 0}
    for _ in range(3000):
        after = space.values_of(method.mutated(parent))
        changed = [place for place in range(len(before)) if before[place] != after[place]]
        assert len(changed) <= 1
        counts[space.variables()[changed[0]].kind if changed else "nothing"] += 1
    assert all(abs(count - 1000) < 130 for count in counts.values()), counts


def test_evolution_where_nothing_was_told_yet_goes_on_at_random() -> None:
    method = RegularisedEvolution(get_space("nb201"), RegularisedEvolutionConfig(2, 2, 0.0), 0)
    waiting = [method.ask() for _ in range(5)]
    for proposal in waiting:
        method.tell(proposal, 0.5)
    assert len({proposal.number for proposal in waiting}) == 5


@pytest.mark.parametrize("ascent", ["plain", "adam"])
def test_reinforce_moves_its_logits_as_automatic_differentiation_does(ascent: str) -> None:
    space = get_space("nb101_2")
    rate = 0.1 if ascent == "plain" else 0.01
    method = Reinforce(space, ReinforceConfig(rate, 0.9, ascent), 0)  # type: ignore[arg-type]
    logits = [torch.zeros(len(one.values), dtype=torch.float64, requires_grad=True) for one in space.variables()]
    optimizer = (
        torch.optim.SGD(logits, lr=rate, maximize=True)
        if ascent == "plain"
        else torch.optim.Adam(logits, lr=rate, maximize=True)
    )
    average = weight = 0.0
    for _ in range(60):
        proposal = method.ask()
        error = made_up_error(proposal.architecture)
        method.tell(proposal, error)
        average, weight = 0.9 * average + 0.1 * (1 - error), 0.9 * weight + 0.1
        values = space.values_of(proposal.architecture)
        probability = sum(torch.log_softmax(row, 0)[value] for row, value in zip(logits, values, strict=True))
        optimizer.zero_grad()
        ((1 - error - average / weight) * probability).backward()  # type: ignore[union-attr]
        optimizer.step()
    for ours, theirs in zip(method.logits, logits, strict=True):
        assert ours == pytest.approx(theirs.tolist(), abs=1e-12)


def test_reinforce_comes_to_prefer_what_is_rewarded() -> None:
    method = Reinforce(get_space("nb201"), ReinforceConfig(1.0), 0)
    for _ in range(400):
        proposal = method.ask()
        method.tell(proposal, proposal.architecture.to_json()["string"].count("none") / 6)
    first_none = [max(range(5), key=row.__getitem__) == 0 for row in method.logits]
    assert not any(first_none)


OWN = [method for method in list_black_box() if method.name != "smac"]


@pytest.mark.parametrize("space", ["nb201", "nb101_3", "toy"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("method", OWN, ids=lambda method: method.name)
def test_methods_keep_the_contract(method, check, space) -> None:  # type: ignore[no-untyped-def]
    if method.method_class.extra:
        pytest.importorskip(method.method_class.extra, reason=f"{method.method_class.extra} is not installed")
        if space != "nb201":
            pytest.skip("one space is enough for a library that takes milliseconds for a proposal")
    check(BlackBoxSubject(method.name, method.method_class, method.method_class.config_class(), get_space(space)))


@pytest.mark.slow
def test_smac_asks_for_architectures_and_learns() -> None:
    pytest.importorskip("smac", reason="SMAC3, an extra, is not installed")
    (smac,) = [method for method in list_black_box() if method.name == "smac"]
    space = get_space("nb201")
    sequences = []
    for _ in range(2):
        method = smac.method_class(space, smac.method_class.config_class(), 0)
        sequences.append(proposed(method, 8))  # type: ignore[arg-type]
    assert sequences[0] == sequences[1]
    assert len(set(sequences[0])) == 8
