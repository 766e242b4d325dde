"""That a checkpoint holds everything."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

from harness.conformance.subject import Subject, leaves, moved, named, state, train
from harness.conformance.suite import Violation, promise
from optimizers.base import Optimizer

LENGTH = 8
CUT = 4


@promise("seeds_are_independent", "derive_is_stable", "derive_does_not_see_the_perturbation")
def a_resumed_search_equals_an_uninterrupted_one(subject: Subject) -> None:
    """A fresh optimizer that loads the checkpoint of an epoch goes on to the same bits as the one that wrote it."""
    whole, resumed = subject.optimizer(epochs=LENGTH), subject.optimizer(epochs=LENGTH)
    train(whole, range(CUT))
    content = io.BytesIO()
    torch.save(whole.state_dict(), content)
    content.seek(0)
    try:
        saved = torch.load(content, weights_only=True)
    except Exception as error:
        raise Violation(
            f"the checkpoint cannot be read back ({str(error).splitlines()[0]}). Look at state_dict: it may hold "
            "tensors, numbers, text, lists and dicts"
        ) from error
    resumed.load_state_dict(saved)
    _check(whole, resumed, "right after loading the checkpoint")
    lost = _differing(whole, resumed)
    for epoch in range(CUT, LENGTH):
        train(whole, [epoch])
        train(resumed, [epoch])
        _check(whole, resumed, f"{epoch - CUT + 1} epochs after loading the checkpoint", lost)


def _check(whole: Optimizer, resumed: Optimizer, when: str, lost: list[str] | None = None) -> None:
    different = moved(state(whole), state(resumed))
    if not different and whole.derive() == resumed.derive():
        return
    what = named(different) if different else "the derived architecture"
    suspects = f" ({named(lost)} {'is' if len(lost) == 1 else 'are'} not what it was)" if lost else ""
    raise Violation(
        f"a resumed search differs from the uninterrupted one in {what} {when}: something that survives an epoch is "
        f"missing from the checkpoint{suspects}. Look at state_dict and load_state_dict"
    )


def _differing(whole: Optimizer, resumed: Optimizer) -> list[str]:
    """Attributes that are not the same after loading; much of it, such as an epoch's noise, is drawn anew anyway."""
    ours, theirs = dict(leaves(whole, "self")), dict(leaves(resumed, "self"))
    transient = ("self.epoch", "self.companions", "self.weight_optimizer", "self.supernet")
    names = [name for name, value in ours.items() if name not in theirs or not _equal(value, theirs[name])]
    return [name for name in dict.fromkeys(names) if not name.startswith(transient)]


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        return isinstance(right, Tensor) and torch.equal(left, right)
    return bool(left == right)
