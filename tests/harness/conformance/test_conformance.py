from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.conformance import (
    BoundCheck,
    NotJudged,
    Subject,
    Verdict,
    Violation,
    all_checks,
    conformance_checks,
    judge,
)
from harness.conformance.subject import watched
from harness.conformance.suite import method_of
from optimizers.base import Optimizer
from optimizers.registry import get_method, list_methods
from spaces.base import EVALUATION, InputShape, Pass
from spaces.registry import get_space
from tests.support.further_faults import FAULTS
from tests.support.planted_faults import Fault
from tests.support.unusual_optimizers import UNUSUAL

PLAIN = [method.name for method in list_methods() if "perturbation.kind" not in method.settings]
COMPOSED = ["sdarts_adv", "gdas_rs", "pc_darts_gauss"]

BUILT_IN = [
    pytest.param(check, id=f"{name}-{check}") for name in PLAIN + COMPOSED for check in conformance_checks(name)
]

#: Methods that use what the others do not: second order, partial channels, samples for each cell, each companion.
IN_ANOTHER_SPACE = [
    *[(name, "linf") for name in ("darts_2nd", "hessian_reg", "darts_es", "r_darts_dp", "gdas", "nasp_adv", "enas")],
    *[(name, "l2") for name in ("pc_darts_rs", "sdarts_adv", "gdas_adv")],
]

IN_STAGES = [
    "it_runs_in_every_space",
    "a_step_draws_nothing",
    "schedules_are_those_of_the_epoch",
    "warm_start_leaves_the_alphas_alone",
    "derive_does_not_see_the_perturbation",
]

#: The kinds that the suite was made for; `further_faults` has more.
TEN = [
    "forgotten restore",
    "gradient leak",
    "wrong sign of ascent",
    "shared RNG",
    "alphas registered as weights",
    "missing softmax",
    "stale BatchNorm",
    "off-by-one schedule",
    "state missing from the checkpoint",
    "derive from the perturbed point",
]

VARIANTS = [pytest.param(fault, id=fault.optimizer.__name__) for faults in FAULTS.values() for fault in faults]


@pytest.mark.parametrize("check", BUILT_IN)
def test_every_built_in_method_keeps_the_contract(check: BoundCheck) -> None:
    check()


@pytest.mark.parametrize("check", IN_STAGES)
def test_a_method_in_stages_keeps_the_contract(check: str) -> None:
    settings = {"stages.added_cells": "0,1", "stages.kept": "2"}
    subject = Subject(get_method("p_darts"), settings, get_space("s3"))
    {each.name: each for each in all_checks()}[check](subject)


def test_a_method_is_not_judged_in_a_space_that_lacks_what_it_needs() -> None:
    for space, words in (("nb201", "no network.cells"), ("1", "does not say which operations")):
        outcomes = list(judge(Subject(get_method("p_darts"), {}, get_space(space))))
        assert {verdict.outcome for verdict in outcomes[1:]} == {"not judged"}
        assert outcomes[0].outcome != "broken"
        assert words in outcomes[1].words


@pytest.mark.parametrize(("name", "norm"), IN_ANOTHER_SPACE)
def test_methods_keep_the_contract_in_a_space_of_two_kinds_of_cell(name: str, norm: str) -> None:
    subject = Subject(get_method(name), {"perturbation.norm": norm}, get_space("toy"))
    assert [verdict for verdict in judge(subject) if verdict.outcome == "broken"] == []


@pytest.mark.parametrize("optimizer", UNUSUAL, ids=lambda optimizer: optimizer.__name__)
def test_an_unusual_but_legal_optimizer_raises_no_alarm(optimizer: type[Optimizer]) -> None:
    judged = judge(Subject(method_of(optimizer)), UNUSUAL[optimizer])
    assert [verdict for verdict in judged if verdict.outcome == "broken"] == []


@pytest.mark.parametrize("kind", TEN)
def test_a_planted_fault_is_named_by_one_check_and_no_other(kind: str) -> None:
    fault = FAULTS[kind][0]
    broken = [verdict for verdict in verdicts(fault.optimizer) if verdict.outcome == "broken"]
    assert [verdict.check.name for verdict in broken] == [fault.check]
    assert re.search(fault.words, broken[0].words)


@pytest.mark.parametrize("fault", VARIANTS)
def test_every_variant_of_a_fault_is_found_and_said_in_words(fault: Fault) -> None:
    check = next(check for check in all_checks() if check.name == fault.check)
    with pytest.raises(Violation, match=fault.words) as caught:
        check(Subject(method_of(fault.optimizer)))
    assert "\n" not in str(caught.value)


