"""What is recorded of the state after an epoch: the built-in probes in their order, then those that settings add."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

from harness.probes.base import Probe, State
from harness.probes.hessian import HessianProbe
from harness.probes.projection import ProjectionProbe
from harness.probes.validation import ValidationProbe
from optimizers.base import Optimizer
from optimizers.companions.base import Stop

CURVATURE = HessianProbe()
"""Measured before all else: early stopping watches it, and may take the search back to an earlier epoch."""

AFTER_CURVATURE: tuple[Probe, ...] = (ValidationProbe(), ProjectionProbe())


def curvature(state: State, seconds: dict[str, float]) -> dict[str, Any]:
    """The spectrum of the Hessian; companions hear of what they want of it."""
    optimizer = state.optimizer
    wanting = {companion: wants for companion in optimizer.companions if (wants := companion.wants(state.epoch))}
    state = dataclasses.replace(state, wanted=frozenset().union(*wanting.values()))
    measured = timed_measurement(CURVATURE, state, seconds)
    for companion, wants in wanting.items():
        numbers = {name: math.inf if measured.get(name) is None else float(measured[name]) for name in wants}
        companion.observe(optimizer, state.epoch, numbers)
    return measured


def stop_of(optimizer: Optimizer) -> Stop | None:
    """Where a companion ended a search early; None as long as none has."""
    return next((companion.stop for companion in optimizer.companions if companion.stop), None)


def measured_by(probes: Sequence[Probe], state: State, seconds: dict[str, float]) -> dict[str, Any]:
    """The entries of some probes, each of which sees those of the probes before it."""
    line: dict[str, Any] = dict(state.line)
    entries: dict[str, Any] = {}
    for probe in probes:
        more = timed_measurement(probe, dataclasses.replace(state, line=line), seconds)
        entries |= more
        line |= more
    return entries


def timed_measurement(probe: Probe, state: State, seconds: dict[str, float]) -> dict[str, Any]:
    """What a probe measures, if it is due; its seconds are added to those of its phase."""
    if not probe.due(state):
        return probe.nothing(state)
    with timed(seconds, probe.phase):
        return probe.measure(state)


@contextlib.contextmanager
def timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the seconds of a block to a phase."""
    started = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - started
