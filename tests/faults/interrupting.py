"""Ctrl-C and SIGTERM: before a search trains, while it trains, and while it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.case import Survival
from tests.support.seeds_here import SMALL, asked, folder_of

IMPORTED_IN = {"numpy": "numpy.version", "torch": "torch.torch_version", "scikit-learn": "sklearn._config"}
"""Something that is imported in the middle of the import of another thing."""

ROOT = Path(__file__).parents[2]


def cases() -> list[Survival]:
    """Every moment of a signal."""
    at_once = "one word, exit status 130, no traceback, and nothing recorded"
    return [
        *(
            Survival("signals", f"{name} while {module} is imported", at_once, _while_importing(number, module))
            for name, number, module in (
                ("Ctrl-C", signal.SIGINT, "numpy"),
                ("SIGTERM", signal.SIGTERM, "torch"),
                ("Ctrl-C", signal.SIGINT, "scikit-learn"),
            )
        ),
        Survival(
            "signals",
            "Ctrl-C in a terminal, which all processes get, while seeds train",
            "the step in flight ends, one line says how to go on, exit status 130",
            _while_training(signal.SIGINT),
        ),
        Survival(
            "signals",
            "Ctrl-C again and again while seeds train and while they end",
            "all processes end at once, exit status 130, no traceback",
            _again_and_again,
        ),
    ]


def _while_importing(number: int, module: str) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        # Python tells of each import once it has ended, so that this one is in the middle of what follows it.
        with _command(folder, "-X", "importtime") as process:
            assert process.stderr is not None
            while line := process.stderr.readline():
                if line.split("|")[-1].strip() == IMPORTED_IN[module]:
                    break
            process.send_signal(number)
            # The server that seeds are forked from tells of its imports, too, and in the middle of other lines.
            said = process.stderr.read()
            assert process.wait() == 130
        assert said.count("interrupted") == 1
        assert "Traceback" not in said
        assert "EOFError" not in said
        assert not (folder / "results").exists()

    return meet


def _while_training(number: int) -> Callable[[Path], None]:
    def meet(folder: Path) -> None:
        with _command(folder) as process:
            _wait_for_lines(folder, 2)
            os.killpg(process.pid, number)
            out, err = process.communicate()
        assert process.returncode == 130
        assert "Traceback" not in out + err
        (line,) = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert line.startswith("interrupted; every recorded epoch is kept. The same command goes on from there: python")
        assert len(folder_of(asked(folder / "results")).epochs()) >= 2

    return meet


def _again_and_again(folder: Path) -> None:
    with _command(folder) as process:
        _wait_for_lines(folder, 1)
        while process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.01)
        out, err = process.communicate()
    assert process.returncode == 130, process.returncode
    assert "Traceback" not in out + err
    assert "KeyError" not in err


def _wait_for_lines(folder: Path, count: int) -> None:
    log = folder_of(asked(folder / "results")).path / "epochs.jsonl"
    while not (log.exists() and log.read_bytes().count(b"\n") >= count):
        time.sleep(0.02)


def _command(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`harness.run` of a search that does not end by itself, in a group of its own."""
    sets = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    arguments = ["--bench", "digits", "--space", "toy", "--optimizer", "darts", "--seeds", "1", "--epochs", "100000"]
    return subprocess.Popen(
        [sys.executable, *options, "-m", "harness.run", *arguments, "--name", "small", *sets, "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
