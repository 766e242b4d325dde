"""Run folders with the lines of an earlier version."""

from __future__ import annotations

import json
from pathlib import Path

from harness.records.run_folder import RunFolder


def without_checksums(folder: Path) -> None:
    """Leave the lines of a run as a version wrote them that knew no checksums: they are read unchecked."""
    lines = RunFolder(folder).epochs()
    (folder / "epochs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
