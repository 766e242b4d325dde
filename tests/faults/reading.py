"""Run folders from elsewhere, as report, comparison, figures and audit read them: one bad run hides no other.

It is long since it is one table, whose rows share the folders that they spoil and the commands that read these.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.cli import run_command
from harness.commands import audit, compare, correlate, landscape, plot, report
from harness.records.run_folder import RunFolder
from plots.runs.survey import survey
from tests.faults.case import Case, Survival
from tests.support.checkpoint_results import write_correlation, write_landscape
from tests.support.report_runs import edit_config, edit_lines
from tests.support.seeds_here import begun, folder_of
from tests.support.synthetic_runs import write_runs

SPARSE_BYTES = 20_000_000_000
ESCAPES = "\x1b[31mred\x1b]0;title\x07"
HTML = "<script>alert(1)</script>\"'&</script>"
FORMULA = '=HYPERLINK("http://evil.example","x")'

Put = Callable[[Path], object]


def cases() -> list[Case | Survival]:
    """Every fault of a run folder that is read."""
    return [*_files(), *_results(), *_names(), *_code()]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE_BYTES)


def _socket(path: Path) -> None:
    here = Path.cwd()
    # Its name may have a hundred characters only.
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


KINDS: list[tuple[str, Put]] = [
    ("a pipe", _pipe),
    ("a link to /dev/zero", lambda path: path.symlink_to("/dev/zero")),
    ("a sparse file of 20 GB", _sparse),
    ("a link to itself", lambda path: path.symlink_to(path.name)),
    ("a folder", lambda path: path.mkdir()),
    ("a socket", _socket),
    ("nested 100,000 deep", lambda path: path.write_text("[" * 100_000 + "\n")),
    ("a list", lambda path: path.write_text("[]\n")),
    ("no text", lambda path: path.write_bytes(b"\xff\xfe\x00\n")),
    ("an integer of 5,000 digits", lambda path: path.write_text(f'{{"epoch": {"9" * 5000}}}\n')),
]


def _files() -> list[Survival]:
    promise = "the run is left out by name, all others are shown"
    return [
        Survival("files of a run", f"{name} is {kind}", promise, functools.partial(_left_out, name=name, put=put))
        for name in ("config.json", "epochs.jsonl")
        for kind, put in KINDS
    ] + [
        Survival(
            "files of a run",
            f"{name} is {kind}",
            "the audit names it; report, comparison and figures, which need it not, show every run",
            functools.partial(_audited, name=name, put=put),
        )
        for name in ("env.json", "checkpoint.pt")
        for kind, put in KINDS
        if kind in ("a pipe", "a link to /dev/zero", "a link to itself", "nested 100,000 deep")
    ]


def _results() -> list[Survival]:
    changed: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
        ("without an entry", lambda content: content.pop("images")),
        ("of another seed", lambda content: content.update(seed=5)),
        ("of another epoch", lambda content: content.update(epoch=5)),
        ("with a text among its numbers", _with_text),
    ]
    promise = "it is left out by name, that of another run is drawn, and the audit fails it"
    return [
        Survival(
            "results of checkpoints",
            f"a {kind} that is {fault}",
            promise,
            functools.partial(_result_left_out, kind=kind, put=put),
        )
        for kind in ("landscape", "correlation")
        for fault, put in KINDS[:4] + KINDS[6:8]
    ] + [
        Survival(
            "results of checkpoints",
            f"a {kind} {fault}",
            promise,
            functools.partial(_result_left_out, kind=kind, put=functools.partial(_rewrite, change=change)),
        )
        for kind in ("landscape", "correlation")
        for fault, change in changed
    ]


def _names() -> list[Survival]:
    entries = ("bench", "optimizer", "name", "scale")
    return [
        *(
            Survival(
                "names",
                f"escape sequences as {entry}",
                "the run is left out by name; they are shown as `\\x1b`, and never reach the terminal raw",
                functools.partial(_shown, entry=entry, text=ESCAPES),
            )
            for entry in (*entries, "table")
        ),
        *(
            Survival(
                "names",
                f"HTML as {entry}",
                "the report shows it as text, and has no element more than without it",
                functools.partial(_in_page, entry=entry),
            )
            for entry in (*entries, "table", "space")
        ),
        *(
            Survival(
                "names",
                f"a formula as {entry}",
                "cells of CSV files begin with an apostrophe, so that a spreadsheet shows it and does not run it",
                functools.partial(_in_csv, entry=entry),
            )
            for entry in ("optimizer", "scale", "table")
        ),
        *(
            Survival(
                "names",
                f"the benchmark {bench!r}",
                "the run is left out by name, since the name becomes a file's, and other runs are shown",
                functools.partial(_inside, bench=bench),
            )
            for bench in ("a/b", "x/../../../escaped", "{folder}/escaped", "..", "nul\0byte", "x" * 300, "$\\frac{$")
        ),
        *(
            Survival(
                "names",
                f"{fault}, and figures are drawn",
                "they are drawn, other runs with them, and nothing is written outside their folder",
                functools.partial(_drawn, bench=bench, text=text),
            )
            for fault, bench, text in (
                ("a benchmark that is a path leading out", "x/../../../escaped", "darts"),
                ("TeX that does not parse as optimizer, scale and table", "synthetic", "$\\frac{$"),
                ("a formula as optimizer, scale and table", "synthetic", FORMULA),
            )
        ),
        Survival(
            "names",
            "a folder called by escape sequences",
            "they are shown as `\\x1b`, and never reach the terminal raw",
            _folder_named,
        ),
    ]


def _code() -> list[Case]:
    module = "a module that config.json names as the"
    return [
        Case(
            "code",
            f"{module} method, `{name}`",
            "give --optimizer evil:Evil",
            functools.partial(_named, command, "optimizer"),
        )
        for name, command in (("landscape", landscape.main), ("correlate", correlate.main))
    ] + [
        Case(
            "code",
            f"{module} space, `{name}`",
            "expected space as a whole number",
            functools.partial(_named, command, "space"),
        )
        for name, command in (("landscape", landscape.main), ("correlate", correlate.main))
    ]


def _results_folder(folder: Path) -> tuple[Path, Path]:
    """A results folder with four runs, and one of them."""
    results = folder / "results"
    paths = write_runs(results, ["darts", "gdas"], [1], seeds=2, epochs=3)
    return results, paths[1]


def _run(command: Callable[[list[str]], int], *arguments: object) -> tuple[int, str, str]:
    """A command's status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run_command(lambda: command([str(argument) for argument in arguments]))
    assert "Traceback" not in err.getvalue()
    return status, out.getvalue(), err.getvalue()


