from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optimizers import registry
from optimizers.plugins import GROUP
from optimizers.registry import get_method, list_methods, list_offered, methods_of, shadowed_offer
from spaces.plugins import PluginError
from tests.support.plugin_files import REGISTERED, SIGN, install, write_modules


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory; what is imported and registered from it is forgotten afterwards."""
    list_methods()
    methods, modules, path = dict(registry._methods), dict(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    registry._methods.clear()
    registry._methods.update(methods)
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that installed packages lie in."""
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_class_in_the_current_directory_is_a_method(folder: Path) -> None:
    write_modules(folder, my_module=SIGN)
    method = get_method("my_module:SignDarts")
    assert method.name == "my_module:SignDarts"
    assert method.folder == "my_module.SignDarts"
    assert method.optimizer_class.__name__ == "SignDarts"
    assert method.summary == "DARTS that moves alphas by the sign of their gradient."
    assert method.settings == {}


@pytest.mark.parametrize(("suffix", "kind"), [("rs", "uniform"), ("adv", "adversarial"), ("gauss", "gaussian")])
def test_a_class_that_relaxes_is_perturbed_by_its_suffix(suffix: str, kind: str, folder: Path) -> None:
    write_modules(folder, my_module=SIGN)
    method = get_method(f"my_module:SignDarts_{suffix}")
    assert method.name == f"my_module:SignDarts_{suffix}"
    assert method.optimizer_class.__name__ == "SignDarts"
    assert method.settings == {"perturbation.kind": kind}
    assert method.summary.startswith("my_module:SignDarts with ")


def test_a_class_in_a_package_is_a_method(folder: Path) -> None:
    (folder / "my_package").mkdir()
    write_modules(folder / "my_package", __init__="", methods=SIGN)
    assert get_method("my_package.methods:SignDarts").folder == "my_package.methods.SignDarts"


def test_what_a_class_is_registered_with_counts(folder: Path) -> None:
    write_modules(folder, wide=REGISTERED)
    method = get_method("wide:WideDarts_rs")
    assert method.settings == {"network.channels": 24, "perturbation.kind": "uniform"}
    assert get_method("wide:WideDarts").summary == "DARTS on more channels"
    # Names that the module registers are found behind it, too; so a process that has not imported it can say them.
    assert get_method("wide:wide_cool_darts").settings == {"alphas.learning_rate": 1e-5}
    assert get_method("wide:wide_darts_adv").name == "wide:wide_darts_adv"
    assert get_method("wide_darts_adv").settings == {"network.channels": 24, "perturbation.kind": "adversarial"}


def test_a_built_in_class_is_a_method_by_its_module_as_well() -> None:
    assert get_method("optimizers.pc_darts:PcDarts").settings == get_method("pc_darts").settings


MISTAKES = [
    ("wide:number", r"wide:number: expected a subclass of optimizers.base.Optimizer, got an object of type int"),
    ("wide:NoOptimizer", r"expected a subclass of optimizers.base.Optimizer, got the class NoOptimizer"),
    ("wide:Nothing", r"wide \(.*wide.py\) has no 'Nothing'; its optimizers: WideDarts, Sampler"),
    ("wide:Sampler_adv", r"wide:Sampler_adv: Sampler cannot be perturbed, since it does not relax"),
    ("empty:Nothing", r"has no 'Nothing'; it has no optimizer"),
    ("missing:Optimizer", r"no module 'missing' in .* or in the environment; run from the folder that holds it"),
    ("wide.inner:Optimizer", r"no module 'wide.inner' in "),
    ("wide.py:WideDarts", r"no module 'wide.py' .* a module is named without its suffix, wide:WideDarts"),
    ("zero:Optimizer", r"zero cannot be imported, ZeroDivisionError: division by zero \(.*zero.py:2\)"),
    ("needs:Optimizer", r"needs cannot be imported, ModuleNotFoundError: No module named 'not_there' \(.*needs.py:1\)"),
    ("syntax:Optimizer", r"syntax cannot be imported, SyntaxError: .* \(.*syntax.py:1\)"),
    ("exits:Optimizer", r"exits cannot be imported, SystemExit: 3 \(.*exits.py:1\)"),
    ("clash:Mine", r"clash cannot be imported, ValueError: optimizer 'darts' is registered twice, .* \(.*clash.py:3\)"),
    ("wide:", r"expected module:Class, such as my_module:MyOptimizer, got 'wide:'"),
    ("a/wide:WideDarts", r"expected module:Class"),
    ("wide:WideDarts:x", r"expected module:Class"),
]


