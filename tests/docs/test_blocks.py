"""Every command, file and snippet of README and docs is run, smaller where it takes long, or at least read."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import harness.__main__
import harness.data.registry
import harness.probes.registry
import optimizers.companions.registry
import optimizers.registry
from harness.__main__ import SUMMARIES
from harness.benchmarks.files import read_benchmark
from harness.benchmarks.registry import BENCHMARKS
from tests.support.pages import PAGES, ROOT, WAYS, Block, blocks_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BLOCKS = [block for page in PAGES for block in blocks_of(page)]

SMOKE = ["--epochs", "2", "--set", "data.images=20", "--set", "network.channels=4"]
"""What makes a search of these pages short; its seeds become one."""

REGISTRIES: tuple[dict[str, Any], ...] = (
    optimizers.registry._methods,
    optimizers.companions.registry._companions,
    harness.data.registry._datasets,
    harness.probes.registry._probes,
)

RUN_PAGES = [
    page
    for page in PAGES
    if any(block.language == "sh" and block.way in ("as it stands", "at smoke size") for block in blocks_of(page))
]


def module_and_arguments(command: str) -> tuple[str, list[str]]:
    """The command of ours that a line calls, by either name, and its arguments up to a redirection."""
    words = shlex.split(command.partition(" > ")[0], comments=True)
    if words[0] == "oneshot":
        return words[1], words[2:]
    assert words[:2] == ["python", "-m"], command
    return words[2].removeprefix("harness."), words[3:]


def main_of(module: str, arguments: list[str]) -> int:
    """What a command of ours returns."""
    status = importlib.import_module(f"harness.commands.{module}").main(arguments)
    return int(status or 0)


def smaller(arguments: list[str]) -> list[str]:
    """The arguments of a search that takes seconds."""
    arguments = list(arguments)
    arguments[arguments.index("--seeds") + 1] = "1"
    if "--epochs" in arguments:
        del arguments[arguments.index("--epochs") : arguments.index("--epochs") + 2]
    return [*arguments, *SMOKE]


def read_only(module: str, arguments: list[str]) -> None:
    """Put arguments through the command's parser, which refuses what it does not know."""
    parser = importlib.import_module(f"harness.commands.{module}")._parser()
    parser.parse_args(arguments)


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a command, and of those that it is made of."""
    options = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options |= set[str]().union(*map(options_of, action.choices.values()))
    return options


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; what is imported from it, and what that registers, is forgotten afterwards."""
    optimizers.registry.list_methods()
    optimizers.companions.registry.companion_classes()
    harness.data.registry.list_datasets()
    before = [dict(registry) for registry in REGISTRIES]
    path, modules = list(sys.path), set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("harness.launch.estimate.estimate", lambda *arguments: "not timed here")
    yield tmp_path
    for registry, content in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(content)
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = path


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_mark_is_known_and_says_why(block: Block) -> None:
    assert block.way in WAYS
    assert block.reason or block.way in ("as it stands", "read as a benchmark file")
    if block.way == "elsewhere":
        assert block.page.name in (ROOT / block.reason).read_text()


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_as_they_say(page: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks_of(page):
        if block.file:
            (folder / block.file).write_text(block.text)
    for block in blocks_of(page):
        for command in block.commands if block.way in ("as it stands", "at smoke size") else []:
            if command.startswith("make "):
                continue
            module, arguments = module_and_arguments(command)
            if module.startswith("--"):
                assert harness.__main__.main([module, *arguments]) == 0, command
                continue
            if module == "run" and block.way == "at smoke size":
                arguments = smaller(arguments)
            assert main_of(module, arguments) == 0, command
    written = capsys.readouterr()
    assert "Traceback" not in written.err
    if any("plot" in command for block in blocks_of(page) for command in block.commands):
        assert list(folder.glob("results/figures/*.png"))


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "sh" and block.way in ("dry-run", "parsed")], ids=str
)
def test_commands_that_take_long_are_ones_that_would_run(
    block: Block, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in block.commands:
        module, arguments = module_and_arguments(command)
        if module == "run" and block.way == "dry-run":
            assert main_of(module, [*arguments, "--dry-run"]) == 0
            assert "would run" in capsys.readouterr().out
        else:
            read_only(module, arguments)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.way == "not run"], ids=str)
def test_commands_that_are_not_run_are_at_least_there(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in block.commands:
        words = shlex.split(command)
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), command
        elif words[0] in ("python", "oneshot"):
            read_only(*module_and_arguments(command))
        else:
            assert words[0] in ("docker", "pip", "git", "pre-commit", "export", "ray", "sbatch"), command


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_toml_is_toml_and_benchmark_files_can_be_read(block: Block, folder: Path) -> None:
    assert tomllib.loads(block.text)
    if block.way == "read as a benchmark file":
        (folder / "bench.toml").write_text(block.text)
        for name in ("standin.index", "cifar10", "clothes"):
            (folder / name).mkdir()
        bench = read_benchmark(folder / "bench.toml", {bench.name: bench for bench in BENCHMARKS})
        assert bench.name == tomllib.loads(block.text)["name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_within_sentences_take_the_options_that_they_show(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for command in re.findall(r"`((?:python -m harness\.|oneshot )\w[^`]*)`", " ".join(text.split())):
        words = command.replace("python -m harness.", "oneshot ").split()[1:]
        if words[0] in ("COMMAND", "...", "--completion", "--version"):
            continue
        for module in words[0].split("|"):
            assert module in SUMMARIES, command
            options = options_of(importlib.import_module(f"harness.commands.{module}")._parser())
            assert {word for word in words if word.startswith("--")} <= options, command


def test_a_python_block_is_a_file_or_has_a_test_of_its_own() -> None:
    python = [block for block in BLOCKS if block.language == "python"]
    assert [str(block) for block in python if not block.file and block.way != "elsewhere"] == []


def test_the_gamma_draws_of_the_page_on_drnas_have_the_distribution_and_gradient_of_gamma(folder: Path) -> None:
    (block,) = [block for block in blocks_of(ROOT / "docs" / "drnas.md") if block.file]
    names: dict[str, Any] = {"__name__": "drnas"}
    exec(compile(block.text, "drnas.py", "exec"), names)
    generator = torch.Generator().manual_seed(0)
    draws, proposals = 40_000, names["PROPOSALS"]
    for concentration in (0.3, 1.0, 4.0):
        normal = torch.randn(proposals, draws, generator=generator, dtype=torch.float64)
        uniform = torch.rand(proposals + 1, draws, generator=generator, dtype=torch.float64).clamp(min=1e-6)
        beta = torch.full((draws,), concentration, dtype=torch.float64, requires_grad=True)
        drawn = names["gamma"](beta, torch.cat([normal, uniform]))
        # Mean and variance of Gamma(b) are b; the mean's derivative by b is 1. Five standard errors.
        assert float(drawn.detach().mean()) == pytest.approx(concentration, abs=5 * (concentration / draws) ** 0.5)
        assert float(drawn.detach().var()) == pytest.approx(concentration, rel=0.15)
        (gradient,) = torch.autograd.grad(drawn.mean(), beta)
        assert float(gradient.sum()) == pytest.approx(1, abs=0.05)
