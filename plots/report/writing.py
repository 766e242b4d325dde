"""Runs surveyed, judged and put into a report's data, again and again: only what changed on disk is read anew."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import UserError, printable
from harness.records.files import write_atomically
from harness.records.run_folder import CONFIG, ENVIRONMENT, EPOCHS, RunFolder, find_folders
from plots.judgement.comparing import check_baseline
from plots.judgement.findings import Judgement, Question
from plots.judgement.judging import judge, reason_against
from plots.report.data import Data, report_data
from plots.report.page import page
from plots.runs.cache import Cache, Stamp, default_folder, stamp_of
from plots.runs.picking import EVERYTHING, Picking
from plots.runs.reading import Entry
from plots.runs.survey import Survey, survey

MOST_LISTED = 5

PAGE_START = b'<!doctype html>\n<html lang="en" data-live='

#: what a page shows is read from
FILES = (CONFIG, ENVIRONMENT, EPOCHS)


class Report:
    """What the runs at or below a folder show, for a page that links to their lines.

    Args:
        results: the folder.
        base: the folder that links are relative to.
        question: what the statistics answer; as `harness.compare` asks by default.
        picking: which methods are shown.
    """

    def __init__(
        self, results: Path, base: Path, question: Question | None = None, picking: Picking = EVERYTHING
    ) -> None:
        self.results, self.base, self.question, self.picking = results, base, question or Question(), picking
        self._cache = Cache(default_folder())
        self._entries: dict[Path, tuple[Stamp, Entry | Exception]] = {}
        self._judged: tuple[object, Judgement] | None = None

    def version(self) -> str:
        """Names the state of the files: another one means other data. Opens none of them.

        Raises:
            RunFolderError: the folder does not exist.
        """
        folders, foreign = find_folders(self.results, self.picking.runs)
        state = [(str(folder.path), stamp_of(folder, FILES)) for folder in folders], [str(path) for path in foreign]
        return hashlib.sha256(repr(state).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def data(self) -> Data:
        """Everything that the page shows, with the version it belongs to.

        Raises:
            RunFolderError: the folder does not exist.
        """
        version = self.version()
        found = survey(self.results, self._read, self.picking)
        self._cache.save()
        data = report_data(self.results, found, self._judge(found), self.base)
        written = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        return {**data, "version": version, "written": written}

    def _read(self, folder: RunFolder) -> Entry:
        """As `plots.runs.reading.read_entry`; a folder whose files are as they were gives what it gave."""
        stamp = stamp_of(folder, FILES)
        known = self._entries.get(folder.path)
        if known is None or known[0] != stamp:
            outcome: Entry | Exception
            try:
                outcome = self._cache.read(folder)
            # Of every kind: the survey says what it makes of each.
            except Exception as error:
                outcome = error
            known = self._entries[folder.path] = stamp, outcome
        if isinstance(known[1], Exception):
            raise known[1]
        return known[1]

    def _judge(self, found: Survey) -> Judgement:
        """As `judge`; unfinished runs do not count, so that a line more of them changes no statistic."""
        counting = found.keep(lambda run: reason_against(run, self.question.epochs))
        runs = [run for one in counting.comparisons for method in one.methods for run in method.runs]
        state = [(run.path, self._entries[run.path][0]) for run in runs]
        if self._judged is None or self._judged[0] != state:
            self._judged = state, judge(found, self.question)
        return dataclasses.replace(self._judged[1], left_out=counting.left_out)


def write_page(
    results: Path, out: Path, question: Question, baseline: str | None, picking: Picking = EVERYTHING
) -> Path:
    """Write the page of all runs at or below a folder, and say on stderr what it does not count.

    Args:
        results: the folder.
        out: the file to write.
        question: what the statistics answer.
        baseline: the method that the command line names to compare with; None where it names none.
        picking: which methods are shown.

    Returns:
        the file.

    Raises:
        UserError: there is nothing that looks like a run, or no such baseline or method.
        RunFolderError: there is no such folder.
        OSError: the file cannot be written.
    """
    if out.is_dir():
        raise UserError(f"--out: expected a file, such as {out / 'report.html'}, got the folder {out}")
    if out.exists() and not is_page(out):
        raise UserError(f"{out}: is there, and is no report, so it is not overwritten; give another --out")
    data = Report(results, out.parent, question, picking).data()
    if any(data["picked"].values()):
        picking.check(data["picked"]["shown"], data["picked"]["passed_over"])
    blocks = [one["block"] for one in data["comparisons"] if one["block"]]
    check_baseline(baseline, (method["name"] for block in blocks for method in block["methods"]))
    if not data["comparisons"] and not data["left_out"]:
        raise UserError(f"{results}: holds no run; `python -m harness.run --results {results}` makes one")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page(data))
    _say_left_out(data["left_out"])
    if not data["comparisons"]:
        print(f"{results}: no run can be shown; the page lists why", file=sys.stderr)
    return out


def is_page(path: Path) -> bool:
    """Whether a file is empty or begins as a page does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(len(PAGE_START))
    return head in (PAGE_START, b"")


def _say_left_out(left_out: Sequence[Mapping[str, str]]) -> None:
    """A line for each folder that does not count; of many, their number."""
    if len(left_out) > MOST_LISTED:
        print(f"left out: {len(left_out)} folders; the page lists them with the reasons", file=sys.stderr)
        return
    for one in left_out:
        print(printable(f"left out: {one['path']}: {one['reason']}"), file=sys.stderr)
