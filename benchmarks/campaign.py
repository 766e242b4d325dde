"""All that a GPU is wanted for, in order and within a time: correctness, figures of speed, then real searches.

    python -m benchmarks.campaign --bench cifar10-jpeg.toml --minutes 25
    python -m benchmarks.campaign --device cpu --rehearse --out /tmp/rehearsal      # the same at small size, on a CPU

Called again it goes on where it was: what has passed is not done again, and searches resume at their last epoch. So a
GPU can be had for half an hour today and an hour next week. Results lie in `--out`: `campaign.jsonl` has a line for
each stage with its command, status and seconds; beside it are the logs, figures of speed, and the searches' folders.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import SECTIONS
from harness.records.run_folder import EPOCHS, RunFolder, find_folders

JOURNAL = "campaign.jsonl"
GRACE = 60
"""Seconds that an interrupted search has to end its step and write what it must."""

SEARCHES = (("darts", 1), ("sdarts_adv", 1), ("darts", 6), ("sdarts_adv", 6), ("sdarts_rs", 6))
"""Method and number of seeds, in the order of what one wants to know first."""

GPU_TESTS = (
    "tests/spaces/nb101/fast/test_gpu.py",
    "tests/spaces/nb101/test_curvature.py",
    "tests/harness/search/test_capture.py",
    "tests/harness/search/test_fast_paths.py",
)


@dataclass(frozen=True)
class Stage:
    """One thing to do.

    Attributes:
        name: in the journal and of the log.
        command: arguments of the Python that runs this.
        seconds: how long it may take at most.
        resumes: whether an interrupted one goes on next time; otherwise it starts again.
    """

    name: str
    command: tuple[str, ...]
    seconds: float
    resumes: bool = False


class Campaign:
    """Stages, done one after another until the time is up.

    Args:
        options: the command's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out = options.out / "rehearsal" if options.rehearse else options.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.ends = time.monotonic() + 60 * options.minutes
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def run(self) -> bool:
        """Do what is left, and say so; whether nothing is left and all of it passed."""
        done = [(entry["stage"], entry["command"]) for entry in self._journal() if entry["status"] == "passed"]
        complete = True
        for stage in self.stages():
            if (stage.name, list(stage.command)) in done:
                print(f"{stage.name}: passed before", flush=True)
                continue
            left = self.ends - time.monotonic() - GRACE
            if left <= 0:
                print(f"{stage.name}: no time left", flush=True)
                complete = False
                continue
            complete &= self._do(stage, min(stage.seconds, left)) == "passed"
        return complete

    def stages(self) -> Iterator[Stage]:
        """In order."""
        small = self.options.rehearse
        tests = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *GPU_TESTS)
        chosen = ("-k", "cpu and darts and not 2nd" if small else "cuda or fused")
        yield Stage("tests", (*tests, *chosen), 400)
        yield Stage("resumed", ("-m", "benchmarks.campaign", "--check-resumed", *self._same()), 300)
        speed = ("-m", "benchmarks.speed", "--device", self.options.device, "--methods", "darts,sdarts_rs,sdarts_adv")
        sizes = ("--channels", "4", "--cells", "3", "--turns", "1", "--seed-epochs", "1") if small else ("--turns", "3")
        for section in SECTIONS:
            out = ("--sections", section, "--out", str(self.out / f"speed_{section}.json"))
            yield Stage(f"speed, {section}", (*speed, *sizes, *out), 400)
        for method, seeds in SEARCHES[:1] if small else SEARCHES:
            # One seed and six in folders of their own: how long six take is one of the questions.
            results = self.out / f"{seeds}_seeds"
            search = ["-m", "harness.run", "--bench", self.options.bench, "--space", "1", "--optimizer", method]
            search += ["--seeds", str(seeds), "--device", self.options.device, "--results", str(results)]
            search += ["--epochs", "2"] if small else []
            yield Stage(f"{method}, {seeds} seeds", tuple(search), float("inf"), resumes=True)

    def _do(self, stage: Stage, seconds: float) -> str:
        print(f"{stage.name}: at most {seconds:.0f} s", flush=True)
        started = time.monotonic()
        log = self.out / f"{stage.name.replace(' ', '_').replace(',', '')}.log"
        with log.open("a") as file:
            process = subprocess.Popen(
                [sys.executable, *stage.command], stdout=file, stderr=subprocess.STDOUT, env=self.environment
            )
            try:
                process.wait(seconds)
                status = "failed" if process.returncode else "passed"
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                status = "to be continued" if stage.resumes else "out of time"
        taken = time.monotonic() - started
        entry = {"stage": stage.name, "status": status, "seconds": round(taken, 1), "command": list(stage.command)}
        with (self.out / JOURNAL).open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(f"{stage.name}: {status} in {taken:.0f} s ({log})", flush=True)
        return status

    def _journal(self) -> list[dict[str, Any]]:
        path = self.out / JOURNAL
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def _same(self) -> tuple[str, ...]:
        return ("--device", self.options.device, "--out", str(self.out))


def check_resumed(device: str, out: Path) -> bool:
    """Whether a search on the device that is interrupted and resumed records what an uninterrupted one does."""
    search = ["-m", "harness.run", "--bench", "digits", "--space", "1", "--optimizer", "sdarts_adv", "--seeds", "1"]
    search += ["--epochs", "4", "--device", device]
    whole, parts = out / "resumed" / "whole", out / "resumed" / "parts"
    shutil.rmtree(out / "resumed", ignore_errors=True)
    subprocess.run([sys.executable, *search, "--results", str(whole)], check=True)
    process = subprocess.Popen([sys.executable, *search, "--results", str(parts)])
    while process.poll() is None and not any(len(path.read_text().splitlines()) > 1 for path in parts.rglob(EPOCHS)):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait()
    subprocess.run([sys.executable, *search, "--results", str(parts)], check=True)
    (uninterrupted,), (resumed,) = (find_folders(place)[0] for place in (whole, parts))
    equal, starts = _lines(uninterrupted) == _lines(resumed), len(resumed.environment()["starts"])
    print(f"lines equal: {equal}; started {starts} times", flush=True)
    return equal and starts == 2


def _lines(folder: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "seconds"} for line in folder.epochs()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign, or one check of it."""
    options = _parser().parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        # Tests that need one would skip, and count as passed.
        raise SystemExit(
            "benchmarks.campaign: expected a GPU, and torch sees none; rehearse with --device cpu --rehearse"
        )
    if options.check_resumed:
        return 0 if check_resumed(options.device, options.out) else 1
    return 0 if Campaign(options).run() else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="digits", help="what to search: a benchmark's name or file")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument(
        "--minutes", type=float, default=25, help="after so many, stop and leave the rest for next time"
    )
    parser.add_argument("--out", type=Path, default=Path("results/campaign"))
    parser.add_argument("--rehearse", action="store_true", help="the same stages at small size")
    parser.add_argument("--check-resumed", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
