"""Looking at what a study recorded: exactly its runs, and the question that it declared before the first of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.study.entries import Comparison, StudyFile
from harness.study.folder import StudyFolder
from harness.study.status import tasks_of
from harness.study.task import SEARCH


@dataclass(frozen=True)
class Runs:
    """The runs of a study, and what is asked of them.

    Attributes:
        home: the study's own folder, where figures and statistics go.
        paths: the run folders that are there.
        baseline: the method that others are tested against; None for the default.
        measure: what is tested and ranked.
        family: the tests that are adjusted together.
    """

    home: Path
    paths: frozenset[Path]
    baseline: str | None
    measure: str
    family: str


def looked_at(study: StudyFile, results: Path) -> Runs:
    """The runs of a study; says on stderr where its file is another than when its first run began.

    Raises:
        UserError: none of its runs is there.
    """
    folder = StudyFolder(results, study.name)
    first = folder.first_sha256()
    if first is not None and first != study.sha256:
        print(
            f"warning: {study.path} was changed since the study's first run; what it declares now is not what was "
            f"declared then, which {folder.path / f'study-{first[:12]}.toml'} holds",
            file=sys.stderr,
        )
    searches = (task.path for task in tasks_of(study, results) if task.kind == SEARCH)
    paths = frozenset(filter(Path.is_dir, searches))
    if not paths:
        raise UserError(
            f"{results}: holds no run of {study.name}; `python -m harness.study run {study.path}` makes them"
        )
    asked = study.compare or Comparison()
    return Runs(folder.path, paths, asked.baseline, asked.measure, asked.family)
