"""How long `harness.study status` takes for ten thousand run folders of a hundred epochs, in processor time.

    python -m benchmarks.study_status --out /tmp/status

Folders and lines are made up; what is timed is the command itself, in a process of its own, imports included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from harness.study.file import read_study
from harness.study.folder import StudyFolder
from harness.study.task import SEARCH, Task

RUNS = 10_080
EPOCHS = 100


def main() -> None:
    """Make the folders where they are not there, and time the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where to make the folders")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    file = out / "many.toml"
    file.write_text(
        'format = 1\nname = "many"\nbench = "digits"\n[[search]]\noptimizers = ["darts"]\nspaces = [1]\nseeds = 1\n'
    )
    _make(out / "results", file)
    command = [sys.executable, "-m", "harness.study", "status", str(file), "--results", str(out / "results")]
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{seconds:.2f} s of processor time: {answer.stdout.splitlines()[0]}")


def _make(results: Path, file: Path) -> None:
    """Run folders of searches, every tenth of which is not finished."""
    tasks = []
    line = {"bench": "digits", "scale": "small", "test_error": 0.1, "alphas": [[0.123456789] * 3] * 30}
    for number in range(RUNS):
        key = f"digits/space1/darts@{number // 6}/seed{number % 6}"
        group = ("digits", "space1", f"darts@{number // 6}", "small", "cpu")
        tasks.append(Task(key, SEARCH, results / key, {}, epochs=EPOCHS, group=group, variant=group[2]))
        path = results / key / "epochs.jsonl"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            last = EPOCHS if number % 10 else EPOCHS // 2
            path.write_text(
                "".join(
                    json.dumps({"epoch": epoch, **line, "seconds": {"train": 1.0}}) + "\n" for epoch in range(last + 1)
                )
            )
    folder = StudyFolder(results, "many")
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.keep(read_study(file), tasks)


if __name__ == "__main__":
    main()
