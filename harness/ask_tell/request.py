"""What a user asks of a black-box method, and what of it stands in `config.json`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.ask_tell.evaluating import Evaluator, Observed, table_of
from harness.ask_tell.exact import exact_random_search
from harness.ask_tell.repeat import Limit
from harness.benchmarks.registry import get_benchmark
from harness.errors import UserError
from harness.judges.base import JudgeInfo
from harness.judges.table import Outcomes, TrainingTable
from harness.records.repeats import DIGITS, RepeatsFolder, repeats_path
from harness.search.values import converted
from optimizers.black_box.base import BlackBox, BlackBoxConfig
from optimizers.black_box.registry import BlackBoxMethod, get_black_box
from spaces.plugins import PluginError, import_modules
from spaces.registry import AnySpace, get_space

MOST_RECORDED = 100_000
"""Draws up to which the exact curve of random search is recorded."""


@dataclass(frozen=True)
class Request:
    """One black-box method on one table.

    Attributes:
        bench: name or TOML path of the benchmark, whose images are not needed.
        space: number or name of the space.
        optimizer: name of the method, or `module:Class`.
        repeats: how many, with the seeds 0, 1, ...
        limit: when each ends.
        observed: which validation error the method is told.
        epochs: for how many each architecture is trained; None for as long as the table has.
        overrides: settings by dotted key, as text.
        name: of the variant, or None.
        results: results folder.
        imports: modules to import first.
        command: the command line, for `env.json`.
    """

    bench: str
    space: int | str
    optimizer: str
    repeats: int
    limit: Limit
    observed: Observed = "mean"
    epochs: int | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    results: Path = Path("results")
    imports: Sequence[str] = ()
    command: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """A request made concrete.

    Attributes:
        request: the request.
        method: the method.
        space: the space.
        config: the method's settings.
        evaluator: gives errors and costs.
        folder: where repeats are recorded.
        record: what stands in `config.json`.
    """

    request: Request
    method: BlackBoxMethod
    space: AnySpace
    config: BlackBoxConfig
    evaluator: Evaluator
    folder: RepeatsFolder
    record: dict[str, Any]

    def begin(self, repeat: int) -> BlackBox[Any]:
        """The method before its first proposal, with the repeat's number as its seed.

        Raises:
            UserError: a library that it needs is missing, the space offers it too little, or its settings do not go
                together.
        """
        method_class = self.method.method_class
        try:
            return method_class(self.space, self.config, repeat)
        except ImportError as error:
            how = f"; pip install 'one-shot-nas-harness[{method_class.extra}]'" if method_class.extra else ""
            raise UserError(f"{self.method.name}: {error}{how}") from None
        except NotImplementedError as error:
            raise UserError(f"--space: {error}, which {self.method.name} needs; choose another space") from None
        except ValueError as error:
            raise UserError(f"{self.method.name}: {error}") from None


def plan(request: Request) -> Plan:
    """Find all that a request names, and every mistake in it, before anything runs.

    Raises:
        UserError: something cannot be run as asked.
    """
    method, space, config, table, info = _named(request)
    evaluator = Evaluator(table, request.observed, request.epochs)
    outcomes = table.outcomes(space, evaluator.epochs)
    _check_table(request, info, outcomes, table)
    record = _record(request, method, space, config, evaluator, info, outcomes)
    name = record["name"]
    folder = repeats_path(request.results, record["bench"], space.label, method.folder + (f"@{name}" if name else ""))
    return Plan(request, method, space, config, evaluator, RepeatsFolder(folder), record)


def replan(request: Request) -> Plan:
    """The plan of a request that was planned before, as another process needs it: without folder and record."""
    method, space, config, table, _ = _named(request)
    evaluator = Evaluator(table, request.observed, request.epochs)
    return Plan(request, method, space, config, evaluator, RepeatsFolder(request.results), {})


def _named(request: Request) -> tuple[BlackBoxMethod, AnySpace, BlackBoxConfig, TrainingTable, JudgeInfo]:
    try:
        import_modules(request.imports)
        space = get_space(request.space)
    except PluginError as error:
        raise UserError(f"--space or --import: {error}") from None
    try:
        method = get_black_box(request.optimizer)
    except ValueError as error:
        raise UserError(f"--optimizer: {error}") from None
    bench = get_benchmark(request.bench)
    judge = bench.judge(space, "table")
    own = {key: value for key, value in bench.black_box.items() if key.partition(".")[0] == method.section}
    return method, space, method_config(method, own, request.overrides), table_of(judge), judge.info


def method_config(method: BlackBoxMethod, own: Mapping[str, Any], overrides: Mapping[str, str]) -> BlackBoxConfig:
    """The settings of a method: its defaults, the benchmark's, and what was asked for.

    Raises:
        UserError: there is no such setting, or its value is none that it takes.
    """
    config_class = method.method_class.config_class
    kinds = typing.get_type_hints(config_class, include_extras=True)
    known = [f"{method.section}.{part.name}" for part in dataclasses.fields(config_class)]
    values: dict[str, Any] = {}
    for key, value in {**own, **overrides}.items():
        if key not in known:
            have = f"known: {', '.join(known)}" if known else f"{method.name} has none"
            raise UserError(f"--set: unknown setting {key}; {have}")
        name = key.partition(".")[2]
        values[name] = converted(key, value, kinds[name])
    return config_class(**values)


def _check_table(request: Request, info: JudgeInfo, outcomes: Outcomes, table: TrainingTable) -> None:
    if outcomes.share < 1:
        raise UserError(
            f"{info.label}: holds {100 * outcomes.share:.3g} % of what space {request.space} can propose; a black-box "
            "method needs all of it"
        )
    if request.observed == "repeat" and outcomes.valid_errors.shape[1] < 2:
        raise UserError(
            f"--observe repeat: {info.label} has one number for each architecture and no repeats; leave it at mean"
        )
    if request.limit.seconds is not None and not table.has_seconds:
        raise UserError(f"--seconds: {info.label} has no seconds of training; give --evaluations alone")


def _record(
    request: Request,
    method: BlackBoxMethod,
    space: AnySpace,
    config: BlackBoxConfig,
    evaluator: Evaluator,
    info: JudgeInfo,
    outcomes: Outcomes,
) -> dict[str, Any]:
    """What stands in `config.json`."""
    changed = {key: str(value) for key, value in request.overrides.items()}
    if request.observed != "mean":
        changed["observed"] = request.observed
    if evaluator.epochs != evaluator.table.budgets[-1]:
        changed["epochs"] = str(evaluator.epochs)
    draws = min(request.limit.evaluations or 1000, MOST_RECORDED)
    exact = exact_random_search(outcomes, request.observed, range(1, draws + 1))
    return {
        "format": 1,
        "bench": get_benchmark(request.bench).name,
        "space": space.label,
        "optimizer": method.folder,
        "name": _variant(request.name, changed),
        "repeats": request.repeats,
        "evaluations": request.limit.evaluations,
        "seconds": request.limit.seconds,
        "observed": request.observed,
        "epochs": evaluator.epochs,
        "charged": evaluator.table.charged,
        "settings": {
            method.section: dataclasses.asdict(config),
            "limit": dataclasses.asdict(request.limit),
            "evaluation": {"observed": request.observed, "epochs": evaluator.epochs},
        },
        "table": {
            "label": info.label,
            "kind": info.kind,
            "sha256": info.sha256,
            "cells": len(outcomes.test_errors),
            "optimum": {"test_error": round(float(outcomes.test_errors.min()), DIGITS)},
            "random_search": {
                "chosen_by": f"validation error, {request.observed}",
                "test_error": _rounded(exact.mean),
                "deviation": _rounded(exact.deviation),
                "low_quartile": _rounded(exact.low),
                "high_quartile": _rounded(exact.high),
            },
        },
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def _variant(name: str | None, changed: Mapping[str, str]) -> str | None:
    """What stands behind `@`: the user's name, or a digest of what was changed; None where nothing is changed."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise UserError(f"--name: expected letters, digits, '.', '_' and '-', at most 100 of them, got {name!r}")
        return name
    if not changed:
        return None
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:8]
