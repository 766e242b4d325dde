"""The engines by name."""

from __future__ import annotations

from harness.errors import UserError
from harness.study.engine import Engine
from harness.study.entries import StudyFile
from harness.study.local import LocalEngine


def engine_of(name: str, study: StudyFile, workers: int | None, address: str | None) -> Engine:
    """The engine that a command line asks for.

    Args:
        name: local or ray.
        study: the study, whose `[run]` says the rest.
        workers: tasks side by side; None for what the study says, or as many as fit.
        address: of a cluster.

    Raises:
        UserError: there is no such engine here, or the options do not go together.
    """
    if name == "local":
        if address is not None:
            raise UserError("--address goes with --engine ray")
        return LocalEngine(workers or study.run.workers)
    if name != "ray":
        raise UserError(f"--engine {name}: is not here; expected local or ray")
    # Ray itself is imported once the engine connects.
    from harness.study.ray.engine import RayEngine

    return RayEngine(address, workers or study.run.workers, study.run)
