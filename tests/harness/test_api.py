"""`from harness import search, load_runs`: searches and their records from a notebook or a script."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from harness.errors import UserError
from harness.records.run_folder import RunFolder, RunFolderError

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published" / "demo"


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a script says that is run in a folder."""
    (folder / "script.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the code of docs/notebook.md was run, as a script without a guard, and what it printed."""
    folder = tmp_path_factory.mktemp("notebook")
    text = (ROOT / "docs" / "notebook.md").read_text()
    answer = python("\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)), folder)
    assert answer.returncode == 0, answer.stderr
    return folder, answer.stdout


def test_the_page_does_as_it_says(page: tuple[Path, str]) -> None:
    folder, printed = page
    (expected,) = re.findall(r"^```text\n(.*?)\n```$", (ROOT / "docs" / "notebook.md").read_text(), re.M | re.S)
    assert expected in printed.splitlines()
    # The logger of the page heard of epochs 0 to 2 of its one seed.
    assert "3" in printed.splitlines()
    assert (folder / "curvature.png").stat().st_size > 0
    assert list((folder / "results" / "figures").glob("anytime_error*.png"))


def test_a_search_writes_what_the_command_would(page: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = page
    command = ["--bench", "digits", "--space", "1", "--optimizer", "darts", "--seeds", "1", "--epochs", "5"]
    subprocess.run([sys.executable, "-m", "harness.run", *command, "--results", str(tmp_path)], check=True)
    place = Path("digits/space1/darts/seed0")
    ours, theirs = RunFolder(folder / "results" / place), RunFolder(tmp_path / place)
    assert ours.config() == theirs.config()
    assert [{**line, "seconds": None} for line in ours.epochs()] == [
        {**line, "seconds": None} for line in theirs.epochs()
    ]


def test_a_frame_has_a_row_for_each_recorded_epoch() -> None:
    frame = importlib.import_module("harness").load_runs(PUBLISHED)
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 3 * 6 * 101
    assert not frame.duplicated(["optimizer", "seed", "epoch"]).any()
    run = frame[(frame["optimizer"] == "darts") & (frame["seed"] == 1)]
    lines = RunFolder(PUBLISHED / "digits" / "space1" / "darts" / "seed1").epochs()
    assert list(run["epoch"]) == list(range(101))
    assert list(run["test_error"]) == [line["test_error"] for line in lines]
    assert run["seconds.train"].iloc[-1] == lines[-1]["seconds"]["train"]


def test_without_pandas_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import load_runs

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'one-shot-nas-harness\[pandas\]'"):
        load_runs(PUBLISHED)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    from harness import load_runs

    with pytest.raises(RunFolderError, match="no finished or running search here"):
        load_runs(tmp_path)


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1], [-1]])
def test_seeds_that_are_none_are_refused(seeds: int | list[int]) -> None:
    from harness import search

    with pytest.raises(UserError, match="expected seeds"):
        search(space=1, optimizer="darts", seeds=seeds, bench="digits")


def test_search_can_be_called_after_its_room_was_imported(tmp_path: Path) -> None:
    code = (
        "import harness.search.settings\nfrom harness import search\nfrom harness.search.settings import resolve\n"
        "try: search(space=1, optimizer='darts', seeds=0)\nexcept Exception as error: print(type(error).__name__)\n"
    )
    assert python(code, tmp_path).stdout == "UserError\n"


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys\nfrom harness import load_runs, search\nprint({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    assert python(code, tmp_path).stdout == "set()\n"
