from __future__ import annotations

from collections.abc import Iterator

import pytest

from optimizers import registry
from optimizers.darts import Darts
from optimizers.registry import get_method, list_methods, register, register_preset

RELAXING = ["darts", "darts_2nd", "gdas", "nasp", "pc_darts"]
KINDS = {"rs": "uniform", "adv": "adversarial", "gauss": "gaussian"}


@pytest.fixture(autouse=True)
def registered_methods_are_put_back() -> Iterator[None]:
    list_methods()
    before = dict(registry._methods)
    yield
    registry._methods.clear()
    registry._methods.update(before)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("base", RELAXING)
def test_every_relaxing_method_is_known_with_every_perturbation(base: str, suffix: str) -> None:
    plain = get_method(base)
    perturbed = get_method(f"{'sdarts' if base == 'darts' else base}_{suffix}")
    assert perturbed.optimizer_class is plain.optimizer_class
    assert perturbed.settings == {**plain.settings, "perturbation.kind": KINDS[suffix]}
    assert base in perturbed.summary
    assert "Chen & Hsieh" in perturbed.summary


def test_sdarts_is_the_only_name_of_perturbed_darts() -> None:
    with pytest.raises(ValueError, match="unknown optimizer 'darts_rs'"):
        get_method("darts_rs")


def test_a_method_of_ones_own_gets_its_companions() -> None:
    @register("mine", "a method of one's own", {"alphas.initial_mean": 1.0})
    class Mine(Darts):
        pass

    names = [method.name for method in list_methods()]
    assert names[-4:] == ["mine", "mine_rs", "mine_adv", "mine_gauss"]
    assert get_method("mine_adv").settings == {"alphas.initial_mean": 1.0, "perturbation.kind": "adversarial"}


def test_a_method_that_does_not_relax_has_no_companions() -> None:
    @register("sampler", "samples cells")
    class Sampler(Darts):
        relaxes = False

    assert list_methods()[-1].name == "sampler"


def test_a_preset_with_a_perturbation_has_no_companions() -> None:
    register_preset("gentle", Darts, {"perturbation.kind": "uniform", "perturbation.epsilon_end": 0.1}, "gentle")
    names = {method.name for method in list_methods()}
    assert "gentle" in names
    assert not {"gentle_rs", "gentle_adv", "gentle_gauss"} & names


@pytest.mark.parametrize("name", ["hessian_reg", "darts_es", "r_darts_l2", "r_darts_dp"])
def test_regularised_darts_is_darts_with_one_setting_and_no_companions(name: str) -> None:
    method = get_method(name)
    assert method.optimizer_class is get_method("darts").optimizer_class
    assert len(method.settings) == 1
    with pytest.raises(ValueError, match=f"unknown optimizer '{name}_rs'"):
        get_method(f"{name}_rs")


def test_nothing_is_registered_where_a_companions_name_is_taken() -> None:
    register_preset("mine_adv", Darts, {"perturbation.kind": "adversarial"}, "taken")
    with pytest.raises(ValueError, match="'mine_adv' is registered twice"):
        register("mine", "mine")(Darts)
    with pytest.raises(ValueError, match="unknown optimizer 'mine'"):
        get_method("mine")