def _replace(path: Path, put: Put) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    put(path)


def _left_out(folder: Path, name: str, put: Put) -> None:
    results, bad = _results_folder(folder)
    _replace(bad / name, put)
    page = folder / "report.html"
    status, _, err = _run(report.main, results, "--out", page)
    assert status == 0
    assert f"left out: {bad}" in err
    assert len(err.splitlines()) == 1
    assert page.read_text().count("seed0/epochs.jsonl") == 2
    status, out, _ = _run(compare.main, results)
    assert status == 0
    assert str(bad.relative_to(results)) in out
    assert "gdas" in out
    status, out, _ = _run(audit.main, results)
    assert status == 1
    assert f"FAILS {bad}" in out
    assert "4 runs: 0 verified, 3 unchecked, 1 failing" in out


def _audited(folder: Path, name: str, put: Put) -> None:
    results, bad = _results_folder(folder)
    _replace(bad / name, put)
    status, out, _ = _run(audit.main, results)
    assert (status, out.count("FAILS")) == (1, 1)
    assert f"FAILS {bad}: {name}: " in out
    page = folder / "report.html"
    assert _run(report.main, results, "--out", page)[0] == 0
    assert page.read_text().count("seed1/epochs.jsonl") == 2
    assert _run(compare.main, results)[0] == 0


def _result_left_out(folder: Path, kind: str, put: Put) -> None:
    from plots.figures import correlation as correlations
    from plots.figures import landscape as landscapes

    write = {"landscape": lambda name: write_landscape(folder, name, lambda x, y: 0.5), "correlation": None}[kind]
    bad, _ = (write(name) if write else write_correlation(folder, name) for name in ("darts", "nasp"))
    if isinstance(put, functools.partial):
        put(bad)
    else:
        _replace(bad, put)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        found = (landscapes if kind == "landscape" else correlations).gather(folder)
    assert [list(group.of_methods) for group in found] == [["nasp"]]
    assert said.getvalue().startswith(f"left out: {bad}: ")
    assert said.getvalue().count("\n") == 1
    from harness.records import results

    try:
        results.all_of(RunFolder(bad.parents[1]), kind)
    except Exception as error:
        assert str(bad) in str(error)  # noqa: PT017
    else:
        raise AssertionError("the audit would not fail it")


