"""The notebook of the docs runs from its first cell to its last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.pages import ROOT

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
pytest.importorskip("ipykernel", reason="needs the extra docs")
pytest.importorskip("pandas", reason="needs the extra pandas")


@pytest.mark.filterwarnings("ignore")  # of the kernel's machinery, which is not ours
def test_the_notebook_runs_and_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(ROOT / "docs" / "first-search.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output["data"]["text/plain"] for output in outputs if output["output_type"] == "execute_result"]
    assert any("lambda_max" in text for text in shown)
    assert (tmp_path / "anytime.png").stat().st_size > 0
    assert list((tmp_path / "results" / "figures").glob("anytime_error*.png"))
