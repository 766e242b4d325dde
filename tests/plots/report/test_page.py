"""The page as a file: nothing to fetch, nothing to run but our scripts, whatever a run folder holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from plots.report.page import SCRIPTS, STYLES, embedded_json, page
from plots.report.writing import Report
from tests.support.report_runs import HOSTILE, write_trouble

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "plots" / "report" / "page_files"
HOSTILE_TEXT = "</script><script>alert(1)</script><!--<script>\u2028\u2029\"'&\ud800"


class Elements(HTMLParser):
    """Start tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.texts.append((self.cdata_elem, data))


def elements_of(results: Path, live: bool = False) -> Elements:
    return Elements(page(Report(results, results).data(), live).decode())


def test_json_in_the_page_is_ascii_without_a_letter_that_html_reads() -> None:
    text = embedded_json({HOSTILE_TEXT: HOSTILE_TEXT})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {HOSTILE_TEXT: HOSTILE_TEXT}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_carry_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        embedded_json([number])


def test_a_hostile_name_adds_no_element_and_stays_data(tmp_path: Path) -> None:
    hostile, plain = tmp_path / "hostile<img src=x>", tmp_path / "plain"
    write_trouble(hostile)
    write_trouble(plain)
    (next(plain.rglob("hostile")) / "seed0" / "config.json").write_text("{")
    assert [tag for tag, _ in elements_of(hostile).tags] == [tag for tag, _ in elements_of(plain).tags]
    (content,) = [json.loads(text) for tag, text in elements_of(hostile).texts if text.startswith('{"format"')]
    names = [method["name"] for method in content["comparisons"][0]["methods"]]
    assert any(HOSTILE in name for name in names)


@pytest.mark.parametrize("live", [False, True])
def test_the_policy_names_every_script_and_style_and_nothing_else(tmp_path: Path, live: bool) -> None:
    write_trouble(tmp_path)
    found = elements_of(tmp_path, live)
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in found.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    codes = [text for tag, text in found.texts if tag == "script" and not text.startswith('{"format"')]
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in codes]
    assert re.findall(r"'sha256-([^']+)'", policy.partition("script-src")[2].partition(";")[0]) == hashes
    assert len(hashes) == len(SCRIPTS)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert ("connect-src" in policy) == live


def test_nothing_in_the_page_is_fetched(tmp_path: Path) -> None:
    write_trouble(tmp_path)
    for tag, attributes in elements_of(tmp_path).tags:
        assert "src" not in attributes
        assert tag != "a" or (attributes.get("href") or "").startswith("#")
        assert tag != "link" or attributes.get("href") == "data:,"
    for name in STYLES:
        assert "url(" not in (PAGE / name).read_text()
        assert "@import" not in (PAGE / name).read_text()


def test_our_scripts_write_text_and_never_markup() -> None:
    for name in SCRIPTS:
        text = (PAGE / name).read_text()
        assert "</script" not in text
        assert "<!--" not in text
        if not name.startswith("uplot/"):
            for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
                assert word not in text


def test_uplot_is_the_file_that_its_record_names_and_its_licence_is_in_the_page(tmp_path: Path) -> None:
    record = (PAGE / "uplot" / "README.md").read_text()
    rows = re.findall(r"\| (\S+) \| ([0-9a-f]{64}) \|", record)
    assert {name for name, _ in rows} == {path.name for path in (PAGE / "uplot").iterdir()} - {"README.md"}
    for name, digest in rows:
        assert hashlib.sha256((PAGE / "uplot" / name).read_bytes()).hexdigest() == digest
    write_trouble(tmp_path)
    assert b"Permission is hereby granted, free of charge" in page(Report(tmp_path, tmp_path).data())


def test_the_wheel_ships_every_file_of_the_page() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["plots.report"]
    shipped = {path for pattern in patterns for path in (ROOT / "plots" / "report").glob(pattern)}
    assert {path for path in PAGE.rglob("*") if path.is_file()} <= shipped
