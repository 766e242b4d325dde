"""Ranges of numbers, as metadata of the settings that take them: of networks, methods and the harness alike."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Which numbers a setting takes, as metadata of its type: `learning_rate: Annotated[float, Range(0, 10)] = 0.025`.

    Whatever sets the setting checks it (`harness.search.values`), so that a mistake is one line that names the bound.
    """

    low: float = -math.inf
    """The lower bound."""

    high: float = math.inf
    """The upper bound."""

    low_open: bool = False
    """Whether the lower bound itself is refused."""

    high_open: bool = False
    """Whether the upper bound itself is refused."""

    def __contains__(self, number: float) -> bool:
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below

    def __str__(self) -> str:
        """In words, after `a number` or `a whole number`."""
        words = []
        if self.low > -math.inf:
            words.append(f"{'above' if self.low_open else 'from'} {self.low:,}")
        if self.high < math.inf:
            bound = "below" if self.high_open else "to" if words and not self.low_open else "up to"
            words.append(f"{bound} {self.high:,}")
        return " ".join(words)


Share = Range(0, 1)
"""What a share takes."""
