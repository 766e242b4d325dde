"""How a seed ended, in one line for the terminal."""

from __future__ import annotations

from harness.launch.seed import Seed
from harness.records.line import DIVERGED
from harness.records.run_folder import RunFolder, RunFolderError


def summary(seed: Seed) -> str:
    """The last epoch of a seed, its test error, the best epoch by validation, and the run folder."""
    try:
        lines = RunFolder(seed.path).epochs()
    except RunFolderError as error:
        return f"{seed.label}: {error}"
    trained = lines[1:]
    if not trained:
        return f"{seed.label}: no epoch finished, {seed.path}"
    last = trained[-1]
    if what := last.get(DIVERGED):
        return f"{seed.label}: diverged, {what} is not finite; {len(trained) - 1} epochs before are kept, {seed.path}"
    text = f"{seed.label}: epoch {last['epoch']}, cell {last['cell']}, test error {_percent(last['test_error'])}"
    if "stopped_after" in last:
        text += f", of epoch {last['returned_epoch']} (stopped early after epoch {last['stopped_after']})"
    judged = [line for line in trained if line["valid_error"] is not None]
    if judged:
        best = min(judged, key=lambda line: line["valid_error"])
        text += (
            f"; best by the judge's validation error: epoch {best['epoch']}, test error {_percent(best['test_error'])}"
        )
    return f"{text}; {seed.path}"


def has_diverged(seed: Seed) -> bool:
    """Whether a seed's last line says that its numbers are none any more."""
    try:
        lines = RunFolder(seed.path).epochs()
    except RunFolderError:
        return False
    return bool(lines and lines[-1].get(DIVERGED))


def _percent(error: float | None) -> str:
    return "not known" if error is None else f"{100 * error:.2f} %"
