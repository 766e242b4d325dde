"""That a method can be built and run at all."""

from __future__ import annotations

import dataclasses
import json
import typing

import torch
from torch import Tensor

from harness.conformance.subject import CLASSES, EPOCHS, IMAGES, STEPS, Subject, batch, batches, train, validation
from harness.conformance.suite import Violation, promise
from harness.errors import UserError
from harness.search.settings import SearchConfig, SpaceLacksSetting, get_setting, setting_keys, with_setting
from optimizers.base import Optimizer
from optimizers.companions.registry import companion_classes
from optimizers.config import OptimizerConfig
from optimizers.steps import StepResult
from spaces.base import Architecture
from spaces.registry import AnySpace


@promise()
def its_settings_can_be_set(subject: Subject) -> None:
    """`config_class` is a frozen dataclass of sections, each a dataclass of numbers, words and switches."""
    kind = subject.method.optimizer_class.config_class
    if not (isinstance(kind, type) and issubclass(kind, OptimizerConfig) and "__dataclass_params__" in vars(kind)):
        raise Violation(
            f"config_class is {kind!r}; expected a subclass of optimizers.config.OptimizerConfig that is a "
            "@dataclass(frozen=True) itself. Look at the class attribute config_class"
        )
    for section in dataclasses.fields(kind):
        of_class = typing.get_type_hints(kind)[section.name]
        if not (dataclasses.is_dataclass(of_class) and vars(of_class)["__dataclass_params__"].frozen):
            raise Violation(
                f"the section {section.name} of {kind.__name__} is of {of_class!r}, which is no frozen dataclass: its "
                "settings could change during a search. Declare it with @dataclass(frozen=True)"
            )
    own = {field.name for field in dataclasses.fields(SearchConfig)} | set(companion_classes())
    if taken := own & {field.name for field in dataclasses.fields(kind)}:
        raise Violation(f"{kind.__name__} has a section {taken.pop()!r}, which the harness has already; rename it")
    try:
        config = subject.config()
        for key in setting_keys(config):
            if with_setting(config, key, str(get_setting(config, key))) != config:
                raise Violation(
                    f"the setting {key} does not keep the value it is given. Look at its type in config_class"
                )
        json.dumps(config.to_json())
    except SpaceLacksSetting:
        raise
    except (TypeError, ValueError, UserError) as error:
        raise Violation(
            f"{error}. Look at config_class, and at the settings that the method is registered with"
        ) from error


@promise("its_settings_can_be_set")
def it_runs_in_every_space(subject: Subject) -> None:
    """A search of two epochs in each space takes its steps and gives an architecture of the space."""
    for space in subject.spaces:
        optimizer = subject.optimizer(space=space, epochs=2)
        _check_alphas(optimizer)
        for epoch in range(2):
            optimizer.begin_epoch(epoch)
            for step in range(STEPS):
                _check_result(optimizer.step(step, *batches(epoch, step)))
            optimizer.end_epoch(validation)
            _check_architecture(optimizer.derive(), space)
        logits = optimizer.evaluate(optimizer.evaluation_weights(batch(0), refresh=True), 0, batch(0).inputs)
        if logits.shape != (IMAGES, CLASSES):
            raise Violation(
                f"evaluate gave {list(logits.shape)}; expected logits [{IMAGES}, {CLASSES}]. Look at evaluate"
            )


def _check_architecture(architecture: object, space: AnySpace) -> None:
    """That it can be recorded, and read back as one of the space."""
    if not isinstance(architecture, Architecture):
        raise Violation(
            f"derive gave {type(architecture).__name__}; expected a spaces.base.Architecture. Look at derive; "
            "self.supernet.space.derive(rows) gives one"
        )
    try:
        read = space.read(json.loads(json.dumps(architecture.to_json())))
    except (ValueError, KeyError, TypeError, AssertionError):
        read = None
    if read != architecture:
        raise Violation(
            f"derive gave an architecture that space {space.label} does not hold. Look at derive; "
            "self.supernet.space.derive(rows) and self.supernet.space.sample(generator) give those of the space"
        )


def _check_alphas(optimizer: Optimizer) -> None:
    shapes, expected = [tuple(alpha.shape) for alpha in optimizer.alphas], list(optimizer.supernet.space.row_shapes)
    if optimizer.relaxes and not shapes:
        raise Violation("the method relaxes but has no alphas. Look at initial_alphas, or set relaxes = False")
    if shapes and shapes != expected:
        raise Violation(
            f"the alphas have the shapes {shapes}; expected those of the space, {expected}, or none at all. "
            "Look at initial_alphas"
        )
    if not all(alpha.is_leaf and alpha.requires_grad for alpha in optimizer.alphas):
        raise Violation(
            "an alpha is not a leaf that requires a gradient. Look at __init__: the alphas are made by "
            "initial_alphas and moved in place, never replaced"
        )


def _check_result(result: object) -> None:
    if not isinstance(result, StepResult):
        raise Violation(
            f"step returned {type(result).__name__}; expected the StepResult of the weight step. Look at step"
        )
    for name, value in (("loss", result.loss), ("score", result.score)):
        if not isinstance(value, Tensor) or value.dim() != 0 or value.requires_grad:
            raise Violation(
                f"the {name} that step returned is not a detached tensor of dimension 0; the loop adds it up on the "
                "device. Look at weight_step"
            )
    if not torch.isfinite(result.loss):
        raise Violation("the training loss is not finite on a tiny network. Look at weight_step and weight_mixture")
    if not 0 <= float(result.score) <= IMAGES:
        raise Violation(
            f"a step classified {float(result.score):g} of {IMAGES} images right. Look at weight_step: the score is a "
            "sum over the batch"
        )


@promise("it_runs_in_every_space")
def alphas_and_weights_are_searched(subject: Subject) -> None:
    """Training moves the weights, and the alphas where there are some."""
    optimizer = subject.optimizer()
    alphas = [alpha.detach().clone() for alpha in optimizer.alphas]
    weights = {name: tensor.detach().clone() for name, tensor in optimizer.weights.parameters.items()}
    train(optimizer, range(EPOCHS // 2))
    if all(torch.equal(weights[name], tensor) for name, tensor in optimizer.weights.parameters.items()):
        raise Violation("training does not move a single weight. Look at weight_step")
    if alphas and all(torch.equal(a, b) for a, b in zip(alphas, optimizer.alphas, strict=True)):
        raise Violation(
            "training does not move a single alpha. Look at architecture_step and architecture_gradient: is step "
            "overridden without calling them, or are the alphas replaced rather than moved in place?"
        )
