"""Findings as LaTeX: the numbers of the terminal, their conditions, and nothing that a name could smuggle in."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.commands import compare
from plots.judgement.findings import Question
from plots.judgement.judging import judge
from plots.judgement.latex import escaped, latex_text
from plots.runs.survey import survey

PUBLISHED = Path(__file__).parents[3] / "results" / "published" / "demo"


def test_the_table_has_the_numbers_that_the_terminal_shows_and_their_conditions() -> None:
    text = latex_text(judge(survey(PUBLISHED), Question()))
    assert "darts & 6 & 4.55 & [3.48, 5.62] & 4.41 & 3.29 & 6.03 \\\\" in text
    assert "sdarts\\_adv - darts & 6, 6 & -0.40 & -0.22 & 0.5563 & 0.7792 \\\\" in text
    captions = re.findall(r"\\caption\{(.*)\}", text)
    assert len(captions) == 2
    assert all(
        "digits, space 1; table: digits; 8 channels" in caption and "100 epochs" in caption for caption in captions
    )
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 2


def test_a_name_is_no_command() -> None:
    assert escaped("a_b & 5 % \\input{x}\x1b") == "a\\_b \\& 5 \\% \\textbackslash{}input\\{x\\}?"


def test_the_command_writes_it_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main([str(PUBLISHED), "--out", str(tmp_path), "--latex"]) == 0
    assert str(tmp_path / "tables.tex") in capsys.readouterr().out
    assert "\\toprule" in (tmp_path / "tables.tex").read_text()


def test_latex_takes_it(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex")
    text = latex_text(judge(survey(PUBLISHED), Question()))
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}{text}\\end{{document}}"
    (tmp_path / "t.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
