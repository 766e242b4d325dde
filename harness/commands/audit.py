"""`python -m harness.audit DIR`: verify that run folders are as they were written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli import OneLineParser, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what fails and what nothing vouches for.

    Returns:
        1 if any folder fails, else 0.

    Raises:
        RunFolderError: there is no such folder, or no run in it.
    """
    options = _parser().parse_args(arguments)

    from harness.records.audit import audit, audit_repeats
    from harness.records.repeats import find_repeats
    from harness.records.run_folder import RunFolderError, find_folders

    folders, _ = find_folders(options.results)
    repeats = find_repeats(options.results)
    if not folders and not repeats:
        raise RunFolderError(f"{options.results}: no run here; expected the folder given to `harness.run --results`")
    findings = [*map(audit, folders), *map(audit_repeats, repeats)]
    failing = [finding for finding in findings if finding.failure]
    unchecked = [finding for finding in findings if finding.unchecked]
    for finding in failing:
        print(f"FAILS {finding.path}: {finding.failure}")
    for finding in unchecked:
        print(f"unchecked {finding.path}: {', '.join(finding.unchecked)}, from before there were checksums")
    verified = len(findings) - len(failing) - len(unchecked)
    print(f"{len(findings)} runs: {verified} verified, {len(unchecked)} unchecked, {len(failing)} failing")
    return 1 if failing else 0


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="python -m harness.audit",
        description="Verify that all runs at or below a folder are as they were written: the files can be read, every "
        "line matches its checksum, every checkpoint its own and its run. Exit status 1 if one is not. What an "
        "earlier version recorded without checksums is said to be unchecked, and does not fail.",
    )
    parser.add_argument(
        "results", metavar="DIR", type=Path, help="a results folder, or a seed's; all runs below it are verified"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
