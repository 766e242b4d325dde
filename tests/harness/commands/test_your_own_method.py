"""The page docs/your-own-method.md: its code is run as it stands, but for the length of its searches."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.commands import check, plot, run
from harness.records.run_folder import RunFolder
from optimizers import registry
from optimizers.plugins import GROUP
from optimizers.registry import get_method, list_methods
from tests.support.plugin_files import install

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "your-own-method.md").read_text()

#: What makes a search short.
SHORT = ["--epochs", "2", "--set", "data.images=20", "--set", "network.channels=2"]

COMMANDS: dict[str, Callable[[list[str]], int | None]] = {
    "harness.check": check.main,
    "harness.run": run.main,
    "harness.plot": plot.main,
}


def blocks(language: str) -> list[str]:
    """The page's blocks of one language."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def files() -> dict[str, str]:
    """The files that the page shows, by name; the first line of each says it."""
    return {text.splitlines()[0].removeprefix("# "): text for text in blocks("python")}


def command(start: str) -> list[str]:
    """The arguments of the page's one command that starts so."""
    (line,) = [line for text in blocks("sh") for line in text.splitlines() if line.startswith(f"python -m {start}")]
    return shlex.split(line)[3:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the page's files, as the current directory; what is imported from it is forgotten afterwards."""
    list_methods()
    before, path = dict(registry._methods), list(sys.path)
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    registry._methods.clear()
    registry._methods.update(before)
    sys.modules.pop("gaea", None)
    sys.path[:] = path


def python(folder: Path, *arguments: str) -> str:
    """What another process says that runs in the folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout


def test_every_command_and_file_of_the_page_is_one_that_is_run_here() -> None:
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    assert {shlex.split(line)[2] for line in lines} == set(COMMANDS)
    assert list(files()) == ["gaea.py", "test_gaea.py", "compare.py"]
    assert len(files()["gaea.py"].splitlines()) <= 62


def test_the_class_passes_the_check_as_the_page_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(command("harness.check")) == 0
    assert blocks("text")[0].strip() in capsys.readouterr().out


def test_without_the_property_the_check_says_what_the_page_quotes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = files()["gaea.py"]
    (folder / "gaea.py").write_text(re.sub(r"    @property\n.*?return False\n\n", "", text, flags=re.DOTALL))
    assert "shift_invariant" not in (folder / "gaea.py").read_text()
    assert check.main(command("harness.check")) == 1
    out = capsys.readouterr().out
    assert out.count("BROKEN") == 1
    assert " ".join(blocks("text")[1].split()) in " ".join(out.split())


def test_the_page_leads_to_the_figure_and_the_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for start in (
        "harness.run --bench digits --space 1 --optimizer gaea",
        "harness.run --bench digits --space 1 --optimizer d",
    ):
        arguments = command(start)
        arguments[arguments.index("--seeds") + 1] = "2"
        # The short searches share a name, so that they share a scale.
        arguments += SHORT if "--name" in arguments else [*SHORT, "--name", "short"]
        assert run.main(arguments) == 0
    searched = folder / "results/digits/space1/gaea.Gaea@rate6.5/seed1"
    assert RunFolder(searched).config()["settings"]["gaea"] == {"learning_rate": 6.5}
    assert str(searched.parent.relative_to(folder)) in PAGE
    assert plot.main(command("harness.plot")) == 0
    figures = {path.name for path in (folder / "results/figures").glob("*.png")}
    assert {"anytime_error_digits_space1.png", "hessian_digits_space1.png"} <= figures
    printed = python(folder, "compare.py").splitlines()
    assert [line.partition(":")[0] for line in printed] == ["darts", "gaea"]
    assert all(re.search(r"test error \d+\.\d\d % \(standard deviation \d+\.\d\d, n=2\)$", line) for line in printed)
    for name in ("gaea:Gaea_rs", "gaea:Gaea_adv", "gaea:Gaea_gauss"):
        assert name in PAGE
        assert get_method(name).optimizer_class.__name__ == "Gaea"


def test_the_pages_test_suite_passes(folder: Path) -> None:
    assert "passed" in python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gaea.py")


def test_the_pages_entry_point_makes_it_known_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offers = tomllib.loads(blocks("toml")[0])["project"]["entry-points"][GROUP]
    install(folder, "gaea-package", **offers)
    monkeypatch.syspath_prepend(folder)
    for name in ("gaea", "gaea_adv"):
        assert f"`{name}`" in PAGE.replace("--optimizer ", "")
        assert get_method(name).optimizer_class.__name__ == "Gaea"


def test_the_readme_leads_to_the_page() -> None:
    assert "docs/your-own-method.md" in (ROOT / "README.md").read_text()
