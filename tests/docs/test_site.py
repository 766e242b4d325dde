"""The documentation's site: built without a warning, complete, and self-contained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT

pytest.importorskip("mkdocs", reason="needs the extra docs")
pytest.importorskip("material", reason="needs the extra docs")
pytest.importorskip("latex2mathml", reason="needs the extra docs")
pytest.importorskip("mkdocstrings", reason="needs the extra docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly; a link that leads nowhere fails here."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    assert (site / "first-search.html").is_file()


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        fetched = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(https?:)?//[^\">]*", text)
        assert fetched == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?https?://", sheet.read_text()), sheet


def test_links_to_the_repository_lead_to_its_files(site: Path) -> None:
    page = (site / "methods" / "darts.html").read_text()
    assert 'href="../repository/optimizers/darts.py.html"' in page
    assert "class Darts(Optimizer)" in re.sub(
        r"<[^>]*>", "", (site / "repository/optimizers/darts.py.html").read_text()
    )


def test_equations_become_mathml_and_nothing_of_them_is_left_over(site: Path) -> None:
    equations = [
        equation
        for page in site.rglob("*.html")
        for equation in re.findall(r"<math.*?</math>", page.read_text(), re.DOTALL)
    ]
    assert len(equations) >= 10
    assert [equation for equation in equations if "\\" in equation] == []


def test_marks_for_these_tests_are_not_on_the_pages(site: Path) -> None:
    assert "checked:" not in (site / "quick-start.html").read_text()
