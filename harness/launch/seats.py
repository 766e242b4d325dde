"""Seats of this machine: which processors and which GPUs a job may have, beside those that run.

A job that takes a GPU, or a share of one, sees it alone, by `CUDA_VISIBLE_DEVICES`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Seat:
    """What a job has while it runs.

    Attributes:
        cpus: processors.
        gpus: index of a GPU in `Seats.devices` -> the share of it.
        environment: variables that show the job these GPUs and no others.
    """

    cpus: int
    gpus: dict[int, float] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


class Seats:
    """What of a machine is free.

    Args:
        cpus: processors that jobs may have; None for any number.
        devices: GPUs, as `CUDA_VISIBLE_DEVICES` names them.
        most: jobs side by side; None for as many as fit.
    """

    def __init__(self, cpus: int | None, devices: Sequence[str] = (), most: int | None = None) -> None:
        self.cpus, self.devices, self.most = cpus, devices, most
        self._cpus, self._gpus, self._taken = cpus, [1.0] * len(devices), 0

    def check(self, cpus: int, gpus: float) -> None:
        """Refuse a job that would never fit.

        Raises:
            UserError: it would not; what there is is said.
        """
        if gpus > len(self.devices):
            raise UserError(
                f"gpus = {gpus:g} is more than this machine has ({_number(len(self.devices), 'GPU')}); gpus = 0 runs "
                "on processors"
            )
        if self.cpus is not None and not gpus and cpus > self.cpus:
            raise UserError(f"cpus = {cpus} is more than this machine has ({_number(self.cpus, 'processor')})")

    def count(self, cpus: int, gpus: float) -> int:
        """How many such jobs run side by side where no other does."""
        if gpus:
            fit = len(self.devices) * int(1 / gpus + _ROUNDING) if gpus <= 1 else int(len(self.devices) / gpus)
        else:
            fit = self.most or 1 if self.cpus is None else self.cpus // max(1, cpus)
        return min(fit, self.most or fit)

    def take(self, cpus: int, gpus: float) -> Seat | None:
        """A seat for a job; None where it does not fit beside those that run."""
        if self.most is not None and self._taken >= self.most:
            return None
        if not gpus:
            return None if self._cpus is not None and cpus > self._cpus else self._taken_by(Seat(cpus))
        share = min(gpus, 1.0)
        room = [index for index, free in enumerate(self._gpus) if free + _ROUNDING >= share]
        # The emptiest first, so that jobs share a GPU only where they must.
        chosen = sorted(room, key=lambda index: (-self._gpus[index], index))[: max(1, int(gpus))]
        if len(chosen) < max(1, int(gpus)):
            return None
        names = ",".join(self.devices[index] for index in chosen)
        return self._taken_by(Seat(0, dict.fromkeys(chosen, share), {VISIBLE: names}))

    def has_room(self, cpus: int, gpus: float) -> bool:
        """Whether a job fits beside those that run."""
        seat = self.take(cpus, gpus)
        if seat is not None:
            self.give_back(seat)
        return seat is not None

    def give_back(self, seat: Seat) -> None:
        """A job that had a seat is over."""
        self._taken -= 1
        if self._cpus is not None:
            self._cpus += seat.cpus
        for index, share in seat.gpus.items():
            self._gpus[index] = min(1.0, self._gpus[index] + share)

    def _taken_by(self, seat: Seat) -> Seat:
        self._taken += 1
        if self._cpus is not None:
            self._cpus -= seat.cpus
        for index, share in seat.gpus.items():
            self._gpus[index] = max(0.0, self._gpus[index] - share)
        return seat


def processors() -> int:
    """The processors that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def visible_devices(count: int) -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them.

    Args:
        count: how many torch counts.
    """
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if len(named) >= count else [str(index) for index in range(count)]


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
