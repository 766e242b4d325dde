"""A study as a TOML file: which searches and tables it is of, how they are run, and how they are to be compared.

    format = 1
    name = "digits"
    bench = "digits"                       # or a benchmark file, relative to this one
    [[search]]
    optimizers = ["darts", "sdarts_adv"]
    spaces = [1, 2]
    seeds = 6                              # as --seeds of harness.run: a number, or text such as "0-2,7"
    epochs = 50
    grid = { "perturbation.steps" = [1, 7] }
    skip = [{ optimizer = "darts", "perturbation.steps" = 7 }]
    [[table]]
    images = "digits"
    space = 3
    [run]                                  # says how, and never changes a line
    cpus = 1
    [compare]                              # declared beforehand
    baseline = "darts"

Keys are checked here, with the line of the file; methods, spaces and settings where they are planned.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.benchmarks.registry import flattened
from harness.errors import UserError
from harness.launch.request import parse_seeds
from harness.study.attempts import Rules
from harness.study.entries import MOST_TASKS, Comparison, Running, SearchEntry, StudyFile, TableEntry
from harness.study.section import Section, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = 1

FAMILIES = {"against-baseline": "baseline", "all-pairs": "all-pairs"}
"""How `[compare]` calls a family of tests -> how `harness.compare --family` does."""

_MOST_BYTES = 1 << 20


def read_study(path: Path) -> StudyFile:
    """The study that a file describes.

    Raises:
        UserError: the file is missing or malformed; line and key are named.
    """
    content, parsed = _parsed(path)
    text = content.decode()
    top = Section(path, text, "", 0, parsed)
    top.check_keys()
    found = parsed.get("format")
    if found != FORMAT or isinstance(found, bool):
        top.fail("format", f"expected format = {FORMAT}, got {shown(found)}; another version reads other formats")
    searches = [_search(each) for each in top.sections("search")]
    tables = [_table(each) for each in top.sections("table")]
    if not searches and not tables:
        raise UserError(f"{path}: expected [[search]] or [[table]], got neither")
    bench = top.text("bench") or "nb101"
    if "compare" in parsed and not searches:
        top.fail("compare", "expected a [[search]] to compare")
    return StudyFile(
        path,
        content,
        top.name("name", needed=True) or "",
        str(path.parent / bench) if bench.endswith(".toml") else bench,
        searches,
        tables,
        _running(top.section("run")),
        _comparison(top.section("compare")) if "compare" in parsed else None,
    )


def _search(section: Section) -> SearchEntry:
    spaces = section.items("spaces", needed=True)
    for space in spaces:
        if isinstance(space, bool) or not isinstance(space, (int, str)):
            section.fail("spaces", f"spaces: expected numbers or names of spaces, got {shown(space)}")
    grid = {key: _values(section, key, values) for key, values in section.settings("grid").items()}
    settings = {key: section.setting("set", key, value) for key, value in section.settings("set").items()}
    if both := [key for key in grid if key in settings]:
        section.fail(both[0], f"grid and set both give {both[0]}; leave one out")
    keep = section.items("keep")
    if not all(map(_is_epoch, keep)):
        section.fail("keep", f"keep: expected epochs from 0, got {shown(keep)}")
    epochs = section.whole("epochs", 1, 100_000)
    entry = SearchEntry(
        section.number,
        section.line(),
        [section.text_of("optimizers", each) for each in section.items("optimizers", needed=True)],
        spaces,
        _seeds(section),
        epochs,
        grid,
        [_skipped(section, grid, each) for each in section.items("skip")],
        settings,
        sorted(keep),
        section.whole("threads", 1, 1024, 1) or 1,
        section.name("name"),
        section.whole("priority", -1000, 1000, 0) or 0,
        _rungs(section, grid, epochs),
        section.text("judge"),
        section.whole("judge_every", 1, 100_000, 10) or 10,
        [section.text_of("imports", each) for each in section.items("imports")],
    )
    count = len(entry.optimizers) * len(spaces) * len(entry.seeds) * math.prod(map(len, grid.values()))
    if count > MOST_TASKS:
        section.fail("", f"expected at most {MOST_TASKS:,} tasks, got {count:,}")
    return entry


def _seeds(section: Section) -> list[int]:
    value = section.content.get("seeds")
    numbers = value if isinstance(value, list) else [value]
    if value == [] or not all(isinstance(each, (int, str)) and not isinstance(each, bool) for each in numbers):
        section.fail("seeds", f'seeds: expected a number such as 6, or text such as "0-2,7", got {shown(value)}')
    if isinstance(value, list):
        if not all(isinstance(each, int) and each >= 0 for each in value) or len(set(value)) != len(value):
            section.fail("seeds", f"seeds: expected different whole numbers from 0, got {shown(value)}")
        return value
    try:
        return parse_seeds(str(value), "seeds")
    except UserError as error:
        section.fail("seeds", str(error))


def _values(section: Section, key: str, values: object) -> list[str]:
    if not isinstance(values, list) or not values:
        section.fail(key, f"grid: {key}: expected a list of values, got {shown(values)}")
    texts = [section.setting("grid", key, value) for value in values]
    if len(set(texts)) != len(texts):
        section.fail(key, f"grid: {key}: expected each value once, got {shown(values)}")
    return texts


def _skipped(section: Section, grid: Mapping[str, Sequence[str]], each: object) -> dict[str, str]:
    if not isinstance(each, Mapping) or not each:
        section.fail("skip", f'skip: expected entries such as {{ optimizer = "darts" }}, got {shown(each)}')
    skipped = flattened(each)
    for key in skipped:
        section.check_known(key, ("optimizer", "space", "seed", *grid), "skip: ")
    return {key: section.setting("skip", key, value) for key, value in skipped.items()}


def _rungs(section: Section, grid: Mapping[str, Sequence[str]], epochs: int | None) -> tuple[int, ...]:
    rungs = section.items("rungs")
    if not all(_is_epoch(each) and each > 0 for each in rungs) or sorted(rungs) != rungs:
        section.fail("rungs", f"rungs: expected ascending epochs from 1, got {shown(rungs)}")
    if rungs and epochs is not None and rungs[-1] >= epochs:
        section.fail("rungs", f"rungs: expected epochs before the last, {epochs}, got {rungs[-1]}")
    if rungs and math.prod(map(len, grid.values())) < 2:
        section.fail("rungs", "rungs: expected a grid of variants of one method, among which the better third goes on")
    return tuple(rungs)


def _table(section: Section) -> TableEntry:
    from harness.tabulation.training import Recipe

    recipe = section.settings("recipe")
    for key in recipe:
        section.check_known(key, [each.name for each in dataclasses.fields(Recipe)], "recipe: ")
    cells, out, images = section.text("cells"), section.text("out"), section.text("images") or "digits"
    return TableEntry(
        section.number,
        section.line(),
        str(section.path.parent / images) if images.endswith(".toml") else images,
        section.whole("space", 1, 3, 1) or 1,
        section.whole("repeats", 1, 1000, 3) or 3,
        None if cells is None else section.path.parent / cells,
        section.whole("first", 1, 10**9),
        section.name("label"),
        recipe,
        None if out is None else section.path.parent / out,
        section.whole("priority", -1000, 1000, 0) or 0,
    )


def _running(section: Section) -> Running:
    gpus = section.content.get("gpus")
    if gpus is not None:
        if isinstance(gpus, bool) or not isinstance(gpus, (int, float)) or not 0 <= gpus < math.inf:
            section.fail("gpus", f"gpus: expected a number from 0, got {shown(gpus)}")
        _check_share(section, float(gpus))
    device = section.choice("device", ("auto", "cpu", "cuda"), "auto")
    if device == "cpu" and gpus:
        section.fail("gpus", f'gpus: expected none where device = "cpu", got {shown(gpus)}')
    default = Rules()
    minutes = section.positive("silent_minutes")
    retries = section.whole("retries", 0, 1000, default.retries)
    return Running(
        device,
        section.whole("cpus", 1, 4096, 1) or 1,
        None if gpus is None else float(gpus),
        section.whole("workers", 1, 100_000),
        Rules(
            default.retries if retries is None else retries,
            default.silent_minutes if minutes is None else minutes,
            section.positive("budget_hours"),
        ),
        section.flag("mixed_kinds"),
        section.flag("ship_data"),
        section.positive("sync_seconds") or 0.0,
    )


def _check_share(section: Section, gpus: float) -> None:
    """Refuse a share of a GPU that leaves a part of it to nobody."""
    if gpus > 1 and gpus != int(gpus):
        section.fail("gpus", f"gpus: expected a share of one GPU or a whole number of them, got {gpus:g}")
    if 0 < gpus < 1:
        fit = int(1 / gpus + 1e-9)
        if fit * gpus < 0.97:
            section.fail(
                "gpus",
                f"gpus: {gpus:g} lets {fit} tasks share a GPU, not {fit + 1}, and leaves {1 - fit * gpus:.2g} of it to "
                f"nobody; expected 1 over a whole number, such as {1 / fit:.3g} or {1 / (fit + 1):.3g}",
            )


def _comparison(section: Section) -> Comparison:
    return Comparison(
        section.text("baseline"),
        section.text("measure") or "final_error",
        FAMILIES[section.choice("family", FAMILIES, "against-baseline")],
    )


def _is_epoch(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100_000


def _parsed(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes, and what TOML makes of them."""
    try:
        if not path.exists():
            raise UserError(f"{path}: no such study file")
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise UserError(f"{path}: expected a TOML file of at most {_MOST_BYTES:,} bytes")
        content = path.read_bytes()
        return content, tomllib.loads(content.decode())
    except RecursionError:
        raise UserError(f"{path}: expected sections a few levels deep, got far deeper ones") from None
    # Beside its own error the reader lets through those of numbers that Python does not read.
    except ValueError as error:
        raise UserError(f"{path}: not a TOML file: {error}") from None
