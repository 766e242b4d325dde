"""How fast searches are: the fast paths against the plain one, and against the published code.

    python -m benchmarks.speed --out speed.json            # or `make bench`
    python -m benchmarks.speed --published ~/SmoothDARTS   # a clone of the published code, timed beside

Each way to compute is a process of its own; they take turns, so that a machine's moods fall on all alike, and a figure
is the median over the turns. What is timed: a step of each method and space, a Hessian, the supernet's validation, how
a step grows with channels, cells and batch, and whole searches of several seeds on `digits`. Prints tables and writes a
JSON with machine and versions.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.worker import Way
from harness.launch.provenance import processor, source_revision
from optimizers.registry import list_methods

SECTIONS = ("steps", "hessian", "validation", "growth", "seeds")
METHODS = ("darts", "sdarts_rs", "sdarts_adv", "pc_darts", "nasp", "gdas", "enas", "random_ws", "darts_2nd")
PUBLISHED_STEPS = ("darts", "sdarts_adv")

Answer = dict[str, float]
Times = dict[str, Any]


class Asked:
    """A process that answers how long something took."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def ask(self, question: str) -> Answer:
        """Its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> Answer:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"benchmarks.speed: {' '.join(map(str, self._process.args))} ended early")  # type: ignore[arg-type]
        answer: Answer = json.loads(line)
        return answer


class Bench:
    """Times ways against each other.

    Args:
        options: the command's.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.base = Way(device=options.device, threads=options.threads, channels=options.channels, cells=options.cells,
                        batch_size=options.batch_size, steps=20 if options.device == "cuda" else 1)  # fmt: skip

    def steps(self) -> list[Times]:
        """A step of each method in space 1, and of DARTS in the others."""
        cases = [(method, 1) for method in self.options.methods] + [("darts", 2), ("darts", 3)]
        found = []
        for method, space in cases:
            ways = self._ways(method=method, space=space)
            published = self._published(method) if space == 1 else {}
            found.append(self._compared(f"step {method}, space {space}", ways, "step", published))
        return found

    def hessian(self) -> list[Times]:
        """A Hessian on one batch."""
        return [self._compared("Hessian, space 1", self._ways(), "hessian", self._published("hessian"), turns=2)]

    def validation(self) -> list[Times]:
        """The supernet's accuracy on a thousand images."""
        return [self._compared("validation of 1,000 images", self._ways(), "validation", turns=3)]

    def growth(self) -> list[Times]:
        """A step of DARTS at other widths, depths and batches."""
        base = self.base
        sizes: list[dict[str, int]] = [{"channels": base.channels * factor // 4} for factor in (1, 2, 4, 8)]
        sizes += [{"cells": cells} for cells in (3, 6, 9, 12)]
        sizes += [{"batch_size": base.batch_size * factor // 2} for factor in (1, 2, 4)]
        return [
            self._compared(
                ", ".join(f"{key} {value}" for key, value in size.items()), self._ways(**size), "step", turns=3
            )
            for size in sizes
        ]

    def seeds(self) -> list[Times]:
        """Whole searches of DARTS on `digits`, some seeds at once: wall time, and each process's peak memory."""
        cores = os.cpu_count() or 1
        cases = [(1, threads) for threads in sorted({1, cores})] + [(seeds, 1) for seeds in (2, 4, 6)]
        found: list[Times] = [{"what": f"{seeds} seeds, {threads} threads each"} for seeds, threads in cases]
        taken: list[list[Answer]] = [[] for _ in cases]
        for _ in range(self.options.seed_turns):
            for answers, (seeds, threads) in zip(taken, cases, strict=True):
                answers.append(_searched(self.options.device, seeds, threads, self.options.seed_epochs))
        for one, answers in zip(found, taken, strict=True):
            one.update({key: statistics.median(answer[key] for answer in answers) for key in answers[0]})
        alone = min(one["seconds"] for one in found[: len(cases) - 3])
        for one in found:
            one["times one seed's best"] = one["seconds"] / alone
        return found

    def _ways(self, **changes: Any) -> dict[str, Way]:
        way = dataclasses.replace(self.base, **changes)
        ways = {"plain": dataclasses.replace(way, fast=False), "fast": way}
        if way.device == "cuda":
            ways["fast, TF32"] = dataclasses.replace(way, precision="tf32")
        return ways

    def _published(self, question: str) -> dict[str, str]:
        standard = Way(threads=self.options.threads, batch_size=self.options.batch_size)
        if not self.options.published or question not in (*PUBLISHED_STEPS, "hessian") or self.base != standard:
            return {}
        return {"published": question}

    def _compared(
        self,
        what: str,
        ways: Mapping[str, Way],
        question: str,
        published: Mapping[str, str] | None = None,
        turns: int = 0,
    ) -> Times:
        """Medians over turns that are taken alternately."""
        asked = {name: (Asked("benchmarks.worker", json.dumps(dataclasses.asdict(way))), question)
                 for name, way in ways.items()}  # fmt: skip
        for name, its_question in (published or {}).items():
            checkout, threads, size = self.options.published, str(self.options.threads), str(self.options.batch_size)
            asked[name] = Asked("benchmarks.published", str(checkout), threads, size), its_question
        answers: dict[str, list[Answer]] = {name: [] for name in asked}
        for turn in range(1 + (turns or self.options.turns)):
            for name, (process, its_question) in asked.items():
                answer = process.ask(its_question)
                if turn:
                    answers[name].append(answer)
        found: Times = {"what": what}
        for name, (process, _) in asked.items():
            found[name] = {key: statistics.median(answer[key] for answer in answers[name]) for key in answers[name][0]}
            found[name]["all"] = [answer["seconds"] for answer in answers[name]]
            if name in ways:
                found[name]["mib"] = process.ask("memory")["mib"]
            process.close()
        print(_line(found), flush=True)
        return found


def _searched(device: str, seeds: int, threads: int, epochs: int) -> Answer:
    with tempfile.TemporaryDirectory() as results:
        search = f"--bench digits --space 1 --optimizer darts --device {device}"
        command = [sys.executable, "-m", "harness.run", *search.split(), "--results", results]
        command += ["--seeds", str(seeds), "--threads", str(threads), "--epochs", str(epochs)]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.1)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"benchmarks.speed: {' '.join(command)} ended with status {process.returncode}")
        lines = [json.loads(line) for path in Path(results).rglob("epochs.jsonl") for line in path.open()]
    phases = {
        key: sum(line["seconds"].get(key, 0) for line in lines) / seeds for key in ("train", "hessian", "validation")
    }
    return {"seconds": seconds, "mib": peak, **{f"{key} seconds a seed": value for key, value in phases.items()}}


def _resident(root: int) -> float:
    """Memory in MiB of a process and all below it; shared pages are counted for each."""
    parents: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            sizes[int(path.name)] = int((path / "statm").read_text().split()[1])
            parents.setdefault(int(fields[1]), []).append(int(path.name))
        except (OSError, IndexError):
            continue
    waiting, total = [root], 0
    while waiting:
        one = waiting.pop()
        total += sizes.get(one, 0)
        waiting += parents.get(one, [])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


def _line(found: Times) -> str:
    names = [name for name, value in found.items() if isinstance(value, dict)]
    slowest = "published" if "published" in names else "plain"
    parts = []
    for name in names:
        times = found[name]
        ratio = found[slowest]["seconds"] / times["seconds"]
        parts.append(f"{name} {times['seconds'] * 1000:9.1f} ms ({times['cpu_seconds'] * 1000:.0f} CPU) {ratio:5.2f}x")
    return f"{found['what']:34} " + "   ".join(parts)


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    on_gpu = options.device == "cuda"
    return {
        "command": sys.argv[1:],
        "machine": torch.cuda.get_device_name() if on_gpu else processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "source": source_revision(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    options = _parser().parse_args(arguments)
    bench = Bench(options)
    results: dict[str, Any] = {"conditions": _conditions(options)}
    for section in options.sections:
        results[section] = getattr(bench, section)()
        options.out.write_text(json.dumps(results, indent=1) + "\n")
    for one in results.get("seeds", []):
        print(
            "   ".join(f"{key} {value:.2f}" if isinstance(value, float) else str(value) for key, value in one.items())
        )
    print(options.out)


def _sections(text: str) -> tuple[str, ...]:
    words = tuple(text.split(","))
    if not set(words) <= set(SECTIONS):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(SECTIONS)}, commas between, got {text!r}")
    return words


def _methods(text: str) -> tuple[str, ...]:
    known = [method.name for method in list_methods()]
    words = tuple(text.split(","))
    if not set(words) <= set(known):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(known)}, commas between, got {text!r}")
    return words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=Path("speed.json"))
    add("--sections", type=_sections, default=SECTIONS, help=f"of {', '.join(SECTIONS)}")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cuda", "cpu"))
    add("--methods", type=_methods, default=METHODS)
    add("--channels", type=int, default=16)
    add("--cells", type=int, default=9)
    add("--batch-size", type=int, default=96 if torch.cuda.is_available() else 32)
    add("--turns", type=int, default=5)
    add("--threads", type=int, default=min(2, os.cpu_count() or 1))
    add("--seed-epochs", type=int, default=20, help="epochs of the searches on digits")
    add("--seed-turns", type=int, default=1)
    add("--published", type=Path, help="a clone of the published code, to time beside (on a CPU)")
    return parser


if __name__ == "__main__":
    main()