def _rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _with_text(content: dict[str, Any]) -> None:
    content["top_share" if "top_share" in content else "radius"] = "far"


def _renamed(path: Path, entry: str, text: str) -> None:
    """Give a run another name of some kind, its lines with it."""
    if entry == "table":
        edit_config(path, lambda config: {**config, "table": {**config["table"], "label": text}})
        edit_lines(path, lambda line: {**line, "table": text})
    else:
        edit_config(path, lambda config: {**config, entry: text})
        edit_lines(path, lambda line: {**line, entry: text} if entry in line else line)


def _shown(folder: Path, entry: str, text: str) -> None:
    results, bad = _results_folder(folder)
    _renamed(bad, entry, text)
    _check_terminal(folder, results)


def _check_terminal(folder: Path, results: Path) -> None:
    """No command sends what steers a terminal, and each that shows the run shows the rest of its name."""
    for command, more in ((report.main, ["--out", folder / "report.html"]), (compare.main, []), (audit.main, [])):
        _, out, err = _run(command, results, *more)
        assert "[31mred" in out + err, command
        assert "\x1b" not in out + err, command
        assert "\x07" not in out + err, command


def _in_page(folder: Path, entry: str) -> None:
    results, bad = _results_folder(folder)
    page = folder / "report.html"
    _run(report.main, results, "--out", page)
    before = _elements(page)
    page.unlink()
    _renamed(bad, entry, HTML)
    _run(report.main, results, "--out", page)
    text = page.read_text()
    assert HTML not in text
    assert "alert(1)" in text
    assert _elements(page) == before


def _elements(page: Path) -> list[str]:
    """The tags of a page as a parser that knows scripts sees them."""
    from html.parser import HTMLParser

    found: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attributes: object) -> None:
            found.append(tag)

    Tags().feed(page.read_text())
    return sorted(set(found))


def _in_csv(folder: Path, entry: str) -> None:
    results, bad = _results_folder(folder)
    _renamed(bad, entry, FORMULA)
    _run(compare.main, results, "--out", folder / "statistics")
    files = list(folder.glob("statistics/*.csv"))
    assert files
    cells = [cell for path in files for row in csv.reader(path.read_text().splitlines()) for cell in row]
    assert any(cell.startswith(f"'{FORMULA}") for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)


def _inside(folder: Path, bench: str) -> None:
    results, bad = _results_folder(folder)
    _renamed(bad, "bench", bench.replace("{folder}", str(folder)))
    found = survey(results)
    assert [one.path for one in found.left_out] == [bad]
    assert found.left_out[0].reason.startswith("config.json: expected bench as a name of letters")
    assert [one.bench for one in found.comparisons] == ["synthetic"]


def _drawn(folder: Path, bench: str, text: str) -> None:
    """Figures of runs of which one has other names are drawn, and lie where they should."""
    results, bad = _results_folder(folder)
    (folder / "figures" / "anytime_error_x").mkdir(parents=True)
    _renamed(bad, "bench", bench)
    for entry in ("optimizer", "scale", "table"):
        _renamed(bad, entry, text)
    before = _tree(folder) - _tree(folder / "figures")
    status, out, err = _run(plot.main, results, "--out", folder / "figures")
    assert status == 0, err
    assert "\x1b" not in out + err
    assert _tree(folder) - _tree(folder / "figures") == before
    assert (folder / "figures" / "anytime_error_synthetic_space1.csv").exists()
    assert not any(
        cell.startswith("=")
        for path in folder.glob("figures/*.csv")
        for row in csv.reader(path.read_text().splitlines())
        for cell in row
    )


def _tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def _folder_named(folder: Path) -> None:
    results, bad = _results_folder(folder)
    named = results / ESCAPES.replace("/", "")
    shutil.move(bad, named)
    (named / "config.json").write_text("?")
    _check_terminal(folder, results)


def _named(command: Callable[[list[str]], int], entry: str, folder: Path) -> int:
    """A run whose configuration names a module that lies in the current folder."""
    request = begun(folder / "results", recorded=None)
    path = folder_of(request).path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: "evil:Evil"}))
    (folder / "evil.py").write_text("import pathlib\npathlib.Path('executed').touch()\n")
    here = Path.cwd()
    os.chdir(folder)
    try:
        return command([str(folder_of(request).path), "--device", "cpu"])
    finally:
        os.chdir(here)
        assert not (folder / "executed").exists()
