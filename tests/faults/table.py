"""All faults, and the page that says what is promised of each: `python -m tests.faults.table` writes it."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.faults import benchmark_files, files, indexes, settings
from tests.faults.case import Case

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

CASES: list[Case] = [*settings.cases(), *benchmark_files.cases(), *indexes.cases(), *files.cases()]

_HEAD = """# Faults

Written by `python -m tests.faults.table` from the table that `tests/faults/` tests; do not edit it by hand.

Each fault below ends in one line on stderr, without a traceback, that says among the rest the words shown, and in the
exit status shown. Nothing is computed or overwritten before that.
"""


def page() -> str:
    """The page in Markdown."""
    parts = [_HEAD]
    for group, cases in itertools.groupby(CASES, key=lambda case: case.group):
        parts.append(f"\n## {group.capitalize()}\n\n| fault | one line that says | exit status |\n|---|---|---|\n")
        for case in cases:
            fault, words = (text.replace("|", "\\|").replace("<", "&lt;") for text in (case.fault, case.words))
            parts.append(f"| {fault} | {words or 'what is wrong'} | {case.status} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
