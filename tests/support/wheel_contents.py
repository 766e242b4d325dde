"""`python -m tests.support.wheel_contents WHEEL`: whether a wheel holds each file of the packages, and no other."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

PACKAGES = ("harness", "optimizers", "spaces", "plots")


def differences(wheel: Path, tracked: Sequence[str]) -> list[str]:
    """What a wheel lacks of the tracked files, and what it holds besides them and its metadata; a line each."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set(tracked)
    return [f"missing: {name}" for name in sorted(expected - held)] + [
        f"not tracked: {name}" for name in sorted(held - expected)
    ]


def tracked_files(root: Path) -> list[str]:
    """The files of the packages that git knows."""
    command = ["git", "ls-files", "--", *PACKAGES]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()


if __name__ == "__main__":
    complaints = differences(Path(sys.argv[1]), tracked_files(Path.cwd()))
    print("\n".join(complaints), file=sys.stderr)
    sys.exit(1 if complaints else 0)
