"""How a study gets on: a line for each attempt that ended, and on a terminal a bar of its tasks below them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from harness.errors import printable
from harness.records.line import as_number
from harness.records.tail import last_line
from harness.study.attempts import FINISHED, STOPPED, Progress, Verdict
from harness.study.task import TABLE, Task

_LONGEST_REASON = 200


class Display:
    """Shows how many tasks are over, and says how each ended; only the study process has one.

    Args:
        total: tasks that are to be run.
        over: those that are over already.
    """

    def __init__(self, total: int, over: int) -> None:
        self.total, self.over = total, over
        terminal = sys.stderr.isatty()
        self._bar: Any = (
            tqdm(total=total, initial=over, unit="task", dynamic_ncols=True, file=sys.stderr) if terminal else None
        )

    def running(self, count: int) -> None:
        """Show how many attempts run."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"{count} running", refresh=True)

    def ended(self, task: Task, attempt: int, verdict: Verdict, seconds: float) -> None:
        """Say how an attempt ended; one that was told to stop, or paused, is nothing to tell of."""
        if verdict.ending in (STOPPED, "paused"):
            return
        if verdict.again is None:
            self.over += 1
            if self._bar is not None:
                self._bar.update(1)
        what = verdict.ending if verdict.ending == FINISHED else f"attempt {attempt} {verdict.ending}"
        more = figures(task) if verdict.ending == FINISHED else f": {one_line(verdict.reason)}"
        if verdict.again:
            more += f"; tried again in {verdict.again:g} s"
        elif verdict.again is not None:
            more += "; tried again"
        self.say(f"[{self.over}/{self.total}] {task.key}: {what}{more}, {tqdm.format_interval(seconds)}")

    def say(self, text: str, error: bool = False) -> None:
        """Print a line, above the bar where there is one."""
        if self._bar is not None:
            tqdm.write(printable(text), file=sys.stderr)
        else:
            print(printable(text), file=sys.stderr if error else sys.stdout, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def figures(task: Task) -> str:
    """What the last line of a search says, for the terminal."""
    line = None if task.kind == TABLE else last_line(task.path)
    if line is None:
        return ""
    error = as_number(line.get("test_error"))
    return f", epoch {line['epoch']}" + ("" if error is None else f", test error {100 * error:.2f} %")


def one_line(reason: str) -> str:
    """A reason in a line: of a traceback the last."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    text = (lines[-1] if lines else "").removeprefix("error: ")
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def failure_table(failed: Sequence[Progress]) -> str:
    """What failed and why: a row a task, of equal reasons the first few tasks alone."""
    by_reason: dict[tuple[str, str], list[Progress]] = {}
    for progress in failed:
        by_reason.setdefault((progress.state, one_line(progress.reason)), []).append(progress)
    rows = [("task", "ended", "attempts", "reason")]
    for (state, reason), those in by_reason.items():
        shown = those if len(those) <= _MOST_ROWS else those[: _MOST_ROWS - 1]
        rows += [(each.task.key, state, str(each.attempts), reason) for each in shown]
        if len(shown) < len(those):
            rows.append((f"and {len(those) - len(shown)} more", state, "", reason))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


_MOST_ROWS = 12