@pytest.mark.parametrize(("name", "message"), MISTAKES, ids=[name for name, _ in MISTAKES])
def test_a_plug_in_that_cannot_be_used_is_one_line(name: str, message: str, folder: Path) -> None:
    write_modules(
        folder,
        wide=REGISTERED,
        empty="",
        zero="\n1 / 0\n",
        needs="import not_there\n",
        syntax="x = = 1\n",
        exits="raise SystemExit(3)\n",
        clash=(
            "from optimizers.base import Optimizer\nfrom optimizers.registry import register\n"
            "@register('darts', 'again')\nclass Mine(Optimizer): pass\n"
        ),
    )
    with pytest.raises(PluginError, match=message) as caught:
        get_method(name)
    assert "\n" not in str(caught.value)


def test_an_installed_package_offers_a_method_by_name(environment: Path) -> None:
    write_modules(environment, sign_module=SIGN)
    install(environment, "sign-package", sign_darts="sign_module:SignDarts")
    assert GROUP == "one_shot_nas_harness.optimizers"
    assert get_method("sign_darts").optimizer_class.__name__ == "SignDarts"
    assert get_method("sign_darts_adv").settings == {"perturbation.kind": "adversarial"}
    methods, problems = list_offered()
    assert [method.name for method in methods] == ["sign_darts", "sign_darts_rs", "sign_darts_adv", "sign_darts_gauss"]
    assert problems == []


def test_an_offer_keeps_the_settings_that_its_module_registers(environment: Path) -> None:
    write_modules(environment, wide_module=REGISTERED)
    install(environment, "wide-package", wide_darts="wide_module:WideDarts", broad="wide_module:WideDarts")
    assert get_method("broad").settings == {"network.channels": 24}
    assert get_method("wide_darts").settings == {"network.channels": 24}


BROKEN = {
    "zero": (
        "zero_module:X",
        r"'zero' of the package broken 1.2 \(zero_module:X\) cannot be loaded, ZeroDivisionError",
    ),
    "gone": ("gone_module:X", r"the package broken 1.2 .* No module named 'gone_module'"),
    "thing": ("wide_module:number", r"the package broken 1.2 .* expected a subclass of optimizers.base.Optimizer"),
    "module": ("wide_module", r"the package broken 1.2 .* got an object of type module"),
    "a.b": ("wide_module:WideDarts", r"the package broken 1.2 .* expected a name of letters, digits"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_offer_names_its_package_and_breaks_nothing_else(name: str, environment: Path) -> None:
    write_modules(environment, zero_module="1 / 0\n", wide_module=REGISTERED, sign_module=SIGN)
    install(environment, "broken", **{name: value for name, (value, _) in BROKEN.items()})
    install(environment, "sound", sign_darts="sign_module:SignDarts")
    with pytest.raises(PluginError, match=BROKEN[name][1]) as caught:
        get_method(name)
    assert "\n" not in str(caught.value)
    assert get_method("darts").name == "darts"
    assert get_method("sign_darts").name == "sign_darts"
    methods, problems = list_offered()
    assert {method.name.split("_")[0] for method in methods} == {"sign"}
    assert len(problems) == len(BROKEN)
    assert all("the package broken 1.2" in problem for problem in problems)


def test_nothing_of_a_package_is_imported_before_it_is_asked_for(environment: Path) -> None:
    write_modules(environment, sign_module=SIGN)
    install(environment, "sign-package", sign_darts="sign_module:SignDarts")
    get_method("darts")
    with pytest.raises(ValueError, match=r"unknown optimizer 'sign'; known: darts, .*, sign_darts, and module:Class"):
        get_method("sign")
    assert "sign_module" not in sys.modules


def test_a_built_in_name_keeps_its_meaning_and_the_package_is_named(environment: Path) -> None:
    write_modules(environment, sign_module=SIGN)
    install(environment, "greedy", darts="sign_module:SignDarts")
    assert get_method("darts").optimizer_class.__module__ == "optimizers.darts"
    line = "optimizer 'darts' is the built-in one, not that of greedy 1.2 (run it as sign_module:SignDarts)"
    assert shadowed_offer("darts") == line
    assert list_offered() == ([], [line])
    assert shadowed_offer("gdas") is None


def test_a_name_that_two_packages_offer_is_refused(environment: Path) -> None:
    write_modules(environment, sign_module=SIGN)
    install(environment, "one", sign_darts="sign_module:SignDarts")
    install(environment, "other", sign_darts="sign_module:SignDarts")
    with pytest.raises(
        PluginError, match=r"several packages offer an optimizer 'sign_darts': .*; run one as module:Cl"
    ):
        get_method("sign_darts")
    assert get_method("gdas").name == "gdas"


def test_methods_of_a_class_are_itself_and_its_companions(folder: Path) -> None:
    write_modules(folder, my_module=SIGN)
    optimizer_class = get_method("my_module:SignDarts").optimizer_class
    names = [method.name for method in methods_of("mine", optimizer_class)]
    assert names == ["mine", "mine_rs", "mine_adv", "mine_gauss"]
