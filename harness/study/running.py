"""Running a study: one loop for every engine, from the first attempt to the table of what failed.

The first Ctrl-C, or SIGTERM, lets each attempt end at its next step; the second ends all at once. What was recorded
stays, and the same command goes on from there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from harness.errors import EXIT_INTERRUPTED, MissingDataError
from harness.launch.pool import Failure, Interruption
from harness.records.run_folder import EPOCHS
from harness.study import attempts as states
from harness.study.attempts import Attempts, Verdict, lost
from harness.study.cost import cost_of
from harness.study.display import Display, failure_table, one_line
from harness.study.engine import Attempt, Beat, Began, Ended, Engine, Event, Noted, Told
from harness.study.entries import StudyFile
from harness.study.expansion import Expanded, chosen, expand
from harness.study.folder import StudyFolder
from harness.study.journal import STUDY_DIED, History, StudyJournal, now_text
from harness.study.pruning import recorded_accuracy, settle
from harness.study.standing import Paces, standing
from harness.study.tables import write_measured
from harness.study.task import TABLE, Task

EXIT_FAILED = 1
EXIT_BUDGET = 3

PATIENCE = 0.5
"""Seconds after which the loop looks at the clock while no attempt has anything to say."""

SET_ASIDE = (states.DIVERGED, states.MISTAKE, states.FAILED, states.LOST)
"""States of tasks that are not run again by themselves."""


@dataclass(frozen=True)
class Options:
    """What a command line says of a run.

    Attributes:
        results: the results folder.
        only: patterns, any of which is in the keys of the tasks that are run; none for all.
        retry_failed: try again what was set aside.
        dry_run: say what would be run and what it would take.
    """

    results: Path = Path("results")
    only: Sequence[str] = ()
    retry_failed: bool = False
    dry_run: bool = False


def run_study(study: StudyFile, engine: Engine, options: Options) -> int:
    """Run what is not finished of a study.

    Returns:
        exit status: 0 where all is finished or pruned, 1 where some failed, 3 where the budget is spent with tasks
        left, 130 if interrupted.

    Raises:
        UserError: something cannot be run as asked; then nothing is, and nothing is written.
    """
    folder = StudyFolder(options.results, study.name)
    folder.refuse_held()
    expanded = _expanded(study, engine, options)
    tasks = chosen(expanded.tasks, options.only)
    engine.check(tasks)
    if options.dry_run:
        describe(study, tasks, engine, options)
        return 0
    return run_planned(expanded, tasks, engine, options)


def run_planned(expanded: Expanded, tasks: Sequence[Task], engine: Engine, options: Options) -> int:
    """Run what is not finished of some tasks of a study; returns what `run_study` does.

    Args:
        expanded: the study.
        tasks: those of its tasks that are asked for.
        engine: what runs them, which has checked them.
        options: what the command line says.

    Raises:
        UserError: another process runs the study, or the results folder cannot be written.
    """
    study = expanded.file
    folder = StudyFolder(options.results, study.name)
    with folder.locked():
        history = folder.histories()
        with StudyJournal(folder.journal, engine.name) as journal:
            journal.opened(study.sha256)
            folder.keep(study, expanded.tasks)
            for prepared in expanded.tables:
                prepared.claim()
            return _Run(expanded, tasks, history, engine, journal, options).to_its_end()


def _expanded(study: StudyFile, engine: Engine, options: Options) -> Expanded:
    """The tasks of a study; what would be run can be said where its data are not, too."""
    elsewhere = engine.elsewhere(study.run)
    try:
        return expand(study, options.results, elsewhere)
    except MissingDataError as error:
        if not options.dry_run:
            raise
        print(f"note: could not be run here as it is: {error}", file=sys.stderr)
        return expand(study, options.results, elsewhere, without_data=True)


def describe(study: StudyFile, tasks: Sequence[Task], engine: Engine, options: Options) -> None:
    """Say what would be run, and what it would take."""
    history = StudyFolder(options.results, study.name).histories()
    paces = Paces(options.results)
    attempts = Attempts(tasks, study.run.rules, standing, paces.pace, history, options.retry_failed)
    counts = attempts.counts()
    left = [each.task for each in attempts.progress.values() if each.state in (states.WAITING, states.PAUSED)]
    searches = sum(task.kind != TABLE for task in tasks)
    kinds = [f"{searches} searches" if searches else "", f"{len(tasks) - searches} units of tables"]
    named = " and ".join(kind for kind in kinds if kind and not kind.startswith("0 "))
    others = ", ".join(f"{count} {state}" for state, count in counts.items() if state != states.WAITING)
    print(f"{study.name}: {len(tasks)} tasks ({named}), would run {len(left)}{f'; {others}' if others else ''}")
    if not left:
        return
    groups: dict[tuple[str, ...], list[Task]] = {}
    for task in left:
        groups.setdefault(task.group, []).append(task)
    width = max(len("/".join(group[:3])) for group in groups)
    for group, those in groups.items():
        cost = cost_of(those, standing, paces.pace, engine.seats(those[0]))
        device = "GPU" if those[0].gpus else "processor"
        hours = "unknown" if cost.hours is None else f"{cost.device_hours:.2f} {device}-hours"
        print(f"  {'/'.join(group[:3]):{width}}  {len(those):6,} tasks  {hours}")
    seats = engine.seats(left[0])
    cost = cost_of(left, standing, paces.pace, seats)
    if cost.hours is None:
        print(f"cost: unknown; nothing like these is recorded in {options.results}")
        return
    unknown = f", besides {cost.unknown} tasks whose cost is unknown" if cost.unknown else ""
    print(f"cost: {cost.device_hours:.2f} device-hours, {cost.hours:.2f} h with {seats} side by side{unknown}")


@dataclass
class _Run:
    """A study while it runs."""

    expanded: Expanded
    tasks: Sequence[Task]
    history: Mapping[str, History]
    engine: Engine
    journal: StudyJournal
    options: Options
    nodes: dict[str, tuple[str, str]] = field(default_factory=dict)
    began: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rules = self.expanded.file.run.rules
        self.paces = Paces(self.options.results)
        self._close_open_attempts()
        self.attempts = Attempts(self.tasks, rules, standing, self.paces.pace, self.history, self.options.retry_failed)
        self.interruption = Interruption(self._stop_all)
        self.budget_spent = False
        counts = self.attempts.counts()
        over = sum(counts[state] for state in (*SET_ASIDE, states.FINISHED, states.PRUNED))
        self.display = Display(len(self.tasks), over)

    def to_its_end(self) -> int:
        """Run until nothing is left, or nothing may start any more; tell how it ended."""
        if self.options.retry_failed:
            for task in self.tasks:
                past = self.history.get(task.key)
                if past and past.ending in SET_ASIDE:
                    self.journal.write("retried", task=task.key)
        try:
            with self.interruption, self.engine:
                self._loop()
        except KeyboardInterrupt:
            for progress in self.attempts.running:
                if progress.attempt:
                    self._over(progress.attempt, lost("it was interrupted twice"))
        finally:
            self.display.close()
        write_measured(self.expanded.tables)
        return self._told_in_the_end()

    def _loop(self) -> None:
        self._settle()
        while True:
            if not self.interruption.came and not self.budget_spent:
                self._start_what_fits()
            if not self.attempts.running and (self._is_stopping() or not self.attempts.is_waiting()):
                return
            for event in self.engine.wait(self._patience()):
                self._take_in(event)
            for attempt in self.attempts.silent(_now()):
                self.engine.kill(attempt)
                minutes = self.attempts.rules.silent_minutes or 0
                self._over(attempt, lost(f"it was silent for {minutes:g} minutes, and was replaced"))
            if not self._is_stopping() and self.attempts.budget_is_spent(_now()):
                self.budget_spent = True
                self._stop_all()

    def _is_stopping(self) -> bool:
        return self.interruption.came or self.budget_spent

    def _patience(self) -> float:
        soonest = self.attempts.soonest()
        return PATIENCE if soonest is None else min(PATIENCE, max(0.0, soonest - _now()))

    def _start_what_fits(self) -> None:
        if self.attempts.budget_is_spent(_now()):
            self.budget_spent = True
            return
        while not self.engine.full():
            attempt = self.attempts.next(self.engine.takes, _now())
            if attempt is None:
                return
            self.began[attempt.key] = now_text()
            self.journal.started(attempt)
            self.engine.start(attempt)
            self.display.running(len(self.attempts.running))
            if self.interruption.came:
                self._stop(attempt)
                return

    def _take_in(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.display.say(event.text, error=True)
            return
        if not self.attempts.is_current(event.attempt):
            return
        now = _now()
        if isinstance(event, Began):
            self.nodes[event.attempt.key] = event.node, event.kind
            self.journal.began(event.attempt, event.node, event.kind)
            self.attempts.heard(event.attempt, now)
        elif isinstance(event, Told):
            self.attempts.heard(event.attempt, now, event.content)
            self.paces.learn(event.attempt.task, event.content)
        elif isinstance(event, Beat):
            self.attempts.heard(event.attempt, now)
        elif isinstance(event, Ended):
            self._over(event.attempt, event.failure)

    def _over(self, attempt: Attempt, failure: Failure | None) -> None:
        """An attempt is over: say what that means, and write it down."""
        now = _now()
        progress = self.attempts.progress[attempt.key]
        seconds = now - progress.began
        verdict = self.attempts.ended(attempt, failure, now)
        self._write_down(attempt, verdict, failure, seconds)
        self.display.ended(attempt.task, attempt.number, verdict, seconds)
        self.display.running(len(self.attempts.running))
        self._settle()

    def _write_down(self, attempt: Attempt, verdict: Verdict, failure: Failure | None, seconds: float) -> None:
        progress = self.attempts.progress[attempt.key]
        node, kind = self.nodes.pop(attempt.key, (None, None))
        reason = one_line(verdict.reason)
        detail = failure.text if failure and failure.text.strip().count("\n") else None
        self.journal.ended(
            attempt.key,
            attempt.number,
            began=self.began.pop(attempt.key, None),
            node=node,
            kind=kind,
            ending=verdict.ending,
            reason=reason,
            epoch=progress.epoch,
            seconds=round(seconds, 3),
            device_seconds=round(seconds * attempt.task.devices, 3),
            failures=progress.failures,
            losses=progress.losses,
            **({"detail": detail} if detail else {}),
        )

    def _settle(self) -> None:
        """Decide the rungs that are reached."""
        for pruned in settle(self.attempts, recorded_accuracy):
            self.journal.write("pruned", task=pruned.task.key, rung=pruned.rung, reason=pruned.reason)
            self.display.say(f"{pruned.task.key}: pruned; {pruned.reason}")

    def _stop_all(self) -> None:
        for progress in self.attempts.running:
            if progress.attempt:
                self._stop(progress.attempt)

    def _stop(self, attempt: Attempt) -> None:
        self.attempts.stopping(attempt)
        self.engine.stop(attempt)

    def _close_open_attempts(self) -> None:
        """Attempts that a killed study process left open are lost; their lines say so."""
        tasks = {task.key: task for task in self.expanded.tasks}
        for key, past in self.history.items():
            if past.open is not None:
                began, node, kind = (past.open.get(name) for name in ("time", "node", "kind"))
                seconds = _seconds_until_last_line(tasks.get(key), began)
                past.device_seconds += seconds
                self.journal.ended(
                    key,
                    past.attempts,
                    began=began,
                    node=node,
                    kind=kind,
                    ending=states.LOST,
                    reason=STUDY_DIED,
                    device_seconds=round(seconds, 3),
                    failures=past.failures,
                    losses=past.losses,
                )
                past.ending, past.reason, past.open = states.LOST, STUDY_DIED, None

    def _told_in_the_end(self) -> int:
        """Print what came of it, and give the exit status."""
        counts = self.attempts.counts()
        failed = [each for each in self.attempts.progress.values() if each.state in SET_ASIDE]
        if failed:
            print(failure_table(failed))
        left = len(self.tasks) - len(failed) - counts[states.FINISHED] - counts[states.PRUNED]
        told = [f"{counts[states.FINISHED]} of {len(self.tasks)} tasks finished"]
        told += [f"{counts[states.PRUNED]} pruned"] if counts[states.PRUNED] else []
        told += [f"{len(failed)} failed"] if failed else []
        told += [f"{left} left"] if left else []
        print(f"{self.expanded.file.name}: {', '.join(told)}")
        if self.interruption.came:
            print("interrupted; every recorded epoch is kept, and the same command goes on from there", file=sys.stderr)
            return EXIT_INTERRUPTED
        if left and self.budget_spent:
            hours = self.attempts.rules.budget_hours or 0
            print(
                f"the budget of {hours:g} device-hours is spent; raise budget_hours, and the same command goes on",
                file=sys.stderr,
            )
            return EXIT_BUDGET
        return EXIT_FAILED if failed or left else 0


def _now() -> float:
    """The clock by which attempts are timed."""
    return time.monotonic()


def _seconds_until_last_line(task: Task | None, began: object) -> float:
    """Device-seconds of an attempt that nobody saw the end of, until it last recorded something."""
    if task is None:
        return 0.0
    try:
        recorded = (task.path / EPOCHS).stat().st_mtime
        return max(0.0, recorded - datetime.fromisoformat(str(began)).timestamp()) * task.devices
    except (OSError, ValueError):
        return 0.0
