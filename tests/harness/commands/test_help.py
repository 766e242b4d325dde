from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: command -> what its help must not wait for, and words of it
COMMANDS = {
    "blackbox": ({"torch", "numpy", "matplotlib", "optuna", "ConfigSpace"}, ["--optimizer", "--repeats"]),
    "audit": ({"matplotlib", "scipy", "torch", "numpy"}, ["DIR"]),
    "run": ({"torch"}, ["--optimizer"]),
    "compare": ({"matplotlib", "scipy", "torch", "numpy"}, ["RESULTS", "--baseline"]),
    "report": ({"matplotlib", "scipy", "torch", "numpy", "tensorboard"}, ["RESULTS", "--serve", "--tensorboard"]),
    "plot": ({"matplotlib", "seaborn", "torch", "numpy"}, ["RESULTS"]),
    "prepare": ({"torch", "torchvision", "tensorflow"}, ["--nasbench"]),
    "crosscheck": ({"torch", "tensorflow", "numpy"}, ["FILE", "--cells"]),
    "table": ({"torch", "matplotlib", "tensorflow"}, ["--bench", "INDEX"]),
    "tabulate": ({"torch", "numpy", "sklearn"}, ["--learning-rate", "write-only"]),
    "transfer": ({"torch", "torchvision", "numpy"}, ["--images", "--architecture"]),
    "landscape": ({"torch", "matplotlib", "numpy"}, ["RUN", "--epoch", "--radius"]),
    "correlate": ({"torch", "matplotlib", "numpy", "scipy"}, ["RUN", "--cells"]),
    "choose": ({"torch", "matplotlib", "numpy"}, ["RESULTS"]),
    "check": ({"torch", "numpy"}, ["--skip", "module:Class"]),
    "demo": ({"torch", "numpy", "matplotlib"}, ["--seeds"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_given_without_heavy_imports(command: str) -> None:
    code = (
        f"import sys, json, harness.{command} as command\n"
        "try: command.main(['--help'])\n"
        "except SystemExit: print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    forbidden, words = COMMANDS[command]
    assert not forbidden & set(json.loads(answer.stderr))
    for word in words:
        assert word in answer.stdout
