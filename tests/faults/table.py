"""All faults, and the page that says what is promised of each: `python -m tests.faults.table` writes it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tests.faults import (
    benchmark_files,
    data,
    disks,
    files,
    indexes,
    interrupting,
    killing,
    reading,
    resuming,
    serving,
    settings,
)
from tests.faults.case import Case, Survival

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

MODULES: tuple[ModuleType, ...] = (
    settings,
    benchmark_files,
    resuming,
    killing,
    interrupting,
    disks,
    reading,
    serving,
    indexes,
    data,
    files,
)

CASES: list[Case | Survival] = [case for module in MODULES for case in module.cases()]

_HEAD = """# Faults

Written by `python -m tests.faults.table` from the table that `tests/faults/` tests; do not edit it by hand.

What somebody or something may do to a search, its files or its commands, and what is promised then. A fault that is
refused ends in one line on stderr, without a traceback, that says among the rest the words shown, and in the exit
status shown; nothing is computed or overwritten before that. Every other fault is survived as it says.

Each row is one test of `python -m pytest tests/faults`, which makes the fault and holds the promise; the heading names
the file that makes it.
"""


_COLUMNS = "| fault | what happens | exit status |\n|---|---|---|\n"


def page() -> str:
    """The page in Markdown."""
    parts = [_HEAD]
    for module in MODULES:
        parts.append(f"\n## {_first_line(module)}\n\nTested in `tests/faults/{_name(module)}.py`.\n")
        by_group: dict[str, list[Case | Survival]] = {}
        for case in module.cases():
            by_group.setdefault(case.group, []).append(case)
        for group, cases in by_group.items():
            parts.append(
                f"\n### {group[0].upper()}{group[1:]}\n\n| fault | what happens | exit status |\n|---|---|---|\n"
            )
            parts += _rows(cases)
    return "".join(parts)


def _rows(cases: Iterable[Case | Survival]) -> Iterable[str]:
    for case in cases:
        if isinstance(case, Case):
            happens, status = f"refused: \u201c{case.words}\u201d" if case.words else "refused", str(case.status)
        else:
            happens, status = case.promise, ""
        yield f"| {_escaped(case.fault)} | {_escaped(happens)} | {status} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0].partition(":")[0].rstrip(".")


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
