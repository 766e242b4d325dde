"""What looking at a thousand runs costs: processor time, memory and the size of the page, cold and warm.

    python -m benchmarks.many build /tmp/many                    # 56 methods x 3 spaces x 6 seeds of 100 epochs
    python -m benchmarks.many measure /tmp/many --repeats 3
    python -m benchmarks.many measure /tmp/many --checkout ../before --out /tmp/before

`measure` runs `harness.compare`, `harness.report` and `harness.plot --figure 4`, each in a process of its own: first
with an empty cache of what was read, then with the one that the first left. Processor time and peak memory are the
operating system's figures for the process. `--checkout` measures another version of the project on the same runs; what
two versions write into their `--out` can be compared file by file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.records.chain import CHECK, check_of, start
from harness.records.run_folder import EPOCHS, Line, RunFolder
from tests.support.synthetic_runs import PAPERS_METHODS, write_runs

ROOT = Path(__file__).parents[1]
VARIANTS = 7
COMMANDS = ("compare", "report", "plot")
MEBIBYTE = 2**20


def build(results: Path, variants: int, seeds: int, epochs: int, theory: bool) -> int:
    """Write runs of the paper's methods and variants of each in three spaces, lines with their checksums.

    Args:
        results: the folder.
        variants: of each method, besides its preset.
        seeds: of each method in each space.
        epochs: of each seed.
        theory: whether lines hold what the theory's charts show, which is not recorded by default.

    Returns:
        the number of runs.
    """
    names = ["", *(f"@{number}" for number in range(variants))]
    paths = write_runs(
        results, [method + name for method in PAPERS_METHODS for name in names], (1, 2, 3), seeds, epochs
    )
    for path in paths:
        check = start(RunFolder(path).config())
        lines = [json.loads(text) for text in (path / EPOCHS).read_text().splitlines()]
        with (path / EPOCHS).open("w") as file:
            for line in map(_with_theory, lines) if theory else lines:
                check = check_of(check, line)
                file.write(json.dumps({**line, CHECK: check}) + "\n")
    return len(paths)


def measure(results: Path, out: Path, checkout: Path, repeats: int, commands: Sequence[str]) -> None:
    """Print a row for each command, cold and warm: medians of processor seconds and peak memory, and what it wrote."""
    print(f"{'command':12}{'cache':8}{'processor s':>12}{'wall s':>9}{'peak MiB':>10}{'written MB':>12}")
    written = {"compare": out / "statistics", "report": out / "report.html", "plot": out / "figures"}
    further = {"plot": ["--figure", "4"]}
    for command in commands:
        target = written[command]
        arguments = [f"harness.{command}", str(results), "--out", str(target), *further.get(command, [])]
        timed: dict[str, list[tuple[float, float, float]]] = {"empty": [], "filled": []}
        for _ in range(repeats):
            shutil.rmtree(out / "cache", ignore_errors=True)
            for state in timed.values():
                state.append(_run(arguments, checkout, out / "cache"))
        for name, state in timed.items():
            processor, wall, memory = (statistics.median(column) for column in zip(*state, strict=True))
            size = sum(path.stat().st_size for path in [target, *target.rglob("*")] if path.is_file()) / 1e6
            print(f"{command:12}{name:8}{processor:12.2f}{wall:9.2f}{memory:10.0f}{size:12.2f}", flush=True)


def _run(arguments: Sequence[str], checkout: Path, cache: Path) -> tuple[float, float, float]:
    """Processor seconds, seconds by the clock and peak memory in MiB of a command of a checkout."""
    environment = {**os.environ, "HARNESS_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
    code = (
        "import json, resource, subprocess, sys, time\n"
        "began = time.perf_counter()\n"
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "wall = time.perf_counter() - began\n"
        "print(json.dumps([status, used.ru_utime + used.ru_stime, wall, used.ru_maxrss]))\n"
    )
    inner = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", code, *inner], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    status, processor, wall, peak = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(inner)}: exit status {status}\n{done.stderr}")
    # Linux counts in KiB, macOS in bytes.
    return processor, wall, peak / (MEBIBYTE if sys.platform == "darwin" else 1024)


def _with_theory(line: Line) -> Line:
    share = line["supernet_valid_accuracy"]
    return {
        **line,
        "projection_loss": line["supernet_valid_loss"] + 0.25 * share,
        "projection_accuracy": 0.5 * share,
        "mixture_distance": 0.5 + share,
        "mixture_spectral_norm": 3.0 * line["spectral_norm"],
        "entropy": 1 - share,
    }


def main() -> None:
    """Build or measure, as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    builds = commands.add_parser("build")
    builds.add_argument("results", type=Path)
    builds.add_argument("--variants", type=int, default=VARIANTS)
    builds.add_argument("--seeds", type=int, default=6)
    builds.add_argument("--epochs", type=int, default=100)
    builds.add_argument("--theory", action="store_true")
    measures = commands.add_parser("measure")
    measures.add_argument("results", type=Path)
    measures.add_argument("--out", type=Path, default=Path("/tmp/many-measured"))
    measures.add_argument("--checkout", type=Path, default=ROOT)
    measures.add_argument("--repeats", type=int, default=3)
    measures.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    asked = parser.parse_args()
    if asked.command == "build":
        print(build(asked.results, asked.variants, asked.seeds, asked.epochs, asked.theory), "runs")
    else:
        measure(asked.results.resolve(), asked.out.resolve(), asked.checkout.resolve(), asked.repeats, asked.commands)


if __name__ == "__main__":
    main()
