"""That a step can be recorded once and replayed, as `harness.search.steps` does on a GPU.

A CUDA graph repeats operations on the same memory; what Python did between them, and numbers that it put in, stay as
they were when the step was recorded. Here the operations are remembered on the CPU and repeated in the same sense.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.conformance.subject import STEPS, Subject, batch, moved, named, state, validation
from harness.conformance.suite import NotJudged, Violation, promise, raised
from optimizers.base import Optimizer
from optimizers.steps import Batch


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers operations, to repeat them on the same memory.

    Torch's optimizers are repeated as a whole, since on a CPU they count their steps in Python, which those of a GPU do
    not.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations: list[Callable[[], None]] = []
        self._in_optimizer = False

    def replay(self) -> None:
        """Do it again."""
        with torch.no_grad():
            for operation in self._operations:
                operation()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        results = func(*args, **kwargs)
        if not self._in_optimizer:
            # What an operation gives as new memory is copied there again; views and what is written in place need not.
            new = [part.alias_info is None for part in func._schema.returns]
            places = results if isinstance(results, tuple) else (results,)
            self._operations.append(lambda: _repeat(func, args, kwargs, places, new))
        return results

    @contextlib.contextmanager
    def optimizers_as_a_whole(self) -> Iterator[None]:
        """A block in which the steps of torch's optimizers are single operations."""

        def before(optimizer: torch.optim.Optimizer, *_: object) -> None:
            self._in_optimizer = True
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [parameter.grad for parameter in parameters]
            self._operations.append(lambda: _repeat_optimizer(optimizer, parameters, gradients))

        def after(*_: object) -> None:
            self._in_optimizer = False

        hooks = register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _repeat(func: Any, args: Any, kwargs: Any, places: tuple[Any, ...], new: list[bool]) -> None:
    results = func(*args, **kwargs)
    results = results if isinstance(results, tuple) else (results,)
    for place, result, is_new in zip(places, results, new, strict=False):
        if is_new:
            for old, now in zip(tree_leaves(place), tree_leaves(result), strict=True):
                if isinstance(old, Tensor):
                    old.copy_(now)


def _repeat_optimizer(
    optimizer: torch.optim.Optimizer, parameters: list[Tensor], gradients: list[Tensor | None]
) -> None:
    before = [parameter.grad for parameter in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for parameter, gradient in zip(parameters, before, strict=True):
        parameter.grad = gradient


@promise(
    "seeds_are_independent",
    "a_step_does_not_wait_for_the_device",
    "a_step_draws_nothing",
    "schedules_are_those_of_the_epoch",
)
def a_recorded_step_is_the_step(subject: Subject) -> None:
    """Replayed in another epoch, with other batches, a recorded step leads where the step itself does."""
    for variant in subject.variants("uniform"):
        plain, recorded = variant.optimizer(), variant.optimizer()
        if not recorded.capturable:
            raise NotJudged("it says that its steps cannot be recorded")
        for optimizer in (plain, recorded):
            _place_rate(optimizer)
        try:
            _run_recorded(recorded)
        except Exception as error:
            raise Violation(
                f"{raised(error)} when the number of the step is a tensor, as it is in a recorded step. {_LOOK}"
            ) from error
        for epoch in range(2):
            plain.begin_epoch(epoch)
            for step in range(STEPS):
                plain.step(step, *_batches(epoch, step))
            plain.end_epoch(validation)
        if different := moved(state(plain), state(recorded)):
            raise Violation(
                f"a step that is recorded in one epoch and replayed in the next, as on a GPU, leads elsewhere than the "
                f"step itself ({named(different)}): it reads something from Python, or from a tensor that is made "
                f"anew. {_LOOK}"
            )


_LOOK = (
    "Look at begin_epoch: optimizers.steps.placed keeps what is drawn in its place, and what a schedule sets is filled "
    "into a tensor; at_step picks a step's own. A method that cannot be recorded says so by the property capturable, "
    "and is slower"
)


def _place_rate(optimizer: Optimizer) -> None:
    """Make the learning rate a tensor, as it is on a GPU."""
    for group in optimizer.weight_optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]))


def _run_recorded(optimizer: Optimizer) -> None:
    """Two epochs: the first step as it is, the second recorded, all others replayed."""
    index = torch.zeros(1, dtype=torch.int64)
    places = tuple(Batch(first.inputs.clone(), first.targets.clone()) for first in _batches(0, 0))
    recording = Recording()
    for epoch in range(2):
        optimizer.begin_epoch(epoch)
        for step in range(STEPS):
            index.fill_(step)
            for place, drawn in zip(places, _batches(epoch, step), strict=True):
                place.inputs.copy_(drawn.inputs)
                place.targets.copy_(drawn.targets)
            if (epoch, step) == (0, 1):
                with recording.optimizers_as_a_whole(), recording:
                    optimizer.step(index, *places)
            elif epoch:
                recording.replay()
            else:
                optimizer.step(index, *places)
        optimizer.end_epoch(validation)


def _batches(epoch: int, step: int) -> tuple[Batch, Batch]:
    """Batches of one size, since a recorded step is one of so many images."""
    return batch(70_000 + 10 * epoch + step), batch(80_000 + 10 * epoch + step)
