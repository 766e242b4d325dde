"""Settings out of their range, from `--set` and from benchmark files, and numbers of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.commands.run import main
from harness.search.settings import resolve
from optimizers.registry import get_method
from spaces.registry import get_space
from tests.faults.case import Case

_REFUSED: list[tuple[str, int | str, str, str, str]] = [
    ("darts", 1, "weights.learning_rate", "-1", "from 0 to"),
    ("darts", 1, "weights.learning_rate", "nan", "a finite number from 0 to"),
    ("darts", 1, "weights.learning_rate", "1e999", "a finite number from 0 to"),
    ("darts", 1, "weights.learning_rate", "9" * 5000, "a finite number from 0 to"),
    ("darts", 1, "weights.learning_rate_min", "-0.1", "from 0 to"),
    ("darts", 1, "weights.momentum", "1.5", "from 0 to 1"),
    ("darts", 1, "weights.momentum", "-0.1", "from 0 to 1"),
    ("darts", 1, "weights.weight_decay", "-1e-4", "from 0 to"),
    ("darts", 1, "weights.gradient_clip", "0", "above 0"),
    ("darts", 1, "weights.gradient_clip", "-5", "above 0"),
    ("darts", 1, "alphas.learning_rate", "-3e-4", "from 0 to"),
    ("darts", 1, "alphas.learning_rate", "1e308", "from 0 to"),
    ("darts", 1, "alphas.beta1", "1", "from 0 below 1"),
    ("darts", 1, "alphas.beta2", "-0.5", "from 0 below 1"),
    ("darts", 1, "alphas.weight_decay", "-1", "from 0 to"),
    ("darts", 1, "alphas.initial_scale", "-1", "from 0 to"),
    ("darts", 1, "alphas.initial_mean", "1e30", "from -1,000,000.0 to"),
    ("darts", 1, "alphas.warm_start_epochs", "-1", "from 0 to 100,000"),
    ("darts", 1, "network.channels", "100000000", "from 1 to 4,096"),
    ("darts", 1, "network.channels", "0", "from 1 to 4,096"),
    ("darts", 1, "network.channels", "1.5", "a whole number from 1 to 4,096"),
    ("darts", 1, "network.cells", "0", "from 1 to 200"),
    ("darts", 1, "network.cells", "1e9", "from 1 to 200"),
    ("darts", 1, "network.batchnorm_momentum", "2", "from 0 to 1"),
    ("darts", 1, "network.downsample_padding", "2", "from 0 to 1"),
    ("darts", 1, "network.partial_channels", "0", "from 1 to"),
    ("darts", 1, "network.partial_channels", "3", "to be a multiple of network.partial_channels"),
    ("darts", "darts", "network.channels", "1e8", "from 1 to 4,096"),
    ("darts", "darts", "network.cells", "-1", "from 1 to 200"),
    ("darts", "darts", "network.partial_channels", "3", "to be a multiple of network.partial_channels"),
    ("darts", "nb201", "network.channels", "1e8", "from 1 to 4,096"),
    ("darts", "nb201", "network.cells_per_stage", "0", "from 1 to 100"),
    ("darts", "nb201", "network.partial_channels", "5", "to be a multiple of network.partial_channels"),
    ("darts", "toy", "network.channels", "-8", "from 1 to 4,096"),
    ("darts", "darts", "network.cells", "2", "at least 3, two of which are reduction cells"),
    ("darts", "toy", "network.cells", "1", "at least 2, one of each kind"),
    ("darts", "toy", "network.partial_channels", "3", "to be a multiple of network.partial_channels"),
    ("darts", 1, "data.padding", "100000", "from 0 to 256"),
    ("darts", 1, "data.padding", "-1", "from 0 to 256"),
    ("darts", 1, "data.batch_size", "0", "from 1 to 65,536"),
    ("darts", 1, "data.batch_size", "1e12", "from 1 to 65,536"),
    ("darts", 1, "data.cutout", "-16", "from 0 to 1,024"),
    ("darts", 1, "data.shrink", "0", "from 1 to 64"),
    ("darts", 1, "data.images", "-1", "from 0 to"),
    ("darts", 1, "hessian.every", "-1", "from 0 to 100,000"),
    ("darts", 1, "drop_path.probability", "1", "from 0 below 1"),
    ("darts", 1, "drop_path.probability", "-0.2", "from 0 below 1"),
    ("darts", 1, "early_stopping.window", "0", "from 1 to"),
    ("darts", 1, "early_stopping.ratio", "0", "above 0"),
    ("darts", 1, "early_stopping.look_back", "0", "from 1 to"),
    ("darts", 1, "early_stopping.start_epoch", "-1", "from 0 to"),
    ("darts", 1, "early_stopping.every", "0", "from 1 to"),
    ("darts", 1, "hessian_penalty.coefficient", "-1", "from 0 to"),
    ("darts", 1, "hessian_penalty.directions", "0", "from 1 to"),
    ("darts", 1, "hessian_penalty.step", "0", "above 0"),
    ("sdarts_adv", 1, "perturbation.epsilon_start", "-0.03", "from 0 to"),
    ("sdarts_adv", 1, "perturbation.epsilon_end", "inf", "a finite number"),
    ("sdarts_adv", 1, "perturbation.steps", "-1", "from 0 to 10,000"),
    ("sdarts_adv", 1, "perturbation.steps", "1e9", "from 0 to 10,000"),
    ("gdas", 1, "gumbel.temperature_start", "0", "above 0"),
    ("gdas", 1, "gumbel.temperature_end", "-1", "above 0"),
    ("gdas", 1, "gumbel.gradient_clip", "0", "above 0"),
    ("enas", 1, "controller.size", "0", "from 1 to 8,192"),
    ("enas", 1, "controller.temperature", "0", "above 0"),
    ("enas", 1, "controller.steps", "-1", "from 0 to"),
    ("enas", 1, "controller.learning_rate", "-1", "from 0 to"),
    ("enas", 1, "controller.baseline_decay", "2", "from 0 to 1"),
    ("enas", 1, "selection.samples", "1e9", "from 1 to 1,000,000"),
    ("random_ws", 1, "selection.batches", "0", "from 1 to"),
    ("random_ws", 1, "selection.finalists", "0", "from 1 to"),
    ("random_ws", 1, "selection.final_batches", "-1", "from 0 to"),
]

_COMMAND_LINES = [
    (["--epochs", "1e9"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--epochs", "1000000000"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--epochs", "1e30"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--epochs", "0"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--epochs", "-5"], "--epochs: expected a whole number from 1 to 100,000"),
    (["--threads", "1000000"], "--threads: expected a whole number from 1 to 1,024"),
    (["--threads", "0"], "--threads: expected a whole number from 1 to 1,024"),
    (["--seeds", "1e9"], "--seeds: expected a number of seeds"),
    (["--seeds", "1000000000"], "at most 100,000, got 1,000,000,000"),
    (["--seeds", "0-999999999"], "at most 100,000, got 1,000,000,000"),
    (["--seeds", "0"], "at least one seed"),
    (["--seeds", "5-2"], "at least one seed"),
    (["--seeds", "1,1"], "each once"),
    (["--seeds", "9" * 5000], "--seeds: expected a number of seeds"),
    (["--workers", "0"], "--workers: expected a whole number of 1 or more"),
    (["--keep", "-1"], "--keep: expected epochs such as 0,50,100"),
    (["--set", "weights.momentum"], "--set: expected key=value"),
    (["--set", "weights.momentum=0.1", "--set", "weights.momentum=0.2"], "is given twice"),
    (["--name", "x" * 255], "--name: expected letters, digits"),
    (["--name", "../up"], "--name: expected letters, digits"),
]


def cases() -> list[Case]:
    """Every fault of a setting or of a number on the command line."""
    return [
        *(
            Case(
                "setting",
                f"`--set {key}={_short(value)}` ({method}, space {space})",
                words,
                _set(method, space, key, value),
            )
            for method, space, key, value, words in _REFUSED
        ),
        *(
            Case("setting in a benchmark file", f"`{key} = {value}`", words, _benched(key, value))
            for method, space, key, value, words in _REFUSED
            if (method, space) == ("darts", 1) and key.startswith(("weights", "data", "network")) and len(value) < 100
        ),
        *(
            Case("command line", f"`{' '.join(map(_short, arguments))}`", words, _run(arguments))
            for arguments, words in _COMMAND_LINES
        ),
    ]


def _short(text: str) -> str:
    return text if len(text) < 40 else f"{text[:10]}... ({len(text):,} letters)"


def _set(method: str, space: int | str, key: str, value: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        resolve(get_method(method), get_space(space), {}, {key: value}, None)

    return make


def _benched(key: str, value: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        resolve(get_method("darts"), get_space(1), {key: float(value)}, {}, None)

    return make


def _run(arguments: list[str]) -> Callable[[Path], int]:
    def make(folder: Path) -> int:
        given = ["--space", "1", "--optimizer", "darts", "--bench", "digits", "--results", str(folder / "results")]
        if "--seeds" not in arguments:
            given += ["--seeds", "1"]
        return main([*given, *arguments, "--dry-run"])

    return make
