from __future__ import annotations

import random

import pytest

from optimizers.black_box.base import BlackBoxConfig, NotAskedError, Proposal
from optimizers.black_box.random_search import RandomSearch
from optimizers.black_box.registry import get_black_box, is_black_box_name, list_black_box
from spaces.plugins import PluginError
from spaces.registry import get_space


def search(seed: int = 0) -> RandomSearch:
    return RandomSearch(get_space("nb201"), BlackBoxConfig(), seed)


def test_what_was_asked_is_told_once_and_in_any_order() -> None:
    method = search()
    first, second = method.ask(), method.ask()
    method.tell(second, 0.2)
    method.tell(first, 0.1)
    assert (first.number, second.number) == (1, 2)
    assert method.incumbent == (first, 0.1)


def test_a_proposal_told_twice_is_refused_and_changes_nothing() -> None:
    method = search()
    proposal = method.ask()
    method.tell(proposal, 0.5)
    with pytest.raises(NotAskedError, match=r"proposal 1 .* was told before"):
        method.tell(proposal, 0.1)
    assert method.incumbent == (proposal, 0.5)


@pytest.mark.parametrize("number", [0, 2])
def test_a_proposal_that_was_not_asked_for_is_refused(number: int) -> None:
    method = search()
    method.ask()
    foreign = Proposal(number, method.space.sample(random.Random(5)))
    with pytest.raises(NotAskedError, match="was not asked for"):
        method.tell(foreign, 0.1)
    assert method.incumbent is None


def test_a_number_that_was_asked_for_with_another_architecture_is_refused() -> None:
    method = search()
    proposal = method.ask()
    with pytest.raises(NotAskedError):
        method.tell(Proposal(proposal.number, search(9).ask().architecture), 0.1)
    method.tell(proposal, 0.1)


@pytest.mark.parametrize("error", [float("nan"), -0.1, 1.1, float("inf")])
def test_an_error_that_is_no_fraction_is_refused_and_the_proposal_waits_on(error: float) -> None:
    method = search()
    proposal = method.ask()
    with pytest.raises(ValueError, match="as a fraction from 0 to 1"):
        method.tell(proposal, error)
    method.tell(proposal, 0.3)


def test_of_equal_errors_the_one_told_first_is_the_incumbent() -> None:
    method = search()
    first, second = method.ask(), method.ask()
    method.tell(first, 0.4)
    method.tell(second, 0.4)
    assert method.incumbent == (first, 0.4)


def test_names_are_known_and_a_near_miss_is_named() -> None:
    names = [method.name for method in list_black_box()]
    assert names[:5] == ["random_search", "regularised_evolution", "reinforce", "tpe", "smac"]
    with pytest.raises(ValueError, match="did you mean reinforce"):
        get_black_box("reinforced")
    assert is_black_box_name("tpe")
    assert not is_black_box_name("darts")


def test_a_class_of_another_kind_is_refused() -> None:
    with pytest.raises(PluginError, match=r"expected a subclass of .*BlackBox"):
        get_black_box("optimizers.darts:Darts")
