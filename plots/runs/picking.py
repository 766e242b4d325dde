"""Which methods are looked at: names as a shell's patterns, such as `sdarts*`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError


@dataclass(frozen=True)
class Picking:
    """What is looked at: by method, as `--only` asks, and by run folder.

    Attributes:
        patterns: names of methods with their `@NAME`, in which `*` stands for any letters, `?` for one and `[ab]` for
            one of several; empty for all methods.
        runs: run folders, those of a study, say, beside which none is looked at; None for all.
    """

    patterns: tuple[str, ...] = ()
    runs: frozenset[Path] | None = None

    @property
    def is_everything(self) -> bool:
        """Whether all methods are picked, whatever there is."""
        return not self.patterns

    def picks(self, method: str) -> bool:
        """Whether a method is looked at."""
        return self.is_everything or any(_matches(method, pattern) for pattern in self.patterns)

    def check(self, picked: Iterable[str], passed_over: Iterable[str]) -> None:
        """Refuse a pattern that picks nothing.

        Args:
            picked: methods that are looked at.
            passed_over: those that are not.

        Raises:
            UserError: one picks nothing.
        """
        names = sorted(set(picked))
        for pattern in self.patterns:
            if not any(_matches(name, pattern) for name in names):
                known = ", ".join(sorted({*names, *passed_over})) or "none"
                raise UserError(
                    f"--only: expected a method that is here, or a pattern of some, got {pattern!r}; known: {known}"
                )


EVERYTHING = Picking()


def _matches(method: str, pattern: str) -> bool:
    return method == pattern or fnmatch.fnmatchcase(method, pattern)
