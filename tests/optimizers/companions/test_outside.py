"""A companion that is defined outside the package joins any method by its settings, and by nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

COMPANION = '''
from dataclasses import dataclass

from optimizers.companions.base import Companion
from optimizers.companions.registry import register_companion


@dataclass(frozen=True)
class ShrinkConfig:
    factor: float = 1.0


@register_companion
class Shrink(Companion):
    """Makes every gradient of the alphas smaller, and counts the epochs that it saw begin."""

    name = "shrink"
    config_class = ShrinkConfig
    joins = "alphas"

    def __init__(self, config, epochs):
        super().__init__(config, epochs)
        self.begun = 0

    @classmethod
    def joins_with(cls, config):
        return config.factor != 1.0

    def begin(self, search, epoch):
        self.begun += 1

    def gradient(self, search, gradients, index, validation):
        return [self.config.factor * gradient for gradient in gradients]

    def state_dict(self):
        return {"begun": self.begun}

    def load_state_dict(self, state):
        self.begun = state["begun"]
'''

SCALE = ["network.channels=2", "network.cells=3", "data.images=24", "data.batch_size=12", "hessian.every=0"]


def search(folder: Path, optimizer: str, epochs: int, *settings: str) -> list[dict[str, object]]:
    """The lines of a small search that imports the companion's module first."""
    arguments = ["--bench", "digits", "--space", "1", "--optimizer", optimizer, "--seeds", "1", "--import", "shrink"]
    arguments += ["--epochs", str(epochs), "--name", "x"]
    for setting in (*SCALE, *settings):
        arguments += ["--set", setting]
    ended = subprocess.run(
        [sys.executable, "-m", "harness.run", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = (folder / "results" / "digits" / "space1" / f"{optimizer}@x" / "seed0" / "epochs.jsonl").read_text()
    return [json.loads(line) for line in lines.splitlines()]


def test_a_companion_of_ones_own_joins_a_method_and_its_state_is_in_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "shrink.py").write_text(COMPANION)
    still = search(tmp_path, "darts", 2, "shrink.factor=0", "alphas.weight_decay=0")
    assert still[0]["alphas"] == still[2]["alphas"] != []
    config = json.loads((tmp_path / "results/digits/space1/darts@x/seed0/config.json").read_text())
    assert config["settings"]["shrink"] == {"factor": 0.0}
    assert config["imports"] == ["shrink"]

    import torch

    saved = torch.load(tmp_path / "results/digits/space1/darts@x/seed0/checkpoint.pt", weights_only=True)
    assert saved["optimizer"]["companions"]["shrink"] == {"begun": 2}


def test_a_method_without_alphas_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "shrink.py").write_text(COMPANION)
    command = "--bench digits --space 1 --optimizer random_ws --seeds 1 --import shrink --set shrink.factor=0.5"
    ended = subprocess.run(
        [sys.executable, "-m", "harness.run", *command.split()],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: random_ws: shrink: without alphas")