def verdicts(optimizer: type[Optimizer]) -> list[Verdict]:
    return list(judge(Subject(method_of(optimizer))))


def test_a_check_whose_requirement_is_broken_is_not_judged() -> None:
    fault = FAULTS["forgotten restore"][0]
    found = {verdict.check.name: verdict for verdict in verdicts(fault.optimizer)}
    assert found["the_weight_step_moves_only_weights"].outcome == "not judged"
    assert found["the_weight_step_moves_only_weights"].words == "until this is mended: a perturbation is undone"
    # What requires a check that is not judged is not judged either.
    assert found["warm_start_leaves_the_alphas_alone"].outcome == "not judged"


def test_requirements_are_checks_that_come_earlier() -> None:
    names = [check.name for check in all_checks()]
    for place, check in enumerate(all_checks()):
        assert set(check.requires) <= set(names[:place]), check.name
        assert check.promise.endswith(".")


def test_a_check_is_left_out_by_name_only() -> None:
    skip = {"the_attack_raises_the_training_loss": "it looks ahead on purpose"}
    assert len(conformance_checks("darts", skip=skip)) == len(all_checks()) - 1
    with pytest.raises(ValueError, match=r"no such check: the_attack; see python -m harness\.check --list"):
        conformance_checks("darts", skip={"the_attack": "misspelt"})


def test_a_check_that_has_nothing_to_say_is_a_skipped_test() -> None:
    check = next(check for check in conformance_checks("enas") if str(check) == "shift_invariance_is_as_declared")
    with pytest.raises(NotJudged, match="it has no alphas"):
        check()


def test_an_optimizer_is_named_by_class_method_or_name() -> None:
    darts = get_method("darts")
    assert method_of("darts") == method_of(darts) == darts
    assert method_of(darts.optimizer_class).settings == darts.settings
    with pytest.raises(
        ValueError, match=r"expected a subclass of optimizers\.base\.Optimizer or a method's name, got 3"
    ):
        method_of(3)  # type: ignore[arg-type]


def test_global_generators_are_where_they_were_after_a_check() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]
    wrong = next(fault.optimizer for fault in FAULTS["shared RNG"] if fault.optimizer.__name__ == "SeedsTorch")
    verdicts(wrong)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_settings_given_to_the_suite_have_the_last_word() -> None:
    (check, *_) = conformance_checks("darts", settings={"alphas.unrolled": True, "network.channels": 6})
    assert check.subject.optimizer().config.alphas.unrolled
    assert check.subject.config().to_json()["network"]["channels"] == 6


def test_the_checks_are_bound_to_a_space_by_its_name() -> None:
    (check, *_) = conformance_checks("darts", space="toy")
    assert [space.name for space in check.subject.spaces] == ["toy"]
    with pytest.raises(ValueError, match="unknown space 'toi'; did you mean toy"):
        conformance_checks("darts", space="toi")


@pytest.mark.parametrize("space", ["1", "toy"])
def test_a_watched_network_is_the_network_and_remembers_what_trains_weights(space: str) -> None:
    subject = Subject(get_method("darts"), space=get_space(space))
    optimizer = subject.optimizer()
    network, config = watched(optimizer), subject.config()
    plain = get_space(space).network(config.network, InputShape(1, 10))
    assert network.abilities == plain.abilities
    assert [network.cells_of(group) for group in plain.groups] == [plain.cells_of(group) for group in plain.groups]
    weights, mixture, inputs = optimizer.weights, optimizer.relax().detach(), torch.randn(4, 1, 8, 8)
    ways = (EVALUATION, Pass(training=True, update_statistics=False))
    for how in ways:
        assert torch.equal(network(weights, mixture, inputs, how), plain(weights, mixture, inputs, how))
        network(weights.frozen(), mixture, inputs, how)
    assert len(network.passes) == 1
    assert all(torch.equal(*rows) for rows in zip(network.passes[0].rows, mixture.rows, strict=True))


SUITE = """
import pytest
from harness.conformance import conformance_checks
from tests.support.planted_faults import FAULTS

optimizer = FAULTS["missing softmax"][0].optimizer

@pytest.mark.parametrize("check", conformance_checks(optimizer), ids=str)
def test_it_keeps_the_contract(check):
    check()
"""


def test_someone_elses_test_suite_runs_the_checks(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(SUITE)
    names = ["mixtures_lie_on_the_simplex", "derive_is_stable"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", " or ".join(names)]
    answer = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True)
    assert answer.returncode == 1
    assert "1 failed, 1 passed" in answer.stdout
    assert "test_it_keeps_the_contract[mixtures_lie_on_the_simplex]" in answer.stdout
    assert "a softmax is missing" in answer.stdout
