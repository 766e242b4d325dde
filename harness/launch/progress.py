"""How searches get on: a bar for each seed on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from harness.records.run_folder import Line


class Progress:
    """Shows the newest line of each seed.

    Args:
        seeds: seeds that will run.
        epochs: epochs of each.
    """

    def __init__(self, seeds: Sequence[int], epochs: int) -> None:
        self.epochs = epochs
        self.terminal = sys.stderr.isatty()
        self.first: dict[int, tuple[float, int]] = {}
        self.bars: dict[int, Any] = {}
        if self.terminal:
            for position, seed in enumerate(seeds):
                self.bars[seed] = tqdm(
                    total=epochs, desc=f"seed {seed}", position=position, unit="epoch", dynamic_ncols=True, leave=True
                )

    def line(self, seed: int, line: Line) -> None:
        """Show a new line of a seed."""
        epoch = line["epoch"]
        _, first_epoch = self.first.setdefault(seed, (time.monotonic(), epoch))
        if self.terminal:
            bar = self.bars[seed]
            bar.set_postfix_str(self._figures(line), refresh=False)
            bar.initial = first_epoch
            bar.update(epoch - bar.n)
        elif epoch == self.epochs or epoch % max(1, self.epochs // 10) == 0:
            left = self._time_left(seed, epoch)
            print(f"seed {seed} epoch {epoch}/{self.epochs}: {self._figures(line)}{left}", flush=True)

    def say(self, text: str, error: bool = False) -> None:
        """Print a message above the bars."""
        if self.terminal:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr if error else sys.stdout, flush=True)

    def close(self) -> None:
        """Leave the bars as they are."""
        for bar in self.bars.values():
            bar.close()

    def _time_left(self, seed: int, epoch: int) -> str:
        started, first_epoch = self.first[seed]
        if epoch == first_epoch or epoch == self.epochs:
            return ""
        left = (time.monotonic() - started) / (epoch - first_epoch) * (self.epochs - epoch)
        return f", {tqdm.format_interval(left)} left"

    def _figures(self, line: Line) -> str:
        error = line["test_error"]
        test = "not in table" if error is None else f"{100 * error:.2f} %"
        text = f"supernet {100 * line['supernet_valid_accuracy']:.1f} %, test error {test}"
        if line["lambda_max"] is not None:
            text += f", lambda_max {line['lambda_max']:.3g}"
        return text
