from __future__ import annotations

import ast
import dataclasses
import inspect
import json

import pytest

from harness.benchmarks.registry import BENCHMARKS, get_benchmark
from harness.errors import UserError
from harness.search.settings import SearchConfig, get_setting, resolve, setting_keys, with_setting
from optimizers.config import OptimizerConfig
from optimizers.registry import get_method, list_methods


def default() -> SearchConfig:
    return SearchConfig(method=OptimizerConfig())


def test_defaults_are_the_published_protocol() -> None:
    config, changed = resolve(get_method("sdarts_adv"), {}, {}, None)
    assert changed == {}
    assert (config.epochs, config.data.batch_size, config.network.channels, config.network.cells) == (100, 96, 16, 9)
    weights, alphas, perturbation = config.method.weights, config.method.alphas, config.method.perturbation
    assert (weights.learning_rate, weights.learning_rate_min, weights.momentum) == (0.025, 0.001, 0.9)
    assert (weights.weight_decay, weights.gradient_clip) == (3e-4, 5)
    assert (alphas.learning_rate, alphas.beta1, alphas.beta2, alphas.weight_decay) == (3e-4, 0.5, 0.999, 1e-3)
    assert (perturbation.kind, perturbation.epsilon_start, perturbation.epsilon_end) == ("adversarial", 0.03, 0.3)
    assert perturbation.steps == 7
    assert (config.data.padding, config.data.flip, config.data.cutout) == (4, True, 0)
    assert config.network.batchnorm_momentum == 0.997
    assert config.network.downsample_padding == 1
    assert config.hessian.every == 1


def test_the_user_has_the_last_word_after_preset_and_benchmark() -> None:
    bench = {"network.channels": 4, "epochs": 7, "perturbation.steps": 3}
    config, changed = resolve(get_method("sdarts_adv"), bench, {"perturbation.steps": "1"}, 9)
    assert (config.network.channels, config.epochs, config.method.perturbation.steps) == (4, 9, 1)
    assert changed == {"perturbation.steps": 1}
    assert config.method.perturbation.kind == "adversarial"


@pytest.mark.parametrize("name", ["enas", "random_ws"])
def test_a_benchmark_sets_the_scale_of_all_methods_over_their_presets(name: str) -> None:
    method = get_method(name)
    at_full_scale, _ = resolve(method, {}, {}, None)
    assert (at_full_scale.data.batch_size, at_full_scale.method.weights.gradient_clip) == (64, 0.25)
    small, changed = resolve(method, get_benchmark("digits").settings, {}, None)
    assert (small.data.batch_size, small.method.weights.gradient_clip) == (120, 5)
    assert changed == {}


def test_a_value_that_equals_the_preset_changes_nothing() -> None:
    _, changed = resolve(get_method("darts"), {}, {"weights.momentum": "0.90", "data.flip": "yes"}, None)
    assert changed == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights.momentun", "1", r"unknown setting 'weights.momentun'; did you mean weights.momentum"),
        ("zzz", "1", r"unknown setting 'zzz'; known: network.channels"),
        ("method.weights", "1", r"unknown setting 'method.weights'"),
        ("network", "1", r"unknown setting 'network'"),
        ("network.channels", "four", r"network.channels: expected a whole number, got 'four'"),
        ("network.channels", "4.5", r"network.channels: expected a whole number, got '4.5'"),
        ("weights.momentum", "nan", r"weights.momentum: expected a finite number, got 'nan'"),
        ("data.flip", "maybe", r"data.flip: expected true or false, got 'maybe'"),
        ("perturbation.kind", "evil", r"perturbation.kind: expected one of none, uniform, gaussian, adversarial"),
        ("epochs", "5", r"epochs is set by --epochs"),
    ],
)
def test_a_mistaken_setting_is_one_line_that_says_what_was_expected(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        resolve(get_method("darts"), {}, {key: value}, None)
    assert "\n" not in str(caught.value)


def test_a_benchmark_may_set_what_only_some_methods_have() -> None:
    bench = {"controller.steps": 7, "network.channels": 4}
    config, _ = resolve(get_method("darts"), bench, {}, None)
    assert config.network.channels == 4
    assert "controller" not in config.to_json()
    config, _ = resolve(get_method("enas"), bench, {}, None)
    assert config.to_json()["controller"]["steps"] == 7


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("controller.stepz", 7, "unknown setting 'controller.stepz'"),
        ("controler.steps", 7, "unknown setting 'controler.steps'"),
        ("weights.steps", 7, "unknown setting 'weights.steps'"),
        ("controller.steps", "many", "controller.steps: expected a whole number, got 'many'"),
    ],
)
def test_a_benchmarks_mistake_is_found_whatever_the_method(key: str, value: object, message: str) -> None:
    for name in ("darts", "enas"):
        with pytest.raises(UserError, match=message):
            resolve(get_method(name), {key: value}, {}, None)


def test_what_another_method_has_the_user_cannot_set() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'controller\.steps'"):
        resolve(get_method("darts"), {}, {"controller.steps": "7"}, None)


def every_config() -> list[SearchConfig]:
    """The default, and that of each method."""
    return [default(), *(resolve(method, {}, {}, None)[0] for method in list_methods())]


def test_every_key_can_be_set_to_its_own_value() -> None:
    for config in every_config():
        for key in setting_keys(config):
            assert with_setting(config, key, str(get_setting(config, key))) == config


def test_every_setting_explains_itself() -> None:
    """A field is followed by a docstring, which the reader of `--set` relies on."""
    for config in every_config():
        methods = [getattr(config.method, field.name) for field in dataclasses.fields(config.method)]
        for part in (config, config.network, config.data, config.validation, config.hessian, *methods):
            definition = ast.parse(inspect.getsource(type(part))).body[0]
            assert isinstance(definition, ast.ClassDef)
            for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
                if isinstance(statement, ast.AnnAssign):
                    assert isinstance(following, ast.Expr), ast.unparse(statement)


def test_configuration_survives_json() -> None:
    for method in list_methods():
        for bench in BENCHMARKS:
            config, _ = resolve(method, bench.settings, {}, None)
            content = config.to_json()
            assert json.loads(json.dumps(content)) == content
            assert {f"{section}.{name}" for section, part in content.items() for name in part} == set(
                setting_keys(config)
            )
