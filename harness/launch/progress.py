"""How searches get on: a bar for each running seed on a terminal, now and then a line elsewhere.

tqdm draws the bars. A log file has no use for them, so that there every tenth of a search is one line of its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from harness.launch.seed import Seed
from harness.records.line import DIVERGED
from harness.records.run_folder import Line


class Progress:
    """Shows the newest line of each running seed; only the process that owns the terminal has one."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self._first: dict[str, tuple[float, int]] = {}
        self._bars: dict[str, Any] = {}

    def begin(self, seed: Seed) -> None:
        """Show that a seed runs."""
        if self.terminal:
            self._bars[seed.label] = tqdm(total=seed.epochs, desc=seed.label, unit="epoch", dynamic_ncols=True)

    def line(self, seed: Seed, line: Line) -> None:
        """Show a new line of a seed."""
        epoch = line["epoch"]
        _, first_epoch = self._first.setdefault(seed.label, (time.monotonic(), epoch))
        if self.terminal:
            bar = self._bars[seed.label]
            bar.set_postfix_str(_figures(line), refresh=False)
            bar.initial = first_epoch
            bar.update(epoch - bar.n)
        elif line.get(DIVERGED) or epoch == seed.epochs or epoch % max(1, seed.epochs // 10) == 0:
            left = self._time_left(seed, epoch)
            print(f"{seed.label} epoch {epoch}/{seed.epochs}: {_figures(line)}{left}", flush=True)

    def end(self, seed: Seed) -> None:
        """Leave the bar of a seed as it is, above those that run."""
        if bar := self._bars.pop(seed.label, None):
            bar.close()

    def say(self, text: str, error: bool = False) -> None:
        """Print a message above the bars."""
        if self.terminal:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)

    def close(self) -> None:
        """Leave all bars as they are."""
        for bar in self._bars.values():
            bar.close()

    def _time_left(self, seed: Seed, epoch: int) -> str:
        started, first_epoch = self._first[seed.label]
        if epoch in (first_epoch, seed.epochs):
            return ""
        left = (time.monotonic() - started) / (epoch - first_epoch) * (seed.epochs - epoch)
        return f", {tqdm.format_interval(left)} left"


def _figures(line: Line) -> str:
    """The figures of an epoch that tell how a search gets on."""
    if what := line.get(DIVERGED):
        return f"diverged, {what} is not finite"
    error = line["test_error"]
    test = "not known" if error is None else f"{100 * error:.2f} %"
    text = f"supernet {100 * line['supernet_valid_accuracy']:.1f} %, test error {test}"
    if line["lambda_max"] is not None:
        text += f", lambda_max {line['lambda_max']:.3g}"
    return text
