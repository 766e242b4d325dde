"""Settings: the published defaults, who overrides whom, and mistakes in one line."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json

import pytest

from harness.benchmarks.registry import BENCHMARKS, get_benchmark
from harness.errors import UserError
from harness.search.settings import (
    SearchConfig,
    SpaceLacksSetting,
    get_setting,
    recorded,
    resolve,
    setting_keys,
    with_setting,
)
from optimizers.config import OptimizerConfig
from optimizers.registry import get_method, list_methods
from spaces.nb101.config import SupernetConfig
from spaces.registry import get_space

SPACE = get_space(1)


def default() -> SearchConfig:
    return SearchConfig(method=OptimizerConfig(), network=SupernetConfig())


def nb101_network(config: SearchConfig) -> SupernetConfig:
    assert isinstance(config.network, SupernetConfig)
    return config.network


def test_defaults_are_the_published_protocol() -> None:
    config, changed = resolve(get_method("sdarts_adv"), SPACE, {}, {}, None)
    assert changed == {}
    network = nb101_network(config)
    assert (config.epochs, config.data.batch_size, network.channels, network.cells) == (100, 96, 16, 9)
    weights, alphas, perturbation = config.method.weights, config.method.alphas, config.companions["perturbation"]
    assert (weights.learning_rate, weights.learning_rate_min, weights.momentum) == (0.025, 0.001, 0.9)
    assert (weights.weight_decay, weights.gradient_clip) == (3e-4, 5)
    assert (alphas.learning_rate, alphas.beta1, alphas.beta2, alphas.weight_decay) == (3e-4, 0.5, 0.999, 1e-3)
    assert (perturbation.kind, perturbation.epsilon_start, perturbation.epsilon_end) == ("adversarial", 0.03, 0.3)
    assert perturbation.steps == 7
    assert (config.data.padding, config.data.flip, config.data.cutout) == (4, True, 0)
    assert network.batchnorm_momentum == 0.997
    assert network.downsample_padding == 1
    assert config.hessian.every == 1


def test_the_user_has_the_last_word_after_preset_and_benchmark() -> None:
    bench = {"network.channels": 4, "epochs": 7, "perturbation.steps": 3}
    config, changed = resolve(get_method("sdarts_adv"), SPACE, bench, {"perturbation.steps": "1"}, 9)
    perturbation = config.companions["perturbation"]
    assert (nb101_network(config).channels, config.epochs, perturbation.steps) == (4, 9, 1)
    assert changed == {"perturbation.steps": 1}
    assert perturbation.kind == "adversarial"


@pytest.mark.parametrize("name", ["enas", "random_ws"])
def test_a_benchmark_sets_the_scale_of_all_methods_over_their_presets(name: str) -> None:
    method = get_method(name)
    at_full_scale, _ = resolve(method, SPACE, {}, {}, None)
    assert (at_full_scale.data.batch_size, at_full_scale.method.weights.gradient_clip) == (64, 0.25)
    small, changed = resolve(method, SPACE, get_benchmark("digits").settings, {}, None)
    assert (small.data.batch_size, small.method.weights.gradient_clip) == (120, 5)
    assert changed == {}


def test_a_value_that_equals_the_preset_changes_nothing() -> None:
    _, changed = resolve(get_method("darts"), SPACE, {}, {"weights.momentum": "0.90", "data.flip": "yes"}, None)
    assert changed == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights.momentun", "1", r"unknown setting 'weights.momentun'; did you mean weights.momentum"),
        ("zzz", "1", r"unknown setting 'zzz'; known: network.channels"),
        ("method.weights", "1", r"unknown setting 'method.weights'"),
        ("network", "1", r"unknown setting 'network'"),
        ("network.channels", "four", r"network.channels: expected a whole number from 1 to 4,096, got 'four'"),
        ("network.channels", "4.5", r"network.channels: expected a whole number from 1 to 4,096, got '4.5'"),
        ("weights.momentum", "nan", r"weights.momentum: expected a finite number from 0 to 1, got 'nan'"),
        ("data.flip", "maybe", r"data.flip: expected true or false, got 'maybe'"),
        ("perturbation.kind", "evil", r"perturbation.kind: expected one of none, uniform, gaussian, adversarial"),
        ("epochs", "5", r"epochs is set by --epochs"),
    ],
)
def test_a_mistaken_setting_is_one_line_that_says_what_was_expected(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        resolve(get_method("darts"), SPACE, {}, {key: value}, None)
    assert "\n" not in str(caught.value)


def test_a_benchmark_may_set_what_only_some_methods_have() -> None:
    bench = {"controller.steps": 7, "network.channels": 4}
    config, _ = resolve(get_method("darts"), SPACE, bench, {}, None)
    assert nb101_network(config).channels == 4
    assert "controller" not in config.to_json()
    config, _ = resolve(get_method("enas"), SPACE, bench, {}, None)
    assert config.to_json()["controller"]["steps"] == 7


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("controller.stepz", 7, "unknown setting 'controller.stepz'"),
        ("controler.steps", 7, "unknown setting 'controler.steps'"),
        ("weights.steps", 7, "unknown setting 'weights.steps'"),
        ("controller.steps", "many", "controller.steps: expected a whole number from 0 to 1,000,000, got 'many'"),
    ],
)
def test_a_benchmarks_mistake_is_found_whatever_the_method(key: str, value: object, message: str) -> None:
    for name in ("darts", "enas"):
        with pytest.raises(UserError, match=message):
            resolve(get_method(name), SPACE, {key: value}, {}, None)


def test_what_another_method_has_the_user_cannot_set() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'controller\.steps'"):
        resolve(get_method("darts"), SPACE, {}, {"controller.steps": "7"}, None)


def every_config() -> list[SearchConfig]:
    """The default, and that of each method."""
    return [default(), *(resolve(method, SPACE, {}, {}, None)[0] for method in list_methods())]


def test_every_key_can_be_set_to_its_own_value() -> None:
    for config in every_config():
        for key in setting_keys(config):
            assert with_setting(config, key, str(get_setting(config, key))) == config


def test_every_setting_explains_itself() -> None:
    """A field is followed by a docstring, which the reader of `--set` relies on."""
    for config in every_config():
        methods = [getattr(config.method, field.name) for field in dataclasses.fields(config.method)]
        own = (config, config.network, config.data, config.validation, config.hessian, config.probes, config.compute)
        for part in (*own, *methods, *config.companions.values()):
            definition = ast.parse(inspect.getsource(type(part))).body[0]
            assert isinstance(definition, ast.ClassDef)
            for statement, following in zip(definition.body, [*definition.body[1:], None], strict=True):
                if isinstance(statement, ast.AnnAssign):
                    assert isinstance(following, ast.Expr), ast.unparse(statement)


def test_configuration_survives_json() -> None:
    for method in list_methods():
        for bench in BENCHMARKS:
            space = get_space(bench.table_spaces[0] if bench.table_spaces else "darts")
            try:
                config, _ = resolve(method, space, bench.settings, {}, None)
            except SpaceLacksSetting:
                assert (method.name.partition("_")[0], space.label) == ("p", "nb201")
                continue
            content = config.to_json()
            assert json.loads(json.dumps(content)) == content
            assert {f"{section}.{name}" for section, part in content.items() for name in part} == set(
                setting_keys(config)
            )


def test_settings_that_only_go_together_may_be_set_in_any_order() -> None:
    """On digits PC-DARTS has 8 channels in 4 parts, and 6 channels do not split into 4."""
    method, bench = get_method("pc_darts"), get_benchmark("digits").settings
    for keys in (("network.channels", "network.partial_channels"), ("network.partial_channels", "network.channels")):
        values = {"network.channels": "6", "network.partial_channels": "3"}
        config, changed = resolve(method, SPACE, bench, {key: values[key] for key in keys}, None)
        assert changed == {"network.channels": 6, "network.partial_channels": 3}
        assert recorded(method, SPACE, config.to_json(), config.epochs) == config


def test_settings_that_do_not_go_together_are_refused_with_their_keys() -> None:
    expected = r"^expected network\.channels \(6\) to be a multiple of network\.partial_channels \(4\)$"
    with pytest.raises(UserError, match=expected):
        resolve(get_method("pc_darts"), SPACE, get_benchmark("digits").settings, {"network.channels": "6"}, None)
    with pytest.raises(UserError, match=expected):
        recorded(get_method("pc_darts"), SPACE, {"network": {"channels": 6, "partial_channels": 4}}, 1)


def test_a_recorded_configuration_is_read_back_and_what_came_later_has_its_default() -> None:
    for method in list_methods():
        config, _ = resolve(method, SPACE, get_benchmark("digits").settings, {}, 7)
        content = json.loads(json.dumps(config.to_json()))
        assert recorded(method, SPACE, content, 7) == config
        del content["probes"], content["compute"]
        assert recorded(method, SPACE, content, 7) == config
    with pytest.raises(UserError, match=r"unknown setting 'network\.depth'"):
        recorded(get_method("darts"), SPACE, {"network": {"depth": 3}}, 7)
